//! `sra judge`: a language model says which of two systems follows its strategy better, or how well one does.

mod answers;
mod report;

use std::ops::ControlFlow;
use std::process::ExitCode;

use command_line::{AnyModel, Delivery, Failure, Format, Progress, console, interrupt, output_place};
use judging::{
    Decision, JudgeTemplate, PairItem, PairJudgement, Question, Rating, RatingItem, judge_name, judge_pairs, rate,
    rater_name,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use strategy_prompting::{RowFile, RowKind};

pub(crate) use self::answers::{Pair, System, pairs, read_systems};
pub(crate) use self::report::{print_head, print_row};
use crate::judge_arguments::{By, Judge};
use crate::runs::spread;

const JUDGEMENTS: RowKind<PairJudgement> =
    RowKind { name: "row of `sra judge`", beginning: r#"{"id":"#, id: |row| row.id.clone(), made_by: |row| &row.judge };
const RATINGS: RowKind<Rating> = RowKind {
    name: "rating of `sra judge`",
    beginning: r#"{"id":"#,
    id: |row| row.id.clone(),
    made_by: |row| &row.judge,
};

pub(crate) fn run(options: &Judge, format: Format) -> Result<ExitCode, Failure> {
    let template = JudgeTemplate::by_name_or_path(options.template_name()).map_err(Failure::wrong_use)?;
    check(options, &template)?;
    output_place::check_file(&options.out)?;
    let mut systems = read_systems(&options.runs, &options.layout)?.into_iter();
    match (systems.next(), systems.next()) {
        (Some(first), Some(second)) => compare(options, &template, first, second, format),
        (Some(system), None) => rate_answers(options, &template, system, format),
        (None, _) => Err(Failure::wrong_use("name one or two runs")),
    }
}

/// Refuses what does not fit together, before anything is read.
fn check(options: &Judge, template: &JudgeTemplate) -> Result<(), Failure> {
    let name = template.name();
    match (template.question(), options.runs.len()) {
        (Question::Pair, 1) => Err(Failure::wrong_use(format!("the template {name} compares two runs: name both"))),
        (Question::Rating, 2) => Err(Failure::wrong_use(format!("the template {name} rates one run: name only one"))),
        (Question::Pair, _) if options.samples.is_some() => {
            Err(Failure::wrong_use("--samples is about ratings: pairs are judged once in either order"))
        }
        (_, _) if options.samples.is_some() && options.by == By::Likelihood => {
            Err(Failure::wrong_use("--samples is about ratings that are written: scored ones are always the same"))
        }
        _ => Ok(()),
    }
}

fn compare(
    options: &Judge,
    template: &JudgeTemplate,
    first: System,
    second: System,
    format: Format,
) -> Result<ExitCode, Failure> {
    let names = [first.name.clone(), second.name.clone()];
    let items: Vec<PairItem> = pairs(first, second)?.into_iter().map(|pair| pair.item).collect();
    let (mut model, decision) = judge(options)?;
    let judge = judge_name(&model, template, &decision);
    let mut work = Work::begin(options, &judge, JUDGEMENTS, items, |item| &item.id, |item| &item.strategy)?;
    let pending = std::mem::take(&mut work.pending);
    judge_pairs(&pending, template, &decision, &mut model, &mut |row| work.take(row, PairJudgement::failure))
        .map_err(Failure::work)?;
    work.end();
    report::pairs(&names, &judge, work.file.rows(), format)?;
    Ok(work.exit_code())
}

fn rate_answers(
    options: &Judge,
    template: &JudgeTemplate,
    system: System,
    format: Format,
) -> Result<ExitCode, Failure> {
    let name = system.name.clone();
    let (mut model, decision) = judge(options)?;
    let samples = usize::from(options.samples.unwrap_or(1));
    let judge = rater_name(&model, template, &decision, samples);
    let items = answers::ratings(system);
    let mut work = Work::begin(options, &judge, RATINGS, items, |item: &RatingItem| &item.id, |item| &item.strategy)?;
    let pending = std::mem::take(&mut work.pending);
    rate(&pending, template, &decision, samples, &mut model, &mut |row| work.take(row, Rating::failure))
        .map_err(Failure::work)?;
    work.end();
    report::ratings(&name, &judge, work.file.rows(), format)?;
    Ok(work.exit_code())
}

/// The judge's model and how its opinion is found.
fn judge(options: &Judge) -> Result<(AnyModel, Decision), Failure> {
    let model = AnyModel::load(&options.model, &options.runtime, &options.server, Delivery::Whole)?;
    let decision = match options.by {
        By::Likelihood => Decision::Likelihood,
        By::Text => {
            let generation = options.generation();
            model.check(&generation)?;
            Decision::Text { options: generation }
        }
    };
    interrupt::listen();
    Ok((model, decision))
}

/// What is to be judged, what is judged already, and what can't be.
struct Work<Item, Row> {
    pending: Vec<Item>,
    file: RowFile<Row>,
    bar: Progress,
    /// Items that were there to be judged, and those that are.
    asked: usize,
    judged: usize,
    /// Items whose requests failed, and what the first of them was told.
    failed: usize,
    failure: String,
}

impl<Item: Clone, Row: Serialize + DeserializeOwned> Work<Item, Row> {
    fn begin(
        options: &Judge,
        judge: &str,
        kind: RowKind<Row>,
        items: Vec<Item>,
        id: fn(&Item) -> &String,
        strategy: fn(&Item) -> &str,
    ) -> Result<Self, Failure> {
        let file = RowFile::open(&options.out, options.resume, judge, kind)?;
        let is_known = |row: &Row| items.iter().any(|item| *id(item) == (kind.id)(row));
        if let Some(other) = file.rows().iter().find(|row| !is_known(row)) {
            let (out, other) = (options.out.display(), (kind.id)(other));
            return Err(Failure::work(format!(
                "{out}: holds what was judged of other answers (`{other}`, say): choose another file"
            )));
        }
        let chosen = spread(items, options.limit, strategy);
        let is_chosen = |row: &Row| chosen.iter().any(|item| *id(item) == (kind.id)(row));
        if let Some(other) = file.rows().iter().find(|row| !is_chosen(row)) {
            let (out, other) = (options.out.display(), (kind.id)(other));
            return Err(Failure::work(format!(
                "{out}: `{other}` is judged already, but not among the chosen: resume with the --limit it was begun with, or with none"
            )));
        }
        let total = chosen.len();
        let pending: Vec<Item> = chosen.into_iter().filter(|item| !file.contains(id(item))).collect();
        let asked = pending.len();
        let bar = Progress::new("judging", (total - asked) as u64, total as u64);
        Ok(Self { pending, file, bar, asked, judged: 0, failed: 0, failure: String::new() })
    }

    /// Keeps a row. One that failed is not kept, so that it is asked again.
    fn take(&mut self, row: Option<Row>, failure: fn(&Row) -> Option<&str>) -> Result<ControlFlow<()>, judging::Error> {
        if let Some(row) = row {
            match failure(&row) {
                None => {
                    self.file.append(row).map_err(|error| judging::Error::Keep(Box::new(error)))?;
                    self.judged += 1;
                }
                Some(_) if self.failed > 0 => self.failed += 1,
                Some(reason) => (self.failed, self.failure) = (1, reason.to_owned()),
            }
            self.bar.set((self.file.rows().len() + self.failed) as u64);
        }
        Ok(if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn end(&self) {
        self.bar.finish();
        if self.failed > 0 {
            let (failed, asked, failure) = (self.failed, self.asked, &self.failure);
            console::complain(format_args!("{failed} of {asked} could not be judged ({failure}); --resume asks again"));
        }
    }

    fn exit_code(&self) -> ExitCode {
        match (self.judged == self.asked, interrupt::was_asked()) {
            (true, _) => ExitCode::SUCCESS,
            (false, true) => ExitCode::from(interrupt::EXIT_CODE),
            (false, false) => ExitCode::FAILURE,
        }
    }
}
