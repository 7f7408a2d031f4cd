//! Which attention a run keeps, and the hand that takes it.

use std::str::FromStr;

use llm_runtime::{AttentionCapture, AttentionProbe};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::ContinuationRecord;
use crate::sra::strategy_spans;

/// How much attention is kept of every continuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionLevel {
    /// Mass on every labelled part of the prompt, per new token and layer, and per head over all new tokens.
    Spans,
    /// Also whole rows per layer, as the mean over heads.
    Layers,
    /// Also whole rows and span masses per head.
    Full,
}

impl AttentionLevel {
    /// The probe that captures it.
    pub fn probe(self) -> AttentionProbe {
        match self {
            Self::Spans => AttentionProbe::spans(strategy_spans()),
            Self::Layers => AttentionProbe::layers(strategy_spans()),
            Self::Full => AttentionProbe::full(strategy_spans()),
        }
    }
}

impl FromStr for AttentionLevel {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "spans" => Ok(Self::Spans),
            "layers" => Ok(Self::Layers),
            "full" => Ok(Self::Full),
            _ => Err(Error::UnknownName {
                kind: "attention level",
                name: name.to_owned(),
                known: "spans, layers, full".to_owned(),
            }),
        }
    }
}

/// A finished record and the attention of its tokens.
#[derive(Debug)]
pub struct CapturedRecord<'a> {
    /// The record.
    pub record: &'a ContinuationRecord,
    /// The prompt's tokens.
    pub prompt_tokens: &'a [u32],
    /// Attention of the new tokens.
    pub capture: &'a AttentionCapture,
}

/// Takes what a run captures, before the record goes to the journal: a record in the journal has its attention kept.
pub type KeepAttention<'a> = dyn FnMut(CapturedRecord<'_>) -> Result<(), Error> + 'a;
