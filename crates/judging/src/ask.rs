//! Asking a judge: by reading what it writes, or by what it would most likely write.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use llm_runtime::{
    Completion, Continuation, Event, GenerationOptions, Message, Prompt, Request, RequestError, ScoreRequest, TextModel,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How a judge's opinion is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum Decision {
    /// The judge writes reasons and a verdict, which is read.
    Text {
        /// How it writes; each request gets its own seed, derived from this one.
        options: GenerationOptions,
    },
    /// Every possible verdict is scored as the judge's whole answer, and the likeliest counts. Nothing is written, every answer is valid, and the probabilities of all verdicts
    /// are known. Needs a model that scores.
    Likelihood,
}

impl Decision {
    /// Reasons and verdict in up to 1,024 tokens at the temperature 0.1 of the published comparison.
    pub fn text() -> Self {
        Self::Text {
            options: GenerationOptions { max_new_tokens: 1024, temperature: 0.1, ..GenerationOptions::default() },
        }
    }
}

/// What a judge is asked at a time, with all that belongs to an item.
pub(crate) struct Inquiry {
    /// The prompts; each is answered.
    pub(crate) prompts: Vec<Vec<Message>>,
    /// What the judge may answer, for [`Decision::Likelihood`].
    pub(crate) choices: Vec<String>,
}

/// What a judge answered to one prompt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// What it wrote.
    Text(String),
    /// Probabilities of the choices, which sum to 1.
    Probabilities(Vec<f64>),
    /// The request failed; the item has no opinion.
    Failed(RequestError),
}

/// Asks all inquiries and hands out the answers of each as soon as they are complete, in the order of finishing. Ends early if the sink breaks.
pub(crate) fn ask(
    inquiries: &[Inquiry],
    model: &mut dyn TextModel,
    decision: &Decision,
    sink: &mut dyn FnMut(usize, Vec<Answer>) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    match decision {
        Decision::Text { options } => ask_for_text(inquiries, model, options, sink),
        Decision::Likelihood => ask_for_likelihoods(inquiries, model, sink),
    }
}

fn ask_for_text(
    inquiries: &[Inquiry],
    model: &mut dyn TextModel,
    options: &GenerationOptions,
    sink: &mut dyn FnMut(usize, Vec<Answer>) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let places: Vec<(usize, usize)> = inquiries
        .iter()
        .enumerate()
        .flat_map(|(inquiry, own)| (0..own.prompts.len()).map(move |prompt| (inquiry, prompt)))
        .collect();
    let mut requests = places.iter().enumerate().map(|(key, (inquiry, prompt))| {
        let options = GenerationOptions { seed: options.seed.wrapping_add(key as u64), ..options.clone() };
        Request::new(key as u64, Prompt::Chat(inquiries[*inquiry].prompts[*prompt].clone()), options)
    });
    let mut collected: BTreeMap<usize, BTreeMap<usize, Answer>> = BTreeMap::new();
    let mut outcome = Ok(());
    model.generate(&mut requests, &mut |event| {
        let (key, answer) = match event {
            Event::Text { .. } => return ControlFlow::Continue(()),
            Event::Finished(Completion { key, text, .. }) => (key, Answer::Text(text)),
            Event::Failed { key, error } => (key, Answer::Failed(error)),
        };
        let Some((inquiry, prompt)) = usize::try_from(key).ok().and_then(|key| places.get(key)).copied() else {
            return ControlFlow::Continue(());
        };
        let answers = collected.entry(inquiry).or_default();
        answers.insert(prompt, answer);
        if answers.len() < inquiries[inquiry].prompts.len() {
            return ControlFlow::Continue(());
        }
        let answers = collected.remove(&inquiry).unwrap_or_default().into_values().collect();
        match sink(inquiry, answers) {
            Ok(flow) => flow,
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    outcome
}

fn ask_for_likelihoods(
    inquiries: &[Inquiry],
    model: &mut dyn TextModel,
    sink: &mut dyn FnMut(usize, Vec<Answer>) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    for (at, inquiry) in inquiries.iter().enumerate() {
        let requests: Vec<ScoreRequest> = inquiry
            .prompts
            .iter()
            .flat_map(|prompt| {
                let request = |choice: &String| {
                    ScoreRequest::new(Prompt::Chat(prompt.clone()), Continuation::Text(choice.clone()))
                };
                inquiry.choices.iter().map(request)
            })
            .collect();
        let scores = model.score(&requests)?;
        let answers = scores.chunks(inquiry.choices.len().max(1)).map(answer_of_scores).collect();
        if sink(at, answers)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Softmax of the choices' log-likelihoods.
fn answer_of_scores(scores: &[Result<llm_runtime::Score, RequestError>]) -> Answer {
    let sums: Result<Vec<f64>, &RequestError> = scores.iter().map(|score| Ok(score.as_ref()?.sum)).collect();
    match sums {
        Err(error) => Answer::Failed(error.clone()),
        Ok(sums) => {
            let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = sums.iter().map(|sum| (sum - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            Answer::Probabilities(weights.iter().map(|weight| weight / total).collect())
        }
    }
}
