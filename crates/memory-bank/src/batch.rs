//! Samples for the generator, and how they become batches.

use std::sync::Arc;

use candle_core::Tensor;
use seq2seq::TokenBatch;
use training::{Dataset, TrainingError};

use crate::history::{History, remembered};
use crate::{BankRow, MemoryError, Place, StrategyBank};

/// A supporter's earlier response, as it is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// What was said.
    pub text: String,
    /// Its tokens, the framing ones included, as long as is kept.
    pub tokens: Vec<u32>,
    /// The number of its strategy.
    pub strategy: usize,
    /// Where it was said.
    pub place: Place,
    /// How much it helped, 1 to 5, where the seeker said so.
    pub feedback: Option<f32>,
}

/// A turn of a supporter that is to be generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Situation and dialogue, the framing tokens included.
    pub input: Vec<u32>,
    /// Why the strategy fits, the framing tokens included.
    pub motivation: Vec<u32>,
    /// What the decoder is fed: the response without its last token.
    pub output: Vec<u32>,
    /// What it shall say: the response without its first token.
    pub labels: Vec<u32>,
    /// The number of the response's strategy.
    pub strategy: usize,
    /// Where it is said.
    pub place: Place,
    /// What the supporter said before, in order.
    pub history: Vec<Arc<Response>>,
}

/// Samples that go through the generator together.
#[derive(Debug, Clone)]
pub struct MagicBatch {
    /// Situations and dialogues.
    pub inputs: TokenBatch,
    /// Motivations.
    pub motivations: TokenBatch,
    /// What the decoder is fed.
    pub outputs: TokenBatch,
    /// What it shall say at each of its places.
    pub labels: Vec<Option<u32>>,
    /// Each sample's strategy.
    pub strategies: Vec<usize>,
    /// Where each sample is said.
    pub places: Vec<Place>,
    /// What the batch adds to the memory: strategy and row, by strategy.
    pub remembered: Vec<(usize, BankRow)>,
    /// Their tokens.
    pub responses: TokenBatch,
}

/// To which lengths a batch is padded. Nothing depends on them unless padding is pooled over ([`crate::Pool::All`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedLengths {
    /// Inputs and motivations.
    pub inputs: usize,
    /// Remembered responses.
    pub responses: usize,
    /// The padding token.
    pub pad_id: u32,
}

impl MagicBatch {
    /// Puts samples together; `padding` is what the published code pads to.
    ///
    /// # Errors
    /// A sample has not one label for each token that the decoder is fed.
    pub fn new<'a>(
        samples: impl IntoIterator<Item = &'a Sample>,
        padding: Option<FixedLengths>,
    ) -> Result<Self, MemoryError> {
        let mut batch = Self {
            inputs: TokenBatch::new(),
            motivations: TokenBatch::new(),
            outputs: TokenBatch::new(),
            labels: Vec::new(),
            strategies: Vec::new(),
            places: Vec::new(),
            remembered: Vec::new(),
            responses: TokenBatch::new(),
        };
        let mut histories = Vec::new();
        for sample in samples {
            if sample.output.len() != sample.labels.len() {
                let (output, labels) = (sample.output.len(), sample.labels.len());
                return Err(MemoryError::Invalid(format!("{output} tokens for the decoder and {labels} labels")));
            }
            push(&mut batch.inputs, &sample.input, padding.map(|to| (to.inputs, to.pad_id)));
            push(&mut batch.motivations, &sample.motivation, padding.map(|to| (to.inputs, to.pad_id)));
            batch.outputs.push(&sample.output);
            batch.labels.extend(sample.labels.iter().copied().map(Some));
            batch.strategies.push(sample.strategy);
            batch.places.push(sample.place.clone());
            histories.push(&sample.history);
        }
        batch.remember(&histories, padding);
        Ok(batch)
    }

    fn remember(&mut self, histories: &[&Vec<Arc<Response>>], padding: Option<FixedLengths>) {
        for one in remembered(&histories.iter().map(|history| texts(history)).collect::<Vec<_>>()) {
            let response = &histories[one.history][one.response];
            let Response { text, place, feedback, .. } = response.as_ref().clone();
            self.remembered.push((one.strategy, BankRow { text, place, written_at: 0, feedback }));
            push(&mut self.responses, &response.tokens, padding.map(|to| (to.responses, to.pad_id)));
        }
    }

    /// The rows of a memory that each sample may see.
    ///
    /// # Errors
    /// As [`StrategyBank::read`].
    pub fn memories(&self, bank: &StrategyBank) -> Result<Vec<Option<Tensor>>, MemoryError> {
        self.strategies.iter().zip(&self.places).map(|(strategy, place)| bank.read(*strategy, Some(place))).collect()
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.strategies.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.strategies.is_empty()
    }

    /// Tokens that go through the generator.
    pub fn tokens(&self) -> usize {
        [&self.inputs, &self.motivations, &self.outputs, &self.responses].map(|batch| batch.ids().len()).iter().sum()
    }
}

fn texts(history: &[Arc<Response>]) -> History<&str> {
    History {
        responses: history.iter().map(|response| response.text.as_str()).collect(),
        strategies: history.iter().map(|response| response.strategy).collect(),
    }
}

/// Adds a sequence, padded with tokens that nobody looks at.
fn push(batch: &mut TokenBatch, ids: &[u32], padding: Option<(usize, u32)>) {
    match padding {
        Some((length, pad_id)) if ids.len() < length => {
            let padded: Vec<u32> = ids.iter().copied().chain(std::iter::repeat(pad_id)).take(length).collect();
            let attended: Vec<bool> = (0..length).map(|place| place < ids.len()).collect();
            batch.push_masked(&padded, &attended);
        }
        _ => batch.push(ids),
    }
}

/// Samples by number.
#[derive(Debug, Clone, Default)]
pub struct MagicDataset {
    samples: Vec<Sample>,
    padding: Option<FixedLengths>,
}

impl MagicDataset {
    /// These samples, padded to the longest of each batch; or, with [`crate::Pool::All`], to fixed lengths.
    pub fn new(samples: Vec<Sample>, padding: Option<FixedLengths>) -> Self {
        Self { samples, padding }
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl Dataset for MagicDataset {
    type Batch = MagicBatch;

    fn lengths(&self) -> Vec<usize> {
        self.samples.iter().map(|sample| sample.input.len() + sample.output.len()).collect()
    }

    fn batch(&self, examples: &[usize]) -> Result<MagicBatch, TrainingError> {
        let missing =
            |number: usize| MemoryError::Invalid(format!("there is no sample {number} among {}", self.samples.len()));
        let samples = examples.iter().map(|number| self.samples.get(*number).ok_or_else(|| missing(*number)));
        let samples = samples.collect::<Result<Vec<&Sample>, MemoryError>>()?;
        Ok(MagicBatch::new(samples, self.padding)?)
    }
}
