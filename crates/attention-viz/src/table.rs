//! Tables as they leave as CSV: the same columns from the page and from `attention-viz export`.

use std::fmt::Write;

use charts::csv_field;

/// A table with named columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    Count(usize),
    Value(f64),
    /// There is no value.
    Empty,
}

impl Table {
    pub(crate) fn new<C: Into<String>>(columns: impl IntoIterator<Item = C>, rows: Vec<Vec<Cell>>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows }
    }

    pub(crate) fn csv(&self) -> String {
        let line = |cells: Vec<String>| cells.join(",") + "\n";
        let mut text = line(self.columns.iter().map(|name| csv_field(name)).collect());
        self.rows.iter().for_each(|row| text += &line(row.iter().map(Cell::csv).collect()));
        text
    }
}

impl Cell {
    fn csv(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = match self {
            Self::Text(text) => return csv_field(text),
            Self::Count(count) => write!(text, "{count}"),
            Self::Value(value) => write!(text, "{value}"),
            Self::Empty => Ok(()),
        };
        text
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Value(value)
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Empty, Self::Value)
    }
}
