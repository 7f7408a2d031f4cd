//! The comparison of several runs for the terminal.

use std::fmt::Write;

use super::Comparison;
use super::comparison_page::{best, last};
use super::markup::{duration, shown};

/// Values longer than this would break the table.
const WIDEST: usize = 40;

impl Comparison {
    /// Tables for people.
    pub fn text(&self) -> String {
        let names: Vec<String> = self.runs.iter().map(|run| run.name.clone()).collect();
        let mut rows = vec![[String::new()].into_iter().chain(names.iter().cloned()).collect::<Vec<_>>()];
        let mut row = |name: String, cells: Vec<String>| rows.push([name].into_iter().chain(cells).collect());
        row("steps".into(), self.runs.iter().map(|run| run.steps.to_string()).collect());
        row("epochs".into(), self.runs.iter().map(|run| shown(run.epochs)).collect());
        row("time".into(), self.runs.iter().map(|run| duration(run.seconds)).collect());
        for name in self.scalars() {
            let metrics = || self.runs.iter().map(|run| run.metrics.get(&name));
            row(format!("{name}, last"), metrics().map(last).collect());
            if metrics().flatten().any(|metric| metric.best.is_some()) {
                row(format!("{name}, best"), metrics().map(best).collect());
            }
        }
        let mut text = aligned(&rows);
        for run in self.runs.iter().filter(|run| run.ending != "finished") {
            let _ = writeln!(text, "{}: {}", run.name, run.ending);
        }
        text += "\nReward accuracy on the same held-out pairs\n";
        for paired in &self.paired {
            let _ = writeln!(text, "  {}", paired.told());
        }
        text += &self.settings_text(&names);
        text
    }

    fn settings_text(&self, names: &[String]) -> String {
        if self.settings.is_empty() {
            return "\nAll settings are equal.\n".into();
        }
        let mut rows = vec![["Settings that differ".to_owned()].into_iter().chain(names.iter().cloned()).collect()];
        rows.extend(self.settings.iter().map(|difference| {
            let values = difference.values.iter().map(|value| cut(value.as_deref().unwrap_or("–")));
            [difference.name.clone()].into_iter().chain(values).collect::<Vec<_>>()
        }));
        format!("\n{}", aligned(&rows))
    }
}

/// Columns below each other; the first to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        });
        let _ = writeln!(text, "{}", cells.collect::<String>().trim_end());
    }
    text
}

fn cut(value: &str) -> String {
    let line = value.replace(['\n', '\r', '\t'], " ");
    if line.chars().count() <= WIDEST { line } else { line.chars().take(WIDEST - 1).chain(['…']).collect() }
}
