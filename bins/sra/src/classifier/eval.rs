//! `sra classifier eval`: how good is a classifier?

use std::process::ExitCode;

use command_line::{Failure, Format, interrupt, print_json};
use esc_metrics::classification::{GroupedReport, Labelled};
use serde::Serialize;

use super::data::{self, LeftOut, Response};
use super::{model, rows};
use crate::adherence::written;
use crate::classifier_arguments::ClassifierEval;

/// Confusions that are told per class.
const TOP: usize = 3;

/// How good it is, and on what.
#[derive(Serialize)]
struct Answer<'a> {
    classifier: &'a str,
    labels: &'a [String],
    left_out: LeftOut,
    #[serde(flatten)]
    scores: GroupedReport,
}

pub(super) fn run(options: &ClassifierEval, format: Format) -> Result<ExitCode, Failure> {
    let (classifier, _) = model::open(&options.model, &options.machine)?;
    let mut left_out = LeftOut::default();
    let usable = data::usable(data::read_all(&options.data)?, &mut left_out);
    let labels = data::labels(&usable);
    let mut responses = data::numbered(usable, &classifier.labels, &mut left_out);
    responses.truncate(options.limit.unwrap_or(usize::MAX));
    if responses.is_empty() {
        return Err(Failure::work(format!(
            "no response can be compared ({left_out}): the classifier knows {}, the data have {}",
            classifier.labels.join(", "),
            if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
        )));
    }
    interrupt::listen();
    let (responses, classes): (Vec<Response>, Vec<usize>) = responses.into_iter().unzip();
    let mut found = Vec::with_capacity(responses.len());
    let is_whole = rows::classify(&classifier, &responses, 0, &options.reading.options(), &mut |predictions| {
        found.extend(predictions.iter().map(|prediction| prediction.class));
        Ok(())
    })?;
    if !is_whole {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    let groups: Vec<&str> = responses.iter().map(|response| response.conversation.as_str()).collect();
    let scores =
        Labelled::new(&classifier.labels, &classes, &found).and_then(|labelled| labelled.report_by_group(&groups));
    let scores = scores.map_err(Failure::work)?;
    let answer = Answer { classifier: &options.model, labels: &classifier.labels, left_out, scores };
    match format {
        Format::Json => print_json(&answer)?,
        Format::Text => print(&answer),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(answer: &Answer<'_>) {
    let Answer { classifier, labels, left_out, scores: GroupedReport { report: scores, intervals, .. } } = answer;
    println!("{classifier}: {} responses", scores.items);
    if left_out.total() > 0 {
        println!("  {left_out}");
    }
    println!("  accuracy   {}  (always the same class: {:.4})", written(&intervals.accuracy, 1.0, 4), scores.majority);
    println!(
        "  macro      precision {:.4}, recall {:.4}, F1 {:.4}",
        scores.macro_precision, scores.macro_recall, scores.macro_f1
    );
    println!("\n  {:<32}{:>10}{:>9}{:>9}{:>9}   taken for", "class", "precision", "recall", "F1", "texts");
    for (class, row) in scores.classes.iter().zip(&scores.confusion) {
        let taken = taken_for(&class.name, labels, row);
        println!(
            "  {:<32}{:>10.3}{:>9.3}{:>9.3}{:>9}   {taken}",
            class.name, class.precision, class.recall, class.f1, class.support
        );
    }
}

/// The classes that a class is most often taken for.
fn taken_for(label: &str, labels: &[String], row: &[usize]) -> String {
    let others = labels.iter().zip(row).filter(|(other, count)| *other != label && **count > 0);
    let mut others: Vec<(&String, &usize)> = others.collect();
    others.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
    let written: Vec<String> = others.into_iter().take(TOP).map(|(name, count)| format!("{name} {count}")).collect();
    written.join(", ")
}
