//! Learning to answer with a memory, as an objective of the workspace's training loop.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::Tensor;
use llm_runtime::ops;
use seq2seq::TokenBatch;
use training::{Batches, LossParts, Metric, Mode, Objective, Pass, SetScores, TrainingError};

use crate::{MagicBatch, MagicGenerator, MemoryError, StrategyBank};

/// Names of the values that a step and a held-out set tell.
pub const GENERATION_LOSS: &str = "generation_loss";
/// As [`GENERATION_LOSS`]: how well the remembered vectors tell their strategy.
pub const STRATEGY_LOSS: &str = "strategy_loss";
/// As [`GENERATION_LOSS`].
pub const PERPLEXITY: &str = "perplexity";

/// Responses that are encoded together when the memory is refreshed.
const REFRESHED_AT_A_TIME: usize = 32;

/// MAGIC's loss: `L = L_gen + λ L_aux`, with the mean cross-entropy `L_gen` of the responses' tokens and that of the strategies `L_aux` of the
/// responses that the step remembers. `L_aux` trains the second encoder and the classifier only; `L_gen` all but the classifier.
///
/// In training each batch is written into the memory before it is read; held-out sets are only read.
pub struct MagicObjective {
    generator: Arc<MagicGenerator>,
    bank: Mutex<StrategyBank>,
    strategy_weight: f64,
    writes: bool,
}

/// The two losses of a batch.
pub struct MagicLosses {
    /// Sum over labels, a scalar with history.
    pub generation: Tensor,
    /// Number of labels.
    pub labels: usize,
    /// Mean over the rows that were written, a scalar with history; none where nothing was.
    pub strategy: Option<Tensor>,
    /// How many were.
    pub written: usize,
}

impl MagicObjective {
    /// For a generator whose parameters are variables, beginning with this memory. `strategy_weight` is λ, 0.2 as published.
    pub fn new(generator: Arc<MagicGenerator>, bank: StrategyBank, strategy_weight: f64) -> Self {
        Self { generator, bank: Mutex::new(bank), strategy_weight, writes: true }
    }

    /// With a memory that training only reads.
    pub fn with_frozen_bank(self) -> Self {
        Self { writes: false, ..self }
    }

    /// The memory as it is now.
    pub fn bank(&self) -> StrategyBank {
        self.locked().clone()
    }

    /// Gives each remembered response a vector of the generator as it is now: `tokens` are those of a text. Rows grow stale while what
    /// encodes them is trained.
    ///
    /// # Errors
    /// As `tokens`, and as [`MagicGenerator::remember`]. The memory is as before then.
    pub fn refresh(&self, tokens: impl Fn(&str) -> Result<Vec<u32>, MemoryError>) -> Result<(), MemoryError> {
        self.locked().refresh(|texts| {
            let vectors = texts.chunks(REFRESHED_AT_A_TIME).map(|texts| {
                let ids = texts.iter().map(|text| tokens(text)).collect::<Result<Vec<_>, _>>()?;
                let batch = TokenBatch::of(ids.iter().map(Vec::as_slice));
                // Without history, so that what a chunk needed is free again.
                Ok::<_, MemoryError>(self.generator.remember(&batch, &Pass::evaluation())?.detach())
            });
            Ok(Tensor::cat(&vectors.collect::<Result<Vec<_>, _>>()?, 0)?)
        })
    }

    fn locked(&self) -> MutexGuard<'_, StrategyBank> {
        self.bank.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what a batch adds, if this is training, then reads, and gives both losses.
    ///
    /// # Errors
    /// As [`MagicGenerator::forward`].
    pub fn losses(&self, batch: &MagicBatch, pass: &Pass) -> Result<MagicLosses, MemoryError> {
        // Also where this batch writes nothing: the rows of the one before are constants now.
        self.locked().detach();
        let strategy = match pass.mode {
            Mode::Train(_) if self.writes && !batch.remembered.is_empty() => Some(self.write(batch, pass)?),
            _ => None,
        };
        let log_probs = self.generator.label_log_probs(batch, &batch.memories(&self.locked())?, pass)?;
        let written = if strategy.is_some() { batch.remembered.len() } else { 0 };
        Ok(MagicLosses { generation: log_probs.sum_all()?.neg()?, labels: log_probs.dim(0)?, strategy, written })
    }

    /// Writes the batch's responses and gives the mean loss of their strategies.
    fn write(&self, batch: &MagicBatch, pass: &Pass) -> Result<Tensor, MemoryError> {
        let vectors = self.generator.remember(&batch.responses, pass)?;
        self.locked().write(batch.remembered.clone(), &vectors)?;
        let logits = self.generator.classifier().forward(&vectors)?;
        let targets: Vec<u32> = batch.remembered.iter().map(|(strategy, _)| *strategy as u32).collect();
        let targets = Tensor::new(targets, logits.device())?;
        Ok(ops::log_probs_of(&logits, &targets)?.mean_all()?.neg()?)
    }
}

impl Objective for MagicObjective {
    type Batch = MagicBatch;

    fn loss(&self, batch: &MagicBatch, pass: &Pass) -> Result<LossParts, TrainingError> {
        let losses = self.losses(batch, pass)?;
        let labels = losses.labels as f64;
        let value = |tensor: &Tensor| Ok::<f64, TrainingError>(f64::from(tensor.to_scalar::<f32>()?));
        let mut metrics = vec![Metric { name: GENERATION_LOSS, sum: value(&losses.generation)?, weight: labels }];
        let mut sum = losses.generation;
        if let Some(strategy) = losses.strategy {
            let written = losses.written as f64;
            metrics.push(Metric { name: STRATEGY_LOSS, sum: value(&strategy)? * written, weight: written });
            // Both are means; the sum is divided by the number of labels later.
            sum = (sum + (strategy * (self.strategy_weight * labels))?)?;
        }
        Ok(LossParts { sum, weight: labels, tokens: batch.tokens(), metrics })
    }

    /// The vector for empty lists is reached by who finds nothing, and what writes and tells strategies by a batch with histories.
    fn may_pass_by(&self, parameter: &str) -> bool {
        ["memory_enhance_module.", "strategy_encoder.", "strategy_cls."].iter().any(|part| parameter.starts_with(part))
    }

    fn save(&self, folder: &Path) -> Result<(), TrainingError> {
        Ok(self.locked().save(folder)?)
    }

    fn restore(&self, folder: &Path) -> Result<(), TrainingError> {
        let bank = StrategyBank::load(folder, self.generator.device())?;
        *self.locked() = bank;
        Ok(())
    }

    fn evaluate(&self, batches: Batches<'_, MagicBatch>) -> Result<SetScores, TrainingError> {
        let (mut sum, mut labels) = (0.0, 0.0);
        for batch in batches {
            let parts = self.loss(&batch?, &Pass::evaluation())?;
            sum += f64::from(parts.sum.to_scalar::<f32>()?);
            labels += parts.weight;
        }
        let loss = sum / labels;
        Ok(SetScores { loss, metrics: vec![(PERPLEXITY.to_owned(), loss.exp())] })
    }
}
