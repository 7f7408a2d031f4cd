//! From captured attention to the tables behind the views: tokens, spans by step, layers by heads.

use std::ops::Range;

use llm_runtime::{AttentionCapture, Selection};

use crate::error::Error;

/// What is done with position 0 and beginning-of-sequence tokens, which draw attention whatever they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SinkHandling {
    /// They are set to 0 and each layer's row is renormalised to sum to 1.
    #[default]
    Drop,
    /// Weights stay as the model has them.
    Keep,
}

/// Which part of a capture is looked at, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Layers; the mean over them is taken last.
    pub layers: Selection,
    /// Heads; anything but all needs rows or sums of heads.
    pub heads: Selection,
    /// Sinks.
    pub sink: SinkHandling,
}

/// A matrix of values, row after row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// `[rows, columns]`.
    pub values: Vec<f64>,
}

impl Matrix {
    fn new(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// All cells with their row and column.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (usize, usize, f64)> {
        let columns = self.columns.max(1);
        self.values.iter().enumerate().map(move |(at, value)| (at / columns, at % columns, *value))
    }

    /// The mean over rows, by column.
    pub(crate) fn mean_row(&self) -> Vec<f64> {
        let mut means = vec![0.0; self.columns];
        for row in 0..self.rows {
            means.iter_mut().zip(self.row(row)).for_each(|(sum, value)| *sum += value / self.rows as f64);
        }
        means
    }

    fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.columns..(row + 1) * self.columns]
    }
}

/// Attention of every new token to every position, `[rows, keys of the last row]`; zero where a row does not see.
///
/// # Errors
/// The capture has no whole rows, or none of single heads though heads were chosen; or there is no such layer or head.
pub fn token_rows(capture: &AttentionCapture, choice: &Choice) -> Result<Matrix, Error> {
    let layers = chosen("layers", &choice.layers, capture.layers)?;
    let heads = chosen_heads(capture, choice, !capture.head_rows.is_empty())?;
    if heads.is_none() && capture.layer_rows.is_empty() {
        return Err(missing("whole rows", "layers"));
    }
    let mut matrix = Matrix::new(capture.rows, capture.keys(capture.rows.saturating_sub(1)));
    for row in 0..capture.rows {
        let mut weights = vec![0f64; capture.keys(row)];
        for &layer in &layers {
            weights.fill(0.0);
            match &heads {
                None => add(&mut weights, capture.layer_row(row, layer), 1.0),
                Some(heads) => heads
                    .iter()
                    .for_each(|head| add(&mut weights, capture.head_row(row, layer, *head), 1.0 / heads.len() as f64)),
            }
            if choice.sink == SinkHandling::Drop {
                renormalise(&mut weights, &capture.sinks);
            }
            let share = 1.0 / layers.len() as f64;
            matrix.row_mut(row).iter_mut().zip(&weights).for_each(|(sum, weight)| *sum += weight * share);
        }
    }
    Ok(matrix)
}

fn add(sum: &mut [f64], row: Option<&[f32]>, share: f64) {
    for (sum, weight) in sum.iter_mut().zip(row.unwrap_or_default()) {
        *sum += f64::from(*weight) * share;
    }
}

fn renormalise(weights: &mut [f64], sinks: &[usize]) {
    sinks.iter().for_each(|sink| weights[*sink] = 0.0);
    let sum: f64 = weights.iter().sum();
    if sum > 0.0 {
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
}

/// Attention of every new token to every span, `[rows, spans]`.
///
/// Sinks inside a span are taken out of it where sums can tell: a span that holds some of several beginning-of-sequence
/// tokens keeps them.
///
/// # Errors
/// Heads were chosen and not kept, or there is no such layer or head.
pub fn span_steps(capture: &AttentionCapture, choice: &Choice) -> Result<Matrix, Error> {
    let layers = chosen("layers", &choice.layers, capture.layers)?;
    let heads = chosen_heads(capture, choice, !capture.head_span_sums.is_empty())?;
    let columns = capture.columns();
    let spans: Vec<SpanColumn> = (0..capture.spans.len()).map(|number| SpanColumn::new(capture, number)).collect();
    let mut matrix = Matrix::new(capture.rows, spans.len());
    for row in 0..capture.rows {
        for &layer in &layers {
            let sums = |column: usize| {
                let at = row * capture.layers + layer;
                let Some(heads) = &heads else { return f64::from(capture.span_sums[at * columns + column]) };
                let of =
                    |head: &usize| f64::from(capture.head_span_sums[(at * capture.heads + head) * columns + column]);
                heads.iter().map(of).sum::<f64>() / heads.len() as f64
            };
            for (span, value) in spans.iter().zip(matrix.row_mut(row)) {
                *value += span.mass(choice.sink, sums) / layers.len() as f64;
            }
        }
    }
    Ok(matrix)
}

/// How a span's mass is found in a row of sums.
#[derive(Debug, Clone, Copy)]
struct SpanColumn {
    column: usize,
    /// How many times the mass on position 0, and that on all sinks, is part of the span's column but no mass of its own.
    sinks: (f64, f64),
}

impl SpanColumn {
    fn new(capture: &AttentionCapture, number: usize) -> Self {
        let tokens = &capture.spans[number].tokens;
        let inside = capture.sinks.iter().filter(|sink| tokens.contains(sink)).count();
        let has_first = capture.sinks.first() == Some(&0);
        let sinks = match capture.sinks.len() - inside {
            _ if inside == 0 => (0.0, 0.0),
            0 => (0.0, 1.0),
            _ if inside == 1 && has_first && tokens.contains(&0) => (1.0, 0.0),
            1 if has_first && !tokens.contains(&0) => (-1.0, 1.0),
            _ => (0.0, 0.0),
        };
        Self { column: AttentionCapture::SPANS + number, sinks }
    }

    fn named(capture: &AttentionCapture, label: &str) -> Result<Self, Error> {
        let number = capture.spans.iter().position(|span| span.label == label);
        number.map(|number| Self::new(capture, number)).ok_or_else(|| no_span(capture, label))
    }

    /// The span's mass in a row whose sums are these, by column.
    fn mass(self, sink: SinkHandling, sums: impl Fn(usize) -> f64) -> f64 {
        let (first, all) = (sums(AttentionCapture::FIRST), sums(AttentionCapture::SINKS));
        match sink {
            SinkHandling::Keep => sums(self.column),
            SinkHandling::Drop if all < 1.0 => {
                (sums(self.column) - self.sinks.0 * first - self.sinks.1 * all) / (1.0 - all)
            }
            SinkHandling::Drop => 0.0,
        }
    }
}

/// How the mean over new tokens in [`layer_heads`] is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadMean {
    /// The mean of the rows' values, as in every other table.
    OfRows,
    /// The mean mass divided by the mean of what sinks leave. Of records that keep neither shares nor sums of single heads
    /// nothing better is known; it may be far from the mean of the rows' values.
    RatioOfMeans,
}

impl HeadMean {
    /// The best that a capture can give.
    pub fn of(capture: &AttentionCapture, sink: SinkHandling) -> Self {
        let is_known = !capture.head_shares.is_empty() || !capture.head_span_sums.is_empty();
        if sink == SinkHandling::Keep || is_known { Self::OfRows } else { Self::RatioOfMeans }
    }

    /// What stands behind a column's name in tables and pictures.
    pub(crate) fn remark(self) -> &'static str {
        match self {
            Self::OfRows => "",
            Self::RatioOfMeans => " (ratio of means)",
        }
    }
}

/// Attention of every layer and head to a span, `[layers, heads]`, mean over all new tokens; [`HeadMean::of`] tells how that
/// mean is taken.
///
/// # Errors
/// The capture has no such span.
pub fn layer_heads(capture: &AttentionCapture, span: &str, sink: SinkHandling) -> Result<Matrix, Error> {
    layer_heads_as(capture, span, sink, HeadMean::of(capture, sink))
}

/// [`layer_heads`] with the mean of that kind, which must not be better than the capture's best.
pub(crate) fn layer_heads_as(
    capture: &AttentionCapture,
    label: &str,
    sink: SinkHandling,
    mean: HeadMean,
) -> Result<Matrix, Error> {
    let span = SpanColumn::named(capture, label)?;
    let columns = capture.columns();
    let mut matrix = Matrix::new(capture.layers, capture.heads);
    for (at, value) in matrix.values.iter_mut().enumerate() {
        *value = match sink {
            SinkHandling::Drop if mean == HeadMean::OfRows => head_share(capture, span, at),
            _ => span.mass(sink, |column| f64::from(capture.head_profile[at * columns + column])),
        };
    }
    Ok(matrix)
}

/// The part of what sinks leave that head number `at` of all layers gives to a span, mean over new tokens: as it was
/// captured, or from sums of single heads.
fn head_share(capture: &AttentionCapture, span: SpanColumn, at: usize) -> f64 {
    if !capture.head_shares.is_empty() {
        let number = span.column - AttentionCapture::SPANS;
        return f64::from(capture.head_shares[at * capture.spans.len() + number]);
    }
    let (columns, stride) = (capture.columns(), capture.layers * capture.heads);
    let of_row = |row: usize| {
        let sums = (row * stride + at) * columns;
        span.mass(SinkHandling::Drop, |column| f64::from(capture.head_span_sums[sums + column]))
    };
    (0..capture.rows).map(of_row).sum::<f64>() / capture.rows as f64
}

/// `[layers, heads, spans]`: what [`layer_heads`] gives for each span without sinks; empty where no mean of rows is known.
pub(crate) fn head_shares(capture: &AttentionCapture) -> Vec<f32> {
    if HeadMean::of(capture, SinkHandling::Drop) == HeadMean::RatioOfMeans {
        return Vec::new();
    }
    let spans: Vec<SpanColumn> = (0..capture.spans.len()).map(|number| SpanColumn::new(capture, number)).collect();
    let of_head = |at: usize| spans.iter().map(move |span| head_share(capture, *span, at) as f32);
    (0..capture.layers * capture.heads).flat_map(of_head).collect()
}

/// Attention of every layer to a span, mean over heads and all new tokens.
///
/// # Errors
/// The capture has no such span.
pub fn layer_profile(capture: &AttentionCapture, span: &str, sink: SinkHandling) -> Result<Vec<f64>, Error> {
    let span = SpanColumn::named(capture, span)?;
    let columns = capture.columns();
    let of_layer = |layer: usize| {
        let of_row = |row: usize| {
            let at = (row * capture.layers + layer) * columns;
            span.mass(sink, |column| f64::from(capture.span_sums[at + column]))
        };
        (0..capture.rows).map(of_row).sum::<f64>() / capture.rows as f64
    };
    Ok((0..capture.layers).map(of_layer).collect())
}

/// A value for every token, prompt and new ones, as the map shows it. Nothing selected, or new tokens: the mean attention of
/// those to each token. Tokens of the prompt selected: the mass that each new token gives them. `rows` are [`token_rows`].
///
/// # Errors
/// The selection is not within the tokens.
pub fn token_values(
    capture: &AttentionCapture,
    rows: &Matrix,
    selected: Option<&Range<usize>>,
) -> Result<Vec<f64>, Error> {
    let prompt = capture.first_position + 1;
    let tokens = prompt + capture.rows;
    let selected = selected.cloned().unwrap_or(prompt..tokens);
    if selected.is_empty() || selected.end > tokens {
        let (first, last) = (selected.start, selected.end.saturating_sub(1));
        return Err(Error::Missing(format!("tokens {first}-{last}: the record has {tokens}, counted from 0")));
    }
    let mut values = vec![0.0; tokens];
    if selected.end <= prompt {
        let mass = |row: usize| rows.row(row)[selected.clone()].iter().sum();
        (0..capture.rows).for_each(|row| values[prompt + row] = mass(row));
        return Ok(values);
    }
    let chosen = selected.start.max(prompt) - prompt..selected.end - prompt;
    let share = 1.0 / chosen.len() as f64;
    for row in chosen {
        values.iter_mut().zip(rows.row(row)).for_each(|(sum, weight)| *sum += weight * share);
    }
    Ok(values)
}

/// Positions with their values, largest first, the earlier one first among equals; at most `count`.
pub fn largest(values: &[f64], count: usize) -> Vec<(usize, f64)> {
    let mut all: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    all.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    all.truncate(count);
    all
}

fn chosen(what: &str, selection: &Selection, count: usize) -> Result<Vec<usize>, Error> {
    let numbers = selection.below(count);
    let is_within = match selection {
        Selection::All => true,
        Selection::Only(ranges) => ranges.iter().all(|range| range.end <= count),
    };
    match is_within && !numbers.is_empty() {
        true => Ok(numbers),
        false => Err(Error::Missing(format!("{what} {selection}: the record has {count}, counted from 0"))),
    }
}

/// `None` for the mean over all heads.
fn chosen_heads(capture: &AttentionCapture, choice: &Choice, are_kept: bool) -> Result<Option<Vec<usize>>, Error> {
    match choice.heads {
        Selection::All => Ok(None),
        _ if !are_kept => Err(missing("single heads", "full")),
        _ => chosen("heads", &choice.heads, capture.heads).map(Some),
    }
}

fn missing(what: &str, level: &str) -> Error {
    Error::Missing(format!("the record was captured without {what}: capture with `--attention {level}`"))
}

fn no_span(capture: &AttentionCapture, span: &str) -> Error {
    let known: Vec<&str> = capture.spans.iter().map(|span| span.label.as_str()).collect();
    Error::Missing(format!("the prompt has no span `{span}` (it has: {})", known.join(", ")))
}
