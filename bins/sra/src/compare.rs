//! `sra compare`: people compare two runs.

use std::path::Path;
use std::process::ExitCode;

use attention_viz::{AttentionRecord, EXTENSION};
use judging::{
    AnnotationKey, AnnotationTasks, LABELLING_VIEW, PairItem, PreferenceReport, SidedPair, read_annotations, read_flat,
    within_usual_differences,
};
use strategy_prompting::{SraOptions, sra};

use crate::arguments::Format;
use crate::failure::Failure;
use crate::judge::{layouts, pairs, read};
use crate::judge_arguments::Compare;

pub(crate) fn run(options: &Compare, format: Format) -> Result<ExitCode, Failure> {
    match (&options.annotations, &options.out, options.runs.as_slice()) {
        (Some(annotations), _, _) => report(options, annotations, format)?,
        (None, Some(out), [first, second]) => write_tasks(options, first, second, out)?,
        _ => return Err(Failure::wrong_use("two runs are compared: name both, and --out for the tasks")),
    }
    Ok(ExitCode::SUCCESS)
}

fn write_tasks(options: &Compare, first: &Path, second: &Path, out: &Path) -> Result<(), Failure> {
    let layouts = layouts(&options.layout, &options.runs)?;
    let (one, other) = (read(first, layouts[0])?, read(second, layouts[1])?);
    let systems = [one.name.clone(), other.name.clone()];
    let sided = |item: PairItem| SidedPair {
        values: sra_of(first, &item, 0).zip(sra_of(second, &item, 1)).map(|(one, other)| [one, other]),
        systems: systems.clone(),
        item,
    };
    let pairs: Vec<SidedPair> = pairs(one, &other, None)?.into_iter().map(sided).collect();
    let made = AnnotationTasks::new(&pairs, options.most, options.seed);
    std::fs::create_dir_all(out)?;
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|error| Failure::work(format!("{}: {error}", path.display())))
    };
    write("tasks.json", &serde_json::to_string_pretty(&made.tasks).map_err(Failure::work)?)?;
    write("key.json", &serde_json::to_string_pretty(&made.key).map_err(Failure::work)?)?;
    write("view.xml", LABELLING_VIEW)?;
    println!(
        "{}: {} tasks of {} pairs; import tasks.json into Label Studio with view.xml as labelling interface, and keep key.json to yourself",
        out.display(),
        made.key.tasks.len(),
        pairs.len()
    );
    Ok(())
}

/// SRA of an answer, where its run captured attention.
fn sra_of(run: &Path, item: &PairItem, side: usize) -> Option<f64> {
    let id = item.id.split('+').nth(side)?;
    let record = AttentionRecord::read_sums(&run.join("attention").join(format!("{id}.{EXTENSION}"))).ok()?;
    sra(&record.capture, &SraOptions::ours()).ok().map(|found| found.value)
}

fn report(options: &Compare, annotations: &Path, format: Format) -> Result<(), Failure> {
    let mut preferences = match &options.key {
        Some(path) => read_annotations(annotations, &read_key(path)?),
        None => read_flat(annotations),
    }
    .map_err(Failure::work)?;
    if options.usual_differences {
        preferences = within_usual_differences(&preferences);
    }
    let report = PreferenceReport::new(&preferences).map_err(Failure::work)?;
    if format == Format::Json {
        return crate::export::print_json(&report);
    }
    print(&report);
    Ok(())
}

fn read_key(path: &Path) -> Result<AnnotationKey, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::work(format!("{}: {error}", path.display())))?;
    serde_json::from_slice(&text).map_err(|error| Failure::work(format!("{}: not a key of tasks: {error}", path.display())))
}

fn print(report: &PreferenceReport) {
    let optional = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
    println!("{} annotations of {} tasks", report.annotations, report.tasks);
    println!("Krippendorff's alpha: interval {}, ordinal {}", optional(report.alpha_interval), optional(report.alpha_ordinal));
    println!("\n{:<44}{:>6}{:>6}{:>6}  preferred [95 %]", "system", "yes", "tie", "no");
    for (system, judged) in &report.systems {
        let (low, high) = judged.win_interval;
        let [rate, low, high] = [judged.win_rate, low, high].map(|share| 100.0 * share);
        println!("{system:<44}{:>6}{:>6}{:>6}  {rate:.1} % [{low:.1}, {high:.1}]", judged.wins, judged.ties, judged.losses);
    }
    println!("\nfirst – second: first preferred, tie, second; correlation of preference and difference of SRA");
    for (name, pair) in &report.pairs {
        let judged = &pair.judged;
        println!("  {name}: {}, {}, {}; {}", judged.wins, judged.ties, judged.losses, optional(pair.correlation));
    }
    println!("\nover all pairs of systems, by annotator (high also where systems differ in both; look within pairs):");
    for (annotator, found) in &report.pooled {
        println!("  {annotator}: {} ({} annotations)", optional(found.pearson), found.annotations);
    }
}
