//! `sra classifier predict`: classified responses, and for runs whether the strategy that was asked for is found.

use std::collections::BTreeMap;
use std::process::ExitCode;

use command_line::{Failure, Format, interrupt, output_place, print_json};
use esc_metrics::interval::Interval;
use llm_runtime::weights_sha256;
use serde::Serialize;

use super::rows::{self, Predictions, Row};
use super::{data, model};
use crate::adherence::written;
use crate::classifier_arguments::ClassifierPredict;

/// Digits of a hash that name a classifier.
const HASH_DIGITS: usize = 12;

/// What was classified.
#[derive(Serialize)]
struct Answer {
    path: String,
    responses: usize,
    /// By layout; responses of no layout stand under an empty name.
    adherence: BTreeMap<String, Adherence>,
}

/// How often the classifier finds the strategy that was asked for.
#[derive(Serialize)]
struct Adherence {
    /// Share of responses, with its 95 % interval by conversation.
    found: Interval,
    /// Asked-for strategies that the classifier does not know; their responses don't count.
    unknown: Vec<String>,
    /// By strategy.
    strategies: BTreeMap<String, Interval>,
}

pub(super) fn run(options: &ClassifierPredict, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_file(&options.out)?;
    let (classifier, folder) = model::open(&options.model, &options.machine)?;
    let hash: String = weights_sha256(&folder)?.chars().take(HASH_DIGITS).collect();
    let responses = data::read_all(&options.input)?;
    let mut file = Predictions::open(&options.out, options.resume, &responses, &classifier.labels, &hash)?;
    interrupt::listen();
    let done = file.rows().len();
    let is_whole = rows::classify(&classifier, &responses, done, &options.reading.options(), &mut |predictions| {
        let first = file.rows().len();
        let row = |(place, prediction)| {
            Row::new(first + place, &responses[first + place], prediction, &classifier.labels, &hash)
        };
        file.append(predictions.iter().enumerate().map(row).collect())
    })?;
    if !is_whole {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    let answer = Answer {
        path: options.out.display().to_string(),
        responses: responses.len(),
        adherence: adherence(file.rows(), &classifier.labels),
    };
    match format {
        Format::Json => print_json(&answer)?,
        Format::Text => print(&answer),
    }
    Ok(ExitCode::SUCCESS)
}

/// By layout, over the responses that were asked for a strategy.
fn adherence(rows: &[Row], labels: &[String]) -> BTreeMap<String, Adherence> {
    let mut layouts: BTreeMap<String, Vec<(&Row, &str)>> = BTreeMap::new();
    for row in rows {
        if let Some(strategy) = &row.strategy {
            let layout = row.layout.map(|layout| layout.name().to_owned()).unwrap_or_default();
            layouts.entry(layout).or_default().push((row, strategy));
        }
    }
    layouts.into_iter().filter_map(|(layout, rows)| Some((layout, adherence_of(&rows, labels)?))).collect()
}

fn adherence_of(rows: &[(&Row, &str)], labels: &[String]) -> Option<Adherence> {
    let is_known = |strategy: &str| labels.iter().any(|label| label == strategy);
    let (known, unknown): (Vec<_>, Vec<_>) = rows.iter().copied().partition(|(_, strategy)| is_known(strategy));
    let agreement = |rows: &[(&Row, &str)]| {
        Interval::by_group(
            rows.iter().map(|(row, strategy)| (row.conversation.as_str(), f64::from(row.prediction == *strategy))),
        )
    };
    let mut strategies: BTreeMap<String, Vec<(&Row, &str)>> = BTreeMap::new();
    for (row, strategy) in &known {
        strategies.entry((*strategy).to_owned()).or_default().push((row, strategy));
    }
    let mut unknown: Vec<String> = unknown.into_iter().map(|(_, strategy)| strategy.to_owned()).collect();
    unknown.sort();
    unknown.dedup();
    Some(Adherence {
        found: agreement(&known)?,
        unknown,
        strategies: strategies.into_iter().filter_map(|(name, rows)| Some((name, agreement(&rows)?))).collect(),
    })
}

fn print(answer: &Answer) {
    println!("{}: {} responses", answer.path, answer.responses);
    for (layout, adherence) in &answer.adherence {
        let Adherence { found, unknown, strategies } = adherence;
        let name = if layout.is_empty() { "all" } else { layout };
        println!(
            "{name:<9} {} %  of {} responses are of the strategy asked for (95 % intervals by {} conversations)",
            written(found, 100.0, 1),
            found.values,
            found.groups
        );
        for (strategy, found) in strategies {
            println!("  {strategy:<32} {} %", written(found, 100.0, 1));
        }
        if !unknown.is_empty() {
            println!("  not counted, unknown to the classifier: {}", unknown.join(", "));
        }
    }
}
