//! Perplexity under a language model of [`llm_runtime`].

use std::sync::{Arc, Mutex, PoisonError};

use llm_runtime::{Continuation, Prompt, ScoreRequest, TextModel};

use crate::error::Error;
use crate::failure::Failure;
use crate::metric::{ItemView, Metric, Statistics};
use crate::perplexity::Nll;
use crate::tokenize::Tokenizer;

impl Nll {
    /// The negative log-likelihoods of continuations behind their prompts (a dialogue, say), in order, for any
    /// [`Convention`](crate::perplexity::Convention).
    ///
    /// # Errors
    /// The model fails, a request can't be served, or a continuation has no tokens.
    pub fn of_model(model: &mut dyn TextModel, requests: &[ScoreRequest]) -> Result<Self, Error> {
        let mut nll = Self::default();
        let scores = model.score(requests).map_err(Error::model)?;
        for (number, (score, request)) in scores.into_iter().zip(requests).enumerate() {
            let score = score.map_err(|error| Error::Model(format!("{}: {error}", named(number, request))))?;
            nll.push(-score.sum, score.logprobs.len())?;
        }
        Ok(nll)
    }
}

/// Names what is scored by how it begins: a number would be that of a slice.
fn named(number: usize, request: &ScoreRequest) -> String {
    match &request.continuation {
        Continuation::Text(text) => format!("`{}`", text.chars().take(40).collect::<String>()),
        Continuation::Tokens(_) => format!("continuation {}", number + 1),
    }
}

/// Perplexity of the hypotheses under a language model, each a text of its own behind the beginning-of-sequence token: how
/// usual they are, not how well they answer. exp(Σ nll / Σ tokens); empty ones are left out.
pub struct ModelPerplexity {
    model: Mutex<Box<dyn TextModel + Send>>,
    name: String,
    failure: Failure,
}

impl ModelPerplexity {
    /// Under this model.
    pub fn new(model: Box<dyn TextModel + Send>) -> Self {
        let identity = model.identity();
        let hash: String = identity.sha256.chars().take(12).collect();
        let name = if hash.is_empty() { identity.name } else { format!("{}@{hash}", identity.name) };
        Self { model: Mutex::new(model), name, failure: Failure::default() }
    }

    fn rows(&self, items: &[ItemView<'_>]) -> Result<Vec<Vec<f64>>, Error> {
        let has_text = |view: &&ItemView<'_>| !view.item.hypothesis.is_empty();
        let request = |view: &ItemView<'_>| {
            ScoreRequest::new(Prompt::Text(String::new()), Continuation::Text(view.item.hypothesis.clone()))
        };
        let requests: Vec<ScoreRequest> = items.iter().filter(has_text).map(request).collect();
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let scores = Nll::of_model(model.as_mut(), &requests)?;
        let mut scores = scores.of_each();
        let row = |view: &ItemView<'_>| match has_text(&view) {
            true => scores.next().map_or_else(|| vec![0.0, 0.0], |(sum, tokens)| vec![sum, tokens as f64]),
            false => vec![0.0, 0.0],
        };
        Ok(items.iter().map(row).collect())
    }
}

impl Metric for ModelPerplexity {
    fn signature(&self) -> String {
        format!("ppl|token|of:hypothesis|model:{}", self.name)
    }

    fn names(&self) -> Vec<String> {
        vec!["perplexity".to_owned()]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        None
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        self.measure_all(&[item]).pop().unwrap_or_else(|| vec![f64::NAN; 2])
    }

    fn measure_all(&self, items: &[ItemView<'_>]) -> Vec<Vec<f64>> {
        self.failure.rows_or_kept(items, 2, |slice| self.rows(slice))
    }

    fn values_of_sums(&self, sums: &[f64], _items: usize) -> Vec<f64> {
        match sums {
            [nll, tokens] if *tokens > 0.0 => vec![(nll / tokens).exp()],
            _ => vec![f64::NAN],
        }
    }

    fn complete(&self, _statistics: &mut Statistics) -> Result<(), Error> {
        self.failure.tell()
    }
}
