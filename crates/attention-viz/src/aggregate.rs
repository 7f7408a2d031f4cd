//! From captured attention to the tables behind the views: tokens, spans by step, layers by heads.

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

/// Attention of every new token to every span, `[rows, spans]`. A span that holds a sink gives its mass without it only
/// where whole rows were kept; from sums alone the sink stays in.
///
/// # Errors
/// Heads were chosen and not kept, or there is no such layer or head.
pub fn span_steps(capture: &AttentionCapture, choice: &Choice) -> Result<Matrix, Error> {
    let layers = chosen("layers", &choice.layers, capture.layers)?;
    let heads = chosen_heads(capture, choice, !capture.head_span_sums.is_empty())?;
    let columns = capture.columns();
    let mut matrix = Matrix::new(capture.rows, capture.spans.len());
    for row in 0..capture.rows {
        for &layer in &layers {
            let sums = |column: usize| {
                let at = row * capture.layers + layer;
                let Some(heads) = &heads else { return f64::from(capture.span_sums[at * columns + column]) };
                let of =
                    |head: &usize| f64::from(capture.head_span_sums[(at * capture.heads + head) * columns + column]);
                heads.iter().map(of).sum::<f64>() / heads.len() as f64
            };
            let scale = scale(choice.sink, sums(AttentionCapture::SINKS)) / layers.len() as f64;
            for (span, value) in matrix.row_mut(row).iter_mut().enumerate() {
                *value += sums(AttentionCapture::SPANS + span) * scale;
            }
        }
    }
    Ok(matrix)
}

/// What masses are multiplied by once sinks are gone.
fn scale(sink: SinkHandling, mass: f64) -> f64 {
    match sink {
        SinkHandling::Keep => 1.0,
        SinkHandling::Drop if mass < 1.0 => 1.0 / (1.0 - mass),
        SinkHandling::Drop => 0.0,
    }
}

/// Attention of every layer and head to a span, `[layers, heads]`, mean over all new tokens.
///
/// # Errors
/// The capture has no such span.
pub fn layer_heads(capture: &AttentionCapture, span: &str, sink: SinkHandling) -> Result<Matrix, Error> {
    let (column, _) = capture.span(span).ok_or_else(|| no_span(capture, span))?;
    let columns = capture.columns();
    let mut matrix = Matrix::new(capture.layers, capture.heads);
    for (at, value) in matrix.values.iter_mut().enumerate() {
        let of = |column: usize| f64::from(capture.head_profile[at * columns + column]);
        *value = of(column) * scale(sink, of(AttentionCapture::SINKS));
    }
    Ok(matrix)
}

/// Attention of every layer to a span, mean over heads and all new tokens.
///
/// # Errors
/// The capture has no such span.
pub fn layer_profile(capture: &AttentionCapture, span: &str, sink: SinkHandling) -> Result<Vec<f64>, Error> {
    let (column, _) = capture.span(span).ok_or_else(|| no_span(capture, span))?;
    let columns = capture.columns();
    let of_layer = |layer: usize| {
        let of_row = |row: usize| {
            let sum = |column: usize| f64::from(capture.span_sums[(row * capture.layers + layer) * columns + column]);
            sum(column) * scale(sink, sum(AttentionCapture::SINKS))
        };
        (0..capture.rows).map(of_row).sum::<f64>() / capture.rows as f64
    };
    Ok((0..capture.layers).map(of_layer).collect())
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
    match numbers.is_empty() {
        true => Err(Error::Missing(format!("{what} {selection}: the record has {count}, counted from 0"))),
        false => Ok(numbers),
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
