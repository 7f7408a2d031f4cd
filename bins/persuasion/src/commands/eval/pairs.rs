//! What log-probabilities of held-out pairs tell: accuracies, margins, perplexities, KL.

use std::collections::HashSet;

use dpo::PairTokenLogProbs;
use esc_metrics::interval::{Interval, Resampling, quantile};
use serde::Serialize;

/// All that is known of a pair.
pub(super) struct PairNumbers<'a> {
    pub(super) group: &'a str,
    /// Words of the chosen and of the rejected reply.
    pub(super) words: [usize; 2],
    pub(super) base: &'a PairTokenLogProbs,
    /// With the adapter, if there is one.
    pub(super) model: Option<Tuned<'a>>,
}

/// What the adapter adds.
pub(super) struct Tuned<'a> {
    pub(super) log_probs: &'a PairTokenLogProbs,
    pub(super) chosen_reward: f64,
    pub(super) rejected_reward: f64,
}

/// A number of the model with its adapter, and of its base.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct BySystem<T> {
    pub(super) base: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<T>,
}

/// A number with its interval, where several groups give one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
}

/// All that pairs tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PairEvaluation {
    pub(super) pairs: usize,
    /// Posts that they come from; intervals draw whole ones.
    pub(super) groups: usize,
    /// Share of pairs whose chosen reply has the higher reward; equal rewards are wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reward_accuracy: Option<Interval>,
    /// Reward of the chosen reply less that of the rejected one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reward_margin: Option<Interval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chosen_reward: Option<Interval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rejected_reward: Option<Interval>,
    /// What preferring the longer reply (in words) gives; a tie counts half.
    pub(super) longer_wins: Interval,
    /// How far the reward accuracy lies above that, pair by pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reward_accuracy_above_longer_wins: Option<Interval>,
    /// What preferring the reply with the higher mean log-probability of its tokens gives.
    pub(super) likelihood_accuracy: BySystem<Option<Interval>>,
    /// By how many words the chosen reply is longer.
    pub(super) by_length_difference: Vec<Quarter>,
    pub(super) chosen: SideEvaluation,
    pub(super) rejected: SideEvaluation,
}

/// A quarter of the pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Quarter {
    pub(super) name: String,
    pub(super) pairs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reward_accuracy: Option<f64>,
    pub(super) base_likelihood_accuracy: f64,
}

/// What the tokens of all chosen, or of all rejected replies tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SideEvaluation {
    pub(super) tokens: usize,
    /// exp of the mean surprise of a token, all tokens of all replies alike.
    pub(super) perplexity: BySystem<Option<Estimate>>,
    /// Perplexity with the adapter over perplexity without: how far the model drifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) perplexity_ratio: Option<Estimate>,
    /// The KL divergence from the base on these tokens: mean of e^−r − 1 + r, r = log-ratio of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kl: Option<f64>,
    /// Mean of −r.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mean_negative_log_ratio: Option<f64>,
}

impl PairEvaluation {
    /// Of these pairs; `None` if there are none.
    pub(super) fn of(pairs: &[PairNumbers<'_>], resampling: &Resampling) -> Option<Self> {
        let by_pair = |value: &dyn Fn(&PairNumbers<'_>) -> Option<f64>| {
            let values = pairs.iter().filter_map(|pair| Some((pair.group, value(pair)?)));
            Interval::by_group_with(values, resampling)
        };
        let above = |pair: &PairNumbers<'_>| Some(pair.is_rewarded()? - pair.is_longer());
        let model = by_pair(&|pair| pair.model_is_likelier());
        Some(Self {
            pairs: pairs.len(),
            groups: pairs.iter().map(|pair| pair.group).collect::<HashSet<_>>().len(),
            reward_accuracy: by_pair(&|pair| pair.is_rewarded()),
            reward_margin: by_pair(&|pair| {
                pair.model.as_ref().map(|model| model.chosen_reward - model.rejected_reward)
            }),
            chosen_reward: by_pair(&|pair| pair.model.as_ref().map(|model| model.chosen_reward)),
            rejected_reward: by_pair(&|pair| pair.model.as_ref().map(|model| model.rejected_reward)),
            longer_wins: by_pair(&|pair| Some(pair.is_longer()))?,
            reward_accuracy_above_longer_wins: by_pair(&above),
            likelihood_accuracy: BySystem {
                base: by_pair(&|pair| Some(is_likelier(pair.base))),
                model: model.map(Some),
            },
            by_length_difference: quarters(pairs),
            chosen: SideEvaluation::of(pairs, |log_probs| &log_probs.chosen, resampling),
            rejected: SideEvaluation::of(pairs, |log_probs| &log_probs.rejected, resampling),
        })
    }
}

impl PairNumbers<'_> {
    fn is_rewarded(&self) -> Option<f64> {
        self.model.as_ref().map(|model| share(model.chosen_reward > model.rejected_reward))
    }

    fn is_longer(&self) -> f64 {
        let [chosen, rejected] = self.words;
        if chosen == rejected { 0.5 } else { share(chosen > rejected) }
    }

    fn model_is_likelier(&self) -> Option<f64> {
        self.model.as_ref().map(|model| is_likelier(model.log_probs))
    }

    fn length_difference(&self) -> f64 {
        self.words[0] as f64 - self.words[1] as f64
    }
}

fn is_likelier(log_probs: &PairTokenLogProbs) -> f64 {
    let mean = |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
    share(mean(&log_probs.chosen) > mean(&log_probs.rejected))
}

fn share(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// The pairs in four parts of about the same size; pairs of the same difference are never parted, so that there may be fewer.
fn quarters(pairs: &[PairNumbers<'_>]) -> Vec<Quarter> {
    let mut differences: Vec<f64> = pairs.iter().map(PairNumbers::length_difference).collect();
    differences.sort_by(f64::total_cmp);
    let mut below = f64::NEG_INFINITY;
    let mut quarters = Vec::new();
    for end in [0.25, 0.5, 0.75, 1.0] {
        let Some(highest) = quantile(&differences, end) else { continue };
        let is_inside = |difference: f64| below < difference && difference <= highest;
        let inside: Vec<&PairNumbers<'_>> = pairs.iter().filter(|pair| is_inside(pair.length_difference())).collect();
        let (low, high) = inside
            .iter()
            .map(|pair| pair.length_difference())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), difference| {
                (low.min(difference), high.max(difference))
            });
        below = highest;
        if inside.is_empty() {
            continue;
        }
        let mean = |value: &dyn Fn(&PairNumbers<'_>) -> Option<f64>| {
            let sum: Option<f64> = inside.iter().map(|pair| value(pair)).sum();
            sum.map(|sum| sum / inside.len() as f64)
        };
        quarters.push(Quarter {
            name: if low == high { format!("{low:+} words") } else { format!("{low:+} to {high:+} words") },
            pairs: inside.len(),
            reward_accuracy: mean(&|pair| pair.is_rewarded()),
            base_likelihood_accuracy: mean(&|pair| Some(is_likelier(pair.base))).unwrap_or_default(),
        });
    }
    quarters
}

impl SideEvaluation {
    fn of(pairs: &[PairNumbers<'_>], side: fn(&PairTokenLogProbs) -> &Vec<f32>, resampling: &Resampling) -> Self {
        let base = || tokens(pairs, move |pair| Some(side(pair.base)));
        let model = || tokens(pairs, move |pair| pair.model.as_ref().map(|model| side(model.log_probs)));
        // Group and log-ratio of each token.
        let ratios: Vec<(&str, f64)> =
            base().zip(model()).map(|((group, base), (_, model))| (group, model - base)).collect();
        let exponential = |values: &mut dyn Iterator<Item = (&str, f64)>| {
            let mean = Interval::by_group_with(values, resampling)?;
            Some(Estimate { value: mean.mean.exp(), low: mean.low.map(f64::exp), high: mean.high.map(f64::exp) })
        };
        let mean = |value: fn(f64) -> f64| {
            let sum: f64 = ratios.iter().map(|(_, ratio)| value(*ratio)).sum();
            (!ratios.is_empty()).then(|| sum / ratios.len() as f64)
        };
        Self {
            tokens: base().count(),
            perplexity: BySystem {
                base: exponential(&mut base().map(surprise)),
                model: exponential(&mut model().map(surprise)).map(Some),
            },
            perplexity_ratio: exponential(&mut ratios.iter().copied().map(surprise)),
            kl: mean(|ratio| (-ratio).exp() - 1.0 + ratio),
            mean_negative_log_ratio: mean(|ratio| -ratio),
        }
    }
}

fn surprise((group, value): (&str, f64)) -> (&str, f64) {
    (group, -value)
}

/// Each token's log-probability with its group.
fn tokens<'a>(
    pairs: &'a [PairNumbers<'a>],
    of: impl Fn(&'a PairNumbers<'a>) -> Option<&'a Vec<f32>> + 'a,
) -> impl Iterator<Item = (&'a str, f64)> + 'a {
    let each = move |pair: &'a PairNumbers<'a>| {
        of(pair).into_iter().flatten().map(move |value| (pair.group, f64::from(*value)))
    };
    pairs.iter().flat_map(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_probs(chosen: &[f32], rejected: &[f32]) -> PairTokenLogProbs {
        PairTokenLogProbs { chosen: chosen.to_vec(), rejected: rejected.to_vec() }
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn numbers_are_those_of_a_pocket_calculator() {
        let base = [log_probs(&[-1.0, -3.0], &[-1.0]), log_probs(&[-1.0], &[-2.0, -4.0])];
        let tuned = [log_probs(&[-0.5, -2.5], &[-1.5]), log_probs(&[-2.0], &[-2.0, -3.0])];
        let rewards = [(0.1, -0.05), (-0.1, 0.1)];
        let pairs: Vec<PairNumbers<'_>> = (0..2)
            .map(|at| PairNumbers {
                group: ["p", "q"][at],
                words: [[7, 5], [4, 4]][at],
                base: &base[at],
                model: Some(Tuned {
                    log_probs: &tuned[at],
                    chosen_reward: rewards[at].0,
                    rejected_reward: rewards[at].1,
                }),
            })
            .collect();
        let found = PairEvaluation::of(&pairs, &Resampling::default()).unwrap();
        assert_eq!((found.pairs, found.groups), (2, 2));
        close(found.reward_accuracy.unwrap().mean, 0.5);
        assert_eq!(found.reward_accuracy.unwrap().ends(), Some((0.0, 1.0)));
        close(found.reward_margin.unwrap().mean, (0.15 - 0.2) / 2.0);
        close(found.longer_wins.mean, 0.75);
        close(found.reward_accuracy_above_longer_wins.unwrap().mean, -0.25);
        // Base: −2 against −1 is wrong, −1 against −3 is right. With the adapter: −1.5 against −1.5 is wrong, −2 against −2.5 is right.
        close(found.likelihood_accuracy.base.unwrap().mean, 0.5);
        close(found.likelihood_accuracy.model.unwrap().unwrap().mean, 0.5);
        close(found.chosen.perplexity.base.unwrap().value, (5f64 / 3.0).exp());
        close(found.chosen.perplexity.model.unwrap().unwrap().value, (5f64 / 3.0).exp());
        close(found.chosen.perplexity_ratio.unwrap().value, 1.0);
        let k3 = |ratio: f64| (-ratio).exp() - 1.0 + ratio;
        close(found.chosen.kl.unwrap(), (2.0 * k3(0.5) + k3(-1.0)) / 3.0);
        close(found.rejected.mean_negative_log_ratio.unwrap(), (0.5 - 1.0) / 3.0);
        close(found.rejected.perplexity_ratio.unwrap().value, (-0.5f64 / 3.0).exp());
        let told: Vec<_> = found.by_length_difference.iter().map(|part| (part.name.as_str(), part.pairs)).collect();
        assert_eq!(told, [("+0 words", 1), ("+2 words", 1)]);
    }

    #[test]
    fn a_model_without_adapter_has_no_rewards() {
        let base = log_probs(&[-1.0], &[-2.0]);
        let pair = PairNumbers { group: "p", words: [1, 2], base: &base, model: None };
        let found = PairEvaluation::of(&[pair], &Resampling::default()).unwrap();
        assert_eq!((found.reward_accuracy, found.chosen.kl, found.chosen.perplexity_ratio), (None, None, None));
        close(found.likelihood_accuracy.base.unwrap().mean, 1.0);
        assert_eq!(PairEvaluation::of(&[], &Resampling::default()), None);
    }
}
