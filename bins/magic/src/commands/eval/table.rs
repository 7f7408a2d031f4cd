//! What an evaluation prints.

use std::path::Path;

use esc_metrics::ComparedRow;
use esc_metrics::classification::ClassificationReport;
use esc_metrics::text_table::{confusion_table, parts_table, score_line};
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
        print!("{}", score_line(&row.name, row.value, row.interval));
    }
    let perplexity = evaluation.perplexity;
    print!("{}", score_line("perplexity", perplexity.value, Some((perplexity.low, perplexity.high))));
    print!("{}{}", parts_table(&evaluation.by_strategy, &SHOWN), parts_table(&evaluation.by_turn, &SHOWN));
    println!();
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
    println!("{}", confusion_table(report, "given, down; inferred, across"));
}
