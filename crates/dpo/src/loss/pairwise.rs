//! The objectives of a single pair, given what the batch has in common.

use super::batch::Pair;
use super::coupled::Shared;
use super::dual::Dual;
use crate::{Loss, Preference, Rules};

impl Preference {
    /// The loss of a pair. The optimal-transport objectives differ from `sigmoid` only in which completions they put together.
    pub(crate) fn loss_of(&self, loss: Loss, pair: &Pair, shared: &Shared) -> Dual {
        let beta = self.beta;
        let chosen = || pair.chosen_ratio() * beta;
        let rejected = || pair.rejected_ratio() * beta;
        let margin = || self.margin(pair) * beta;
        match loss {
            Loss::Sigmoid if self.rules == Rules::Trl1 => -margin().log_sigmoid(),
            Loss::Sigmoid => self.smoothed(margin()),
            Loss::Robust => self.robust(margin()),
            Loss::Hinge => hinge(margin()),
            Loss::Ipo => self.squared(self.averaged_margin(pair)),
            Loss::Exo => self.exo(margin()),
            Loss::Nca => {
                let (chosen, rejected) = (chosen(), rejected());
                -chosen.log_sigmoid() - (-chosen).log_sigmoid() * 0.5 - (-rejected).log_sigmoid() * 0.5
            }
            Loss::Bco => {
                let shift = shared.mean_reward;
                -(chosen() - shift).log_sigmoid() - (-(rejected() - shift)).log_sigmoid()
            }
            Loss::Sppo => self.squared(pair.chosen_ratio()) + self.squared(-pair.rejected_ratio()),
            Loss::Aot | Loss::AotUnpaired => self.smoothed((pair.chosen_ratio() - pair.rejected_ratio()) * beta),
            Loss::ApoZero => (-chosen()).sigmoid() + rejected().sigmoid(),
            Loss::ApoDown => chosen().sigmoid() + (rejected() - chosen()).sigmoid(),
            Loss::KtoPair => {
                let chosen = (-chosen() + beta * shared.rejected_kl).sigmoid();
                let rejected = (rejected() - beta * shared.chosen_kl).sigmoid();
                (chosen + rejected) * 0.5
            }
            Loss::Discopop => self.discopop(margin()),
            Loss::SigmoidNorm => -(self.averaged_margin(pair) * beta).log_sigmoid(),
            Loss::Sft => shared.cross_entropy,
            Loss::Simpo => self.smoothed(policy_margin(&pair.averaged()) * beta - self.simpo_gamma),
            Loss::Cpo => self.smoothed(policy_margin(pair) * beta) + shared.cross_entropy * self.cpo_alpha,
            Loss::CpoHinge => hinge(policy_margin(pair) * beta) + shared.cross_entropy * self.cpo_alpha,
            Loss::CpoIpo => self.squared(policy_margin(&pair.averaged())) + shared.cross_entropy * self.cpo_alpha,
            Loss::Orpo => shared.cross_entropy - log_odds_ratio(&pair.averaged()).log_sigmoid() * beta,
        }
    }

    /// Δ, or its likeness under another divergence.
    fn margin(&self, pair: &Pair) -> Dual {
        let score = |ratio| self.divergence.score(ratio, self.rules);
        score(pair.chosen_ratio()) - score(pair.rejected_ratio())
    }

    /// Δ of means over tokens. TRL before 1 averages log-probabilities, TRL 1 scores.
    fn averaged_margin(&self, pair: &Pair) -> Dual {
        if self.rules != Rules::Trl1 {
            return self.margin(&pair.averaged());
        }
        let score = |ratio| self.divergence.score(ratio, self.rules);
        score(pair.chosen_ratio()) * (1.0 / pair.chosen_tokens)
            - score(pair.rejected_ratio()) * (1.0 / pair.rejected_tokens)
    }

    /// −(1−ε)·ls(x) − ε·ls(−x).
    fn smoothed(&self, x: Dual) -> Dual {
        let epsilon = self.label_smoothing;
        -x.log_sigmoid() * (1.0 - epsilon) - (-x).log_sigmoid() * epsilon
    }

    fn robust(&self, x: Dual) -> Dual {
        let epsilon = self.label_smoothing;
        ((-x).log_sigmoid() * epsilon - x.log_sigmoid() * (1.0 - epsilon)) * (1.0 / (1.0 - 2.0 * epsilon))
    }

    /// (x − 1/(2β))².
    fn squared(&self, x: Dual) -> Dual {
        (x - 0.5 / self.beta).square()
    }

    fn exo(&self, x: Dual) -> Dual {
        const LEAST_SMOOTHING: f64 = 1e-3;
        let epsilon = if self.label_smoothing == 0.0 { LEAST_SMOOTHING } else { self.label_smoothing };
        let divergence = |x: Dual, target: f64| x.sigmoid() * (x.log_sigmoid() - target.ln());
        divergence(x, 1.0 - epsilon) + divergence(-x, epsilon)
    }

    /// The exponential part is multiplied by m in logarithms: e^(−x) alone would overflow where m vanishes.
    fn discopop(&self, x: Dual) -> Dual {
        let modulated = x * (1.0 / self.discopop_tau);
        let exponential = (modulated.log_sigmoid() - x).exp_capped(f64::INFINITY);
        -x.log_sigmoid() * (-modulated).sigmoid() + exponential
    }
}

fn hinge(x: Dual) -> Dual {
    (-x + 1.0).positive_part()
}

/// π_w − π_l.
fn policy_margin(pair: &Pair) -> Dual {
    pair.policy_chosen - pair.policy_rejected
}

fn log_odds_ratio(pair: &Pair) -> Dual {
    policy_margin(pair) - (pair.policy_chosen.log_complement() - pair.policy_rejected.log_complement())
}
