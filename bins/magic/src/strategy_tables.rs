//! How inferred strategies compare with the annotation, as tables for people.

use esc_metrics::classification::ClassReport;
use magic::{Split, Strategy, StrategyReport};

/// Prints the comparison of a list.
pub(crate) fn print(split: Split, report: &StrategyReport) {
    print_scores(split, report);
    print_classes(&report.report.report.classes);
    print_confusion(&report.report.report.confusion);
}

fn print_scores(split: Split, report: &StrategyReport) {
    let (scores, intervals) = (&report.report.report, &report.report.intervals);
    let ends = |ends: Option<(f64, f64)>| {
        ends.map_or_else(|| "–".to_owned(), |(low, high)| format!("{:.1}, {:.1}", percent(low), percent(high)))
    };
    println!(
        "\n{split}: against the annotation (answers: {}, dialogues: {}; 95 % interval by dialogue)",
        scores.items, report.report.groups
    );
    println!("  accuracy     {:>5.1} %  [{}]", percent(scores.accuracy), ends(intervals.accuracy.ends()));
    println!("  macro-F1     {:>5.1} %", percent(scores.macro_f1));
    println!("  weighted-F1  {:>5.1} %", percent(scores.weighted_f1));
    println!("  always the most frequent one: {:.1} %", percent(scores.majority));
    if let Some(loss) = report.log_loss {
        println!("  log loss     {loss:>5.2} nats (naming all alike: {:.2})", (Strategy::ALL.len() as f64).ln());
    }
}

fn print_classes(classes: &[ClassReport]) {
    println!("\n  {:<36} {:>9} {:>6} {:>5} {:>6}", "strategy", "precision", "recall", "F1", "turns");
    for (id, class) in classes.iter().enumerate() {
        let values = [class.precision, class.recall, class.f1].map(percent);
        println!(
            "  {id} {:<34} {:>9.1} {:>6.1} {:>5.1} {:>6}",
            class.name, values[0], values[1], values[2], class.support
        );
    }
}

fn print_confusion(confusion: &[Vec<usize>]) {
    println!("\n  annotated (row) and inferred (column)");
    let header: String = (0..confusion.len()).map(|id| format!("{id:>6}")).collect();
    println!("    {header}");
    for (id, row) in confusion.iter().enumerate() {
        let counts: String = row.iter().map(|count| format!("{count:>6}")).collect();
        println!("  {id} {counts}");
    }
}

fn percent(share: f64) -> f64 {
    100.0 * share
}
