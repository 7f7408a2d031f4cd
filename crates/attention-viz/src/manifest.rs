//! The manifest of an attention file: what the tensors are about.

use std::collections::BTreeMap;

use llm_runtime::{AttentionCapture, Span};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Name of the format.
pub const FORMAT: &str = "solace.attention";
/// Version of the format that this crate reads and writes.
pub const VERSION: u64 = 1;

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RecordInfo {
    /// The record's id; letters, digits, `-` and `_`.
    pub id: String,
    /// The example's id.
    pub example: String,
    /// The conversation.
    pub conversation: String,
    /// The supporter turn.
    pub turn: usize,
    /// The strategy.
    pub strategy: String,
    /// The layout.
    pub layout: String,
    /// The model.
    pub model: String,
    /// The seeker's situation.
    pub situation: String,
    /// The generated text.
    pub response: String,
    /// Numbers of this record by name, e.g. `sra`. The viewer plots them over turns.
    pub values: BTreeMap<String, f64>,
}

/// All that stands in a file beside its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u64,
    /// What the record is about.
    pub record: RecordInfo,
    /// Layers.
    pub layers: usize,
    /// Heads per layer.
    pub heads: usize,
    /// Rows, one per new token.
    pub rows: usize,
    /// Position of row 0's query.
    pub first_position: usize,
    /// Tokens of the prompt: `first_position + 1`.
    pub prompt_tokens: usize,
    /// Position 0 and beginning-of-sequence tokens.
    pub sinks: Vec<usize>,
    /// Spans of the prompt.
    pub spans: Vec<Span>,
    /// How each token is shown, prompt and new tokens.
    pub token_texts: Vec<String>,
    /// Largest positions kept per row, layer and head.
    pub top: usize,
}

/// No model is this large; products of sizes below it can't overflow.
const LARGEST_COUNT: usize = 1 << 24;

impl Manifest {
    pub(crate) fn new(record: &RecordInfo, token_texts: &[String], capture: &AttentionCapture) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            record: record.clone(),
            layers: capture.layers,
            heads: capture.heads,
            rows: capture.rows,
            first_position: capture.first_position,
            prompt_tokens: capture.first_position + 1,
            sinks: capture.sinks.clone(),
            spans: capture.spans.clone(),
            token_texts: token_texts.to_vec(),
            top: capture.top,
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        // Format and version come first: another version may have other fields.
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| Error::Format(format!("the manifest is no JSON: {error}")))?;
        if value["format"] != FORMAT {
            return Err(Error::Format(format!("its manifest does not say `{FORMAT}`")));
        }
        match value["version"].as_u64() {
            Some(VERSION) => {}
            Some(found) => return Err(Error::Version { found, known: VERSION }),
            None => return Err(Error::Format("its manifest has no version".into())),
        }
        let manifest: Self = serde_json::from_value(value)
            .map_err(|error| Error::Format(format!("its manifest is not that of a record: {error}")))?;
        manifest.check().map_err(Error::Format)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        for (what, count) in [
            ("layers", self.layers),
            ("heads", self.heads),
            ("rows", self.rows),
            ("prompt_tokens", self.prompt_tokens),
            ("top", self.top),
        ] {
            if count > LARGEST_COUNT {
                return Err(format!("{what} {count} is beyond all measure"));
            }
        }
        if self.layers == 0 || self.heads == 0 {
            return Err("it has no layers or no heads".into());
        }
        if self.prompt_tokens == 0 || self.first_position != self.prompt_tokens - 1 {
            return Err(format!(
                "first_position {} is not the last of {} prompt tokens",
                self.first_position, self.prompt_tokens
            ));
        }
        let tokens = self.prompt_tokens + self.rows;
        if self.token_texts.len() != tokens {
            return Err(format!("{} token texts for {tokens} tokens", self.token_texts.len()));
        }
        if let Some(sink) = self.sinks.iter().find(|sink| **sink >= self.prompt_tokens) {
            return Err(format!("the sink at {sink} is outside the prompt"));
        }
        if !self.sinks.is_sorted_by(|left, right| left < right) {
            return Err(format!("sinks are not ascending: {:?}", self.sinks));
        }
        for span in &self.spans {
            if span.tokens.start >= span.tokens.end || span.tokens.end > self.prompt_tokens {
                return Err(format!("the span `{}` is empty or outside the prompt: {:?}", span.label, span.tokens));
            }
        }
        Ok(())
    }

    /// Columns of sums: position 0, sinks, and the spans.
    pub fn columns(&self) -> usize {
        AttentionCapture::SPANS + self.spans.len()
    }

    /// Positions that the last row sees: the width of padded rows.
    pub fn keys(&self) -> usize {
        self.first_position + self.rows
    }
}
