//! Watching the rows of a step: what probes ask for is reduced layer by layer, as soon as the weights are there.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::InvalidOption;
use crate::attention::{AttentionCapture, AttentionEdit, AttentionProbe, EditedRows, Selection};
use crate::kernels::Watch;
use crate::text_model::{PromptReport, RequestError, Span};

/// What a request asks about attention, once its prompt is known.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) probe: Option<Probe>,
    pub(super) edit: Option<Edit>,
}

/// A probe whose spans are found.
#[derive(Debug)]
pub(super) struct Probe {
    wish: AttentionProbe,
    spans: Vec<Span>,
    sinks: Vec<usize>,
    /// Position of the first row that is kept.
    first_position: usize,
}

/// An edit whose spans are found.
#[derive(Debug)]
pub(super) struct Edit {
    ranges: Vec<Range<usize>>,
    log_factor: f32,
    layers: Selection,
    heads: Selection,
    /// Position of the first row that is changed.
    first_position: usize,
}

impl Wishes {
    /// Resolves a request's wishes; `prompt_length` tokens stand before what is generated or scored.
    pub(super) fn new(
        probe: Option<&AttentionProbe>,
        edit: Option<&AttentionEdit>,
        prompt: &PromptReport,
        prompt_length: usize,
        bos: Option<u32>,
    ) -> Result<Self, RequestError> {
        let first_position = prompt_length.saturating_sub(1);
        let probe = probe.map(|wish| Probe {
            spans: cut(wish.spans.of(prompt), prompt_length),
            sinks: sinks(&prompt.tokens[..prompt_length], bos),
            first_position,
            wish: wish.clone(),
        });
        let edit = edit.map(|wish| Edit::new(wish, prompt, prompt_length)).transpose()?;
        Ok(Self { probe, edit })
    }

    /// The first position whose keys and values may differ from those of a request without an edit.
    pub(super) fn private_from(&self) -> Option<usize> {
        self.edit.as_ref().map(|edit| edit.first_position)
    }
}

fn cut(mut spans: Vec<Span>, prompt_length: usize) -> Vec<Span> {
    spans.iter_mut().for_each(|span| span.tokens.end = span.tokens.end.min(prompt_length));
    spans.retain(|span| !span.tokens.is_empty());
    spans
}

fn sinks(tokens: &[u32], bos: Option<u32>) -> Vec<usize> {
    (0..tokens.len()).filter(|position| *position == 0 || Some(tokens[*position]) == bos).collect()
}

impl Edit {
    fn new(wish: &AttentionEdit, prompt: &PromptReport, prompt_length: usize) -> Result<Self, RequestError> {
        if !(wish.factor >= 0.0 && wish.factor.is_finite()) {
            let problem = format!("factor {} is not at least 0 and finite", wish.factor);
            return Err(InvalidOption { option: "edit", problem }.into());
        }
        let ranges: Vec<Range<usize>> = wish.spans.of(prompt).into_iter().map(|span| span.tokens).collect();
        let first_position = match wish.rows {
            EditedRows::New => prompt_length.saturating_sub(1),
            EditedRows::All => ranges.iter().map(|range| range.start + 1).min().unwrap_or(prompt_length),
        };
        let (layers, heads) = (wish.layers.clone(), wish.heads.clone());
        Ok(Self { ranges, log_factor: wish.factor.ln(), layers, heads, first_position })
    }

    /// Adds to the scores of a row that sees positions from `start` on. Its own position, the last, stays.
    fn apply(&self, layer: usize, head: usize, start: usize, scores: &mut [f32]) {
        if !self.layers.contains(layer) || !self.heads.contains(head) {
            return;
        }
        let others = start + scores.len() - 1;
        for range in &self.ranges {
            let (from, to) = (range.start.clamp(start, others), range.end.clamp(start, others));
            scores[from - start..to - start].iter_mut().for_each(|score| *score += self.log_factor);
        }
    }
}

/// The part of a capture that a whole row of a request adds.
#[derive(Debug, Default)]
pub(super) struct RowCapture {
    head_span_sums: Vec<f32>,
    head_shares: Vec<f32>,
    span_sums: Vec<f32>,
    layer_rows: Vec<f32>,
    head_rows: Vec<f32>,
    top: Vec<(u32, f32)>,
}

impl Probe {
    pub(super) fn begin(&self, layers: usize, heads: usize) -> AttentionCapture {
        AttentionCapture {
            layers,
            heads,
            first_position: self.first_position,
            sinks: self.sinks.clone(),
            spans: self.spans.clone(),
            top: self.wish.top,
            ..AttentionCapture::default()
        }
    }

    /// Adds the next row.
    pub(super) fn add(&self, capture: &mut AttentionCapture, row: RowCapture) {
        capture.rows += 1;
        update_mean(&mut capture.head_profile, &row.head_span_sums, capture.rows);
        update_mean(&mut capture.head_shares, &row.head_shares, capture.rows);
        if self.wish.head_sums {
            capture.head_span_sums.extend(row.head_span_sums);
        }
        capture.span_sums.extend(row.span_sums);
        capture.layer_rows.extend(row.layer_rows);
        capture.head_rows.extend(row.head_rows);
        capture.top_positions.extend(row.top.iter().map(|(position, _)| *position));
        capture.top_values.extend(row.top.iter().map(|(_, value)| *value));
    }

    /// Position of the row after `kept` rows.
    pub(super) fn next_position(&self, kept: usize) -> usize {
        self.first_position + kept
    }
}

/// Takes value number `count` into a mean.
fn update_mean(mean: &mut Vec<f32>, new: &[f32], count: usize) {
    mean.resize(new.len(), 0.0);
    let share = 1.0 / count as f32;
    mean.iter_mut().zip(new).for_each(|(mean, new)| *mean += (new - *mean) * share);
}

/// A row of a step that is watched or edited.
struct WatchedRow {
    wishes: Arc<Wishes>,
    position: usize,
    is_kept: bool,
    is_edited: bool,
    /// One per head, filled by whichever thread has it.
    heads: Vec<Mutex<HeadRow>>,
    capture: RowCapture,
}

/// What one head's weights give in the layer that is being computed.
#[derive(Debug, Default)]
struct HeadRow {
    sums: Vec<f32>,
    shares: Vec<f32>,
    weights: Vec<f32>,
    top: Vec<(u32, f32)>,
}

/// All watched rows of a step.
#[derive(Default)]
pub(super) struct StepWatch {
    /// Of each row of the step, its place in `rows`.
    places: Vec<Option<usize>>,
    rows: Vec<WatchedRow>,
}

impl StepWatch {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row of the step, if it is to be kept or its request wants it edited.
    pub(super) fn add(&mut self, row: usize, position: usize, wishes: &Arc<Wishes>, is_kept: bool, heads: usize) {
        let is_edited = wishes.edit.as_ref().is_some_and(|edit| position >= edit.first_position);
        if !is_kept && !is_edited {
            return;
        }
        self.places.resize(self.places.len().max(row + 1), None);
        self.places[row] = Some(self.rows.len());
        let heads = (0..if is_kept { heads } else { 0 }).map(|_| Mutex::default()).collect();
        let wishes = wishes.clone();
        self.rows.push(WatchedRow { wishes, position, is_kept, is_edited, heads, capture: RowCapture::default() });
    }

    /// What was kept of a row of the step.
    pub(super) fn take(&mut self, row: usize) -> Option<RowCapture> {
        let place = *self.places.get(row)?;
        let watched = &mut self.rows[place?];
        watched.is_kept.then(|| std::mem::take(&mut watched.capture))
    }

    fn row(&self, row: usize) -> Option<&WatchedRow> {
        let place = *self.places.get(row)?;
        Some(&self.rows[place?])
    }
}

impl Watch for StepWatch {
    fn edit(&self, layer: usize, row: usize, head: usize, start: usize, scores: &mut [f32]) {
        if let Some(row) = self.row(row)
            && row.is_edited
            && let Some(edit) = &row.wishes.edit
        {
            edit.apply(layer, head, start, scores);
        }
    }

    fn sees(&self, _layer: usize, row: usize) -> bool {
        self.row(row).is_some_and(|row| row.is_kept)
    }

    fn see(&self, _layer: usize, row: usize, head: usize, start: usize, weights: &[f32]) {
        if let Some(row) = self.row(row)
            && let Some(probe) = &row.wishes.probe
        {
            let mut kept = row.heads[head].lock().unwrap_or_else(PoisonError::into_inner);
            kept.fill(probe, row.position + 1, start, weights);
        }
    }

    fn finish_layer(&mut self, _layer: usize) {
        self.rows.iter_mut().filter(|row| row.is_kept).for_each(WatchedRow::finish_layer);
    }
}

impl HeadRow {
    fn fill(&mut self, probe: &Probe, keys: usize, start: usize, weights: &[f32]) {
        self.sums.clear();
        let seen = |range: Range<usize>| {
            let end = start + weights.len();
            &weights[range.start.clamp(start, end) - start..range.end.clamp(start, end) - start]
        };
        self.sums.push(sum(seen(0..1)));
        self.sums.push(probe.sinks.iter().map(|position| sum(seen(*position..position + 1))).sum());
        self.sums.extend(probe.spans.iter().map(|span| sum(seen(span.tokens.clone()))));
        let rest = 1.0 - self.sums[AttentionCapture::SINKS];
        let without_sinks = |(span, mass): (&Span, &f32)| {
            let sinks = probe.sinks.iter().filter(|position| span.tokens.contains(position));
            mass - sinks.map(|position| sum(seen(*position..position + 1))).sum::<f32>()
        };
        let masses = probe.spans.iter().zip(&self.sums[AttentionCapture::SPANS..]).map(without_sinks);
        self.shares.clear();
        self.shares.extend(masses.map(|mass| if rest > 0.0 { mass / rest } else { 0.0 }));
        if probe.wish.layer_rows || probe.wish.head_rows {
            self.weights.clear();
            self.weights.resize(start, 0.0);
            self.weights.extend_from_slice(weights);
            debug_assert_eq!(self.weights.len(), keys);
        }
        self.top = largest(weights, start, probe.wish.top);
    }
}

impl WatchedRow {
    /// Folds the heads of a layer into the row.
    fn finish_layer(&mut self) {
        let Some(probe) = &self.wishes.probe else { return };
        let heads: Vec<&mut HeadRow> =
            self.heads.iter_mut().map(|head| head.get_mut().unwrap_or_else(PoisonError::into_inner)).collect();
        let share = 1.0 / heads.len() as f32;
        let columns = heads.first().map_or(0, |head| head.sums.len());
        push_mean(&mut self.capture.span_sums, columns, share, heads.iter().map(|head| head.sums.as_slice()));
        heads.iter().for_each(|head| self.capture.head_span_sums.extend_from_slice(&head.sums));
        heads.iter().for_each(|head| self.capture.head_shares.extend_from_slice(&head.shares));
        if probe.wish.layer_rows {
            let rows = heads.iter().map(|head| head.weights.as_slice());
            push_mean(&mut self.capture.layer_rows, self.position + 1, share, rows);
        }
        if probe.wish.head_rows {
            heads.iter().for_each(|head| self.capture.head_rows.extend_from_slice(&head.weights));
        }
        heads.iter().for_each(|head| self.capture.top.extend_from_slice(&head.top));
    }
}

/// Appends the mean of rows, added up in their order.
fn push_mean<'a>(out: &mut Vec<f32>, width: usize, share: f32, rows: impl Iterator<Item = &'a [f32]>) {
    let start = out.len();
    out.resize(start + width, 0.0);
    let mean = &mut out[start..];
    for row in rows {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    mean.iter_mut().for_each(|sum| *sum *= share);
}

/// Sum in many lanes, which are then folded onto each other: it runs as vectors and hardly ever waits for itself. There is one for each span,
/// head and row, and most are short.
fn sum(values: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0f32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += value;
    }
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = lanes.split_at_mut(width);
        for (low, high) in low.iter_mut().zip(high) {
            *low += *high;
        }
        width /= 2;
    }
    lanes[0]
}

/// The `count` largest weights with their positions, largest first, earlier positions first among equals. Fewer weights
/// than asked for: the last is repeated with weight 0.
fn largest(weights: &[f32], start: usize, count: usize) -> Vec<(u32, f32)> {
    let mut top: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    if count == 0 {
        return top;
    }
    for (offset, weight) in weights.iter().enumerate() {
        if top.len() == count && top.last().is_some_and(|(_, least)| weight <= least) {
            continue;
        }
        let at = top.partition_point(|(_, larger)| larger >= weight);
        top.insert(at, ((start + offset) as u32, *weight));
        top.truncate(count);
    }
    let last = top.last().map_or(0, |(position, _)| *position);
    top.resize(count, (last, 0.0));
    top
}

/// All rows of one layer: what [`super::Engine::prompt_attention`] keeps.
pub(super) struct LayerWatch {
    layer: usize,
    heads: usize,
    /// Row by row, head by head.
    rows: Vec<Mutex<Vec<f32>>>,
}

impl LayerWatch {
    pub(super) fn new(layer: usize, rows: usize, heads: usize) -> Self {
        Self { layer, heads, rows: (0..rows * heads).map(|_| Mutex::default()).collect() }
    }

    /// `[heads, rows, rows]`, 0 where a row does not see a position.
    pub(super) fn into_values(self) -> Vec<f32> {
        let width = self.rows.len() / self.heads;
        let mut values = vec![0f32; self.heads * width * width];
        for (at, row) in self.rows.into_iter().enumerate() {
            let (row_number, head) = (at / self.heads, at % self.heads);
            let row = row.into_inner().unwrap_or_else(PoisonError::into_inner);
            values[(head * width + row_number) * width..][..row.len()].copy_from_slice(&row);
        }
        values
    }
}

impl Watch for LayerWatch {
    fn edit(&self, _layer: usize, _row: usize, _head: usize, _start: usize, _scores: &mut [f32]) {}

    fn sees(&self, layer: usize, _row: usize) -> bool {
        layer == self.layer
    }

    fn see(&self, _layer: usize, row: usize, head: usize, start: usize, weights: &[f32]) {
        let mut kept = self.rows[row * self.heads + head].lock().unwrap_or_else(PoisonError::into_inner);
        kept.resize(start, 0.0);
        kept.extend_from_slice(weights);
    }

    fn finish_layer(&mut self, _layer: usize) {}
}
