//! `sra judge`: a language model says which of two systems follows its strategy better, or how well one does.

mod answers;
mod report;

use std::ops::ControlFlow;
use std::process::ExitCode;

use judging::{
    Decision, JudgeTemplate, PairJudgement, Question, Rating, judge_name, judge_pairs, rate,
};
use llm_runtime::TextModel;
use strategy_prompting::{RowFile, RowKind};

pub(crate) use self::answers::{System, layouts, pairs, read};
use crate::arguments::Format;
use crate::failure::Failure;
use crate::judge_arguments::{By, Judge};
use crate::text_model::{AnyModel, Delivery};
use crate::{interrupt, progress};

const JUDGEMENTS: RowKind<PairJudgement> =
    RowKind { name: "row of `sra judge`", id: |row| &row.id, made_by: |row| &row.judge };
const RATINGS: RowKind<Rating> = RowKind { name: "rating of `sra judge`", id: |row| &row.id, made_by: |row| &row.judge };

pub(crate) fn run(options: &Judge, format: Format) -> Result<ExitCode, Failure> {
    let template = JudgeTemplate::by_name_or_path(options.template_name()).map_err(Failure::wrong_use)?;
    let layouts = layouts(&options.layout, &options.runs)?;
    let read = options.runs.iter().zip(layouts).map(|(run, layout)| read(run, layout));
    let mut systems = read.collect::<Result<Vec<System>, Failure>>()?.into_iter();
    match (systems.next(), systems.next(), template.question()) {
        (Some(first), Some(second), Question::Pair) => compare(options, &template, first, &second, format),
        (Some(system), None, Question::Rating) => rate_answers(options, &template, system, format),
        (_, None, _) => Err(Failure::wrong_use(format!("{} compares two runs: name both", template.name()))),
        (_, Some(_), _) => Err(Failure::wrong_use(format!("{} rates one run: name only one", template.name()))),
    }
}

fn compare(
    options: &Judge,
    template: &JudgeTemplate,
    first: System,
    second: &System,
    format: Format,
) -> Result<ExitCode, Failure> {
    let names = [first.name.clone(), second.name.clone()];
    let items = pairs(first, second, options.limit)?;
    let (mut model, decision) = judge(options)?;
    let name = judge_name(&model, template, &decision);
    let mut file = RowFile::open(&options.out, options.resume, &name, JUDGEMENTS)?;
    let pending: Vec<_> = items.iter().filter(|item| !file.contains(&item.id)).cloned().collect();
    let mut bar = progress::Progress::new("judging", (items.len() - pending.len()) as u64, items.len() as u64);
    judge_pairs(&pending, template, &decision, &mut model, &mut |row| {
        file.append(row).map_err(keep)?;
        bar.set(file.rows().len() as u64);
        Ok(flow())
    })
    .map_err(Failure::work)?;
    bar.finish();
    report::pairs(&names, &name, file.rows(), format)?;
    Ok(code(file.rows().len() < items.len()))
}

fn rate_answers(options: &Judge, template: &JudgeTemplate, system: System, format: Format) -> Result<ExitCode, Failure> {
    let system_name = system.name.clone();
    let items = answers::ratings(system, options.limit);
    let (mut model, decision) = judge(options)?;
    let name = judge_name(&model, template, &decision);
    let mut file = RowFile::open(&options.out, options.resume, &name, RATINGS)?;
    let pending: Vec<_> = items.iter().filter(|item| !file.contains(&item.id)).cloned().collect();
    let mut bar = progress::Progress::new("rating", (items.len() - pending.len()) as u64, items.len() as u64);
    rate(&pending, template, &decision, options.samples, &mut model, &mut |row| {
        file.append(row).map_err(keep)?;
        bar.set(file.rows().len() as u64);
        Ok(flow())
    })
    .map_err(Failure::work)?;
    bar.finish();
    report::ratings(&system_name, &name, file.rows(), format)?;
    Ok(code(file.rows().len() < items.len()))
}

/// The judge's model and how its opinion is found.
fn judge(options: &Judge) -> Result<(AnyModel, Decision), Failure> {
    let model = AnyModel::load(&options.model, &options.runtime, &options.server, Delivery::Whole)?;
    let decision = match options.by {
        By::Likelihood => Decision::Likelihood,
        By::Text => {
            let mut generation = options.generation();
            generation.seed = options.seed;
            model.check(&generation)?;
            Decision::Text { options: generation }
        }
    };
    interrupt::listen();
    Ok((model, decision))
}

fn keep(error: strategy_prompting::Error) -> judging::Error {
    judging::Error::Keep(Box::new(error))
}

fn flow() -> ControlFlow<()> {
    if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn code(is_interrupted: bool) -> ExitCode {
    if is_interrupted { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS }
}
