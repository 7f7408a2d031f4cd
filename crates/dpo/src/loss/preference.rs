//! An objective with all its settings.

use serde::{Deserialize, Serialize};

use super::batch::Pair;
use crate::{Divergence, DpoError, Loss, LossMix, PairLogProbs, PairLosses, Rules, RunningMean};

/// A weighted sum of objectives and their settings.
///
/// ```
/// use dpo::{Loss, PairLogProbs, Preference, RunningMean};
/// let untrained = PairLogProbs {
///     policy_chosen: vec![-20.0],
///     policy_rejected: vec![-30.0],
///     reference_chosen: vec![-20.0],
///     reference_rejected: vec![-30.0],
///     chosen_tokens: vec![10],
///     rejected_tokens: vec![12],
/// };
/// let losses = Preference::from(Loss::Sigmoid).evaluate(&untrained, &mut RunningMean::default())?;
/// assert_eq!(losses.losses, [2f64.ln()]);
/// assert_eq!(losses.chosen_gradients, [-0.05]);
/// # Ok::<(), dpo::DpoError>(())
/// ```
///
/// **Rewards** are β·r. In a mix the first objective other than `sft` says more: with `ipo` before TRL 1 r is a mean over tokens; `cpo`
/// and `cpo-hinge` have β·π, `simpo`, `cpo-ipo` and `orpo` β·π/n.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preference {
    /// The objectives; DPO alone unless given.
    pub losses: LossMix,
    /// β, above 0: how strongly the policy is held to the reference. 0.1 unless given.
    pub beta: f64,
    /// ε, from 0 to ½: the share of labels that are taken to be wrong. 0 unless given.
    pub label_smoothing: f64,
    /// What Δ is made with. Only `sigmoid`, `robust`, `hinge`, `ipo`, `exo`, `discopop` and `sigmoid-norm` go by it.
    pub divergence: Divergence,
    /// Takes ρ = 0, in losses and in rewards.
    pub reference_free: bool,
    /// The weight of NLL added to the whole, above 0: the same as `sft` in the mix.
    pub rpo_alpha: Option<f64>,
    /// γ of `simpo`, the margin that a chosen completion shall have. 0.5 unless given.
    pub simpo_gamma: f64,
    /// α of `cpo` and its variants, the weight of NLL. 1 unless given.
    pub cpo_alpha: f64,
    /// τ of `discopop`, above 0 and at most 1. 0.05 unless given.
    pub discopop_tau: f64,
    /// Whose version of the objectives is meant.
    pub rules: Rules,
}

impl Default for Preference {
    fn default() -> Self {
        Self {
            losses: Loss::Sigmoid.into(),
            beta: 0.1,
            label_smoothing: 0.0,
            divergence: Divergence::ReverseKl,
            reference_free: false,
            rpo_alpha: None,
            simpo_gamma: 0.5,
            cpo_alpha: 1.0,
            discopop_tau: 0.05,
            rules: Rules::Trl011,
        }
    }
}

impl From<LossMix> for Preference {
    fn from(losses: LossMix) -> Self {
        Self { losses, ..Self::default() }
    }
}

impl From<Loss> for Preference {
    fn from(loss: Loss) -> Self {
        LossMix::from(loss).into()
    }
}

impl Preference {
    /// Whether the reference's log-probabilities are read.
    pub fn needs_reference(&self) -> bool {
        !self.reference_free && self.losses.parts().iter().any(|part| part.loss.needs_reference())
    }

    /// The losses of a batch, their gradients and rewards. All of `batch` counts for objectives that couple pairs. `memory` is what `bco`
    /// remembers of earlier batches; this one is added to it.
    ///
    /// # Errors
    /// Settings make no sense ([`check`](Self::check)); the batch is empty, its columns differ in length, a number is not finite, or a
    /// completion has no token.
    pub fn evaluate(&self, batch: &PairLogProbs, memory: &mut RunningMean) -> Result<PairLosses, DpoError> {
        self.check()?;
        let pairs = batch.pairs(self.needs_reference())?;
        let (chosen, rejected) = pairs.iter().map(|pair| self.rewards(pair)).unzip();
        let mut sum = PairLosses::of_rewards(chosen, rejected);
        let shared = self.shared(&pairs, memory);
        for part in self.losses.parts() {
            self.add_objective(part.loss, part.weight, &pairs, &shared, &mut sum);
        }
        if let Some(weight) = self.rpo_alpha {
            self.add_objective(Loss::Sft, weight, &pairs, &shared, &mut sum);
        }
        Ok(sum)
    }

    /// Refuses settings that make no sense, or that none of the objectives would heed.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), DpoError> {
        let has = |loss| self.losses.parts().iter().any(|part| part.loss == loss);
        let epsilon = self.label_smoothing;
        let above_zero = |value: f64| value.is_finite() && value > 0.0;
        let at_least_zero = |value: f64| value.is_finite() && value >= 0.0;
        self.divergence.check()?;
        let problem = if !above_zero(self.beta) {
            format!("beta is {}; it must be above 0", self.beta)
        } else if !(0.0..=0.5).contains(&epsilon) {
            format!("label smoothing is {epsilon}; it must be from 0 to 0.5")
        } else if has(Loss::Robust) && epsilon == 0.5 {
            "the loss `robust` divides by 1 - 2·(label smoothing), which must then be below 0.5".to_owned()
        } else if has(Loss::Exo) && epsilon == 0.0 && self.rules == Rules::Trl1 {
            "the loss `exo` needs label smoothing above 0 with the rules of trl-1; 0.001 is what trl-0.11 takes"
                .to_owned()
        } else if self.divergence != Divergence::ReverseKl && !self.uses_divergence() {
            format!("the divergence {} changes nothing in the loss `{}`", self.divergence, self.losses)
        } else if self.rpo_alpha.is_some_and(|alpha| !above_zero(alpha)) {
            "rpo_alpha must be above 0; leave it out for none".to_owned()
        } else if !at_least_zero(self.simpo_gamma) {
            format!("simpo_gamma is {}; it must not be below 0", self.simpo_gamma)
        } else if !at_least_zero(self.cpo_alpha) {
            format!("cpo_alpha is {}; it must not be below 0", self.cpo_alpha)
        } else if !(above_zero(self.discopop_tau) && self.discopop_tau <= 1.0) {
            format!("discopop_tau is {}; it must be above 0 and at most 1", self.discopop_tau)
        } else {
            return Ok(());
        };
        Err(DpoError::Invalid(problem))
    }

    fn uses_divergence(&self) -> bool {
        self.losses.parts().iter().any(|part| part.loss.uses_divergence())
    }

    /// Whether log-probabilities are means over tokens, with rewards and metrics that are made of them: `ipo` by the older rules.
    pub(crate) fn averages_log_probs(&self) -> bool {
        self.losses.leading() == Some(Loss::Ipo) && self.rules != Rules::Trl1
    }

    /// Of the chosen and the rejected completion.
    fn rewards(&self, pair: &Pair) -> (f64, f64) {
        let ratios = |pair: &Pair| (pair.chosen_ratio().value, pair.rejected_ratio().value);
        let log_probs = |pair: &Pair| (pair.policy_chosen.value, pair.policy_rejected.value);
        let (chosen, rejected) = match self.losses.leading() {
            _ if self.averages_log_probs() => ratios(&pair.averaged()),
            Some(Loss::Cpo | Loss::CpoHinge) => log_probs(pair),
            Some(Loss::Simpo | Loss::CpoIpo | Loss::Orpo) => log_probs(&pair.averaged()),
            _ => ratios(pair),
        };
        (self.beta * chosen, self.beta * rejected)
    }
}
