//! Preferences as a training objective over any [`SequenceModel`].
//!
//! The loss needs only two numbers of a pair from the policy, and its derivatives by them are known in closed form ([`Preference::evaluate`]). So what is
//! handed to the backward pass is `Σ c · log p(token)` with these derivatives `c` as constants, shifted to the loss's value: its gradient is that of the loss.
//! [`Passes`] says how much of the forward pass is kept until then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Tensor};
use llm_runtime::{TokenStatistic, TokenStatistics};
use serde::{Deserialize, Serialize};
use training::{Batches, Continuations, LossParts, Mode, Objective, Pass, SequenceModel, SetScores, TrainingError};

use crate::metrics::{BatchMetrics, TOKEN_PERPLEXITIES};
use crate::reference::{ask, continuations};
use crate::table::PairTable;
use crate::{DpoError, EncodedPair, PairBatch, PairSample, PairTokenLogProbs, Preference, RunningMean};

/// File of a checkpoint that holds what `bco` remembers.
const MEMORY_FILE: &str = "running_mean.json";

/// How much of the forward pass is kept for the backward pass. Gradients are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Passes {
    /// All of it: fastest.
    #[default]
    One,
    /// First a pass that keeps nothing and gives the coefficients, then forward and backward pair by pair: the memory of one pair.
    ByPair,
    /// As [`Self::ByPair`], completion by completion: the memory of one sequence; a prompt is computed for each of its completions.
    BySequence,
}

/// What is minimised, beside the preference itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreferenceOptions {
    /// Objective, β and all that belongs to it.
    pub preference: Preference,
    /// How much is kept for the backward pass.
    pub passes: Passes,
    /// Of tokens beyond the shorter completion's length, log-probabilities count so much (LD-DPO, arXiv 2409.06411), 0 to 1; `None` counts all alike.
    pub ld_alpha: Option<f64>,
    /// Weights each pair by how probable the policy finds both completions (WPO, arXiv 2406.11827).
    pub wpo: bool,
}

impl PreferenceOptions {
    /// Says which setting is out of range.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), DpoError> {
        if let Some(alpha) = self.ld_alpha.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
            return Err(DpoError::invalid(format!("ld_alpha is {alpha}; it must be from 0 to 1")));
        }
        self.preference.check()
    }
}

/// Preferences over a policy, held against a reference.
pub struct PreferenceObjective<P> {
    policy: Arc<P>,
    reference: Option<Arc<dyn SequenceModel + Send + Sync>>,
    options: PreferenceOptions,
    device: Device,
    memory: Mutex<RunningMean>,
    samples: Mutex<Option<Vec<PairSample>>>,
}

impl<P: SequenceModel + Send + Sync + 'static> PreferenceObjective<P> {
    /// `reference` is asked for batches that bring no answers of it; without either, objectives that need one fail. `device` is the policy's.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn new(
        policy: P,
        reference: Option<Arc<dyn SequenceModel + Send + Sync>>,
        options: PreferenceOptions,
        device: &Device,
    ) -> Result<Self, DpoError> {
        options.check()?;
        Ok(Self {
            policy: Arc::new(policy),
            reference,
            options,
            device: device.clone(),
            memory: Mutex::default(),
            samples: Mutex::default(),
        })
    }

    /// From now on notes what each pair gives; [`Self::take_samples`] hands it out.
    pub fn note_samples(&self) {
        lock(&self.samples).get_or_insert_default();
    }

    /// What was noted since the last call, in the order of the batches.
    pub fn take_samples(&self) -> Vec<PairSample> {
        lock(&self.samples).as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn reference_of(&self, batch: &PairBatch) -> Result<Option<Vec<Arc<PairTokenLogProbs>>>, DpoError> {
        match (&batch.reference, &self.reference) {
            (Some(known), _) => Ok(Some(known.clone())),
            (None, Some(model)) => Ok(Some(ask(model.as_ref(), &batch.pairs)?.into_iter().map(Arc::new).collect())),
            (None, None) if self.options.preference.needs_reference() => Err(DpoError::invalid(format!(
                "the objective `{}` needs a reference, and none is given",
                self.options.preference.losses
            ))),
            (None, None) => Ok(None),
        }
    }

    /// Log-probabilities of all completion tokens with history, and what else the logits say of them.
    fn policy_of(&self, batch: &PairBatch, pass: &Pass) -> Result<(Tensor, Vec<TokenStatistic>), TrainingError> {
        let groups: Vec<Vec<Piece>> = match (self.options.passes, pass.mode) {
            (Passes::One, _) | (_, Mode::Evaluate) => {
                let pieces = batch.pairs.iter().map(Piece::both).collect();
                return self.scored(pieces, pass);
            }
            (Passes::ByPair, _) => batch.pairs.iter().map(|pair| vec![Piece::both(pair)]).collect(),
            (Passes::BySequence, _) => batch.pairs.iter().flat_map(Piece::each).map(|piece| vec![piece]).collect(),
        };
        let (mut parts, mut statistics) = (Vec::new(), Vec::new());
        let count = groups.len() as u64;
        for (number, pieces) in groups.into_iter().enumerate() {
            let own = TokenStatistics::default();
            let section = self.section(pieces, part_of(pass, number as u64, count, own.clone()));
            parts.push(pass.sections.run(&Tensor::zeros(1, DType::F32, &self.device)?, section)?);
            statistics.extend(own.take());
        }
        Ok((Tensor::cat(&parts, 0)?, statistics))
    }

    fn scored(&self, pieces: Vec<Piece>, pass: &Pass) -> Result<(Tensor, Vec<TokenStatistic>), TrainingError> {
        let own = TokenStatistics::default();
        let pass = Pass { statistics: Some(own.clone()), ..pass.clone() };
        let batch: Vec<Continuations<'_>> = pieces.iter().map(Piece::continuations).collect();
        Ok((self.policy.token_log_probs(&batch, &pass)?, own.take()))
    }

    /// The forward pass over some sequences, to be run now and again in the backward pass. It has no input but the parameters.
    fn section(
        &self,
        pieces: Vec<Piece>,
        pass: Pass,
    ) -> impl Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static {
        let policy = self.policy.clone();
        move |_| {
            let batch: Vec<Continuations<'_>> = pieces.iter().map(Piece::continuations).collect();
            policy.token_log_probs(&batch, &pass).map_err(candle_core::Error::wrap)
        }
    }

    /// Evaluates the objective; held-out pairs leave what `bco` remembers as it is.
    fn evaluated(&self, table: &PairTable, mode: Mode) -> Result<crate::PairLosses, DpoError> {
        let mut memory = lock(&self.memory);
        let mut copy = *memory;
        let mut losses = self.options.preference.evaluate(&table.log_probs(), &mut copy)?;
        if mode != Mode::Evaluate {
            *memory = copy;
        }
        if self.options.wpo {
            table.weigh(&mut losses);
        }
        Ok(losses)
    }

    /// Loss, metrics and samples of a batch.
    fn of_batch(&self, batch: &PairBatch, pass: &Pass) -> Result<(LossParts, BatchMetrics), TrainingError> {
        let reference = self.reference_of(batch)?;
        let (log_probs, statistics) = self.policy_of(batch, pass)?;
        let values = log_probs.detach().to_vec1::<f32>()?;
        let table = PairTable::new(&batch.pairs, &values, reference.as_deref(), &statistics, self.options.ld_alpha)?;
        let losses = self.evaluated(&table, pass.mode)?;
        let coefficients = table.coefficients(&losses);
        let weighted = |(coefficient, value): (&f32, &f32)| f64::from(*coefficient) * f64::from(*value);
        let constant = losses.losses.iter().sum::<f64>() - coefficients.iter().zip(&values).map(weighted).sum::<f64>();
        let coefficients = Tensor::from_vec(coefficients, log_probs.dims(), log_probs.device())?;
        let sum = ((log_probs * coefficients)?.sum_all()? + constant)?;
        let metrics = BatchMetrics::new(&table, &losses, &self.options.preference);
        if let Some(samples) = lock(&self.samples).as_mut() {
            samples.extend(table.samples(&batch.examples, &losses));
        }
        let tokens = batch.pairs.iter().map(|pair| pair.tokens()).sum();
        let parts = LossParts { sum, weight: batch.pairs.len() as f64, tokens, metrics: metrics.metrics() };
        Ok((parts, metrics))
    }
}

impl<P: SequenceModel + Send + Sync + 'static> Objective for PreferenceObjective<P> {
    type Batch = PairBatch;

    fn loss(&self, batch: &PairBatch, pass: &Pass) -> Result<LossParts, TrainingError> {
        Ok(self.of_batch(batch, pass)?.0)
    }

    /// Means as in training, and perplexities over all tokens of the set: [`TOKEN_PERPLEXITIES`].
    fn evaluate(&self, batches: Batches<'_, PairBatch>) -> Result<SetScores, TrainingError> {
        let (mut loss, mut pairs) = (0.0, 0.0);
        let mut means: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        let mut tokens = [(0.0, 0.0); TOKEN_PERPLEXITIES.len()];
        for batch in batches {
            let (parts, metrics) = self.of_batch(&batch?, &Pass::evaluation())?;
            loss += f64::from(parts.sum.to_scalar::<f32>()?);
            pairs += parts.weight;
            for metric in &parts.metrics {
                let mean = means.entry(metric.name).or_default();
                *mean = (mean.0 + metric.sum, mean.1 + metric.weight);
            }
            for (sum, own) in tokens.iter_mut().zip(metrics.surprise()) {
                *sum = (sum.0 + own.0, sum.1 + own.1);
            }
        }
        let means = means.into_iter().map(|(name, (sum, weight))| (name.to_owned(), sum / weight));
        let perplexities = TOKEN_PERPLEXITIES.iter().zip(tokens).filter(|(_, (_, count))| *count > 0.0);
        let perplexities = perplexities.map(|(name, (sum, count))| ((*name).to_owned(), (sum / count).exp()));
        Ok(SetScores { loss: loss / pairs, metrics: means.chain(perplexities).collect() })
    }

    fn save(&self, folder: &Path) -> Result<(), TrainingError> {
        let path = folder.join(MEMORY_FILE);
        let text = serde_json::to_string(&*lock(&self.memory)).map_err(DpoError::invalid)?;
        Ok(std::fs::write(&path, text).map_err(DpoError::io(&path))?)
    }

    fn restore(&self, folder: &Path) -> Result<(), TrainingError> {
        let path = folder.join(MEMORY_FILE);
        let text = std::fs::read_to_string(&path).map_err(DpoError::io(&path))?;
        let damaged = |error: serde_json::Error| DpoError::Format {
            path: path.clone(),
            line: Some(error.line() as u64),
            problem: error.to_string(),
        };
        *lock(&self.memory) = serde_json::from_str(&text).map_err(damaged)?;
        Ok(())
    }

    fn end(&self) {
        self.policy.end();
    }
}

/// Some completions of one pair.
#[derive(Clone)]
struct Piece {
    pair: Arc<EncodedPair>,
    chosen: bool,
    rejected: bool,
}

impl Piece {
    fn both(pair: &Arc<EncodedPair>) -> Self {
        Self { pair: pair.clone(), chosen: true, rejected: true }
    }

    fn each(pair: &Arc<EncodedPair>) -> [Self; 2] {
        let both = Self::both(pair);
        [Self { rejected: false, ..both.clone() }, Self { chosen: false, ..both }]
    }

    fn continuations(&self) -> Continuations<'_> {
        let mut continuations = continuations(&self.pair);
        match (self.chosen, self.rejected) {
            (true, false) => continuations.sequences.truncate(1),
            (false, true) => drop(continuations.sequences.remove(0)),
            _ => {}
        }
        continuations
    }
}

/// A pass over one of `count` parts of a batch, with dropout masks of its own.
fn part_of(pass: &Pass, number: u64, count: u64, statistics: TokenStatistics) -> Pass {
    let mode = match pass.mode {
        Mode::Train(dropout) => {
            Mode::Train(llm_runtime::DropoutPass { pass: dropout.pass * count + number, ..dropout })
        }
        Mode::Evaluate => Mode::Evaluate,
    };
    Pass { mode, statistics: Some(statistics), ..pass.clone() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
