//! What an evaluation prints.

use std::path::Path;

use esc_metrics::significance::Comparison;
use esc_metrics::text_table::{confusion_table, parts_table, score_line, shown};
use thtra::{Compared, Evaluation, StrategyMode, StrategyScores};

use super::Report;

/// Scores that are shown of each strategy and turn; all are in the file.
const SHOWN: [&str; 8] = ["bleu-2", "bleu-4", "rouge-l", "meteor", "distinct-2", "f1", "strategy-top-1", "helpfulness"];

pub(super) fn print(report: &Report, path: &Path) {
    if let [first, oracle] = report.evaluations.as_slice() {
        print_beside(first, oracle);
    }
    for (number, evaluation) in report.evaluations.iter().enumerate() {
        // An oracle's parts would only be read by mistake.
        print_evaluation(evaluation, number == 0);
    }
    if let (Some(first), Some(against), Some(comparison)) =
        (report.evaluations.first(), &report.against, &report.comparison)
    {
        print_comparison(comparison, first, against);
    }
    println!("all numbers, with settings and signatures: {}", path.display());
}

fn title(evaluation: &Evaluation) -> String {
    let oracle = if evaluation.is_oracle { ", ORACLE: the annotators' choice" } else { "" };
    match evaluation.mode {
        Some(mode) => format!("strategies {mode}{oracle}"),
        None => "no strategies".into(),
    }
}

fn column(evaluation: &Evaluation) -> String {
    match evaluation.mode {
        Some(StrategyMode::Gold) => "gold (oracle)".into(),
        Some(mode) => mode.name(),
        None => "none".into(),
    }
}

/// The model's own choice and the oracle's, in short.
fn print_beside(first: &Evaluation, oracle: &Evaluation) {
    println!("{:<22} {:>16} {:>16}", "", column(first), column(oracle));
    println!("{:<22} {:>16} {:>16}", "perplexity", shown(first.perplexity.value), shown(oracle.perplexity.value));
    for (one, two) in first.scores.iter().zip(&oracle.scores) {
        println!("{:<22} {:>16} {:>16}", one.name, shown(one.value), shown(two.value));
    }
    println!();
}

fn print_evaluation(evaluation: &Evaluation, with_parts: bool) {
    println!("{}: {} responses in {} dialogues", title(evaluation), evaluation.responses, evaluation.dialogues);
    let perplexity = evaluation.perplexity;
    print!("{}", score_line("perplexity", perplexity.value, Some((perplexity.low, perplexity.high))));
    for row in &evaluation.scores {
        print!("{}", score_line(&row.name, row.value, row.interval));
    }
    if let Some(helpfulness) = &evaluation.helpfulness {
        for (name, found) in [("helpfulness", helpfulness.generations), ("of real responses", helpfulness.responses)] {
            print!("{}", score_line(name, found.mean, found.ends()));
        }
    }
    if with_parts {
        if let Some(strategies) = &evaluation.strategies {
            print_strategies(strategies);
        }
        print!("{}{}", parts_table(&evaluation.by_strategy, &SHOWN), parts_table(&evaluation.by_turn, &SHOWN));
    }
    println!();
}

fn print_strategies(strategies: &StrategyScores) {
    let report = &strategies.report;
    println!("\n  strategy among the likeliest:");
    for (place, share) in strategies.top_k.iter().enumerate() {
        print!("{}", score_line(&format!("top {}", place + 1), 100.0 * share.mean, hundredfold(share.ends())));
    }
    println!(
        "  macro F1 {:.3}, weighted F1 {:.3}; chance {:.1} %, the commonest one {:.1} %\n",
        report.macro_f1,
        report.weighted_f1,
        100.0 * report.chance,
        100.0 * report.majority
    );
    print!("{}", confusion_table(report, "annotated, down; predicted, across"));
}

fn hundredfold(ends: Option<(f64, f64)>) -> Option<(f64, f64)> {
    ends.map(|(low, high)| (100.0 * low, 100.0 * high))
}

fn print_comparison(compared: &Compared, first: &Evaluation, against: &Evaluation) {
    println!("{:<22} {:>12} {:>12}  difference [95 %]", "", column(first), "against");
    if first.mode != against.mode {
        println!("{:<22} {:>12} {:>12}", "strategies", column(first), column(against));
    }
    print_pair("perplexity", &compared.perplexity);
    for row in &compared.scores {
        match &row.comparison {
            Some(comparison) => print_pair(&row.name, comparison),
            None => println!("{:<22} {:>12} {:>12}", row.name, shown(row.first), shown(row.second)),
        }
    }
    if let Some(helpfulness) = &compared.helpfulness {
        print_pair("helpfulness", helpfulness);
    }
    println!();
}

fn print_pair(name: &str, comparison: &Comparison) {
    let (first, second, difference) = (comparison.first, comparison.second, comparison.bootstrap.difference);
    println!(
        "{name:<22} {:>12} {:>12}  {} [{}, {}]",
        shown(first),
        shown(second),
        shown(difference.value),
        shown(difference.low),
        shown(difference.high)
    );
}
