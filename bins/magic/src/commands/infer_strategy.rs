//! `magic infer-strategy`: a language model names the next strategy of each prompt, and says why.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{AnyModel, Delivery, Failure, Format, Progress, interrupt, output_place, print_json};
use llm_runtime::RunStatistics;
use magic::{
    GoldStrategy, INFERENCE_FILES, INFERENCE_JOURNAL, INFERRED_ROWS, Indent, InferenceItem, InferenceOptions, Inferred,
    InferredAnswer, InferredRow, ParseStatus, PromptLayout, Split, StrategyInference, StrategyReport, Task, Template,
    read_prompts, rows_of, strategy_report, write_json,
};
use serde::Serialize;
use strategy_prompting::{RowFile, Shard};

use super::gaps;
use crate::inference_arguments::InferStrategy;
use crate::strategy_tables;

/// File of the comparison with the annotation.
const REPORT: &str = "strategy_report.json";

/// The prompts of a file, and the annotation where there is one.
struct List {
    split: Split,
    items: Vec<InferenceItem>,
    gold: Option<Vec<GoldStrategy>>,
}

/// How the inference stands at its end.
#[derive(Serialize)]
struct Summary {
    journal: PathBuf,
    lists: Vec<ListSummary>,
    /// Prompts of this call that have no answer.
    missing: usize,
    /// Of those, what was refused in this run.
    failed: usize,
    statistics: RunStatistics,
}

#[derive(Serialize)]
struct ListSummary {
    split: Split,
    file: PathBuf,
    prompts: usize,
    inferred: usize,
    parse_status: BTreeMap<ParseStatus, usize>,
    /// Prompts that lost old turns.
    shortened: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<StrategyReport>,
}

pub(crate) fn run(options: &InferStrategy, format: Format) -> Result<ExitCode, Failure> {
    let template = options.template.load(Task::Inference)?;
    let inference = options.options()?;
    output_place::check_folder(&options.out_dir)?;
    let lists = lists(options)?;
    let mut model = AnyModel::load(&options.model, &options.runtime, &options.server, Delivery::Whole)?;
    model.check(&inference.generation(""))?;
    let layout = PromptLayout::of(&model, &options.wording)?;
    std::fs::create_dir_all(&options.out_dir).map_err(Failure::at(&options.out_dir))?;
    let (rows, told) = infer(options, &lists, &mut model, &layout, &template, inference)?;

    // Written whatever happened, so that journal and lists never contradict each other. What went wrong first is the error to tell.
    let summary = summary(options, &lists, rows.rows(), &told);
    if let Some(problem) = told.problem {
        return Err(problem.into());
    }
    let summary = summary?;
    match format {
        Format::Json => print_json(&summary)?,
        Format::Text => print(&summary),
    }
    Ok(gaps::exit_code(&summary.journal, summary.missing, "answers", told.first_failure.as_deref()))
}

fn lists(options: &InferStrategy) -> Result<Vec<List>, Failure> {
    let list = |(split, path): (Split, PathBuf)| {
        let prompts = read_prompts(&path)?;
        let gold = match options.gold.read(split)? {
            Some((gold, source)) if gold.len() != prompts.len() => {
                let of = format!("samples of {}", source.display());
                let (found, expected) = (prompts.len(), gold.len());
                return Err(magic::Error::Length { path, found, what: "prompts", expected, of }.into());
            }
            gold => gold.map(|(gold, _)| gold),
        };
        let mut items = InferenceItem::of_list(split, prompts);
        items.truncate(options.limit.unwrap_or(usize::MAX));
        Ok(List { split, items, gold })
    };
    options.prompts.given().into_iter().map(list).collect()
}

/// What became of a run beside its rows.
#[derive(Default)]
struct Told {
    statistics: RunStatistics,
    failed: usize,
    first_failure: Option<String>,
    /// What ended the run.
    problem: Option<magic::Error>,
}

fn infer(
    options: &InferStrategy,
    lists: &[List],
    model: &mut AnyModel,
    layout: &PromptLayout,
    template: &Template,
    inference: InferenceOptions,
) -> Result<(RowFile<InferredRow>, Told), Failure> {
    let inference = StrategyInference::new(model, layout, template, inference)?;
    let journal = options.out_dir.join(INFERENCE_JOURNAL);
    let mut rows = RowFile::open(&journal, options.resume, inference.made_by(), INFERRED_ROWS)?;
    let wanted = wanted(lists, options.shard);
    let pending: Vec<&InferenceItem> = wanted.iter().copied().filter(|item| !rows.contains(&item.id())).collect();
    interrupt::listen();
    let mut done = wanted.len() - pending.len();
    let mut bar = Progress::new("inferring", done as u64, wanted.len() as u64);
    let mut told = Told::default();
    let outcome = inference.run(&pending, model, &mut |news| {
        match news {
            Inferred::Row(row) => {
                rows.append(row)?;
                done += 1;
            }
            Inferred::Failed { split, index, reason } => {
                told.failed += 1;
                told.first_failure.get_or_insert_with(|| format!("{split} prompt {index}: {reason}"));
            }
            Inferred::Waiting => {}
        }
        bar.set((done + told.failed) as u64);
        Ok(if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    bar.finish();
    match outcome {
        Ok(statistics) => told.statistics = statistics,
        Err(problem) => told.problem = Some(problem),
    }
    Ok((rows, told))
}

/// The prompts of this call's share.
fn wanted(lists: &[List], shard: Shard) -> Vec<&InferenceItem> {
    let all = lists.iter().flat_map(|list| &list.items).enumerate();
    all.filter(|(place, _)| shard.contains(*place)).map(|(_, item)| item).collect()
}

/// Writes the lists and the comparison, and sums both up.
fn summary(options: &InferStrategy, lists: &[List], rows: &[InferredRow], told: &Told) -> Result<Summary, Failure> {
    let lists_told = lists.iter().map(|list| list_summary(list, rows, &options.out_dir));
    let lists_told = lists_told.collect::<Result<Vec<_>, _>>()?;
    let reports: BTreeMap<Split, &StrategyReport> =
        lists_told.iter().filter_map(|list| Some((list.split, list.report.as_ref()?))).collect();
    if !reports.is_empty() {
        write_json(&options.out_dir.join(REPORT), &reports, Indent::Two)?;
    }
    let there: std::collections::HashSet<String> = rows.iter().map(INFERRED_ROWS.id).collect();
    let missing = wanted(lists, options.shard).iter().filter(|item| !there.contains(&item.id())).count();
    Ok(Summary {
        journal: options.out_dir.join(INFERENCE_JOURNAL),
        lists: lists_told,
        missing,
        failed: told.failed,
        statistics: told.statistics.clone(),
    })
}

fn list_summary(list: &List, rows: &[InferredRow], folder: &Path) -> Result<ListSummary, Failure> {
    let rows = rows_of(&list.items, rows);
    let inferred: Vec<Option<&InferredAnswer>> = rows.iter().map(|row| row.map(|row| &row.inferred)).collect();
    let file = folder.join(file_of(list.split));
    write_json(&file, &inferred, Indent::Two)?;
    let mut parse_status = BTreeMap::new();
    for inferred in inferred.iter().flatten() {
        *parse_status.entry(inferred.answer.parse_status).or_default() += 1;
    }
    Ok(ListSummary {
        split: list.split,
        file,
        prompts: list.items.len(),
        inferred: rows.iter().flatten().count(),
        parse_status,
        shortened: rows.iter().flatten().filter(|row| row.dropped_turns > 0).count(),
        report: list.gold.as_ref().and_then(|gold| strategy_report(gold, &inferred)),
    })
}

fn file_of(split: Split) -> &'static str {
    let [train, valid, test] = INFERENCE_FILES;
    match split {
        Split::Train => train,
        Split::Valid => valid,
        Split::Test => test,
    }
}

fn print(summary: &Summary) {
    for list in &summary.lists {
        let ListSummary { file, prompts, inferred, parse_status, shortened, .. } = list;
        let count = |status| parse_status.get(&status).copied().unwrap_or(0);
        println!(
            "{}: {inferred} answers to {prompts} prompts; the strategy in brackets {}, as plain words {}, not found {} (taken as Others)",
            file.display(),
            count(ParseStatus::Bracket),
            count(ParseStatus::Bare),
            count(ParseStatus::Fallback)
        );
        if *shortened > 0 {
            println!("{shortened} prompts lost old turns to fit the model");
        }
        if let Some(report) = &list.report {
            strategy_tables::print(list.split, report);
        }
    }
    if let Some(cost) = summary.statistics.cost {
        println!("cost {cost:.4}");
    }
}
