//! Learning to tell classes apart, as an objective of the workspace's training loop.

use std::sync::Arc;

use candle_core::Tensor;
use esc_metrics::classification::{Averaged, Labelled};
use llm_runtime::ops;
use training::{Batches, Dataset, LossParts, Metric, Objective, Pass, SetScores, TrainingError};

use crate::{EncoderBatch, EncoderError, SequenceClassifier};

/// Name of the accuracy among the metrics.
pub const ACCURACY: &str = "accuracy";
/// Name of the macro-averaged F1 among the metrics of a held-out set.
pub const MACRO_F1: &str = "macro_f1";

/// Tokenised texts with the numbers of their classes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassificationDataset {
    sequences: Vec<Vec<u32>>,
    labels: Vec<u32>,
}

impl ClassificationDataset {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an example.
    pub fn push(&mut self, ids: Vec<u32>, label: usize) {
        self.sequences.push(ids);
        self.labels.push(label as u32);
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Sequences with the numbers of their classes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassificationBatch {
    /// The sequences.
    pub input: EncoderBatch,
    /// The class of each.
    pub labels: Vec<u32>,
}

impl Dataset for ClassificationDataset {
    type Batch = ClassificationBatch;

    fn lengths(&self) -> Vec<usize> {
        self.sequences.iter().map(Vec::len).collect()
    }

    fn batch(&self, examples: &[usize]) -> Result<ClassificationBatch, TrainingError> {
        let mut batch = ClassificationBatch::default();
        for example in examples {
            batch.input.push(&self.sequences[*example]);
            batch.labels.push(self.labels[*example]);
        }
        Ok(batch)
    }
}

/// The mean cross-entropy of the classes under a classifier, `−log softmax(logits)[class]` in nats per text.
pub struct ClassificationObjective {
    classifier: Arc<SequenceClassifier>,
}

impl ClassificationObjective {
    /// For a classifier whose parameters are variables.
    pub fn new(classifier: Arc<SequenceClassifier>) -> Self {
        Self { classifier }
    }

    /// The summed loss, and the predicted classes.
    fn forward(&self, batch: &ClassificationBatch, pass: &Pass) -> Result<(Tensor, Vec<u32>), EncoderError> {
        let logits = self.classifier.logits(&batch.input, pass)?;
        let labels = Tensor::new(batch.labels.as_slice(), logits.device())?;
        let sum = ops::log_probs_of(&logits, &labels)?.sum_all()?.neg()?;
        Ok((sum, logits.detach().argmax(1)?.to_vec1()?))
    }
}

impl Objective for ClassificationObjective {
    type Batch = ClassificationBatch;

    fn loss(&self, batch: &ClassificationBatch, pass: &Pass) -> Result<LossParts, TrainingError> {
        let (sum, predicted) = self.forward(batch, pass)?;
        let right = predicted.iter().zip(&batch.labels).filter(|(found, label)| found == label).count();
        let weight = batch.labels.len() as f64;
        let metrics = vec![Metric { name: ACCURACY, sum: right as f64, weight }];
        Ok(LossParts { sum, weight, tokens: batch.input.ids().len(), metrics })
    }

    /// Adds the macro-averaged F1, which is no mean of batches.
    fn evaluate(&self, batches: Batches<'_, ClassificationBatch>) -> Result<SetScores, TrainingError> {
        let (mut loss, mut labels, mut predicted) = (0.0, Vec::new(), Vec::new());
        for batch in batches {
            let batch = batch?;
            let (sum, found) = self.forward(&batch, &Pass::evaluation())?;
            loss += f64::from(sum.to_scalar::<f32>()?);
            labels.extend(batch.labels.iter().map(|label| *label as usize));
            predicted.extend(found.into_iter().map(|found| found as usize));
        }
        let names: Vec<String> = (0..self.classifier.classes()).map(|class| class.to_string()).collect();
        let labelled = Labelled::new(&names, &labels, &predicted).map_err(EncoderError::from)?;
        let scores = labelled.report(Averaged::Present);
        let metrics = vec![(ACCURACY.to_owned(), scores.accuracy), (MACRO_F1.to_owned(), scores.macro_f1)];
        Ok(SetScores { loss: loss / labels.len() as f64, metrics })
    }
}
