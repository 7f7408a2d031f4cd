//! Scores by a server: it tokenises, and tells the log-probabilities of the tokens it echoes.
//!
//! The tokens come from vLLM's `/tokenize`, so that chats are rendered by the model's own template and the border between
//! prompt and continuation is found among tokens, not in text. A token that straddles the border counts as continuation.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::answer::{Answer, tokens};
use super::http::{Trouble, TroubleKind};
use super::options::Dialect;
use super::retry::Outcome;
use super::wire::{self, Call};
use super::{Question, Remote};
use crate::Error;
use crate::text_model::{Continuation, Prompt, RequestError, Score, ScoreRequest};

type Scored = Result<Score, RequestError>;

/// Scores requests side by side; the answers are in their order.
pub(super) fn score(remote: &Remote, requests: &[ScoreRequest]) -> Result<Vec<Scored>, Error> {
    let next = AtomicUsize::new(0);
    let has_succeeded = AtomicBool::new(false);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let answers: Mutex<Vec<Option<Scored>>> = Mutex::new(vec![None; requests.len()]);
    let work = || {
        while let Some((number, request)) = next_of(requests, &next) {
            let answer = match score_one(remote, request) {
                Ok(score) => {
                    has_succeeded.store(true, Ordering::Relaxed);
                    Ok(score)
                }
                Err(Stop::Trouble(trouble))
                    if trouble.kind == TroubleKind::Setup && !has_succeeded.load(Ordering::Relaxed) =>
                {
                    next.store(requests.len(), Ordering::Relaxed);
                    let error = Error::Remote(format!("{}: {}", remote.options.address, trouble.message));
                    *lock(&failure) = Some(error);
                    return;
                }
                Err(Stop::Trouble(trouble)) => Err(RequestError::Remote(trouble.message)),
                Err(Stop::Request(error)) => Err(error),
                Err(Stop::Run(error)) => {
                    next.store(requests.len(), Ordering::Relaxed);
                    *lock(&failure) = Some(error);
                    return;
                }
            };
            if let Some(place) = lock(&answers).get_mut(number) {
                *place = Some(answer);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..remote.options.concurrency.min(requests.len()) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(answers.into_iter().map(|answer| answer.unwrap_or(Err(RequestError::EmptyPrompt))).collect())
}

fn next_of<'r>(requests: &'r [ScoreRequest], next: &AtomicUsize) -> Option<(usize, &'r ScoreRequest)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    requests.get(number).map(|request| (number, request))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there is no score.
enum Stop {
    /// The server.
    Trouble(Trouble),
    /// The request itself.
    Request(RequestError),
    /// Something that ends the whole run.
    Run(Error),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

fn score_one(remote: &Remote, request: &ScoreRequest) -> Result<Score, Stop> {
    let unsupported = |problem: &str| Stop::Request(RequestError::Unsupported(problem.into()));
    if request.probe.is_some() || request.edit.is_some() {
        return Err(unsupported("attention can only be captured and edited in a local model, not behind a server"));
    }
    if remote.options.dialect() == Dialect::OpenAi {
        return Err(unsupported(
            "OpenAI's API does not score given texts: use a local model, or a server that does (vLLM, `sra serve`)",
        ));
    }
    let (tokens, prompt_length) = tokenised(remote, request)?;
    if prompt_length == 0 {
        return Err(Stop::Request(RequestError::EmptyPrompt));
    }
    if prompt_length == tokens.len() {
        return Ok(Score { tokens: Vec::new(), logprobs: Vec::new(), sum: 0.0, attention: None });
    }
    let call = wire::scoring(remote.options.address.model(), &tokens);
    let question = remote.question(call, None, tokens.len());
    let echoed = echoed(remote, &question)?;
    let logprobs = echoed.get(prompt_length..tokens.len()).unwrap_or_default();
    let logprobs: Option<Vec<f32>> = logprobs.iter().copied().collect();
    let logprobs = logprobs.filter(|found| found.len() == tokens.len() - prompt_length).ok_or_else(|| {
        unsupported("the server does not echo prompts with log-probabilities: use a local model, or a server that does")
    })?;
    let sum = logprobs.iter().map(|logprob| f64::from(*logprob)).sum();
    Ok(Score { tokens: tokens[prompt_length..].to_vec(), logprobs, sum, attention: None })
}

/// Prompt and continuation as tokens, and how many belong to the prompt.
fn tokenised(remote: &Remote, request: &ScoreRequest) -> Result<(Vec<u32>, usize), Stop> {
    let model = remote.options.address.model();
    let prompt = match &request.prompt {
        Prompt::Tokens(tokens) => tokens.clone(),
        prompt => tokens_of(remote, wire::tokens_of(model, prompt))?,
    };
    let both = match (&request.prompt, &request.continuation) {
        (_, Continuation::Tokens(tokens)) => [prompt.as_slice(), tokens].concat(),
        (_, Continuation::Text(text)) if text.is_empty() => prompt.clone(),
        (Prompt::Chat(messages), Continuation::Text(text)) => {
            tokens_of(remote, wire::tokens_of_answered(model, messages, text))?
        }
        (Prompt::Text(before), Continuation::Text(text)) => {
            tokens_of(remote, wire::tokens_of(model, &Prompt::Text(format!("{before}{text}"))))?
        }
        (Prompt::Tokens(_), Continuation::Text(_)) => {
            let problem = "a server does not tokenise text behind token ids: give both as text or both as ids";
            return Err(Stop::Request(RequestError::Unsupported(problem.into())));
        }
    };
    let common = prompt.iter().zip(&both).take_while(|(left, right)| left == right).count();
    Ok((both, common))
}

fn tokens_of(remote: &Remote, call: Call) -> Result<Vec<u32>, Stop> {
    let question = remote.question(call, None, 0);
    let attempt = &mut || {
        let bytes = remote.client.whole(&question.call).map_err(no_tokenizer)?;
        tokens(&bytes).map_err(|flaw| remote.client.flawed(flaw))
    };
    match remote.persist(&question, &|| false, attempt) {
        Outcome::Answered(tokens, _) => Ok(tokens),
        Outcome::Failed(trouble) => Err(trouble.into()),
        Outcome::Over => Err(Stop::Request(RequestError::EmptyPrompt)),
    }
}

/// Most servers have no such path, which says nothing about their other answers.
fn no_tokenizer(trouble: Trouble) -> Trouble {
    if trouble.status != Some(404) {
        return trouble;
    }
    let message = format!("{}; scoring needs a server with /tokenize, as vLLM and `sra serve` have", trouble.message);
    Trouble { message, ..trouble }
}

fn echoed(remote: &Remote, question: &Question) -> Result<Vec<Option<f32>>, Stop> {
    let answer = match remote.remembered(question) {
        Some(answer) => Ok(Outcome::Answered(answer, 0)),
        None => remote.ask(question, false, &|| false, &mut |_| ()),
    };
    match answer.map_err(Stop::Run)? {
        Outcome::Answered(Answer { echoed, .. }, _) => Ok(echoed),
        Outcome::Failed(trouble) => Err(trouble.into()),
        Outcome::Over => Err(Stop::Request(RequestError::EmptyPrompt)),
    }
}
