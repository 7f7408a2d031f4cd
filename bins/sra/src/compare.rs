//! `sra compare`: people compare two runs.

use std::path::Path;
use std::process::ExitCode;

use attention_viz::AttentionRecord;
use command_line::{Failure, Format};
use judging::{
    AnnotationKey, AnnotationTasks, Annotations, LABELLING_VIEW, PreferenceReport, SidedPair, read_annotations,
    read_published_comparison, within_usual_differences,
};
use llm_runtime::{input_file, output_file};
use serde::Serialize;
use strategy_prompting::{SraOptions, sra};

use crate::captured;
use crate::judge::{Pair, System, pairs, read_systems};
use crate::judge_arguments::Compare;

/// The files of a comparison.
const TASKS: &str = "tasks.json";
const KEY: &str = "key.json";
const VIEW: &str = "view.xml";

pub(crate) fn run(options: &Compare, format: Format) -> Result<ExitCode, Failure> {
    match (&options.annotations, &options.out, options.runs.as_slice()) {
        (Some(annotations), _, _) => report(options, annotations, format)?,
        (None, Some(out), [_, _]) => write_tasks(options, out, format)?,
        _ => return Err(Failure::wrong_use("two runs are compared: name both, and --out for the tasks")),
    }
    Ok(ExitCode::SUCCESS)
}

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    folder: &'a Path,
    systems: [String; 2],
    pairs: usize,
    tasks: usize,
    /// Pairs of which both answers' SRA is known.
    with_sra: usize,
}

fn write_tasks(options: &Compare, out: &Path, format: Format) -> Result<(), Failure> {
    if let Some(there) = [TASKS, KEY].iter().map(|name| out.join(name)).find(|path| path.exists()) {
        let there = there.display();
        return Err(Failure::work(format!(
            "{there} exists, and annotators may be at work on it: choose another --out"
        )));
    }
    let [first, second]: [System; 2] = read_systems(&options.runs, &options.layout)?
        .try_into()
        .map_err(|_| Failure::wrong_use("two runs are compared: name both"))?;
    let systems = [first.name.clone(), second.name.clone()];
    let sided = |pair: Pair| -> Result<SidedPair, Failure> {
        let values = sra_of(&options.runs[0], &pair.ids[0])?.zip(sra_of(&options.runs[1], &pair.ids[1])?);
        Ok(SidedPair { values: values.map(<[f64; 2]>::from), systems: systems.clone(), item: pair.item })
    };
    let pairs = pairs(first, second)?.into_iter().map(sided).collect::<Result<Vec<SidedPair>, Failure>>()?;
    let made = AnnotationTasks::new(&pairs, options.most, options.seed);
    std::fs::create_dir_all(out).map_err(Failure::at(out))?;
    // The key first: tasks without one could never be understood.
    let write =
        |name: &str, text: &str| output_file::write(&out.join(name), text).map_err(Failure::at(&out.join(name)));
    write(KEY, &serde_json::to_string_pretty(&made.key)?)?;
    write(VIEW, LABELLING_VIEW)?;
    write(TASKS, &serde_json::to_string_pretty(&made.tasks)?)?;
    let with_sra = pairs.iter().filter(|pair| pair.values.is_some()).count();
    let written = Written { folder: out, pairs: pairs.len(), tasks: made.key.tasks.len(), with_sra, systems };
    match format {
        Format::Json => command_line::print_json(&written)?,
        Format::Text => print_written(&written),
    }
    Ok(())
}

fn print_written(written: &Written<'_>) {
    let Written { folder, systems: [first, second], pairs, tasks, with_sra } = written;
    println!("{}: {tasks} tasks of {pairs} pairs ({first} and {second}), {with_sra} pairs with SRA", folder.display());
    println!("Import {TASKS} into Label Studio with {VIEW} as its labelling interface, and keep {KEY} to yourself.");
}

/// SRA of an answer, where its run captured attention.
fn sra_of(run: &Path, id: &str) -> Result<Option<f64>, Failure> {
    let path = captured::file_of(run, id);
    if !path.exists() {
        return Ok(None);
    }
    let record = AttentionRecord::read_sums(&path).map_err(Failure::work)?;
    Ok(sra(&record.capture, &SraOptions::ours()).ok().map(|found| found.value))
}

fn report(options: &Compare, annotations: &Path, format: Format) -> Result<(), Failure> {
    let Annotations { mut preferences, unanswered } = read(options, annotations)?;
    if preferences.is_empty() {
        return Err(Failure::work(format!("{}: no annotation is in it", annotations.display())));
    }
    if unanswered > 0 {
        tracing::warn!("{}: {unanswered} annotations hold no preference and are left out", annotations.display());
    }
    if options.usual_differences {
        preferences = within_usual_differences(&preferences);
    }
    let report = PreferenceReport::new(&preferences).map_err(Failure::work)?;
    match format {
        Format::Json => command_line::print_json(&report)?,
        Format::Text => print(&report),
    }
    Ok(())
}

fn read(options: &Compare, annotations: &Path) -> Result<Annotations, Failure> {
    if let Some(key) = &options.key {
        return read_annotations(annotations, &read_key(key)?).map_err(Failure::work);
    }
    let preferences = read_published_comparison(annotations).map_err(|error| {
        Failure::work(format!("{error} (without --key, rows of the published comparison are expected)"))
    })?;
    Ok(Annotations { preferences, unanswered: 0 })
}

fn read_key(path: &Path) -> Result<AnnotationKey, Failure> {
    let problem = |problem: String| Failure::work(format!("{}: {problem}", path.display()));
    let text = input_file::read_text(path).map_err(|error| problem(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| problem(format!("not a {KEY} of `sra compare`: {error}")))
}

fn print(report: &PreferenceReport) {
    let number = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| format!("{value:.4}"));
    println!("{} annotations of {} tasks", report.annotations, report.tasks);
    let (interval, ordinal) = (number(report.alpha_interval), number(report.alpha_ordinal));
    println!("Krippendorff's alpha: interval {interval}, ordinal {ordinal}");
    println!("\n{:<44}{:>8}{:>8}{:>8}  preferred [95 %]", "system", "better", "equal", "worse");
    for (system, judged) in &report.systems {
        let (low, high) = judged.win_interval;
        let [rate, low, high] = [judged.win_rate, low, high].map(|share| 100.0 * share);
        let (wins, ties, losses) = (judged.wins, judged.ties, judged.losses);
        println!("{system:<44}{wins:>8}{ties:>8}{losses:>8}  {rate:.1} % [{low:.1}, {high:.1}]");
    }
    println!("\nfirst – second: first better, equal, second better; correlation of preference and difference of SRA");
    for (name, pair) in &report.pairs {
        let judged = &pair.judged;
        println!("  {name}: {}, {}, {}; {}", judged.wins, judged.ties, judged.losses, number(pair.correlation));
    }
    println!(
        "\nthe same correlation over all pairs, by annotator (high also where systems differ in both: look within pairs)"
    );
    for (annotator, found) in &report.pooled {
        println!("  {annotator}: {} ({} annotations)", number(found.pearson), found.annotations);
    }
}
