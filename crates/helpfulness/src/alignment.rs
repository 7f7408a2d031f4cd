//! Alignment: better candidates become more probable, while the gold response stays probable.
//!
//! `L = w_rank · (L_rank + w_gold · L_gold) + w_lm · L_lm`, with [`crate::ranking`] on the scores that the model gives its candidates, and the mean cross-entropy
//! `L_lm` of the gold responses' tokens (Wang et al., NeurIPS 2023, arXiv 2310.05782).

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use training::{
    AdamWOptions, AdamWRule, Batches, Continuations, LossParts, Metric, Objective, ParameterGroup, Pass, Schedule,
    SequenceModel, SetScores, TrainerOptions, TrainingError, Warmup,
};

use crate::ranking::{Rank, gold_loss, ordered_share, ranking_loss};
use crate::{HelpfulnessError, RankedSample};

/// Names of the values that a step and a held-out set tell: the ranking loss.
pub const RANKING_LOSS: &str = "ranking_loss";
/// As [`RANKING_LOSS`]: the mean cross-entropy of the gold responses' tokens.
pub const LIKELIHOOD_LOSS: &str = "likelihood_loss";
/// As [`RANKING_LOSS`]: the share of pairs in which the better candidate has the higher score.
pub const ORDERED: &str = "ordered_pairs";
/// Of held-out sets: `exp` of [`LIKELIHOOD_LOSS`].
pub const PERPLEXITY: &str = "perplexity";

/// What the model gives a sequence: `Σ_t f(y_t) / (number of tokens)^α`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreMode {
    /// `f` is the probability of a token.
    #[default]
    Probability,
    /// `f` is its logarithm.
    Log,
}

/// Settings of alignment. The defaults are the published ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlignmentOptions {
    /// What candidates are ranked by.
    pub score: ScoreMode,
    /// `α`: 1 takes means, 0 sums.
    pub length_penalty: f64,
    /// Scores are multiplied by this before they are compared.
    pub scale: f64,
    /// Between candidates at distance 1.
    pub margin: f64,
    /// Between a candidate and the gold response.
    pub gold_margin: f64,
    /// Weight of the gold response's lead; 0 leaves it out.
    pub gold_weight: f64,
    /// Weight of the ranking.
    pub rank_weight: f64,
    /// Weight of the likelihood.
    pub likelihood_weight: f64,
}

impl Default for AlignmentOptions {
    fn default() -> Self {
        Self {
            score: ScoreMode::Probability,
            length_penalty: 1.0,
            scale: 1.0,
            margin: 0.001,
            gold_margin: 0.0,
            gold_weight: 0.0,
            rank_weight: 1.0,
            likelihood_weight: 1.0,
        }
    }
}

impl AlignmentOptions {
    /// Says which setting is out of range.
    ///
    /// # Errors
    /// A setting is negative or no number, or both weights are 0.
    pub fn check(&self) -> Result<(), HelpfulnessError> {
        let settings = [
            ("length penalty", self.length_penalty),
            ("scale", self.scale),
            ("margin", self.margin),
            ("gold margin", self.gold_margin),
            ("gold weight", self.gold_weight),
            ("rank weight", self.rank_weight),
            ("likelihood weight", self.likelihood_weight),
        ];
        if let Some((name, value)) = settings.into_iter().find(|(_, value)| !value.is_finite() || *value < 0.0) {
            return Err(HelpfulnessError::Invalid(format!("{name}: {value} is not a number of at least 0")));
        }
        if self.rank_weight == 0.0 && self.likelihood_weight == 0.0 {
            return Err(HelpfulnessError::Invalid("both weights are 0: there is nothing to learn".into()));
        }
        Ok(())
    }
}

/// Settings of the loop as published: one sample at a time and 16 for a step, 10 epochs, Noam's schedule with 5e-4 and 400, an evaluation every 400 steps,
/// and an end after more than 10 without a new best. Norms and biases are not decayed (in the published code norms are, by a slip of names).
pub fn published_alignment_options() -> TrainerOptions {
    let undecayed = |contains: &str| ParameterGroup {
        contains: contains.into(),
        weight_decay: Some(0.0),
        learning_rate_factor: 1.0,
    };
    let adamw = AdamWOptions {
        eps: 1e-6,
        weight_decay: 0.01,
        rule: AdamWRule::Transformers,
        groups: ["bias", "layer_norm", "layernorm"].map(undecayed).to_vec(),
        ..AdamWOptions::default()
    };
    TrainerOptions {
        epochs: 10.0,
        batch: 1,
        accumulate: 16,
        learning_rate: 5e-4,
        schedule: Schedule::Noam,
        warmup: Warmup::Steps(400),
        adamw,
        evaluate_every: 400,
        evaluation_batch: 16,
        patience: 11,
        ..TrainerOptions::default()
    }
}

/// Ranking and likelihood over any [`SequenceModel`].
pub struct AlignmentObjective<M> {
    model: M,
    options: AlignmentOptions,
}

/// What the model says of a batch.
pub struct AlignmentLosses {
    /// Scores of all candidates, `[candidates]`, those of the first sample first; with history. `None` if there is no candidate.
    pub candidates: Option<Tensor>,
    /// Whose they are.
    pub ranks: Vec<Rank>,
    /// Scores of the gold responses, `[samples]`, with history.
    pub gold: Tensor,
    /// The ranking loss with the gold response's lead, a scalar with history. `None` if there is no candidate.
    pub ranking: Option<Tensor>,
    /// Sum of the gold tokens' `−log p`, a scalar with history.
    pub likelihood: Tensor,
    /// Number of gold tokens.
    pub gold_tokens: usize,
}

impl<M: SequenceModel> AlignmentObjective<M> {
    /// For a model whose parameters are variables.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn new(model: M, options: AlignmentOptions) -> Result<Self, HelpfulnessError> {
        options.check()?;
        Ok(Self { model, options })
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Scores and losses of a batch.
    ///
    /// # Errors
    /// The batch does not fit the model, or the device fails.
    pub fn losses(&self, batch: &[RankedSample], pass: &Pass) -> Result<AlignmentLosses, TrainingError> {
        let log_probs = self.model.token_log_probs(&batch.iter().map(continuations).collect::<Vec<_>>(), pass)?;
        let (mut candidates, mut gold, mut likelihood) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = 0;
        for sample in batch {
            let own = log_probs.narrow(0, first, sample.gold.len())?;
            first += sample.gold.len();
            gold.push(self.score(&own)?);
            likelihood.push(own.sum_all()?);
            for candidate in &sample.candidates {
                candidates.push(self.score(&log_probs.narrow(0, first, candidate.len())?)?);
                first += candidate.len();
            }
        }
        let ranks = ranks_of(batch);
        let gold = Tensor::stack(&gold, 0)?;
        let candidates = (!candidates.is_empty()).then(|| Tensor::stack(&candidates, 0)).transpose()?;
        let ranking = candidates.as_ref().map(|scores| self.ranking(scores, &ranks, &gold)).transpose()?;
        Ok(AlignmentLosses {
            likelihood: Tensor::stack(&likelihood, 0)?.sum_all()?.neg()?,
            gold_tokens: batch.iter().map(|sample| sample.gold.len()).sum(),
            candidates,
            ranks,
            gold,
            ranking,
        })
    }

    fn score(&self, log_probs: &Tensor) -> Result<Tensor, candle_core::Error> {
        let count = log_probs.dim(0)? as f64;
        let terms = match self.options.score {
            ScoreMode::Probability => log_probs.exp()?,
            ScoreMode::Log => log_probs.clone(),
        };
        terms.sum_all()? * (self.options.scale / count.powf(self.options.length_penalty))
    }

    fn ranking(&self, scores: &Tensor, ranks: &[Rank], gold: &Tensor) -> Result<Tensor, candle_core::Error> {
        let ranking = ranking_loss(scores, ranks, self.options.margin)?;
        match self.options.gold_weight {
            0.0 => Ok(ranking),
            weight => ranking + (gold_loss(scores, ranks, gold, self.options.gold_margin)? * weight)?,
        }
    }
}

fn continuations(sample: &RankedSample) -> Continuations<'_> {
    let responses = std::iter::once(&sample.gold).chain(&sample.candidates);
    Continuations { context: &sample.context, sequences: responses.map(Vec::as_slice).collect() }
}

fn ranks_of(batch: &[RankedSample]) -> Vec<Rank> {
    let of_sample = |(sample, own): (usize, &RankedSample)| {
        (0..own.candidates.len()).map(move |rank| Rank { sample, rank }).collect::<Vec<_>>()
    };
    batch.iter().enumerate().flat_map(of_sample).collect()
}

impl<M: SequenceModel> Objective for AlignmentObjective<M> {
    type Batch = Vec<RankedSample>;

    /// The mean over samples: that of micro-batches of one sample each is the published loss.
    fn loss(&self, batch: &Vec<RankedSample>, pass: &Pass) -> Result<LossParts, TrainingError> {
        let losses = self.losses(batch, pass)?;
        let (samples, tokens) = (batch.len() as f64, losses.gold_tokens as f64);
        let value = |tensor: &Tensor| Ok::<f64, TrainingError>(f64::from(tensor.to_scalar::<f32>()?));
        let mut metrics = vec![Metric { name: LIKELIHOOD_LOSS, sum: value(&losses.likelihood)?, weight: tokens }];
        let mut mean = (&losses.likelihood * (self.options.likelihood_weight / tokens))?;
        if let (Some(scores), Some(ranking)) = (&losses.candidates, &losses.ranking) {
            metrics.push(Metric { name: RANKING_LOSS, sum: value(ranking)? * samples, weight: samples });
            if let Some(share) = ordered_share(&scores.detach(), &losses.ranks)? {
                metrics.push(Metric { name: ORDERED, sum: share * samples, weight: samples });
            }
            mean = (mean + (ranking * self.options.rank_weight)?)?;
        }
        Ok(LossParts { sum: (mean * samples)?, weight: samples, tokens: token_count(batch), metrics })
    }

    fn evaluate(&self, batches: Batches<'_, Vec<RankedSample>>) -> Result<SetScores, TrainingError> {
        let (mut loss, mut samples) = (0.0, 0.0);
        let mut sums = std::collections::BTreeMap::<&str, (f64, f64)>::new();
        for batch in batches {
            let parts = self.loss(&batch?, &Pass::evaluation())?;
            loss += f64::from(parts.sum.to_scalar::<f32>()?);
            samples += parts.weight;
            for Metric { name, sum, weight } in parts.metrics {
                let entry = sums.entry(name).or_default();
                *entry = (entry.0 + sum, entry.1 + weight);
            }
        }
        let mut metrics: Vec<(String, f64)> =
            sums.iter().map(|(name, (sum, weight))| ((*name).to_owned(), sum / weight)).collect();
        let likelihood = sums.get(LIKELIHOOD_LOSS).map(|(sum, weight)| (sum / weight).exp());
        metrics.extend(likelihood.map(|perplexity| (PERPLEXITY.to_owned(), perplexity)));
        Ok(SetScores { loss: loss / samples, metrics })
    }

    fn end(&self) {
        self.model.end();
    }
}

fn token_count(batch: &[RankedSample]) -> usize {
    let responses = |sample: &RankedSample| sample.candidates.iter().map(Vec::len).sum::<usize>();
    batch.iter().map(|sample| sample.context.len() + sample.gold.len() + responses(sample)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let error = |options: AlignmentOptions| options.check().unwrap_err().to_string();
        let negative = AlignmentOptions { margin: -0.1, ..AlignmentOptions::default() };
        assert_eq!(error(negative), "margin: -0.1 is not a number of at least 0");
        assert!(error(AlignmentOptions { scale: f64::NAN, ..AlignmentOptions::default() }).starts_with("scale"));
        let nothing = AlignmentOptions { rank_weight: 0.0, likelihood_weight: 0.0, ..AlignmentOptions::default() };
        assert!(error(nothing).contains("nothing to learn"));
        AlignmentOptions::default().check().unwrap();
        published_alignment_options().check().unwrap();
    }
}
