//! The scoreboard for people.

use std::collections::BTreeSet;
use std::fmt::Write;

use esc_metrics::text_table::shown;

use super::measured::{Line, Score};

/// Columns beside each other on a terminal.
const COLUMNS: usize = 4;
/// Wide enough for a value with its interval.
const WIDTH: usize = 25;

/// Tables below each other, with some scores each.
pub(super) fn text(lines: &[Line]) -> String {
    let names = names(lines);
    let first = lines.iter().map(|line| line.system.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for columns in names.chunks(COLUMNS) {
        let _ = write!(text, "{:<first$}", "");
        for name in columns {
            let _ = write!(text, " {name:>WIDTH$}");
        }
        text.push('\n');
        for line in lines {
            let _ = write!(text, "{:<first$}", line.system);
            for name in columns {
                let _ = write!(text, " {:>WIDTH$}", cell(line.scores.get(*name)));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// One table.
pub(super) fn markdown(lines: &[Line]) -> String {
    let names = names(lines);
    let mut text = format!("| system | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for line in lines {
        let cells: Vec<String> = names.iter().map(|name| cell(line.scores.get(*name))).collect();
        let _ = writeln!(text, "| {} | {} |", line.system.replace('|', "\\|"), cells.join(" | "));
    }
    text
}

fn names(lines: &[Line]) -> Vec<&str> {
    let names: BTreeSet<&str> = lines.iter().flat_map(|line| line.scores.keys()).map(String::as_str).collect();
    names.into_iter().collect()
}

fn cell(score: Option<&Score>) -> String {
    match score {
        None => "–".to_owned(),
        Some(Score { value, interval: None }) => shown(*value),
        Some(Score { value, interval: Some((low, high)) }) => {
            format!("{} [{}, {}]", shown(*value), shown(*low), shown(*high))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_has_not_is_a_dash() {
        let score = |value, interval| Score { value, interval };
        let line = |system: &str, scores: &[(&str, Score)]| Line {
            system: system.into(),
            scores: scores.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect(),
            signatures: Default::default(),
        };
        let lines = [
            line("one", &[("f1", score(12.0, Some((10.0, 14.0)))), ("follows", score(0.5, None))]),
            line("two|three", &[("f1", score(9.0, None))]),
        ];
        let table = markdown(&lines);
        assert_eq!(table.lines().nth(2), Some("| one | 12.00 [10.00, 14.00] | 0.5000 |"));
        assert_eq!(table.lines().nth(3), Some("| two\\|three | 9.00 | – |"));
        let text = text(&lines);
        assert!(text.lines().next().is_some_and(|line| line.ends_with("follows")));
    }
}
