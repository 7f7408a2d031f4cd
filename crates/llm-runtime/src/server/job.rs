//! A client's request on its way through the engine: which orders it becomes, and the objects that answer it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Site;
use super::desk::Ticket;
use super::errors::ApiError;
use super::logprobs::{self, Echoed, TokenNames};
use super::parameters::{Form, Parameters};
use crate::GenerationOptions;
use crate::text_model::{Completion, Continuation, FinishReason, Prompt, PromptReport, Request, Score, ScoreRequest};

/// Most answers of one request, over all its prompts.
const MOST_ANSWERS: usize = 128;

/// A request whose orders are in.
pub(super) struct Job {
    pub(super) site: std::sync::Arc<Site>,
    pub(super) form: Form,
    pub(super) parameters: Parameters,
    pub(super) ticket: Ticket,
    prompts: Vec<PromptReport>,
    id: String,
    created: u64,
}

impl Job {
    /// Hands in an order for every answer, and one for every prompt that is to be scored. Answer `c` of prompt `p` is part
    /// `p * choices + c`; scores come behind all answers.
    ///
    /// # Errors
    /// The prompts are too long or too many, an option makes no sense, or the queue is full.
    pub(super) fn begin(
        site: std::sync::Arc<Site>,
        form: Form,
        parameters: Parameters,
        prompts: &[Prompt],
    ) -> Result<Self, ApiError> {
        let answers = prompts.len() * parameters.choices;
        if answers > MOST_ANSWERS {
            return Err(ApiError::parameter(
                "prompt",
                format!("{answers} answers are asked for, at most {MOST_ANSWERS} are given"),
            ));
        }
        let scores = if scores_prompts(&parameters) { prompts.len() } else { 0 };
        let generates = parameters.max_tokens != Some(0);
        let ticket = site.desk.ticket(form, if generates { answers } else { 0 } + scores)?;
        // Nobody's prompt is tokenised in vain.
        let reports = prompts.iter().map(|prompt| site.front.prompt(prompt)).collect::<Result<Vec<_>, _>>();
        let prompts = reports.map_err(|error| ApiError::request(form, &error))?;
        let (id, created) = (site.next_id(form), seconds_since_1970());
        let mut job = Self { site, form, parameters, ticket, prompts, id, created };
        if generates {
            job.order_answers()?;
        }
        if scores > 0 {
            job.order_scores()?;
        }
        job.ticket.close();
        Ok(job)
    }

    fn order_answers(&self) -> Result<(), ApiError> {
        let Parameters { options, choices, max_tokens, .. } = &self.parameters;
        for (number, prompt) in self.prompts.iter().enumerate() {
            let room = self.site.front.room_behind(prompt.tokens.len());
            // No room at all is told as a context that is too small for one token.
            let max_new_tokens = max_tokens.unwrap_or(room.max(1));
            for choice in 0..*choices {
                let seed = options.seed.wrapping_add(choice as u64);
                let options = GenerationOptions { max_new_tokens, seed, ..options.clone() };
                let tokens = Prompt::Tokens(prompt.tokens.clone());
                self.site.desk.order(&self.ticket, number * choices + choice, |key| {
                    self.site.front.generation(Request::new(key, tokens, options))
                })?;
            }
        }
        Ok(())
    }

    fn order_scores(&self) -> Result<(), ApiError> {
        for (number, prompt) in self.prompts.iter().enumerate() {
            let (first, rest) = prompt.tokens.split_at(1.min(prompt.tokens.len()));
            let request = ScoreRequest::new(Prompt::Tokens(first.to_vec()), Continuation::Tokens(rest.to_vec()));
            let part = self.answers() + number;
            self.site.desk.order(&self.ticket, part, |key| self.site.front.scoring(key, &request))?;
        }
        Ok(())
    }

    /// How many answers there are.
    pub(super) fn answers(&self) -> usize {
        self.prompts.len() * self.parameters.choices
    }

    /// How many parts are waited for, from the first on.
    pub(super) fn awaited(&self) -> std::ops::Range<usize> {
        let first = if self.parameters.max_tokens == Some(0) { self.answers() } else { 0 };
        let scores = if scores_prompts(&self.parameters) { self.prompts.len() } else { 0 };
        first..self.answers() + scores
    }

    /// The object that answers a request in one piece.
    pub(super) fn whole(&self, completions: &[Option<Completion>], scores: &[Option<Score>]) -> Value {
        let choices: Vec<Value> = (0..self.answers())
            .map(|part| {
                let completion = completions.get(part).and_then(Option::as_ref);
                let score = scores.get(part / self.parameters.choices).and_then(Option::as_ref);
                self.choice(part, completion, score)
            })
            .collect();
        let object = match self.form {
            Form::Chat => "chat.completion",
            Form::Completions => "text_completion",
        };
        let mut answer = self.frame(object, choices);
        answer["usage"] = self.usage(completions);
        answer
    }

    fn choice(&self, part: usize, completion: Option<&Completion>, score: Option<&Score>) -> Value {
        let prompt = self.prompt_of(part);
        let answer = completion.map_or("", |completion| completion.text.as_str());
        let mut choice = json!({"index": part});
        match self.form {
            Form::Chat => choice["message"] = json!({"role": "assistant", "content": answer, "refusal": null}),
            Form::Completions if self.parameters.echo => choice["text"] = json!(self.echo_of(prompt) + answer),
            Form::Completions => choice["text"] = json!(answer),
        }
        choice["logprobs"] = self.logprobs(prompt, completion, score);
        choice["finish_reason"] = json!(completion.map_or("length", |completion| reason(completion.finish_reason)));
        choice["stop_reason"] = json!(completion.and_then(|completion| completion.stop.as_ref()));
        if self.parameters.return_token_ids {
            choice["token_ids"] = json!(completion.map(|completion| &completion.tokens));
            choice["prompt_token_ids"] = json!(prompt.tokens);
        }
        choice
    }

    fn logprobs(&self, prompt: &PromptReport, completion: Option<&Completion>, score: Option<&Score>) -> Value {
        if self.parameters.options.logprobs.is_none() {
            return Value::Null;
        }
        let echoed = score.map(|score| Echoed { tokens: &prompt.tokens, logprobs: &score.logprobs });
        let answer = completion.map(|completion| completion.logprobs.as_slice()).unwrap_or_default();
        logprobs::object(self.form, self.names(), echoed, answer)
    }

    fn names(&self) -> TokenNames<'_> {
        TokenNames { front: &self.site.front, as_ids: self.parameters.tokens_as_ids }
    }

    /// The first piece of an answer: who speaks, or the echo.
    pub(super) fn opening(&self, part: usize) -> Option<Value> {
        match self.form {
            Form::Chat => Some(self.chunk(json!({
                "index": part,
                "delta": {"role": "assistant", "content": ""},
                "logprobs": null,
                "finish_reason": null,
            }))),
            Form::Completions if self.parameters.echo => {
                Some(self.piece(part, &self.echo_of(self.prompt_of(part)), Value::Null))
            }
            Form::Completions => None,
        }
    }

    /// A piece of an answer's text.
    pub(super) fn piece(&self, part: usize, text: &str, logprobs: Value) -> Value {
        let mut choice = json!({"index": part});
        match self.form {
            Form::Chat => choice["delta"] = json!({"content": text}),
            Form::Completions => choice["text"] = json!(text),
        }
        choice["logprobs"] = logprobs;
        choice["finish_reason"] = Value::Null;
        self.chunk(choice)
    }

    /// What comes with the end of an answer of which so many bytes were told: the rest, then why it ended.
    pub(super) fn ending(&self, part: usize, completion: &Completion, told: usize) -> Vec<Value> {
        let rest = completion.text.get(told..).unwrap_or_default();
        let mut pieces = Vec::new();
        let logprobs = self.logprobs(self.prompt_of(part), Some(completion), None);
        if !rest.is_empty() || !logprobs.is_null() {
            pieces.push(self.piece(part, rest, logprobs));
        }
        let mut choice = json!({"index": part});
        match self.form {
            Form::Chat => choice["delta"] = json!({}),
            Form::Completions => choice["text"] = json!(""),
        }
        choice["logprobs"] = Value::Null;
        choice["finish_reason"] = json!(reason(completion.finish_reason));
        choice["stop_reason"] = json!(completion.stop);
        if self.parameters.return_token_ids {
            choice["token_ids"] = json!(completion.tokens);
        }
        pieces.push(self.chunk(choice));
        pieces
    }

    /// The last piece of a stream that tells token counts.
    pub(super) fn usage_piece(&self, completions: &[Option<Completion>]) -> Value {
        let mut piece = self.frame(self.chunk_name(), Vec::new());
        piece["usage"] = self.usage(completions);
        piece
    }

    fn chunk(&self, choice: Value) -> Value {
        let mut chunk = self.frame(self.chunk_name(), vec![choice]);
        if self.parameters.stream_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    fn chunk_name(&self) -> &'static str {
        match self.form {
            Form::Chat => "chat.completion.chunk",
            Form::Completions => "text_completion",
        }
    }

    fn frame(&self, object: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.site.name,
            "system_fingerprint": self.site.fingerprint,
            "choices": choices,
        })
    }

    fn usage(&self, completions: &[Option<Completion>]) -> Value {
        let prompt: usize = self.prompts.iter().map(|prompt| prompt.tokens.len()).sum();
        let new: usize = completions.iter().flatten().map(|completion| completion.tokens.len()).sum();
        // Further answers to a prompt find all of it in the cache; the first tells what was there before.
        let first = completions.iter().step_by(self.parameters.choices).flatten();
        let cached: usize = first.map(|completion| completion.prompt.reused).sum();
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": new,
            "total_tokens": prompt + new,
            "prompt_tokens_details": {"cached_tokens": cached},
        })
    }

    fn prompt_of(&self, part: usize) -> &PromptReport {
        // Parts are numbered by prompts and choices, of which there is at least one.
        &self.prompts[part / self.parameters.choices]
    }

    fn echo_of(&self, prompt: &PromptReport) -> String {
        match prompt.text.is_empty() {
            true => self.site.front.tokenizer.decode_text(&prompt.tokens),
            false => prompt.text.clone(),
        }
    }
}

/// Whether the prompts' own log-probabilities are told.
fn scores_prompts(parameters: &Parameters) -> bool {
    parameters.echo && parameters.options.logprobs.is_some()
}

fn reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::EndOfSequence | FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::Cancelled => "abort",
    }
}

/// When something was made, as the API tells it.
pub(super) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
