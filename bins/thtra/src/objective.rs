//! What the first two stages minimise, and what a model is worth on held-out samples.
//!
//! The response and, in the second stage, the seeker's situation are two streams of one decoder over one pass of the encoder:
//! `L = L_response + w · L_situation`, each the mean cross-entropy of its labels. The strategy's token counts like any other.
//!
//! Held-out samples are scored as the published perplexities are: the strategy's token is not asked for, and no probability goes to strategy
//! tokens. What the decoder's first step gives to the eight of them is the strategy's distribution.

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::ops;
use seq2seq::{HiddenStates, Seq2SeqError, Seq2SeqModel, label_log_probs};
use training::{Batches, LossParts, Metric, Objective, Pass, SetScores, TrainingError};

use crate::batching::SampleBatch;
use crate::sample::DecoderStream;
use crate::strategy::Strategy;

/// What the situation's loss counts in the second stage.
pub const SITUATION_WEIGHT: f64 = 0.1;

const RESPONSE_LOSS: &str = "response_loss";
const SITUATION_LOSS: &str = "situation_loss";
/// The mean over samples of their mean cost, whose `exp` is the training perplexity that the published code logs.
const SAMPLE_LOSS: &str = "sample_loss";
const PERPLEXITY: &str = "perplexity";
const SITUATION_PERPLEXITY: &str = "situation_perplexity";
const TOP_1: &str = "strategy_accuracy";
const TOP_3: &str = "strategy_accuracy_top_3";

/// The loss of a stage.
pub struct StageObjective {
    model: Arc<Seq2SeqModel>,
    situation_weight: f64,
    first_strategy: Option<u32>,
}

/// What a model says of held-out samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleScores {
    /// For each sample the cost of its response's labels in nats, strategy left out, among all tokens but strategies.
    pub response_losses: Vec<Vec<f32>>,
    /// For each sample the eight logits of strategies at the first step; empty for a model without strategies.
    pub strategy_logits: Vec<Vec<f32>>,
    /// The cost of each label of the situations, in nats.
    pub situation_losses: Vec<f32>,
}

impl StageObjective {
    /// For a model whose last eight tokens are the strategies.
    ///
    /// # Errors
    /// Its vocabulary is smaller than that.
    pub fn new(model: Arc<Seq2SeqModel>) -> Result<Self, Seq2SeqError> {
        let vocabulary = model.config().vocabulary_size;
        let Some(first) = vocabulary.checked_sub(Strategy::ALL.len()).filter(|first| *first > 0) else {
            let problem = format!("a vocabulary of {vocabulary} tokens has no room for the eight strategies");
            return Err(Seq2SeqError::Invalid(problem));
        };
        Ok(Self { model, situation_weight: 0.0, first_strategy: Some(first as u32) })
    }

    /// For a model that knows of no strategies ([`crate::Layout::Vanilla`]).
    pub fn without_strategies(model: Arc<Seq2SeqModel>) -> Self {
        Self { model, situation_weight: 0.0, first_strategy: None }
    }

    /// With the situation as a second stream whose loss counts so much, e.g. [`SITUATION_WEIGHT`]; 0 leaves it out.
    pub fn with_situation(self, weight: f64) -> Self {
        Self { situation_weight: weight, ..self }
    }

    /// Costs and strategies of held-out samples, without dropout.
    ///
    /// # Errors
    /// A label is outside the vocabulary, a response has no label beside its strategy, or the device fails.
    pub fn scores(&self, batch: &SampleBatch) -> Result<SampleScores, Seq2SeqError> {
        let pass = Pass::evaluation();
        let memory = self.model.encoder().forward(&batch.response.inputs, &pass)?;
        let outputs = &batch.response.outputs;
        let states = self.model.decoder().forward(outputs, &memory, &pass)?;
        let firsts = first_rows(outputs.lengths());
        let mut labels = batch.response.labels.clone();
        if self.first_strategy.is_some() {
            firsts.iter().for_each(|first| labels[*first as usize] = None);
        }
        let losses = self.losses_without_strategies(&states, &labels)?;
        let (mut losses, mut asked) = (losses.into_iter(), labels.iter());
        let of_sample = |length: &usize| {
            let count = asked.by_ref().take(*length).flatten().count();
            losses.by_ref().take(count).collect()
        };
        Ok(SampleScores {
            response_losses: outputs.lengths().iter().map(of_sample).collect(),
            strategy_logits: self.strategy_logits(&states, &firsts)?,
            situation_losses: self.situation_losses(batch, &memory)?,
        })
    }

    /// `−log p(label)` of each label, among all tokens but strategies.
    fn losses_without_strategies(
        &self,
        states: &HiddenStates,
        labels: &[Option<u32>],
    ) -> Result<Vec<f32>, Seq2SeqError> {
        let Some(first_strategy) = self.first_strategy else {
            let log_probs = label_log_probs(self.model.head(), states.states(), labels, 0.0, None)?;
            return Ok(log_probs.neg()?.to_vec1()?);
        };
        let places = labels.iter().enumerate().filter_map(|(place, label)| Some((place as u32, (*label)?)));
        let (places, targets): (Vec<u32>, Vec<u32>) = places.unzip();
        if let Some(strategy) = targets.iter().find(|target| **target >= first_strategy) {
            let problem =
                format!("the label {strategy} inside a response is a strategy's token, or outside the vocabulary");
            return Err(Seq2SeqError::Invalid(problem));
        }
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let rows = states.states().index_select(&Tensor::new(places, states.states().device())?, 0)?;
        let logits = self.model.logits(&rows)?.narrow(1, 0, first_strategy as usize)?.contiguous()?;
        let targets = Tensor::new(targets, logits.device())?;
        Ok(ops::log_probs_of(&logits, &targets)?.neg()?.to_vec1()?)
    }

    fn strategy_logits(&self, states: &HiddenStates, firsts: &[u32]) -> Result<Vec<Vec<f32>>, Seq2SeqError> {
        let Some(first_strategy) = self.first_strategy else { return Ok(Vec::new()) };
        let rows = states.states().index_select(&Tensor::new(firsts, states.states().device())?, 0)?;
        Ok(self.model.logits(&rows)?.narrow(1, first_strategy as usize, Strategy::ALL.len())?.to_vec2()?)
    }

    fn situation_losses(&self, batch: &SampleBatch, memory: &HiddenStates) -> Result<Vec<f32>, Seq2SeqError> {
        match &batch.situation {
            Some(situation) if self.situation_weight > 0.0 => {
                Ok(self.situation_log_probs(situation, memory, &Pass::evaluation())?.neg()?.to_vec1()?)
            }
            _ => Ok(Vec::new()),
        }
    }

    fn situation_log_probs(
        &self,
        situation: &DecoderStream,
        memory: &HiddenStates,
        pass: &Pass,
    ) -> Result<Tensor, Seq2SeqError> {
        let states = self.model.decoder().forward(&situation.outputs, memory, pass)?;
        label_log_probs(self.model.head(), states.states(), &situation.labels, 0.0, pass.checkpoints.as_ref())
    }
}

/// The first row of each output.
fn first_rows(lengths: &[usize]) -> Vec<u32> {
    let starts = lengths.iter().scan(0, |next, length| {
        let start = *next;
        *next += length;
        Some(start as u32)
    });
    starts.collect()
}

impl Objective for StageObjective {
    type Batch = SampleBatch;

    fn loss(&self, batch: &SampleBatch, pass: &Pass) -> Result<LossParts, TrainingError> {
        let model = &self.model;
        let memory = model.encoder().forward(&batch.response.inputs, pass)?;
        let states = model.decoder().forward(&batch.response.outputs, &memory, pass)?;
        let labels = &batch.response.labels;
        let response = label_log_probs(model.head(), states.states(), labels, 0.0, pass.checkpoints.as_ref())?.neg()?;
        let count = batch.response.label_count() as f64;
        let mut sum = response.sum_all()?;
        let mut metrics = vec![
            Metric { name: RESPONSE_LOSS, sum: number(&sum)?, weight: count },
            Metric {
                name: SAMPLE_LOSS,
                sum: mean_losses(&response.to_vec1()?, batch).sum(),
                weight: batch.strategies.len() as f64,
            },
        ];
        let mut tokens = batch.response.inputs.ids().len() + batch.response.outputs.ids().len();
        if self.situation_weight > 0.0 {
            let situation = batch.situation.as_ref().ok_or_else(|| {
                let problem =
                    "a sample without a situation: prepare the layout `strat`, or give the situation a weight of 0";
                TrainingError::from(Seq2SeqError::Invalid(problem.to_owned()))
            })?;
            let losses = self.situation_log_probs(situation, &memory, pass)?.neg()?.sum_all()?;
            let situation_count = situation.labels.iter().flatten().count() as f64;
            metrics.push(Metric { name: SITUATION_LOSS, sum: number(&losses)?, weight: situation_count });
            // The sum is divided by the response's labels.
            sum = (sum + (losses * (self.situation_weight * count / situation_count))?)?;
            tokens += situation.outputs.ids().len();
        }
        Ok(LossParts { sum, weight: count, tokens, metrics })
    }

    fn evaluate(&self, batches: Batches<'_, SampleBatch>) -> Result<SetScores, TrainingError> {
        let (mut response, mut situation) = (Mean::default(), Mean::default());
        let (mut top_1, mut top_3) = (Mean::default(), Mean::default());
        for batch in batches {
            let batch = batch?;
            let scores = self.scores(&batch)?;
            scores.response_losses.iter().flatten().for_each(|loss| response.add(f64::from(*loss)));
            scores.situation_losses.iter().for_each(|loss| situation.add(f64::from(*loss)));
            for (logits, strategy) in scores.strategy_logits.iter().zip(&batch.strategies) {
                let place = ranked(logits).iter().position(|found| found == strategy).unwrap_or(usize::MAX);
                top_1.add(f64::from(place < 1));
                top_3.add(f64::from(place < 3));
            }
        }
        let loss = response.value().unwrap_or(f64::NAN);
        let mut metrics = vec![(PERPLEXITY.to_owned(), loss.exp())];
        let further =
            [(TOP_1, top_1.value()), (TOP_3, top_3.value()), (SITUATION_PERPLEXITY, situation.value().map(f64::exp))];
        metrics.extend(further.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Ok(SetScores { loss, metrics })
    }
}

/// The strategies by their logits, greatest first; among equals in the order of their tokens.
pub fn ranked(logits: &[f32]) -> Vec<Strategy> {
    let mut ranked: Vec<(f32, Strategy)> = logits.iter().copied().zip(Strategy::ALL).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().map(|(_, strategy)| strategy).collect()
}

/// The mean cost of the labels of each sample.
fn mean_losses(losses: &[f32], batch: &SampleBatch) -> impl Iterator<Item = f64> {
    let mut losses = losses.iter();
    let mut labels = batch.response.labels.iter();
    batch.response.outputs.lengths().iter().map(move |length| {
        let count = labels.by_ref().take(*length).flatten().count();
        losses.by_ref().take(count).map(|loss| f64::from(*loss)).sum::<f64>() / count.max(1) as f64
    })
}

fn number(scalar: &Tensor) -> Result<f64, TrainingError> {
    Ok(f64::from(scalar.to_scalar::<f32>()?))
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_are_ranked_by_logits_and_then_by_token() {
        let ranked = ranked(&[0.0, 2.0, -1.0, 2.0, 0.5, 0.0, -3.0, 1.0]);
        let places: Vec<usize> = ranked.into_iter().map(Strategy::index).collect();
        assert_eq!(places, [1, 3, 7, 4, 0, 5, 2, 6]);
    }
}
