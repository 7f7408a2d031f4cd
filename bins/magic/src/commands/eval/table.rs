//! What an evaluation prints.

use std::path::Path;

use esc_metrics::breakdown::Part;
use esc_metrics::classification::ClassificationReport;
use esc_metrics::{ComparedRow, ScoreRow};
use magic::Evaluation;

use super::Report;

/// Scores that are shown of each strategy and turn; all are in the file.
const SHOWN: [&str; 5] = ["bleu-2", "meteor", "rouge-l", "cider", "distinct-2"];

pub(super) fn print(report: &Report, path: &Path) {
    for evaluation in &report.evaluations {
        print_evaluation(evaluation);
    }
    if let (Some(comparison), [first, second]) = (&report.comparison, report.evaluations.as_slice()) {
        print_comparison(comparison, first, second);
    }
    if let Some(strategies) = &report.inferred_strategies {
        print_strategies(strategies);
    }
    println!("all numbers, with settings and signatures: {}", path.display());
}

fn print_evaluation(evaluation: &Evaluation) {
    println!("{} strategies: {} responses", evaluation.source, evaluation.responses);
    for row in &evaluation.scores {
        print_score(&row.name, row.value, row.interval);
    }
    let perplexity = evaluation.perplexity;
    print_score("perplexity", perplexity.value, Some((perplexity.low, perplexity.high)));
    print_parts(&evaluation.by_strategy);
    print_parts(&evaluation.by_turn);
    println!();
}

fn print_score(name: &str, value: f64, interval: Option<(f64, f64)>) {
    match interval {
        Some((low, high)) => println!("  {name:<20} {:>9}  [{}, {}]", shown(value), shown(low), shown(high)),
        None => println!("  {name:<20} {:>9}", shown(value)),
    }
}

/// Two decimals as the published evaluation prints them; more of what lies between 0 and 1.
fn shown(value: f64) -> String {
    if value.abs() < 1.0 { format!("{value:.4}") } else { format!("{value:.2}") }
}

/// Whether a score is in the short tables; METEOR's name tells its variant too.
fn is_shown(row: &&ScoreRow) -> bool {
    SHOWN.iter().any(|name| row.name == *name || (*name == "meteor" && row.name.starts_with(name)))
}

fn print_parts(parts: &[Part]) {
    let Some(first) = parts.first() else { return };
    let columns: Vec<&ScoreRow> = first.scores.iter().filter(is_shown).collect();
    print!("\n  {:<38} {:>6}", "", "n");
    columns.iter().for_each(|row| print!(" {:>10}", row.name.split("15").next().unwrap_or_default()));
    println!(" {:>10}", "perplexity");
    for part in parts {
        print!("  {:<38} {:>6}", part.name, part.responses);
        let own = part.scores.iter().filter(is_shown);
        own.for_each(|row| print!(" {:>10}", shown(row.value)));
        println!(" {:>10}", shown(part.perplexity));
    }
}

fn print_comparison(comparison: &[ComparedRow], first: &Evaluation, second: &Evaluation) {
    println!("{:<14} {:>9} {:>9}  difference [95 %]", "", first.source, second.source);
    for row in comparison {
        print!("{:<14} {:>9.2} {:>9.2}", row.name, row.first, row.second);
        match &row.comparison {
            Some(comparison) => {
                let difference = comparison.bootstrap.difference;
                println!("  {:+.2} [{:+.2}, {:+.2}]", difference.value, difference.low, difference.high);
            }
            None => println!(),
        }
    }
    println!("{:<14} {:>9.2} {:>9.2}\n", "perplexity", first.perplexity.value, second.perplexity.value);
}

fn print_strategies(report: &ClassificationReport) {
    let ClassificationReport { items, accuracy, weighted_f1, macro_f1, .. } = report;
    println!(
        "inferred strategies of {items} samples: accuracy {:.1} %, weighted F1 {weighted_f1:.3}, macro F1 {macro_f1:.3}",
        100.0 * accuracy
    );
    print!("{:<40}", "given, down; inferred, across");
    (0..report.classes.len()).for_each(|number| print!(" {number:>6}"));
    println!();
    for (number, (class, row)) in report.classes.iter().zip(&report.confusion).enumerate() {
        print!("{number} {:<38}", class.name);
        row.iter().for_each(|count| print!(" {count:>6}"));
        println!();
    }
    println!();
}
