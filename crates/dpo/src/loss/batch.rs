//! What an objective reads of a batch of pairs, and what it gives back.

use super::dual::Dual;
use crate::DpoError;

/// A batch of B pairs: per pair the summed log-probabilities of its two completions, and their lengths.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairLogProbs {
    /// ln π(chosen | prompt), summed over the completion's tokens.
    pub policy_chosen: Vec<f64>,
    /// ln π(rejected | prompt), summed likewise.
    pub policy_rejected: Vec<f64>,
    /// The same under the reference. May be empty for objectives that need no reference.
    pub reference_chosen: Vec<f64>,
    /// The same under the reference. May be empty for objectives that need no reference.
    pub reference_rejected: Vec<f64>,
    /// Scored tokens of the chosen completions, at least 1.
    pub chosen_tokens: Vec<usize>,
    /// Scored tokens of the rejected completions, at least 1.
    pub rejected_tokens: Vec<usize>,
}

/// The losses of a batch of B pairs and what each contributes to the gradient.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairLosses {
    /// One per pair; their mean is the batch's loss. Where an objective couples pairs, a loss stands at the pair of its chosen completion.
    pub losses: Vec<f64>,
    /// ∂(Σ losses)/∂ `policy_chosen[i]`; divided by B it is the derivative of the batch's loss.
    pub chosen_gradients: Vec<f64>,
    /// ∂(Σ losses)/∂ `policy_rejected[i]`.
    pub rejected_gradients: Vec<f64>,
    /// The implicit rewards β·r_w, or what the objective has in their place (see [`Preference`](crate::Preference)).
    pub chosen_rewards: Vec<f64>,
    /// The implicit rewards β·r_l, or what the objective has in their place.
    pub rejected_rewards: Vec<f64>,
}

/// A pair as the formulas have it; derivatives are by the summed log-probabilities.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) policy_chosen: Dual,
    pub(crate) policy_rejected: Dual,
    pub(crate) reference_chosen: f64,
    pub(crate) reference_rejected: f64,
    pub(crate) chosen_tokens: f64,
    pub(crate) rejected_tokens: f64,
}

impl Pair {
    /// r_w.
    pub(crate) fn chosen_ratio(&self) -> Dual {
        self.policy_chosen - self.reference_chosen
    }

    /// r_l.
    pub(crate) fn rejected_ratio(&self) -> Dual {
        self.policy_rejected - self.reference_rejected
    }

    /// With means over tokens in place of sums.
    pub(crate) fn averaged(&self) -> Self {
        let (of_chosen, of_rejected) = (1.0 / self.chosen_tokens, 1.0 / self.rejected_tokens);
        Self {
            policy_chosen: self.policy_chosen * of_chosen,
            policy_rejected: self.policy_rejected * of_rejected,
            reference_chosen: self.reference_chosen * of_chosen,
            reference_rejected: self.reference_rejected * of_rejected,
            ..*self
        }
    }
}

impl PairLogProbs {
    /// The pairs, with a reference of log-probability 0 if there shall be none.
    pub(crate) fn pairs(&self, with_reference: bool) -> Result<Vec<Pair>, DpoError> {
        self.check(with_reference)?;
        let reference = |values: &[f64], row: usize| match with_reference {
            true => values[row],
            false => 0.0,
        };
        let pair = |row: usize| Pair {
            policy_chosen: Dual::chosen(self.policy_chosen[row]),
            policy_rejected: Dual::rejected(self.policy_rejected[row]),
            reference_chosen: reference(&self.reference_chosen, row),
            reference_rejected: reference(&self.reference_rejected, row),
            chosen_tokens: self.chosen_tokens[row] as f64,
            rejected_tokens: self.rejected_tokens[row] as f64,
        };
        Ok((0..self.policy_chosen.len()).map(pair).collect())
    }

    fn check(&self, with_reference: bool) -> Result<(), DpoError> {
        let pairs = self.policy_chosen.len();
        if pairs == 0 {
            return Err(DpoError::invalid("a batch without pairs has no loss"));
        }
        let mut columns = vec![("policy_chosen", &self.policy_chosen), ("policy_rejected", &self.policy_rejected)];
        if with_reference {
            columns.push(("reference_chosen", &self.reference_chosen));
            columns.push(("reference_rejected", &self.reference_rejected));
        }
        for (name, values) in columns {
            same_length(name, values.len(), pairs)?;
            if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                let problem = format!("{name} of pair {row} is {}, not a log-probability", values[row]);
                return Err(DpoError::Invalid(problem));
            }
        }
        for (name, counts) in [("chosen_tokens", &self.chosen_tokens), ("rejected_tokens", &self.rejected_tokens)] {
            same_length(name, counts.len(), pairs)?;
            if let Some(row) = counts.iter().position(|count| *count == 0) {
                return Err(DpoError::invalid(format!("{name} of pair {row} is 0: a completion needs a token")));
            }
        }
        Ok(())
    }
}

fn same_length(name: &str, length: usize, pairs: usize) -> Result<(), DpoError> {
    if length == pairs {
        return Ok(());
    }
    Err(DpoError::invalid(format!("{name} holds {length} numbers for {pairs} pairs")))
}

impl PairLosses {
    /// The batch's loss.
    pub fn mean(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len().max(1) as f64
    }

    /// No losses yet, of pairs with these rewards.
    pub(crate) fn of_rewards(chosen_rewards: Vec<f64>, rejected_rewards: Vec<f64>) -> Self {
        let zeros = vec![0.0; chosen_rewards.len()];
        Self {
            losses: zeros.clone(),
            chosen_gradients: zeros.clone(),
            rejected_gradients: zeros,
            chosen_rewards,
            rejected_rewards,
        }
    }

    /// Adds a loss of the pairs in these two places, which may differ.
    pub(crate) fn add(&mut self, chosen: usize, rejected: usize, loss: Dual) {
        self.losses[chosen] += loss.value;
        self.chosen_gradients[chosen] += loss.by_chosen;
        self.rejected_gradients[rejected] += loss.by_rejected;
    }
}
