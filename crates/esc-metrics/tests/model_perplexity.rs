//! Perplexity through a model that gives every byte its own probability.

use std::ops::ControlFlow;
use std::sync::Arc;

use esc_metrics::perplexity::{Convention, Nll, Perplexity};
use esc_metrics::{Item, Measured, Metric, ModelPerplexity};
use llm_runtime::{
    ChatTemplate, Continuation, Error, Event, ModelIdentity, Prompt, Request, RequestError, RunStatistics, Score,
    ScoreRequest, TextModel,
};

/// A byte has probability 1/2 if it is a letter, 1/8 otherwise.
struct Bytes;

impl TextModel for Bytes {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity {
            name: "bytes".into(),
            sha256: "ab".repeat(32),
            dtype: String::new(),
            template_sha256: String::new(),
        }
    }

    fn template(&self) -> Option<&ChatTemplate> {
        None
    }

    fn generate(
        &mut self,
        _requests: &mut dyn Iterator<Item = Request>,
        _sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        Ok(RunStatistics::default())
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, Error> {
        Ok(requests.iter().map(score).collect())
    }
}

fn score(request: &ScoreRequest) -> Result<Score, RequestError> {
    let Continuation::Text(text) = &request.continuation else { unreachable!("texts are asked for") };
    if text.contains("too long") {
        return Err(RequestError::ContextTooLong { prompt: 1, new: text.len(), context: 4 });
    }
    let logprobs: Vec<f32> =
        text.bytes().map(|byte| if byte.is_ascii_alphabetic() { 0.5_f32.ln() } else { 0.125_f32.ln() }).collect();
    let sum = logprobs.iter().map(|logprob| f64::from(*logprob)).sum();
    Ok(Score { tokens: text.bytes().map(u32::from).collect(), logprobs, sum, attention: None })
}

#[test]
fn responses_count_by_their_tokens_and_empty_ones_not_at_all() {
    let metric = ModelPerplexity::new(Box::new(Bytes));
    assert_eq!(metric.signature(), "ppl|token|of:hypothesis|model:bytes@abababababab");
    let items = [Item::new("abc", "x"), Item::new("", "x"), Item::new("?", "x")];
    let measured = Measured::of(Arc::new(metric), &items).unwrap();
    let expected = ((3.0 * 2.0_f64.ln() + 8.0_f64.ln()) / 4.0).exp();
    assert!((measured.values()[0] - expected).abs() < 1e-6);
    assert!((measured.values_of(0)[0] - 2.0).abs() < 1e-6);
    assert!(measured.values_of(1)[0].is_nan());
}

#[test]
fn what_the_model_refuses_fails_the_score() {
    let items = [Item::new("fine", "x"), Item::new("too long", "x")];
    let failed = Measured::of(Arc::new(ModelPerplexity::new(Box::new(Bytes))), &items).err().unwrap();
    assert!(failed.to_string().starts_with("the model that scores: `too long`: "), "{failed}");
}

#[test]
fn any_convention_is_computed_from_a_models_scores() {
    let request = |text: &str| ScoreRequest::new(Prompt::Text("Hi".into()), Continuation::Text(text.into()));
    let nll = Nll::of_model(&mut Bytes, &[request("abc"), request("?")]).unwrap();
    assert_eq!((nll.responses(), nll.tokens()), (2, 4));
    let by_response = Perplexity::new(Convention::ResponseMean, None).unwrap();
    assert!((by_response.of(&nll).unwrap() - 5.0).abs() < 1e-6);
    assert!(Nll::of_model(&mut Bytes, &[request("")]).is_err());
}
