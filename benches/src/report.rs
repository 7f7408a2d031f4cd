//! What was measured, as a table, JSON and a picture.

use std::fmt;

use charts::{Axis, Bars, Estimate, Figure, Panel};
use llm_runtime::format_bytes;
use serde::Serialize;

use crate::limits::Limits;
use crate::spread::Spread;

/// Everything that was measured, with its settings.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was done.
    pub scenario: String,
    /// The model and its settings.
    pub model: String,
    /// Rounds that were measured, after one that warms up.
    pub repetitions: usize,
    /// The machine's, or its device's; none where a device was not measured.
    pub limits: Option<Limits>,
    /// Sides in turn, ours first, for each case.
    pub rows: Vec<Row>,
}

/// One side's figures in one case.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What the case differs in from the others of its scenario.
    pub case: String,
    /// Who did it.
    pub side: String,
    /// Seconds of each round.
    pub seconds: Vec<f64>,
    /// Tokens a second, or pairs, or what the scenario counts.
    pub rate: Spread,
    /// What the rate counts.
    pub unit: &'static str,
    /// How many times as fast as ours, round by round: below 1 is slower; `None` for ours.
    pub speed_ratio: Option<Spread>,
    /// Of the rate that the machine's limits allow.
    pub share_of_limit: Option<f64>,
    /// Of the side's process so far.
    pub peak_memory_bytes: u64,
    /// Processor time of everything else on the machine, over that of all processors.
    pub other_load: f64,
    /// Energy of a round, where the machine tells.
    pub joules: Option<f64>,
}

impl Report {
    /// As JSON.
    ///
    /// # Errors
    /// A figure can't be written.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// Bars, one for each side and case, as long as its rate; a line marks the lowest and the highest.
    #[must_use]
    pub fn svg(&self) -> String {
        let rates = self.rows.iter().map(|row| Estimate::new(row.rate.median).between(row.rate.min, row.rate.max));
        let labels = self.rows.iter().map(|row| format!("{} · {}", row.case, row.side));
        let bars = Bars::new(labels).horizontal().series("rate", rates).with_values(1);
        let mut units: Vec<&str> = self.rows.iter().map(|row| row.unit).collect();
        units.dedup();
        let panel = Panel::new("", bars).x(Axis::linear(units.join(", ")));
        Figure::new(&self.scenario).subtitle(&self.model).panel(panel).svg()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}, {} rounds after a warm-up", self.scenario, self.model, self.repetitions)?;
        if let Some(limits) = &self.limits {
            write!(f, "{limits}")?;
        }
        let width = |of: fn(&Row) -> &str, title: &str| {
            self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0).max(title.len())
        };
        let (cases, sides) = (width(|row| &row.case, "case"), width(|row| &row.side, "side"));
        writeln!(
            f,
            "\n{:<cases$}  {:<sides$}  {:>26}  {:>20}  {:>5}  {:>11}  {:>10}",
            "case", "side", "median (lowest–highest)", "speed against ours", "limit", "peak memory", "other load"
        )?;
        for row in &self.rows {
            let of =
                |spread: Spread| format!("{} ({}–{})", figure(spread.median), figure(spread.min), figure(spread.max));
            let percent = |share: f64| format!("{:.0} %", 100.0 * share);
            writeln!(
                f,
                "{:<cases$}  {:<sides$}  {:>26}  {:>20}  {:>5}  {:>11}  {:>10}",
                row.case,
                row.side,
                format!("{} {}", of(row.rate), row.unit),
                row.speed_ratio.map(of).unwrap_or_default(),
                row.share_of_limit.map(percent).unwrap_or_default(),
                format_bytes(row.peak_memory_bytes),
                percent(row.other_load),
            )?;
            if let Some(joules) = row.joules {
                writeln!(f, "{:cases$}  {joules:.0} J a round", "")?;
            }
        }
        Ok(())
    }
}

/// Three digits that count.
fn figure(value: f64) -> String {
    match value {
        _ if value >= 99.95 => format!("{value:.0}"),
        _ if value >= 9.995 => format!("{value:.1}"),
        _ if value >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let rate = Spread { median: 12.0, min: 11.0, max: 123.4 };
        let row = |side: &str, speed_ratio| Row {
            case: "512 tokens & more".to_owned(),
            side: side.to_owned(),
            seconds: vec![1.0],
            rate,
            unit: "tokens/s",
            speed_ratio,
            share_of_limit: Some(0.5),
            peak_memory_bytes: 3 << 20,
            other_load: 0.25,
            joules: None,
        };
        let limits = Some(Limits {
            threads: Some(2),
            bytes_per_second: 2e9,
            integer_multiply_adds_per_second: None,
            float_multiply_adds_per_second: Some(1e9),
        });
        let rows = vec![row("solace", None), row("<peer>", Some(rate))];
        Report { scenario: "prefill".to_owned(), model: "tiny".to_owned(), repetitions: 1, limits, rows }
    }

    #[test]
    fn a_table_tells_all_figures() {
        let table = report().to_string();
        for part in ["12.0 (11.0–123) tokens/s", "50 %", "25 %", "3.0 MiB", "not measured", "<peer>"] {
            assert!(table.contains(part), "{part} in {table}");
        }
    }

    #[test]
    fn a_picture_has_a_bar_for_each_row_and_no_stray_markup() {
        let svg = report().svg();
        assert_eq!(svg.matches(">12.0<").count(), 2, "{svg}");
        for text in
            ["512 tokens &amp; more · solace", "512 tokens &amp; more · &lt;peer&gt;", "tokens/s", "prefill", "tiny"]
        {
            assert!(svg.contains(text), "{text} in {svg}");
        }
    }

    #[test]
    fn json_has_every_round() {
        let value: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        assert_eq!(value["rows"][1]["seconds"][0], 1.0);
        assert_eq!(value["limits"]["integer_multiply_adds_per_second"], serde_json::Value::Null);
    }
}
