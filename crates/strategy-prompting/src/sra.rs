//! Strategy-relevant attention: how much of a response's attention falls on the strategy in the prompt.
//!
//! The published work (arXiv 2402.10453, §4 and equation 5) and its code compute three different numbers under this name.
//! Here is one function whose choices are explicit; the published ones are presets. [`SraOptions::ours`] is the default.
//! [`sra_controls`] is the same measure beside the span.

use std::ops::Range;

use llm_runtime::{AttentionCapture, PromptReport, Selection, Span, SpanChoice};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::instruction::part;

/// Label of the span of as many tokens as the strategy's name that ends where the name begins.
pub const CONTROL_BEFORE: &str = "control_before";
/// Label of the span of as many tokens as the strategy's name that begins where the name ends.
pub const CONTROL_AFTER: &str = "control_after";
const WITHOUT_LAST: &str = ":without_last";

/// The spans that SRA and its controls need, beside all labelled parts of the prompt.
///
/// For the strategy's name (with and without the word) there is a second span without its last token, which the published
/// code leaves out; and two control spans of the name's length directly before and after it, which stand at the same
/// place but do not name the strategy.
pub fn strategy_spans() -> SpanChoice {
    SpanChoice::new(spans)
}

fn spans(prompt: &PromptReport) -> Vec<Span> {
    let mut spans = prompt.spans.clone();
    // These are places among tokens: they have no text of their own.
    let mut add = |label: String, tokens: Range<usize>| spans.push(Span { label, bytes: 0..0, tokens });
    for name in [part::STRATEGY_NAME, part::STRATEGY_NAME_WORD] {
        if let Some(span) = prompt.spans.iter().find(|span| span.label == name) {
            add(format!("{name}{WITHOUT_LAST}"), span.tokens.start..span.tokens.end.saturating_sub(1));
        }
    }
    if let Some(span) = prompt.spans.iter().find(|span| span.label == part::STRATEGY_NAME) {
        let sides = [(CONTROL_BEFORE, before(&span.tokens)), (CONTROL_AFTER, after(&span.tokens, prompt.tokens.len()))];
        for (label, tokens) in sides {
            if let Some(tokens) = tokens {
                add(label.to_owned(), tokens);
            }
        }
    }
    spans
}

/// As many positions directly before a range, if there are.
fn before(range: &Range<usize>) -> Option<Range<usize>> {
    Some(range.start.checked_sub(range.len())?..range.start)
}

/// As many positions directly after a range, if the prompt has them.
fn after(range: &Range<usize>, prompt_tokens: usize) -> Option<Range<usize>> {
    let end = range.end + range.len();
    (end <= prompt_tokens).then_some(range.end..end)
}

/// The labels of a prompt's parts, each once: the spans of a capture without those that only help measurements.
pub fn part_labels(capture: &AttentionCapture) -> Vec<&str> {
    let mut labels: Vec<&str> = Vec::new();
    for Span { label, .. } in &capture.spans {
        let helps = label.ends_with(WITHOUT_LAST) || label == CONTROL_BEFORE || label == CONTROL_AFTER;
        if !helps && !labels.contains(&label.as_str()) {
            labels.push(label);
        }
    }
    labels
}

/// Which rows count. Row `t` predicts the `t`-th new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SraRows {
    /// All of them.
    All,
    /// The first so many.
    First(usize),
    /// One, counted from 0.
    Only(usize),
}

/// What is done with positions that draw attention whatever they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkHandling {
    /// Nothing: weights as the model has them.
    Keep,
    /// Position 0 is set to 0 and the rest renormalised to sum to 1.
    DropFirst,
    /// Position 0 and every beginning-of-sequence token are set to 0 and the rest renormalised.
    DropAll,
}

/// Where a span ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanEnd {
    /// With its last token.
    Inclusive,
    /// Without its last token (an off-by-one error of the published code).
    WithoutLast,
}

/// Whether rows are renormalised before or after the mean over layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormaliseOrder {
    /// Each layer's row on its own.
    PerLayer,
    /// The mean over layers.
    AfterMean,
}

/// All choices behind an SRA number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SraOptions {
    /// Label of the span; see [`part`].
    pub span: String,
    /// Which rows.
    pub rows: SraRows,
    /// Sink handling.
    pub sink: SinkHandling,
    /// Where the span ends.
    pub span_end: SpanEnd,
    /// When rows are renormalised.
    pub order: NormaliseOrder,
    /// Layers.
    pub layers: Selection,
    /// Heads; anything but all needs a capture with span sums per head.
    pub heads: Selection,
}

/// Names of the presets.
pub const SRA_PRESETS: [&str; 4] = ["ours", "paper", "reference-prompting", "reference-eval"];

impl SraOptions {
    /// The default: all rows, sinks dropped and each layer renormalised, the whole quoted name, all layers and heads.
    pub fn ours() -> Self {
        Self {
            span: part::STRATEGY_NAME.to_owned(),
            rows: SraRows::All,
            sink: SinkHandling::DropAll,
            span_end: SpanEnd::Inclusive,
            order: NormaliseOrder::PerLayer,
            layers: Selection::All,
            heads: Selection::All,
        }
    }

    /// Whether whole rows tell more than sums do: controls beside another span than the strategy's name, and such a span
    /// without its last token.
    pub fn wants_rows(&self) -> bool {
        self.span != part::STRATEGY_NAME
    }

    /// The preset of that name, one of [`SRA_PRESETS`]:
    ///
    /// - `ours`: [`Self::ours`];
    /// - `paper`: equation 5 as printed, raw attention of all rows;
    /// - `reference-prompting`: the published code beside generation: position 0 dropped, last token of the span left out;
    /// - `reference-eval`: the published evaluation (its table 1): as before, but the name with the word `strategy`, and
    ///   because of a nesting error only the first row.
    ///
    /// # Errors
    /// There is no such preset; the error lists them.
    pub fn preset(name: &str) -> Result<Self, Error> {
        let published = || Self { sink: SinkHandling::DropFirst, span_end: SpanEnd::WithoutLast, ..Self::ours() };
        match name {
            "ours" => Ok(Self::ours()),
            "paper" => Ok(Self { sink: SinkHandling::Keep, ..Self::ours() }),
            "reference-prompting" => Ok(published()),
            "reference-eval" => {
                Ok(Self { span: part::STRATEGY_NAME_WORD.to_owned(), rows: SraRows::First(1), ..published() })
            }
            _ => Err(Error::UnknownName { kind: "SRA preset", name: name.to_owned(), known: SRA_PRESETS.join(", ") }),
        }
    }
}

impl Default for SraOptions {
    fn default() -> Self {
        Self::ours()
    }
}

/// An SRA number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sra {
    /// Attention per row and token of the span: [`Self::mass`] divided by the span's tokens. This is SRA.
    pub value: f64,
    /// Natural logarithm of the value; minus infinity for 0.
    pub log_value: f64,
    /// Attention on the whole span, mean over rows; 0 to 1.
    pub mass: f64,
    /// Mass divided by what a uniform row would give the span, mean over rows. The value itself falls with the length of
    /// the prompt by construction; this does not.
    pub uniform_ratio: f64,
    /// Tokens of the span.
    pub span_tokens: usize,
    /// Rows that counted.
    pub rows: usize,
}

/// Computes SRA of one response.
///
/// A span whose last token does not count is added up at capture for the strategy's name (with and without the word);
/// for any other it takes whole rows.
///
/// # Errors
/// - [`Error::Unmeasured`]: the response has nothing of what is asked for (no such span, no such row), others may.
/// - The capture does not hold what the options need, the model does not have the layers or heads, or the span holds a
///   position that is to be dropped.
pub fn sra(capture: &AttentionCapture, options: &SraOptions) -> Result<Sra, Error> {
    let (column, span) = chosen_span(capture, options)?;
    let place = match options.span_end {
        SpanEnd::Inclusive => Place { tokens: span.tokens.clone(), source: Source::Column(column) },
        SpanEnd::WithoutLast => without_last(capture, options, column, &span.tokens)?,
    };
    measured(capture, options, &place)
}

/// What the same measure gives beside the span.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SraControls {
    /// SRA of as many tokens directly before the span; none where there are fewer, or one of them is a sink.
    pub before: Option<f64>,
    /// SRA of as many tokens directly after it in the prompt.
    pub after: Option<f64>,
    /// The capture does not hold whole rows, which controls beside any span but the strategy's name are added up from.
    pub needs_rows: bool,
}

impl SraControls {
    /// Mean of the controls that there are.
    pub fn mean(&self) -> Option<f64> {
        let found: Vec<f64> = [self.before, self.after].into_iter().flatten().collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }
}

/// Measures as many tokens directly before and directly after the span, with the same rows, layers, heads and sink
/// handling: attention that the span's place alone draws. The whole span's length counts, also where its last token does
/// not.
///
/// # Errors
/// As [`sra`].
pub fn sra_controls(capture: &AttentionCapture, options: &SraOptions) -> Result<SraControls, Error> {
    let (_, span) = chosen_span(capture, options)?;
    let is_name = options.span == part::STRATEGY_NAME;
    if !is_name && !has_rows(capture, options) {
        return Ok(SraControls { needs_rows: true, ..SraControls::default() });
    }
    let measure = |label: &str, tokens: Option<Range<usize>>| {
        let Some(tokens) = tokens.filter(|tokens| !holds_sink(capture, options, tokens)) else { return Ok(None) };
        let source = match capture.span(label) {
            Some((column, _)) if is_name => Source::Column(column),
            _ if has_rows(capture, options) => Source::Rows,
            _ => return Ok(None),
        };
        Ok::<_, Error>(Some(measured(capture, options, &Place { tokens, source })?.value))
    };
    Ok(SraControls {
        before: measure(CONTROL_BEFORE, before(&span.tokens))?,
        after: measure(CONTROL_AFTER, after(&span.tokens, capture.first_position + 1))?,
        needs_rows: false,
    })
}

/// Positions, and what their mass is added up from.
struct Place {
    tokens: Range<usize>,
    source: Source,
}

enum Source {
    /// A column of the sums.
    Column(usize),
    /// A column of the sums less one position, which is in the rows: exact but for that position's rounding.
    ColumnLess(usize, usize),
    /// The rows.
    Rows,
}

fn chosen_span<'a>(capture: &'a AttentionCapture, options: &SraOptions) -> Result<(usize, &'a Span), Error> {
    let found = capture.span(&options.span).filter(|(_, span)| !span.tokens.is_empty());
    found.ok_or_else(|| Error::Unmeasured {
        problem: format!("the prompt has no part `{}`", options.span),
        known: part_labels(capture).join(", "),
    })
}

fn without_last(
    capture: &AttentionCapture,
    options: &SraOptions,
    column: usize,
    tokens: &Range<usize>,
) -> Result<Place, Error> {
    let (label, last) = (&options.span, tokens.end - 1);
    if last == tokens.start {
        let problem = format!("`{label}` is one token, and a span's last token does not count");
        return Err(Error::Unmeasured { problem, known: String::new() });
    }
    let source = match capture.span(&format!("{label}{WITHOUT_LAST}")) {
        Some((shortened, _)) => Source::Column(shortened),
        None if has_rows(capture, options) => Source::ColumnLess(column, last),
        None => {
            return Err(refuse(format!(
                "a span's last token does not count in this preset, and the capture has no whole rows to take that of \
                 `{label}` from: capture with `--attention {}`, or choose a preset with whole spans (ours, paper)",
                if options.heads == Selection::All { "layers" } else { "full" }
            )));
        }
    };
    Ok(Place { tokens: tokens.start..last, source })
}

/// Whether the capture holds the whole rows of the chosen heads.
fn has_rows(capture: &AttentionCapture, options: &SraOptions) -> bool {
    let rows = if options.heads == Selection::All { &capture.layer_rows } else { &capture.head_rows };
    !rows.is_empty()
}

fn holds_sink(capture: &AttentionCapture, options: &SraOptions, tokens: &Range<usize>) -> bool {
    dropped(capture, options.sink).iter().any(|sink| tokens.contains(sink))
}

fn measured(capture: &AttentionCapture, options: &SraOptions, place: &Place) -> Result<Sra, Error> {
    if holds_sink(capture, options, &place.tokens) {
        return Err(refuse(format!(
            "the part `{}` holds a position that is to be dropped as a sink: measure it with `--sink keep`",
            options.span
        )));
    }
    let sinks = dropped(capture, options.sink).len();
    let rows = chosen_rows(capture, options.rows)?;
    let layers = chosen("layers", &options.layers, capture.layers)?;
    let masses = Masses { capture, options, place, heads: chosen_heads(capture, &options.heads)?, layers };
    let (count, span_tokens) = (rows.len() as f64, place.tokens.len() as f64);
    let (mut mass, mut ratio) = (0.0, 0.0);
    for row in rows.clone() {
        let of_row = masses.row(row);
        mass += of_row;
        ratio += of_row * (capture.keys(row) - sinks) as f64 / span_tokens;
    }
    let value = mass / count / span_tokens;
    Ok(Sra {
        value,
        log_value: value.ln(),
        mass: mass / count,
        uniform_ratio: ratio / count,
        span_tokens: place.tokens.len(),
        rows: rows.len(),
    })
}

fn refuse(problem: String) -> Error {
    Error::Setting { setting: "SRA", problem }
}

fn dropped(capture: &AttentionCapture, sink: SinkHandling) -> &[usize] {
    match sink {
        SinkHandling::Keep => &[],
        SinkHandling::DropFirst => &[0],
        SinkHandling::DropAll => &capture.sinks,
    }
}

fn chosen_rows(capture: &AttentionCapture, rows: SraRows) -> Result<Range<usize>, Error> {
    let range = match rows {
        SraRows::All => 0..capture.rows,
        SraRows::First(count) => 0..count.min(capture.rows),
        SraRows::Only(row) => row..row.saturating_add(1).min(capture.rows),
    };
    if range.is_empty() {
        return Err(match rows {
            SraRows::First(0) => refuse("no row is left: at least the first new token must count".into()),
            _ => Error::Unmeasured { problem: "the response has no such row".into(), known: String::new() },
        });
    }
    Ok(range)
}

fn chosen(what: &str, selection: &Selection, count: usize) -> Result<Vec<usize>, Error> {
    let numbers = selection.below(count);
    let beyond = matches!(selection, Selection::Only(ranges) if ranges.iter().any(|range| range.end > count));
    if numbers.is_empty() || beyond {
        return Err(refuse(format!("{what} {selection} were asked for, but the model has {count}, counted from 0")));
    }
    Ok(numbers)
}

/// `None` for the mean over all heads, which every capture has.
fn chosen_heads(capture: &AttentionCapture, selection: &Selection) -> Result<Option<Vec<usize>>, Error> {
    if *selection == Selection::All {
        return Ok(None);
    }
    let heads = chosen("heads", selection, capture.heads)?;
    if capture.head_span_sums.is_empty() {
        return Err(refuse("single heads were not kept: capture with `--attention full`".into()));
    }
    Ok(Some(heads))
}

/// Attention mass on the span, row by row.
struct Masses<'a> {
    capture: &'a AttentionCapture,
    options: &'a SraOptions,
    place: &'a Place,
    layers: Vec<usize>,
    heads: Option<Vec<usize>>,
}

impl Masses<'_> {
    fn row(&self, row: usize) -> f64 {
        let count = self.layers.len() as f64;
        let layers = self.layers.iter().map(|layer| self.span_and_sink(row, *layer));
        match self.options.order {
            NormaliseOrder::PerLayer => layers.map(|(span, sink)| renormalised(span, sink)).sum::<f64>() / count,
            NormaliseOrder::AfterMean => {
                let (span, sink) = layers.fold((0.0, 0.0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
                renormalised(span / count, sink / count)
            }
        }
    }

    /// Mass on the span and on what is dropped, mean over the chosen heads.
    fn span_and_sink(&self, row: usize, layer: usize) -> (f64, f64) {
        let sink = match self.options.sink {
            SinkHandling::Keep => None,
            SinkHandling::DropFirst => Some(AttentionCapture::FIRST),
            SinkHandling::DropAll => Some(AttentionCapture::SINKS),
        };
        let span = match self.place.source {
            Source::Column(column) => self.column(row, layer, column),
            Source::ColumnLess(column, last) => {
                // The column is a sum of f32, the position may be stored in half precision.
                (self.column(row, layer, column) - self.positions(row, layer, last..last + 1)).max(0.0)
            }
            Source::Rows => self.positions(row, layer, self.place.tokens.clone()),
        };
        (span, sink.map_or(0.0, |sink| self.column(row, layer, sink)))
    }

    fn column(&self, row: usize, layer: usize, column: usize) -> f64 {
        let AttentionCapture { layers, heads, span_sums, head_span_sums, .. } = self.capture;
        let columns = self.capture.columns();
        let at = row * layers + layer;
        self.over_heads(
            || f64::from(span_sums[at * columns + column]),
            |head| f64::from(head_span_sums[(at * heads + head) * columns + column]),
        )
    }

    fn positions(&self, row: usize, layer: usize, positions: Range<usize>) -> f64 {
        let sum = |weights: Option<&[f32]>| {
            let chosen = weights.and_then(|weights| weights.get(positions.clone())).unwrap_or_default();
            chosen.iter().map(|weight| f64::from(*weight)).sum::<f64>()
        };
        self.over_heads(|| sum(self.capture.layer_row(row, layer)), |head| sum(self.capture.head_row(row, layer, head)))
    }

    /// The mean over all heads, which is there, or that over the chosen ones.
    fn over_heads(&self, all: impl Fn() -> f64, of_head: impl Fn(usize) -> f64) -> f64 {
        match &self.heads {
            None => all(),
            Some(chosen) => chosen.iter().map(|head| of_head(*head)).sum::<f64>() / chosen.len() as f64,
        }
    }
}

/// A row that gives everything to its sinks leaves nothing to share out.
fn renormalised(span: f64, sink: f64) -> f64 {
    if sink < 1.0 { span / (1.0 - sink) } else { 0.0 }
}
