//! Pairs as a training loop takes them.

use std::sync::Arc;

use training::{Dataset, TrainingError};

use crate::{EncodedPair, PairTokenLogProbs, ReferenceLogProbs};

/// Pairs by number, with what the reference says of them if that is known.
#[derive(Debug, Clone, Default)]
pub struct PairDataset {
    pairs: Vec<Arc<EncodedPair>>,
    reference: Option<ReferenceLogProbs>,
}

/// Some of them.
#[derive(Debug, Clone, Default)]
pub struct PairBatch {
    /// Their numbers in the set.
    pub examples: Vec<usize>,
    /// Their tokens.
    pub pairs: Vec<Arc<EncodedPair>>,
    /// What the reference says of them, if it was asked before.
    pub reference: Option<Vec<Arc<PairTokenLogProbs>>>,
}

impl PairDataset {
    /// Pairs whose reference will be asked at each step.
    pub fn new(pairs: Vec<Arc<EncodedPair>>) -> Self {
        Self { pairs, reference: None }
    }

    /// With the reference's answers, which must be those of the same pairs.
    pub fn with_reference(self, reference: ReferenceLogProbs) -> Self {
        Self { reference: Some(reference), ..self }
    }

    /// The pairs.
    pub fn pairs(&self) -> &[Arc<EncodedPair>] {
        &self.pairs
    }
}

impl Dataset for PairDataset {
    type Batch = PairBatch;

    fn lengths(&self) -> Vec<usize> {
        self.pairs.iter().map(|pair| pair.tokens()).collect()
    }

    fn batch(&self, examples: &[usize]) -> Result<PairBatch, TrainingError> {
        let missing = |number: usize| TrainingError::Setting {
            setting: "pairs",
            problem: format!("there is no pair {number}, or nothing is known of it from the reference"),
        };
        let pair = |number: &usize| self.pairs.get(*number).cloned().ok_or_else(|| missing(*number));
        let known = |reference: &ReferenceLogProbs| {
            examples.iter().map(|number| reference.get(*number).cloned().ok_or_else(|| missing(*number))).collect()
        };
        Ok(PairBatch {
            examples: examples.to_vec(),
            pairs: examples.iter().map(pair).collect::<Result<_, _>>()?,
            reference: self.reference.as_ref().map(known).transpose()?,
        })
    }
}
