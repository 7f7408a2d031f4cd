//! d-PM: the preference model whose posterior over classes is trained on annotators who disagree (Wang et al., NeurIPS 2023, arXiv 2310.05782).

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::LinearLoader;
use text_encoder::TextEncoder;
use training::Pass;

use crate::loss::log_softmax;
use crate::score::{ResponseScorer, Score};
use crate::{EncodedExchange, HelpfulnessError, NetworkOptions, ResponseNetwork};

/// Where the trained part's names begin in a file.
pub(crate) const NAME: &str = "multi_prefix.posterior";

/// Probabilities of classes from helpful (0) to unhelpful (the last).
pub struct PreferenceModel {
    network: ResponseNetwork,
    classes: usize,
}

impl PreferenceModel {
    /// Takes what is trained from `loader`, under its published names (`multi_prefix.posterior.mlp.0`).
    ///
    /// # Errors
    /// There are fewer than two classes, or as [`ResponseNetwork::load`].
    pub fn load(
        encoder: Arc<TextEncoder>,
        loader: &dyn LinearLoader,
        options: &NetworkOptions,
        classes: usize,
    ) -> Result<Self, HelpfulnessError> {
        if classes < 2 {
            return Err(HelpfulnessError::Invalid(format!("{classes} classes: at least two can be told apart")));
        }
        Ok(Self { network: ResponseNetwork::load(encoder, loader, options, NAME, classes)?, classes })
    }

    /// The network.
    pub fn network(&self) -> &ResponseNetwork {
        &self.network
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// `log q`, `[inputs, classes]` f32.
    ///
    /// # Errors
    /// As [`ResponseNetwork::forward`].
    pub fn log_posterior(&self, inputs: &[&EncodedExchange], pass: &Pass) -> Result<Tensor, HelpfulnessError> {
        Ok(log_softmax(&self.network.forward(inputs, pass)?, 1)?)
    }
}

impl ResponseScorer for PreferenceModel {
    fn scores(&self, inputs: &[&EncodedExchange]) -> Result<Vec<Score>, HelpfulnessError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let posterior = self.log_posterior(inputs, &Pass::evaluation())?.exp()?.to_vec2::<f32>()?;
        Ok(posterior.into_iter().map(score_of).collect())
    }
}

/// The expected rating is `1 + 4·q_helpful / (q_helpful + q_unhelpful)`.
fn score_of(distribution: Vec<f32>) -> Score {
    let helpful = distribution.first().copied().unwrap_or(0.0);
    let unhelpfulness = distribution.last().copied().unwrap_or(0.0);
    let helpfulness = if distribution.len() == 2 { helpful } else { 1.0 - unhelpfulness };
    let either = helpful + unhelpfulness;
    let rating = if either > 0.0 { 1.0 + 4.0 * helpful / either } else { 3.0 };
    Score { distribution, helpfulness, unhelpfulness, rating }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_follow_from_the_outer_classes() {
        let two = score_of(vec![0.75, 0.25]);
        assert_eq!((two.helpfulness, two.unhelpfulness, two.rating), (0.75, 0.25, 4.0));
        let four = score_of(vec![0.5, 0.125, 0.125, 0.25]);
        assert_eq!((four.helpfulness, four.unhelpfulness), (0.75, 0.25));
        assert!((four.rating - (1.0 + 4.0 * 2.0 / 3.0)).abs() < 1e-6);
        assert_eq!(score_of(vec![0.0, 1.0, 0.0]).rating, 3.0);
    }
}
