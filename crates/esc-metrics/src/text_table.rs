//! Scores as lines of text, for reports of programs.

use std::fmt::Write;

use crate::breakdown::Part;
use crate::classification::ClassificationReport;
use crate::suite::ScoreRow;

/// A number: two decimals, and more of what lies between 0 and 1.
pub fn shown(value: f64) -> String {
    if value.abs() < 1.0 { format!("{value:.4}") } else { format!("{value:.2}") }
}

/// A score with its interval, where it has one.
pub fn score_line(name: &str, value: f64, interval: Option<(f64, f64)>) -> String {
    match interval {
        Some((low, high)) => format!("  {name:<20} {:>9}  [{}, {}]\n", shown(value), shown(low), shown(high)),
        None => format!("  {name:<20} {:>9}\n", shown(value)),
    }
}

/// Parts below each other, with the scores of these names; METEOR's name tells its variant too. Empty without parts.
pub fn parts_table(parts: &[Part], names: &[&str]) -> String {
    let Some(first) = parts.first() else { return String::new() };
    let is_shown = |row: &&ScoreRow| names.iter().any(|name| is_called(row, name));
    let mut text = format!("\n  {:<38} {:>6}", "", "n");
    for row in first.scores.iter().filter(is_shown) {
        // METEOR 1.5, exact, of nlg-eval: its first word is enough here.
        let _ = write!(text, " {:>14}", row.name.split("15").next().unwrap_or_default());
    }
    let _ = writeln!(text, " {:>10}", "perplexity");
    for part in parts {
        let _ = write!(text, "  {:<38} {:>6}", part.name, part.responses);
        for row in part.scores.iter().filter(is_shown) {
            let _ = write!(text, " {:>14}", shown(row.value));
        }
        let _ = writeln!(text, " {:>10}", shown(part.perplexity));
    }
    text
}

/// Which class was taken for which: a line for each true class, a column for each predicted one. `head` says which is which.
pub fn confusion_table(report: &ClassificationReport, head: &str) -> String {
    let mut text = format!("{head:<40}");
    for number in 0..report.classes.len() {
        let _ = write!(text, " {number:>6}");
    }
    text.push('\n');
    for (number, (class, row)) in report.classes.iter().zip(&report.confusion).enumerate() {
        let _ = write!(text, "{number} {:<38}", class.name);
        for count in row {
            let _ = write!(text, " {count:>6}");
        }
        text.push('\n');
    }
    text
}

fn is_called(row: &ScoreRow, name: &str) -> bool {
    row.name == name || (name == "meteor" && row.name.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_below_each_other() {
        let row = |name: &str, value| ScoreRow { name: name.into(), value, interval: None, signature: String::new() };
        let scores = vec![row("bleu-1", 12.345), row("cider", 0.5), row("meteor15-exact", 0.25)];
        let part = Part { name: "Question".into(), responses: 3, scores, perplexity: 9.0 };
        let table = parts_table(&[part], &["bleu-1", "meteor"]);
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["n", "bleu-1", "meteor", "perplexity"]);
        assert_eq!(lines[2], ["Question", "3", "12.35", "0.2500", "9.00"]);
        assert_eq!(parts_table(&[], &["bleu-1"]), "");
    }

    #[test]
    fn a_score_tells_its_interval() {
        assert_eq!(
            score_line("f1", 12.0, Some((0.5, 20.25))).split_whitespace().collect::<Vec<_>>(),
            ["f1", "12.00", "[0.5000,", "20.25]"]
        );
        assert_eq!(score_line("f1", 0.123_45, None).trim(), format!("{:<20} {:>9}", "f1", "0.1235"));
    }
}
