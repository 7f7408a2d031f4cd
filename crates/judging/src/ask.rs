//! Asking a judge: by reading what it writes, or by what it would most likely write.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use llm_runtime::{
    Completion, Continuation, Event, GenerationOptions, Message, Prompt, Request, RequestError, Score, ScoreRequest,
    TextModel,
};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Inquiries whose choices are scored at a time: many enough to share the work, few enough to lose or to wait for.
const SCORED_AT_A_TIME: usize = 4;

/// How a judge's opinion is found.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The judge writes reasons and a verdict, which is read.
    Text {
        /// How it writes; each request gets its own seed, derived from this one and the item's id.
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

    /// How judgements name it; whatever changes them is in the name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Text { options: GenerationOptions { temperature, max_new_tokens, seed, .. } } => {
                format!("text, temperature {temperature}, at most {max_new_tokens} tokens, seed {seed}")
            }
            Self::Likelihood => "likelihood".to_owned(),
        }
    }
}

/// What a judge is asked at a time, with all that belongs to an item.
pub(crate) struct Inquiry {
    /// The item's id.
    pub(crate) id: String,
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

/// Takes the answers to an inquiry, by its number, as soon as they are complete; and `None` now and then before that, so that it can break.
pub(crate) type Sink<'a> = dyn FnMut(Option<(usize, Vec<Answer>)>) -> Result<ControlFlow<()>, Error> + 'a;

/// Asks all inquiries, in any order of finishing. Ends early if the sink breaks.
pub(crate) fn ask(
    inquiries: &[Inquiry],
    model: &mut dyn TextModel,
    decision: &Decision,
    sink: &mut Sink<'_>,
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
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let places: Vec<(usize, usize)> = inquiries
        .iter()
        .enumerate()
        .flat_map(|(inquiry, own)| (0..own.prompts.len()).map(move |prompt| (inquiry, prompt)))
        .collect();
    let mut requests = places.iter().enumerate().map(|(key, (inquiry, prompt))| {
        let Inquiry { id, prompts, .. } = &inquiries[*inquiry];
        let options = GenerationOptions { seed: seed(options.seed, id, *prompt), ..options.clone() };
        Request::new(key as u64, Prompt::Chat(prompts[*prompt].clone()), options)
    });
    let mut collected: BTreeMap<usize, BTreeMap<usize, Answer>> = BTreeMap::new();
    let mut failure = None;
    model.generate(&mut requests, &mut |event| {
        let complete = complete(event, &places, inquiries, &mut collected);
        sink(complete).unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failure.map_or(Ok(()), Err)
}

/// The answers to the inquiry that an event completes.
fn complete(
    event: Event,
    places: &[(usize, usize)],
    inquiries: &[Inquiry],
    collected: &mut BTreeMap<usize, BTreeMap<usize, Answer>>,
) -> Option<(usize, Vec<Answer>)> {
    let (key, answer) = match event {
        Event::Text { .. } => return None,
        Event::Finished(Completion { key, text, .. }) => (key, Answer::Text(text)),
        Event::Failed { key, error } => (key, Answer::Failed(error)),
    };
    let (inquiry, prompt) = places.get(usize::try_from(key).ok()?).copied()?;
    let answers = collected.entry(inquiry).or_default();
    answers.insert(prompt, answer);
    if answers.len() < inquiries[inquiry].prompts.len() {
        return None;
    }
    Some((inquiry, collected.remove(&inquiry)?.into_values().collect()))
}

/// The seed of one request. It does not depend on what else is asked, so that a call that was interrupted and gone on with asks the same; it is below 2^53,
/// so that servers read it exactly.
fn seed(base: u64, id: &str, prompt: usize) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(format!("{base}\u{1f}{prompt}\u{1f}{id}")));
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 11
}

fn ask_for_likelihoods(inquiries: &[Inquiry], model: &mut dyn TextModel, sink: &mut Sink<'_>) -> Result<(), Error> {
    for (number, chunk) in inquiries.chunks(SCORED_AT_A_TIME).enumerate() {
        let scores = model.score(&chunk.iter().flat_map(score_requests).collect::<Vec<_>>())?;
        let mut scores = scores.as_slice();
        for (at, inquiry) in chunk.iter().enumerate() {
            let (own, rest) = scores.split_at((inquiry.prompts.len() * inquiry.choices.len()).min(scores.len()));
            scores = rest;
            let answers = own.chunks(inquiry.choices.len().max(1)).map(answer_of_scores).collect();
            if sink(Some((number * SCORED_AT_A_TIME + at, answers)))?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Every choice as the answer to every prompt.
fn score_requests(inquiry: &Inquiry) -> impl Iterator<Item = ScoreRequest> {
    let request = |prompt: &Vec<Message>, choice: &String| {
        ScoreRequest::new(Prompt::Chat(prompt.clone()), Continuation::Text(choice.clone()))
    };
    inquiry.prompts.iter().flat_map(move |prompt| inquiry.choices.iter().map(move |choice| request(prompt, choice)))
}

/// Softmax of the choices' log-likelihoods.
fn answer_of_scores(scores: &[Result<Score, RequestError>]) -> Answer {
    let sums: Result<Vec<f64>, &RequestError> = scores.iter().map(|score| Ok(score.as_ref()?.sum)).collect();
    match sums {
        Err(error) => Answer::Failed(error.clone()),
        Ok(sums) => {
            let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = sums.iter().map(|sum| (sum - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            if !total.is_finite() || total <= 0.0 {
                // Local models say so themselves; a server may pass it on.
                return Answer::Failed(RequestError::Remote(format!("the choices' log-likelihoods are {sums:?}")));
            }
            Answer::Probabilities(weights.iter().map(|weight| weight / total).collect())
        }
    }
}
