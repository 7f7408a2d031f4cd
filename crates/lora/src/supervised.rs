//! Supervised fine-tuning as an objective: the likelihood of the learned tokens.

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::{Llama, token_log_probs};
use training::{Dataset, LossParts, Mode, Objective, Pass, TrainingError};

use crate::Adapters;
use crate::sft::{PackedExample, SftExample};

/// Sequences of tokens with the places to learn from.
///
/// Packing needs nothing special here: a batch has no padding, and sequences never see each other, packed or not.
pub struct SftDataset {
    examples: Vec<Vec<SftExample>>,
}

impl SftDataset {
    /// One sequence per example.
    pub fn new(examples: Vec<SftExample>) -> Self {
        Self { examples: examples.into_iter().map(|example| vec![example]).collect() }
    }

    /// Several sequences per example, each with its own positions.
    pub fn packed(examples: &[PackedExample]) -> Self {
        let sequences = |packed: &PackedExample| {
            let part = |segment: &std::ops::Range<usize>| SftExample {
                ids: packed.ids[segment.clone()].to_vec(),
                learned: packed.learned[segment.clone()].to_vec(),
            };
            packed.segments.iter().map(part).collect()
        };
        Self { examples: examples.iter().map(sequences).collect() }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }
}

/// Sequences that lie one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SftBatch {
    /// All tokens.
    pub ids: Vec<u32>,
    /// Tokens of each sequence.
    pub lengths: Vec<usize>,
    /// Rows whose next token is learned.
    pub rows: Vec<u32>,
    /// Those tokens.
    pub targets: Vec<u32>,
}

impl SftBatch {
    /// Adds a sequence. A first token can't be learned: nothing stands before it.
    pub fn push(&mut self, example: &SftExample) {
        let start = self.ids.len();
        self.ids.extend(&example.ids);
        self.lengths.push(example.ids.len());
        for (place, learned) in example.learned.iter().enumerate().skip(1) {
            if *learned {
                self.rows.push((start + place - 1) as u32);
                self.targets.push(example.ids[place]);
            }
        }
    }
}

impl Dataset for SftDataset {
    type Batch = SftBatch;

    fn lengths(&self) -> Vec<usize> {
        self.examples.iter().map(|sequences| sequences.iter().map(|sequence| sequence.ids.len()).sum()).collect()
    }

    fn batch(&self, examples: &[usize]) -> Result<SftBatch, TrainingError> {
        let mut batch = SftBatch::default();
        for example in examples {
            self.examples[*example].iter().for_each(|sequence| batch.push(sequence));
        }
        Ok(batch)
    }
}

/// The mean negative log-likelihood of learned tokens, in nats per token, under a model with or without adapters.
pub struct SftObjective {
    llama: Arc<Llama>,
    adapters: Option<Adapters>,
}

impl SftObjective {
    /// For a model whose own parameters are trained, or, with `adapters`, for those.
    pub fn new(llama: Arc<Llama>, adapters: Option<Adapters>) -> Self {
        Self { llama, adapters }
    }

    /// Log-probabilities of a batch's targets, `[targets]` f32.
    ///
    /// # Errors
    /// A token is outside the vocabulary, or the device fails.
    pub fn log_probs(&self, batch: &SftBatch, pass: &Pass) -> Result<Tensor, TrainingError> {
        if let Some(adapters) = &self.adapters {
            adapters.set_mode(pass.mode);
        }
        let checkpoints = pass.checkpoints.as_ref();
        let hidden = self.llama.sequences(&batch.ids, &batch.lengths, checkpoints)?;
        let rows = Tensor::new(batch.rows.as_slice(), hidden.device())?;
        let learned = hidden.index_select(&rows, 0)?;
        Ok(token_log_probs(self.llama.head(), &learned, &batch.targets, checkpoints)?)
    }
}

impl Objective for SftObjective {
    type Batch = SftBatch;

    fn loss(&self, batch: &SftBatch, pass: &Pass) -> Result<LossParts, TrainingError> {
        if batch.targets.is_empty() {
            let problem = "a batch has no token to learn: leave out examples without an answer".to_owned();
            return Err(TrainingError::Setting { setting: "training data", problem });
        }
        let sum = self.log_probs(batch, pass)?.sum_all()?.neg()?;
        let weight = batch.targets.len() as f64;
        Ok(LossParts { sum, weight, tokens: batch.ids.len(), metrics: Vec::new() })
    }

    fn end(&self) {
        if let Some(adapters) = &self.adapters {
            adapters.set_mode(Mode::Evaluate);
        }
    }
}
