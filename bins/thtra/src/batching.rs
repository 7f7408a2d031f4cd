//! Samples as a data set of the workspace's training loop, and how they come together in batches.

use seq2seq::Seq2SeqBatch;
use training::{Dataset, TrainerOptions, TrainingError};

use crate::sample::{DecoderStream, Sample};
use crate::strategy::Strategy;
use crate::tokenizer::DialogueTokenizer;

/// Batches whose samples are sorted by length together.
const BATCHES_PER_BUCKET: usize = 100;

/// Samples that go through the model together. Nothing is padded: sequences lie one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleBatch {
    /// What the encoder reads, what the decoder is fed, and what it shall say.
    pub response: Seq2SeqBatch,
    /// The decoder's second stream over the same encoder outputs, for samples that have a situation.
    pub situation: Option<DecoderStream>,
    /// The annotated strategies.
    pub strategies: Vec<Strategy>,
}

/// Samples to train or to validate with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleDataset {
    samples: Vec<Sample>,
    bos: u32,
    pad: u32,
}

impl SampleDataset {
    /// For samples whose ids are the tokenizer's.
    pub fn new(samples: Vec<Sample>, tokenizer: &DialogueTokenizer) -> Self {
        Self { samples, bos: tokenizer.bos(), pad: tokenizer.pad() }
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl Dataset for SampleDataset {
    type Batch = SampleBatch;

    /// Tokens of encoder and decoder together; the situation does not count.
    fn lengths(&self) -> Vec<usize> {
        self.samples.iter().map(|sample| sample.encoder_ids.len() + sample.labels.len()).collect()
    }

    fn batch(&self, examples: &[usize]) -> Result<SampleBatch, TrainingError> {
        let mut response = Seq2SeqBatch::new();
        let mut situation = DecoderStream::default();
        let mut strategies = Vec::new();
        for example in examples {
            let sample = self.samples.get(*example).ok_or_else(|| {
                let problem = format!("there is no sample {example} among {}", self.samples.len());
                TrainingError::from(seq2seq::Seq2SeqError::Invalid(problem))
            })?;
            let labels: Vec<Option<u32>> = sample.labels.iter().copied().map(Some).collect();
            response.push(&sample.encoder_ids, &labels, self.bos, self.pad);
            if !sample.situation_labels.is_empty() {
                situation.push(&sample.situation_labels, self.bos);
            }
            strategies.push(sample.strategy);
        }
        let has_situations = situation.outputs.len() == strategies.len();
        Ok(SampleBatch { response, situation: has_situations.then_some(situation), strategies })
    }
}

/// The same options, with batches as ThTra wants them: samples are shuffled; buckets of 100 batches are sorted by length, longest first; what
/// does not fill the last batch is left out of the epoch; the batches are shuffled. Held-out samples come in the order of their file in any case.
pub fn bucketed(options: TrainerOptions) -> TrainerOptions {
    TrainerOptions {
        shuffle: true,
        by_length: true,
        batches_per_pool: BATCHES_PER_BUCKET,
        drop_incomplete: true,
        ..options
    }
}
