//! What may be asked about attention, and what comes back: [`AttentionProbe`], [`AttentionCapture`], [`AttentionEdit`].
//!
//! Row `t` of a capture is the attention of the query that predicts new token `t`: row 0 is that of the prompt's last token.
//! Rows are softmax weights, so a whole row sums to 1.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::text_model::{PromptReport, Span};

/// Chooses token spans of a prompt once it is rendered and tokenised.
///
/// ```
/// use llm_runtime::SpanChoice;
/// let strategy = SpanChoice::parts(["strategy_name", "situation"]);
/// # let _ = strategy;
/// ```
#[derive(Clone)]
pub struct SpanChoice(Arc<Choose>);

type Choose = dyn Fn(&PromptReport) -> Vec<Span> + Send + Sync;

impl SpanChoice {
    /// The spans that a function finds. Spans may overlap; their token ranges are cut to the prompt.
    pub fn new(choose: impl Fn(&PromptReport) -> Vec<Span> + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }

    /// No spans.
    pub fn none() -> Self {
        Self::new(|_| Vec::new())
    }

    /// The labelled parts of these names; a name that the prompt does not have gives nothing.
    pub fn parts<L: Into<String>>(labels: impl IntoIterator<Item = L>) -> Self {
        let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        Self::new(move |prompt| prompt.spans.iter().filter(|span| labels.contains(&span.label)).cloned().collect())
    }

    /// The spans of a prompt, cut to its tokens; empty ones are left out.
    pub fn of(&self, prompt: &PromptReport) -> Vec<Span> {
        let mut spans = (self.0)(prompt);
        for span in &mut spans {
            span.tokens.end = span.tokens.end.min(prompt.tokens.len());
        }
        spans.retain(|span| !span.tokens.is_empty());
        spans
    }
}

impl fmt::Debug for SpanChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SpanChoice")
    }
}

/// What to keep of the attention of new tokens. Everything is reduced as it is computed; memory grows with the number of
/// tokens kept, never with their square. Greedy decoding, sampling and scoring only: beams have no single row.
#[derive(Debug, Clone)]
pub struct AttentionProbe {
    /// Spans whose attention is added up, per row and layer (always) and per head ([`Self::head_sums`]).
    pub spans: SpanChoice,
    /// Keep span sums of every head in every row.
    pub head_sums: bool,
    /// Keep whole rows per layer, as the mean over heads.
    pub layer_rows: bool,
    /// Keep whole rows per layer and head.
    pub head_rows: bool,
    /// Keep this many largest positions of every row, per layer and head.
    pub top: usize,
}

impl AttentionProbe {
    /// Span sums only.
    pub fn spans(spans: SpanChoice) -> Self {
        Self { spans, head_sums: false, layer_rows: false, head_rows: false, top: 0 }
    }

    /// Span sums and rows per layer.
    pub fn layers(spans: SpanChoice) -> Self {
        Self { layer_rows: true, ..Self::spans(spans) }
    }

    /// Everything: span sums and rows per layer and per head.
    pub fn full(spans: SpanChoice) -> Self {
        Self { head_sums: true, layer_rows: true, head_rows: true, ..Self::spans(spans) }
    }
}

/// Attention of one request's new tokens.
///
/// The columns of every sum are: [`Self::FIRST`] (mass on position 0), [`Self::SINKS`] (mass on position 0 and every
/// beginning-of-sequence token), then [`Self::spans`] in order. Arrays that were not asked for are empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttentionCapture {
    /// Layers of the model.
    pub layers: usize,
    /// Heads per layer.
    pub heads: usize,
    /// Rows, one per new token.
    pub rows: usize,
    /// Position of row 0's query: the last token of the prompt. Row `t` sees positions `0..=first_position + t`.
    pub first_position: usize,
    /// Position 0 and those of beginning-of-sequence tokens in the prompt, ascending.
    pub sinks: Vec<usize>,
    /// Spans whose mass was added up.
    pub spans: Vec<Span>,
    /// `[rows, layers, columns]`: attention mass, mean over heads.
    pub span_sums: Vec<f32>,
    /// `[layers, heads, columns]`: attention mass, mean over rows.
    pub head_profile: Vec<f32>,
    /// `[layers, heads, spans]`: what part of a row's attention beside the sinks goes to a span, mean over rows. It does not
    /// follow from [`Self::head_profile`]: a mean of ratios is not the ratio of means.
    pub head_shares: Vec<f32>,
    /// `[rows, layers, heads, columns]`: attention mass.
    pub head_span_sums: Vec<f32>,
    /// Rows one after the other, row `t` as `[layers, keys(t)]`: mean over heads.
    pub layer_rows: Vec<f32>,
    /// Rows one after the other, row `t` as `[layers, heads, keys(t)]`.
    pub head_rows: Vec<f32>,
    /// How many positions [`Self::top_positions`] keeps.
    pub top: usize,
    /// `[rows, layers, heads, top]`: largest positions, largest first. A row with fewer keys repeats its last one.
    pub top_positions: Vec<u32>,
    /// `[rows, layers, heads, top]`: their weights; 0 where a position is repeated.
    pub top_values: Vec<f32>,
}

impl AttentionCapture {
    /// Column of the mass on position 0.
    pub const FIRST: usize = 0;
    /// Column of the mass on position 0 and all beginning-of-sequence tokens.
    pub const SINKS: usize = 1;
    /// Column of the first span.
    pub const SPANS: usize = 2;

    /// Columns of a sum.
    pub fn columns(&self) -> usize {
        Self::SPANS + self.spans.len()
    }

    /// Positions that row `row` sees.
    pub fn keys(&self, row: usize) -> usize {
        self.first_position + row + 1
    }

    /// The span of that label (the first one).
    pub fn span(&self, label: &str) -> Option<(usize, &Span)> {
        let at = self.spans.iter().position(|span| span.label == label)?;
        Some((Self::SPANS + at, &self.spans[at]))
    }

    /// Head mean of row `row` in `layer`, `[keys(row)]`; `None` if rows were not kept.
    pub fn layer_row(&self, row: usize, layer: usize) -> Option<&[f32]> {
        let keys = self.keys(row);
        let start = (self.keys_before(row)) * self.layers + layer * keys;
        self.layer_rows.get(start..start + keys)
    }

    /// Row `row` of a head, `[keys(row)]`; `None` if rows of heads were not kept.
    pub fn head_row(&self, row: usize, layer: usize, head: usize) -> Option<&[f32]> {
        let keys = self.keys(row);
        let start = (self.keys_before(row) * self.layers + layer * keys) * self.heads + head * keys;
        self.head_rows.get(start..start + keys)
    }

    /// Keys of all rows before `row`.
    pub fn keys_before(&self, row: usize) -> usize {
        row * (self.first_position + 1) + row * row.saturating_sub(1) / 2
    }
}

/// Layers or heads, by number from 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Those in these ranges.
    Only(Vec<Range<usize>>),
}

impl Selection {
    /// Whether a number is chosen.
    pub fn contains(&self, number: usize) -> bool {
        match self {
            Self::All => true,
            Self::Only(ranges) => ranges.iter().any(|range| range.contains(&number)),
        }
    }

    /// The chosen numbers below `count`, ascending.
    pub fn below(&self, count: usize) -> Vec<usize> {
        (0..count).filter(|number| self.contains(*number)).collect()
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Only(ranges) = self else { return formatter.write_str("all") };
        for (number, range) in ranges.iter().filter(|range| !range.is_empty()).enumerate() {
            let comma = if number > 0 { "," } else { "" };
            match range.len() {
                1 => write!(formatter, "{comma}{}", range.start)?,
                _ => write!(formatter, "{comma}{}-{}", range.start, range.end - 1)?,
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Selection {
    type Err = String;

    /// `all`, or numbers and inclusive ranges: `0-3,7`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let wrong = || format!("`{text}` is not a selection: write `all` or numbers and ranges such as `0-3,7`");
        let number = |text: &str| text.trim().parse::<u32>().map(|number| number as usize).map_err(|_| wrong());
        let ranges = text.split(',').map(|piece| {
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            let (first, last) = (number(first)?, number(last)?);
            if first <= last { Ok(first..last + 1) } else { Err(wrong()) }
        });
        Ok(Self::Only(ranges.collect::<Result<_, _>>()?))
    }
}

impl TryFrom<String> for Selection {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Selection> for String {
    fn from(selection: Selection) -> Self {
        selection.to_string()
    }
}

/// Which rows an [`AttentionEdit`] changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EditedRows {
    /// Those that predict new tokens: the prompt is read as it is.
    #[default]
    New,
    /// Every row after the span's first token: what follows the span in the prompt can't carry it on.
    All,
}

/// A change of attention to spans of the prompt: before the softmax, `ln(factor)` is added to the scores, so that weights are
/// multiplied and the row still sums to 1. A row never loses sight of its own token.
#[derive(Debug, Clone)]
pub struct AttentionEdit {
    /// Spans that are seen less or more.
    pub spans: SpanChoice,
    /// 0 masks, 1 changes nothing, above 1 strengthens. At least 0 and finite.
    pub factor: f32,
    /// Layers that are changed.
    pub layers: Selection,
    /// Heads that are changed in those layers.
    pub heads: Selection,
    /// Rows that are changed.
    pub rows: EditedRows,
}
