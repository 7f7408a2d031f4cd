//! What is told of a batch of pairs, under the names of the published dashboard.

use training::Metric;

use crate::table::{Completion, PairTable};
use crate::{PairLosses, Preference};

/// Share of pairs whose chosen completion has the higher reward: what a held-out set is mostly judged by.
pub const REWARD_ACCURACY: &str = "rewards/accuracies";

/// Perplexities over all completion tokens of a set, beside the means over batches that the dashboard shows.
pub const TOKEN_PERPLEXITIES: [&str; 4] = [
    "perplexity_policy_tokens/chosen",
    "perplexity_policy_tokens/rejected",
    "perplexity_reference_tokens/chosen",
    "perplexity_reference_tokens/rejected",
];

/// Perplexities of a batch, policy before reference, chosen before rejected.
const PERPLEXITIES: [&str; 4] = [
    "perplexity_policy/chosen",
    "perplexity_policy/rejected",
    "perplexity_reference/chosen",
    "perplexity_reference/rejected",
];

/// Sums and weights of a batch.
pub(crate) struct BatchMetrics {
    metrics: Vec<Metric>,
    surprise: [(f64, f64); 4],
}

impl BatchMetrics {
    pub(crate) fn new(table: &PairTable, losses: &PairLosses, preference: &Preference) -> Self {
        let pairs = table.rows.len() as f64;
        let mut metrics = Vec::new();
        let mut mean = |name, sum: f64, weight: f64| metrics.push(Metric { name, sum, weight });
        let rewards = losses.chosen_rewards.iter().zip(&losses.rejected_rewards);
        mean("rewards/chosen", losses.chosen_rewards.iter().sum(), pairs);
        mean("rewards/rejected", losses.rejected_rewards.iter().sum(), pairs);
        mean(REWARD_ACCURACY, rewards.clone().filter(|(chosen, rejected)| chosen > rejected).count() as f64, pairs);
        mean("rewards/margins", rewards.map(|(chosen, rejected)| chosen - rejected).sum(), pairs);
        let names = [
            ["logps/chosen", "logits/chosen", "kl/chosen", "lengths/chosen", "token_accuracy/chosen"],
            ["logps/rejected", "logits/rejected", "kl/rejected", "lengths/rejected", "token_accuracy/rejected"],
        ];
        let (mut entropy, mut all_tokens) = (0.0, 0.0);
        for (side, [logps, logits, kl, lengths, token_accuracy]) in names.into_iter().enumerate() {
            let completions = || table.rows.iter().map(|row| &row[side]);
            let tokens: f64 = completions().map(|completion| completion.policy.len() as f64).sum();
            let log_prob = |completion: &Completion| match preference.averages_log_probs() {
                true => completion.policy_sum() / completion.policy.len().max(1) as f64,
                false => completion.policy_sum(),
            };
            mean(logps, completions().map(log_prob).sum(), pairs);
            mean(lengths, tokens, pairs);
            if let Some(sum) = completions().map(kl_to_reference).sum::<Option<f64>>() {
                mean(kl, sum, tokens);
            }
            let statistics = || completions().flat_map(|completion| completion.statistics.iter().zip(&completion.ids));
            if statistics().next().is_some() {
                mean(logits, statistics().map(|(row, _)| f64::from(row.mean_logit)).sum(), tokens);
                mean(token_accuracy, statistics().filter(|(row, id)| row.top == **id).count() as f64, tokens);
                entropy += statistics().map(|(row, _)| f64::from(row.entropy)).sum::<f64>();
                all_tokens += tokens;
            }
        }
        if all_tokens > 0.0 {
            mean("entropy", entropy, all_tokens);
        }
        let surprise = surprise(table);
        // The cross-entropy of the chosen completions, where it is a part of the loss.
        if preference.rpo_alpha.is_some() {
            let (chosen, tokens) = surprise[0];
            mean("nll_loss", chosen, tokens);
        }
        for (name, (sum, tokens)) in PERPLEXITIES.into_iter().zip(surprise).filter(|(_, (_, tokens))| *tokens > 0.0) {
            mean(name, (sum / tokens).exp(), 1.0);
        }
        Self { metrics, surprise }
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.metrics.clone()
    }

    /// For each of [`TOKEN_PERPLEXITIES`] the sum of `−log p` and the number of tokens.
    pub(crate) fn surprise(&self) -> [(f64, f64); 4] {
        self.surprise
    }
}

/// Log-probabilities of a completion's tokens by one of both models.
type Values = fn(&Completion) -> Option<&Vec<f32>>;

fn surprise(table: &PairTable) -> [(f64, f64); 4] {
    let of = |side: usize, values: Values| {
        let all = || table.rows.iter().filter_map(move |row| values(&row[side])).flatten();
        (-all().map(|value| f64::from(*value)).sum::<f64>(), all().count() as f64)
    };
    let (policy, reference): (Values, Values) =
        (|completion| Some(&completion.policy), |completion| completion.reference.as_ref());
    [of(0, policy), of(1, policy), of(0, reference), of(1, reference)]
}

/// `Σ (e^−r − 1 + r)` with `r` = log-ratio of policy and reference of a token: an estimate of the policy's KL divergence from the reference that is never
/// negative (k3 of Schulman's "Approximating KL Divergence"). Tokens are those of the data, not of the policy.
fn kl_to_reference(completion: &Completion) -> Option<f64> {
    let reference = completion.reference.as_ref()?;
    let ratios = completion.policy.iter().zip(reference).map(|(policy, reference)| f64::from(policy - reference));
    Some(ratios.map(|ratio| (-ratio).exp() - 1.0 + ratio).sum())
}
