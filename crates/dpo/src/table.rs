//! The numbers of a batch of pairs, token by token, and what objectives and metrics take from them.

use std::sync::Arc;

use llm_runtime::TokenStatistic;
use serde::{Deserialize, Serialize};

use crate::reference::by_pair;
use crate::{DpoError, EncodedPair, PairLogProbs, PairLosses, PairTokenLogProbs};

/// What one pair gave in one pass; log-probabilities are sums over a completion's tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairSample {
    /// The pair's number in its set.
    pub example: usize,
    /// What it adds to the batch's loss.
    pub loss: f64,
    /// The chosen completion's reward.
    pub chosen_reward: f64,
    /// The rejected completion's reward.
    pub rejected_reward: f64,
    /// ln π(chosen | prompt).
    pub policy_logps_chosen: f64,
    /// ln π(rejected | prompt).
    pub policy_logps_rejected: f64,
    /// ln ρ(chosen | prompt), if there is a reference.
    pub reference_logps_chosen: Option<f64>,
    /// ln ρ(rejected | prompt), if there is a reference.
    pub reference_logps_rejected: Option<f64>,
    /// Tokens of the chosen completion.
    pub chosen_tokens: usize,
    /// Tokens of the rejected completion.
    pub rejected_tokens: usize,
    /// The policy's most probable token at each place of the chosen completion, given the tokens before it.
    #[serde(skip)]
    pub chosen_predicted: Vec<u32>,
    /// As `chosen_predicted`.
    #[serde(skip)]
    pub rejected_predicted: Vec<u32>,
}

/// One completion's tokens.
pub(crate) struct Completion {
    pub(crate) policy: Vec<f32>,
    pub(crate) reference: Option<Vec<f32>>,
    pub(crate) statistics: Vec<TokenStatistic>,
    /// Of the tokens themselves.
    pub(crate) ids: Vec<u32>,
    /// What each token counts, below 1 for surplus tokens of LD-DPO.
    weights: Vec<f64>,
}

impl Completion {
    fn sum(&self, values: &[f32]) -> f64 {
        values.iter().zip(&self.weights).map(|(value, weight)| f64::from(*value) * weight).sum()
    }

    pub(crate) fn policy_sum(&self) -> f64 {
        self.sum(&self.policy)
    }

    pub(crate) fn reference_sum(&self) -> Option<f64> {
        self.reference.as_deref().map(|values| self.sum(values))
    }

    /// `mean of (log p − ln Σ p²)`, with which WPO judges how likely the policy would say it.
    fn likeliness(&self) -> f64 {
        let tokens = self.policy.iter().zip(&self.statistics);
        let sum: f64 = tokens.map(|(value, row)| f64::from(*value) - f64::from(row.log_sum_squares)).sum();
        sum / self.policy.len() as f64
    }
}

/// Both completions of each pair.
pub(crate) struct PairTable {
    pub(crate) rows: Vec<[Completion; 2]>,
}

impl PairTable {
    /// `values` and `statistics` are of all tokens, chosen before rejected, pair by pair.
    pub(crate) fn new(
        pairs: &[Arc<EncodedPair>],
        values: &[f32],
        reference: Option<&[Arc<PairTokenLogProbs>]>,
        statistics: &[TokenStatistic],
        ld_alpha: Option<f64>,
    ) -> Result<Self, DpoError> {
        let tokens: usize = pairs.iter().map(|pair| pair.chosen.len() + pair.rejected.len()).sum();
        if values.len() != tokens || reference.is_some_and(|rows| rows.len() != pairs.len()) {
            return Err(DpoError::invalid(format!("{} log-probabilities for {tokens} tokens", values.len())));
        }
        let mut statistics = statistics.iter().copied();
        let mut rows = Vec::with_capacity(pairs.len());
        for (number, (pair, policy)) in pairs.iter().zip(by_pair(pairs, values)).enumerate() {
            let reference = reference.map(|rows| &rows[number]);
            let shorter = pair.chosen.len().min(pair.rejected.len());
            let mut completion = |ids: &[u32], policy: Vec<f32>, reference: Option<Vec<f32>>| {
                if reference.as_ref().is_some_and(|values| values.len() != ids.len()) {
                    return Err(DpoError::invalid("the reference's log-probabilities are of other completions"));
                }
                let weight = |place: usize| if place < shorter { 1.0 } else { ld_alpha.unwrap_or(1.0) };
                let weights = (0..ids.len()).map(weight).collect();
                let statistics = statistics.by_ref().take(ids.len()).collect();
                Ok(Completion { policy, reference, statistics, ids: ids.to_vec(), weights })
            };
            rows.push([
                completion(&pair.chosen, policy.chosen, reference.map(|row| row.chosen.clone()))?,
                completion(&pair.rejected, policy.rejected, reference.map(|row| row.rejected.clone()))?,
            ]);
        }
        Ok(Self { rows })
    }

    /// Sums by completion.
    pub(crate) fn log_probs(&self) -> PairLogProbs {
        let policy = |side: usize| self.rows.iter().map(|row| row[side].policy_sum()).collect();
        let reference = |side: usize| self.rows.iter().filter_map(|row| row[side].reference_sum()).collect();
        let tokens = |side: usize| self.rows.iter().map(|row| row[side].policy.len()).collect();
        PairLogProbs {
            policy_chosen: policy(0),
            policy_rejected: policy(1),
            reference_chosen: reference(0),
            reference_rejected: reference(1),
            chosen_tokens: tokens(0),
            rejected_tokens: tokens(1),
        }
    }

    /// WPO: losses and gradients times a constant weight, at most 1.
    pub(crate) fn weigh(&self, losses: &mut PairLosses) {
        for (number, [chosen, rejected]) in self.rows.iter().enumerate() {
            let weight = (chosen.likeliness() + rejected.likeliness()).exp().min(1.0);
            losses.losses[number] *= weight;
            losses.chosen_gradients[number] *= weight;
            losses.rejected_gradients[number] *= weight;
        }
    }

    /// The derivative of the summed loss by each token's log-probability.
    pub(crate) fn coefficients(&self, losses: &PairLosses) -> Vec<f32> {
        let gradients = losses.chosen_gradients.iter().zip(&losses.rejected_gradients);
        let rows = self.rows.iter().zip(gradients).flat_map(|([chosen, rejected], (of_chosen, of_rejected))| {
            [(chosen, *of_chosen), (rejected, *of_rejected)]
        });
        rows.flat_map(|(completion, gradient)| completion.weights.iter().map(move |weight| (weight * gradient) as f32))
            .collect()
    }

    pub(crate) fn samples(&self, examples: &[usize], losses: &PairLosses) -> Vec<PairSample> {
        let predicted = |completion: &Completion| completion.statistics.iter().map(|row| row.top).collect();
        let sample = |(number, ([chosen, rejected], example)): (usize, (&[Completion; 2], &usize))| PairSample {
            example: *example,
            loss: losses.losses[number],
            chosen_reward: losses.chosen_rewards[number],
            rejected_reward: losses.rejected_rewards[number],
            policy_logps_chosen: chosen.policy_sum(),
            policy_logps_rejected: rejected.policy_sum(),
            reference_logps_chosen: chosen.reference_sum(),
            reference_logps_rejected: rejected.reference_sum(),
            chosen_tokens: chosen.policy.len(),
            rejected_tokens: rejected.policy.len(),
            chosen_predicted: predicted(chosen),
            rejected_predicted: predicted(rejected),
        };
        self.rows.iter().zip(examples).enumerate().map(sample).collect()
    }
}
