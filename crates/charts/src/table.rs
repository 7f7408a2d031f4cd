//! The data behind a figure as CSV, one value per row.

use crate::number::exact;

/// The names of the columns.
const HEADER: &str = "panel,kind,series,x,y,low,high,x_low,x_high\n";

/// One row, without its panel.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    kind: &'static str,
    series: String,
    x: String,
    y: f64,
    interval: (f64, f64),
    x_interval: (f64, f64),
}

impl Row {
    pub(crate) fn new(kind: &'static str, series: &str) -> Self {
        let none = (f64::NAN, f64::NAN);
        Self { kind, series: series.to_owned(), x: String::new(), y: f64::NAN, interval: none, x_interval: none }
    }

    pub(crate) fn x_label(self, label: &str) -> Self {
        Self { x: label.to_owned(), ..self }
    }

    pub(crate) fn x(self, x: f64) -> Self {
        Self { x: exact(x), ..self }
    }

    pub(crate) fn y(self, y: f64) -> Self {
        Self { y, ..self }
    }

    pub(crate) fn interval(self, low: f64, high: f64) -> Self {
        Self { interval: (low, high), ..self }
    }

    pub(crate) fn x_between(self, low: f64, high: f64) -> Self {
        Self { x: exact(low + (high - low) / 2.0), x_interval: (low, high), ..self }
    }
}

/// The table of all panels, each with its name.
pub(crate) fn csv(rows: impl Iterator<Item = (String, Row)>) -> String {
    let mut csv = HEADER.to_owned();
    for (panel, row) in rows {
        let numbers = [row.y, row.interval.0, row.interval.1, row.x_interval.0, row.x_interval.1].map(exact);
        let texts = [panel.as_str(), row.kind, &row.series, &row.x].map(csv_field);
        csv += &format!("{},{}\n", texts.join(","), numbers.join(","));
    }
    csv
}

/// A field of CSV, as RFC 4180 writes it: in quotes where it has to be.
pub fn csv_field(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
