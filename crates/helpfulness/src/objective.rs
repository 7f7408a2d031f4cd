//! Training a preference model, as an objective of the workspace's training loop.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use training::{
    AdamWOptions, Batches, LossParts, Objective, ParameterGroup, Pass, SetScores, TrainerOptions, TrainingError, Warmup,
};

use crate::calibration::{Forecast, accuracy, calibration_error, rank_correlation};
use crate::{EncodedExchange, HelpfulnessError, PreferenceBatch, PreferenceModel, SMOOTHING, Votes, loss};

/// Names of the values of a held-out set: the mean divergence of the model from the annotators' distribution, `KL(p ‖ q)`.
pub const DIVERGENCE: &str = "divergence";
/// As [`DIVERGENCE`]: how often model and majority agree on whether a response is helpful.
pub const ACCURACY: &str = "accuracy";
/// As [`DIVERGENCE`]: rank correlation of the expected rating with the share of annotators who find a response helpful. Left out where it has no value.
pub const SPEARMAN: &str = "spearman";
/// As [`DIVERGENCE`]: [`crate::calibration_error`] of the helpful class.
pub const CALIBRATION_ERROR: &str = "calibration_error";

/// What the model's posterior is compared with. See [`loss`] for the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreferenceLoss {
    /// `KL(r ‖ q)` with the implicit posterior `r`: d-PM.
    #[default]
    Rq,
    /// `KL(q ‖ r)`.
    Qr,
    /// `−log Σ p q`.
    Combination,
    /// `KL(p ‖ q)` with the smoothed share of annotators.
    Soft,
    /// The class of most annotators. The published code takes the softmax twice here; this does not.
    Majority,
    /// The class that the only annotator chose: for responses of [`crate::PreferenceDataset::of_annotator`].
    Single,
}

/// All of them with their names.
const LOSSES: [(PreferenceLoss, &str); 6] = [
    (PreferenceLoss::Rq, "rq"),
    (PreferenceLoss::Qr, "qr"),
    (PreferenceLoss::Combination, "combination"),
    (PreferenceLoss::Soft, "soft"),
    (PreferenceLoss::Majority, "majority"),
    (PreferenceLoss::Single, "single"),
];

impl PreferenceLoss {
    /// The name of d-PM's variants: `rq`, `qr`, `combination`, `soft`, `majority`, `single`.
    pub fn name(self) -> &'static str {
        LOSSES.iter().find(|(loss, _)| *loss == self).map_or("rq", |(_, name)| name)
    }

    /// One value for each row, `[B]`.
    ///
    /// # Errors
    /// The votes do not fit the posterior, or the device fails.
    pub fn rows(self, log_q: &Tensor, votes: &[Votes]) -> Result<Tensor, HelpfulnessError> {
        let prior = |loss: fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>| -> Result<Tensor, HelpfulnessError> {
            let rows: Vec<Vec<f64>> = votes.iter().map(|votes| votes.prior(SMOOTHING)).collect();
            Ok(loss(log_q, &Tensor::new(rows, log_q.device())?.to_dtype(log_q.dtype())?)?)
        };
        let labels = |class: fn(&Votes) -> usize| -> Result<Tensor, HelpfulnessError> {
            let labels: Vec<u32> = votes.iter().map(|votes| class(votes) as u32).collect();
            Ok(loss::hard_label(log_q, &Tensor::new(labels, log_q.device())?)?)
        };
        match self {
            Self::Rq => prior(loss::posterior_forward),
            Self::Qr => prior(loss::posterior_reverse),
            Self::Combination => prior(loss::combination),
            Self::Soft => prior(loss::soft_label),
            Self::Majority => labels(Votes::majority),
            Self::Single => match votes.iter().find(|votes| votes.total() != 1) {
                None => labels(Votes::majority),
                Some(votes) => {
                    let problem = format!("a response with {} annotations: choose one annotator's", votes.total());
                    Err(HelpfulnessError::Invalid(problem))
                }
            },
        }
    }
}

impl fmt::Display for PreferenceLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PreferenceLoss {
    type Err = HelpfulnessError;

    fn from_str(text: &str) -> Result<Self, HelpfulnessError> {
        let found = LOSSES.iter().find(|(_, name)| *name == text).map(|(loss, _)| *loss);
        found.ok_or_else(|| {
            let names = LOSSES.map(|(_, name)| name).join(", ");
            HelpfulnessError::Invalid(format!("`{text}` is no loss of a preference model: expected one of {names}"))
        })
    }
}

/// Settings of d-PM as published: 6 epochs, 8 responses at a time (they are the batch of the marginal, too) and 4 times that for a step, 1e-4 with a warm-up
/// of 400 steps, weight decay 0.01 but for biases. The schedule counts steps (the published one counts passes, and so ends at 0.8 of its
/// peak), and held-out sets are scored after each epoch; the best of them stays.
pub fn published_options() -> TrainerOptions {
    let no_decay = ParameterGroup { contains: "bias".into(), weight_decay: Some(0.0), learning_rate_factor: 1.0 };
    TrainerOptions {
        epochs: 6.0,
        batch: 8,
        accumulate: 4,
        by_length: true,
        batches_per_pool: 100,
        drop_incomplete: true,
        learning_rate: 1e-4,
        warmup: Warmup::Steps(400),
        adamw: AdamWOptions { weight_decay: 0.01, groups: vec![no_decay], ..AdamWOptions::default() },
        evaluation_batch: 64,
        // A divergence may come near 0, and is no worse for being several times that.
        divergence_factor: 0.0,
        ..TrainerOptions::default()
    }
}

/// The mean loss of a preference model over responses.
pub struct PreferenceObjective {
    model: Arc<PreferenceModel>,
    loss: PreferenceLoss,
}

impl PreferenceObjective {
    /// For a model whose trained part are variables.
    pub fn new(model: Arc<PreferenceModel>, loss: PreferenceLoss) -> Self {
        Self { model, loss }
    }

    /// The summed loss of a batch and `log q`.
    fn forward(&self, batch: &PreferenceBatch, pass: &Pass) -> Result<(Tensor, Tensor), HelpfulnessError> {
        let inputs: Vec<&EncodedExchange> = batch.inputs.iter().collect();
        let log_q = self.model.log_posterior(&inputs, pass)?;
        Ok((self.loss.rows(&log_q, &batch.votes)?.sum_all()?, log_q))
    }
}

impl Objective for PreferenceObjective {
    type Batch = PreferenceBatch;

    fn loss(&self, batch: &PreferenceBatch, pass: &Pass) -> Result<LossParts, TrainingError> {
        let (sum, _) = self.forward(batch, pass)?;
        let tokens = batch.inputs.iter().map(EncodedExchange::token_count).sum();
        Ok(LossParts { sum, weight: batch.inputs.len() as f64, tokens, metrics: Vec::new() })
    }

    /// The loss is the mean over responses, with the marginal taken over each evaluation batch.
    fn evaluate(&self, batches: Batches<'_, PreferenceBatch>) -> Result<SetScores, TrainingError> {
        let (mut loss, mut scored) = (0.0, Vec::new());
        for batch in batches {
            let batch = batch?;
            let (sum, log_q) = self.forward(&batch, &Pass::evaluation())?;
            loss += f64::from(sum.to_scalar::<f32>()?);
            let posterior = log_q.exp()?.to_vec2::<f32>()?;
            scored.extend(posterior.into_iter().zip(batch.votes));
        }
        Ok(SetScores { loss: loss / scored.len() as f64, metrics: metrics(&scored) })
    }
}

/// Of posteriors and the votes on the same responses.
fn metrics(scored: &[(Vec<f32>, Votes)]) -> Vec<(String, f64)> {
    let divergence = |(posterior, votes): &(Vec<f32>, Votes)| -> f64 {
        let terms = votes.prior(SMOOTHING).into_iter().zip(posterior);
        terms.map(|(p, q)| p * (p / f64::from(*q).max(1e-30)).ln()).sum()
    };
    let forecasts: Vec<Forecast> =
        scored.iter().map(|(posterior, votes)| Forecast::of_votes(posterior, votes)).collect();
    let named = [
        (DIVERGENCE, Some(scored.iter().map(divergence).sum::<f64>() / scored.len() as f64)),
        (ACCURACY, accuracy(&forecasts)),
        (SPEARMAN, rank_correlation(&forecasts)),
        (CALIBRATION_ERROR, calibration_error(&forecasts, 10)),
    ];
    named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_have_names() {
        for (loss, name) in LOSSES {
            assert_eq!((loss.to_string().as_str(), name.parse::<PreferenceLoss>().unwrap()), (name, loss));
            assert_eq!(serde_json::to_value(loss).unwrap(), name);
        }
        let error = "em".parse::<PreferenceLoss>().unwrap_err().to_string();
        assert!(error.contains("rq, qr, combination, soft, majority, single"), "{error}");
    }

    #[test]
    fn a_perfect_model_has_perfect_values() {
        let votes = |counts: [usize; 2]| {
            let all = (0..2).flat_map(|class| vec![Some(class); counts[class]]).collect::<Vec<_>>();
            Votes::of(&all, 2).unwrap()
        };
        let posterior = |votes: &Votes| votes.prior(SMOOTHING).into_iter().map(|value| value as f32).collect();
        let scored: Vec<(Vec<f32>, Votes)> =
            [[5, 0], [4, 1], [1, 4]].map(votes).into_iter().map(|votes| (posterior(&votes), votes)).collect();
        let values: std::collections::BTreeMap<String, f64> = metrics(&scored).into_iter().collect();
        assert!(values[DIVERGENCE].abs() < 1e-6 && values[CALIBRATION_ERROR] < 0.02, "{values:?}");
        assert!(values[ACCURACY] == 1.0 && (values[SPEARMAN] - 1.0).abs() < 1e-12, "{values:?}");
    }
}
