//! Strategy-relevant attention: how much of a response's attention falls on the strategy in the prompt.
//!
//! The published work (arXiv 2402.10453, §4 and equation 5) and its code compute three different numbers under this name.
//! Here is one function whose choices are explicit; the published ones are presets. [`SraOptions::ours`] is the default.

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
    let mut add = |label: String, tokens: std::ops::Range<usize>| spans.push(Span { label, bytes: 0..0, tokens });
    for name in [part::STRATEGY_NAME, part::STRATEGY_NAME_WORD] {
        if let Some(span) = prompt.spans.iter().find(|span| span.label == name) {
            add(format!("{name}{WITHOUT_LAST}"), span.tokens.start..span.tokens.end.saturating_sub(1));
        }
    }
    if let Some(span) = prompt.spans.iter().find(|span| span.label == part::STRATEGY_NAME) {
        let std::ops::Range { start, end } = span.tokens;
        if start >= end - start {
            add(CONTROL_BEFORE.to_owned(), start - (end - start)..start);
        }
        if end + (end - start) <= prompt.tokens.len() {
            add(CONTROL_AFTER.to_owned(), end..end + (end - start));
        }
    }
    spans
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
/// # Errors
/// The capture does not have the span, the rows, the layers or the heads asked for, or the span holds a position that
/// is to be dropped.
pub fn sra(capture: &AttentionCapture, options: &SraOptions) -> Result<Sra, Error> {
    let label = match options.span_end {
        SpanEnd::Inclusive => options.span.clone(),
        SpanEnd::WithoutLast => format!("{}{WITHOUT_LAST}", options.span),
    };
    let (column, span) = capture.span(&label).ok_or_else(|| missing_span(capture, &label))?;
    let sinks = dropped(capture, options.sink);
    if sinks.iter().any(|sink| span.tokens.contains(sink)) {
        return Err(refuse(format!("the span `{label}` holds a position that is to be dropped as a sink")));
    }
    let rows = chosen_rows(capture, options.rows)?;
    let layers = chosen("layers", &options.layers, capture.layers)?;
    let masses = Masses { capture, options, column, heads: chosen_heads(capture, &options.heads)?, layers };
    let (mut mass, mut ratio) = (0.0, 0.0);
    for row in rows.clone() {
        let of_row = masses.row(row);
        mass += of_row;
        ratio += of_row * (capture.keys(row) - sinks.len()) as f64 / span.tokens.len() as f64;
    }
    let count = rows.len() as f64;
    let value = mass / count / span.tokens.len() as f64;
    Ok(Sra {
        value,
        log_value: value.ln(),
        mass: mass / count,
        uniform_ratio: ratio / count,
        span_tokens: span.tokens.len(),
        rows: rows.len(),
    })
}

fn refuse(problem: String) -> Error {
    Error::Setting { setting: "SRA", problem }
}

fn missing_span(capture: &AttentionCapture, label: &str) -> Error {
    let known: Vec<&str> = capture.spans.iter().map(|span| span.label.as_str()).collect();
    refuse(format!("the prompt has no span `{label}` (it has: {})", known.join(", ")))
}

fn dropped(capture: &AttentionCapture, sink: SinkHandling) -> &[usize] {
    match sink {
        SinkHandling::Keep => &[],
        SinkHandling::DropFirst => &[0],
        SinkHandling::DropAll => &capture.sinks,
    }
}

fn chosen_rows(capture: &AttentionCapture, rows: SraRows) -> Result<std::ops::Range<usize>, Error> {
    let range = match rows {
        SraRows::All => 0..capture.rows,
        SraRows::First(count) => 0..count.min(capture.rows),
        SraRows::Only(row) => row..row.saturating_add(1).min(capture.rows),
    };
    if range.is_empty() {
        return Err(refuse(format!("no row is left: the response has {} tokens", capture.rows)));
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
    column: usize,
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
        (self.sum(row, layer, self.column), sink.map_or(0.0, |sink| self.sum(row, layer, sink)))
    }

    fn sum(&self, row: usize, layer: usize, column: usize) -> f64 {
        let AttentionCapture { layers, heads, span_sums, head_span_sums, .. } = self.capture;
        let columns = self.capture.columns();
        let at = row * layers + layer;
        match &self.heads {
            None => f64::from(span_sums[at * columns + column]),
            Some(chosen) => {
                let of_head = |head: &usize| f64::from(head_span_sums[(at * heads + head) * columns + column]);
                chosen.iter().map(of_head).sum::<f64>() / chosen.len() as f64
            }
        }
    }
}

/// A row that gives everything to its sinks leaves nothing to share out.
fn renormalised(span: f64, sink: f64) -> f64 {
    if sink < 1.0 { span / (1.0 - sink) } else { 0.0 }
}
