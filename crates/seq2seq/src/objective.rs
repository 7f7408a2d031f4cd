//! Learning to answer, as an objective of the workspace's training loop.

use std::sync::Arc;

use training::{Batches, Dataset, LossParts, Objective, Pass, SetScores, TrainingError};

use crate::{Seq2SeqBatch, Seq2SeqConfig, Seq2SeqError, Seq2SeqModel};

/// Name of the perplexity among the metrics of a held-out set.
pub const PERPLEXITY: &str = "perplexity";

/// Tokenised inputs and the outputs that are wanted for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seq2SeqDataset {
    inputs: Vec<Vec<u32>>,
    labels: Vec<Vec<Option<u32>>>,
    decoder_start_id: u32,
    pad_id: u32,
}

impl Seq2SeqDataset {
    /// No examples yet, for a model of this configuration.
    pub fn new(config: &Seq2SeqConfig) -> Self {
        let decoder_start_id = config.generation.decoder_start_id;
        Self { inputs: Vec::new(), labels: Vec::new(), decoder_start_id, pad_id: config.pad_id }
    }

    /// Adds an example; `output` is all that the decoder shall say behind its first token, the token that ends the text included.
    pub fn push(&mut self, input: Vec<u32>, output: &[u32]) {
        self.push_labels(input, output.iter().copied().map(Some).collect());
    }

    /// Adds an example with places at which nothing is asked for.
    pub fn push_labels(&mut self, input: Vec<u32>, labels: Vec<Option<u32>>) {
        self.inputs.push(input);
        self.labels.push(labels);
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }
}

impl Dataset for Seq2SeqDataset {
    type Batch = Seq2SeqBatch;

    fn lengths(&self) -> Vec<usize> {
        self.inputs.iter().zip(&self.labels).map(|(input, labels)| input.len() + labels.len()).collect()
    }

    fn batch(&self, examples: &[usize]) -> Result<Seq2SeqBatch, TrainingError> {
        let mut batch = Seq2SeqBatch::new();
        for example in examples {
            let (Some(input), Some(labels)) = (self.inputs.get(*example), self.labels.get(*example)) else {
                let problem = format!("there is no example {example} among {}", self.len());
                return Err(Seq2SeqError::Invalid(problem).into());
            };
            batch.push(input, labels, self.decoder_start_id, self.pad_id);
        }
        Ok(batch)
    }
}

/// The mean cross-entropy of labels, in nats per label, smoothed in training if so asked. Held-out sets are scored without smoothing, so that
/// the perplexity is `exp` of their loss.
pub struct Seq2SeqObjective {
    model: Arc<Seq2SeqModel>,
    smoothing: f64,
}

impl Seq2SeqObjective {
    /// For a model whose parameters are variables.
    pub fn new(model: Arc<Seq2SeqModel>) -> Self {
        Self { model, smoothing: 0.0 }
    }

    /// With label smoothing in `[0, 1)`, as in [`crate::label_log_probs`].
    pub fn with_smoothing(self, smoothing: f64) -> Self {
        Self { smoothing, ..self }
    }
}

impl Objective for Seq2SeqObjective {
    type Batch = Seq2SeqBatch;

    fn loss(&self, batch: &Seq2SeqBatch, pass: &Pass) -> Result<LossParts, TrainingError> {
        let sum = self.model.label_log_probs(batch, self.smoothing, pass)?.sum_all()?.neg()?;
        let tokens = batch.inputs.ids().len() + batch.outputs.ids().len();
        Ok(LossParts { sum, weight: batch.label_count() as f64, tokens, metrics: Vec::new() })
    }

    fn evaluate(&self, batches: Batches<'_, Seq2SeqBatch>) -> Result<SetScores, TrainingError> {
        let (mut sum, mut count) = (0.0, 0.0);
        for batch in batches {
            for losses in self.model.label_losses(&batch?)? {
                sum += losses.iter().map(|loss| f64::from(*loss)).sum::<f64>();
                count += losses.len() as f64;
            }
        }
        let loss = sum / count;
        Ok(SetScores { loss, metrics: vec![(PERPLEXITY.to_owned(), loss.exp())] })
    }
}
