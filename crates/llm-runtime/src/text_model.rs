//! [`TextModel`]: anything that continues and scores text, be it the local engine or a server.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::attention::{AttentionCapture, AttentionEdit, AttentionProbe};
use crate::{ChatTemplate, GenerationOptions, Message};

/// What a model is asked to continue.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// Messages, rendered with the model's chat template and its generation prompt.
    Chat(Vec<Message>),
    /// Plain text after the beginning-of-sequence token; control tokens in it stay plain text.
    Text(String),
    /// Token ids, taken as they are.
    Tokens(Vec<u32>),
}

/// One generation request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The caller's own number; it comes back with every event of this request.
    pub key: u64,
    /// What to continue.
    pub prompt: Prompt,
    /// How.
    pub options: GenerationOptions,
    /// Lets another thread (or the sink) end this request early.
    pub cancel: Option<CancelToken>,
    /// What to keep of the attention of new tokens. Local models only.
    pub probe: Option<AttentionProbe>,
    /// A change of attention. Local models only.
    pub edit: Option<AttentionEdit>,
}

impl Request {
    /// A request without further wishes.
    pub fn new(key: u64, prompt: Prompt, options: GenerationOptions) -> Self {
        Self { key, prompt, options, cancel: None, probe: None, edit: None }
    }
}

/// A shared flag that ends the requests that hold it at their next token.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }
    /// Sets the flag.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model produced an end-of-sequence token.
    EndOfSequence,
    /// `max_new_tokens` were produced.
    Length,
    /// A stop string was reached.
    Stop,
    /// The request was cancelled; the text so far is kept.
    Cancelled,
}

/// A labelled part of a prompt, in the rendered text and in its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The part's label.
    pub label: String,
    /// Bytes of the rendered prompt.
    pub bytes: Range<usize>,
    /// Tokens that overlap those bytes.
    pub tokens: Range<usize>,
}

/// What became of a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PromptReport {
    /// The rendered prompt, control tokens as text. Empty for [`Prompt::Tokens`].
    pub text: String,
    /// Token ids, the beginning-of-sequence token included.
    pub tokens: Vec<u32>,
    /// How many of them came from the prefix cache.
    pub reused: usize,
    /// Where its parts are.
    pub spans: Vec<Span>,
}

/// Log-probability of one generated token under the model, before any processor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token that was chosen.
    pub token: u32,
    /// Its natural log-probability.
    pub logprob: f32,
    /// The most likely tokens at this step, as many as were asked for.
    pub top: Vec<(u32, f32)>,
}

/// As [`TokenLogprob`], from a server that tells tokens by their texts only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextLogprob {
    /// The chosen token's text; not always whole characters.
    pub text: String,
    /// Its natural log-probability.
    pub logprob: f32,
    /// The most likely tokens at this step, as many as were asked for.
    pub top: Vec<(String, f32)>,
}

/// What a server says about itself in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServedBy {
    /// The model's name; often more exact than the one that was asked for.
    pub model: String,
    /// Marks a state of the server under which the same request and seed should give the same answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// One finished hypothesis of beam search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// Its text.
    pub text: String,
    /// Its new tokens, the end-of-sequence token included.
    pub tokens: Vec<u32>,
    /// Sum of log-probabilities divided by length to the power of the length penalty.
    pub score: f32,
}

/// A finished generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The request's key.
    pub key: u64,
    /// The new text, control tokens left out, cut before a stop string.
    pub text: String,
    /// The new tokens, the end-of-sequence token included. Empty where a server does not tell them.
    pub tokens: Vec<u32>,
    /// How many new tokens there are, told by servers too.
    pub new_tokens: usize,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// The stop string that ended it. Servers do not tell.
    pub stop: Option<String>,
    /// Per token, if asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// Per token, if asked for, from a server that does not tell token ids.
    pub text_logprobs: Vec<TextLogprob>,
    /// Beam search: all returned hypotheses, best first (the first is also `text` and `tokens`).
    pub hypotheses: Vec<Hypothesis>,
    /// The prompt's account. A server tells no text, tokens or spans.
    pub prompt: PromptReport,
    /// How many tokens the prompt has, told by servers too.
    pub prompt_tokens: usize,
    /// What a server says about itself; `None` for local models.
    pub served_by: Option<ServedBy>,
    /// How often a server was asked for this; 0 for local models, and for answers out of a journal.
    pub attempts: u32,
    /// Attention of the new tokens, if asked for.
    pub attention: Option<Box<AttentionCapture>>,
}

/// What a sink is told while a run goes on.
#[derive(Debug)]
pub enum Event {
    /// New text of a request (sampling and greedy decoding; beam search reports only the end). What is told adds up to a beginning of
    /// the finished text, unless a server's answer broke off and was begun anew with other words: then no more is told before
    /// the end. While a server is waited for, empty texts come now and then, so that a sink can end the run.
    Text {
        /// The request's key.
        key: u64,
        /// The text that was added; complete characters only, maybe none.
        delta: String,
    },
    /// A request is finished.
    Finished(Completion),
    /// A request could not be served (its prompt is too long, say). The others go on.
    Failed {
        /// The request's key.
        key: u64,
        /// Why.
        error: RequestError,
    },
}

/// Why one request could not be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Prompt and new tokens together exceed the context length.
    #[error(
        "the prompt has {prompt} tokens and up to {new} new ones were asked for, but the context holds {context}: \
         shorten the dialogue, ask for fewer new tokens, or raise the context length if the model can bear it"
    )]
    ContextTooLong {
        /// Prompt tokens.
        prompt: usize,
        /// `max_new_tokens`.
        new: usize,
        /// The context length.
        context: usize,
    },
    /// The request alone needs more key/value memory than the budget.
    #[error(
        "the request needs {needed} cache blocks of {block} tokens, but the key/value memory holds {available}: raise --kv-memory"
    )]
    CacheTooSmall {
        /// Blocks needed.
        needed: usize,
        /// Tokens per block.
        block: usize,
        /// Blocks in all.
        available: usize,
    },
    /// A prompt without any token.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// A token id outside the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocabulary}")]
    UnknownToken {
        /// The id.
        id: u32,
        /// Vocabulary size.
        vocabulary: usize,
    },
    /// The chat template refused the messages.
    #[error("the chat template refused the messages: {0}")]
    Template(String),
    /// The tokenizer failed.
    #[error("the prompt could not be tokenised: {0}")]
    Tokenizer(String),
    /// Options out of range.
    #[error(transparent)]
    Options(#[from] crate::InvalidOption),
    /// The model produced a value that is not a number.
    #[error(
        "the model produced logits that are not finite at position {position}: the weights are damaged or overflow"
    )]
    NotFinite {
        /// Position of the row, counted from the start of the prompt.
        position: usize,
    },
    /// The model can't do what was asked: a server has no attention to show, say.
    #[error("{0}")]
    Unsupported(String),
    /// A server failed for good.
    #[error("{0}")]
    Remote(String),
}

/// A text to be scored.
#[derive(Debug, Clone)]
pub struct ScoreRequest {
    /// What stands before; not scored.
    pub prompt: Prompt,
    /// What is scored.
    pub continuation: Continuation,
    /// What to keep of the attention of the continuation's tokens. Local models only.
    pub probe: Option<AttentionProbe>,
    /// A change of attention. Local models only.
    pub edit: Option<AttentionEdit>,
}

impl ScoreRequest {
    /// A request without further wishes.
    pub fn new(prompt: Prompt, continuation: Continuation) -> Self {
        Self { prompt, continuation, probe: None, edit: None }
    }
}

/// The scored side of a [`ScoreRequest`].
#[derive(Debug, Clone, PartialEq)]
pub enum Continuation {
    /// Text, tokenised together with the prompt. A token that straddles the border counts as continuation.
    Text(String),
    /// Token ids.
    Tokens(Vec<u32>),
}

/// Log-probability of a continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The continuation's tokens.
    pub tokens: Vec<u32>,
    /// Natural log-probability of each token given all before it.
    pub logprobs: Vec<f32>,
    /// Their sum, added up in f64.
    pub sum: f64,
    /// Attention of the continuation's tokens, if asked for.
    #[serde(skip)]
    pub attention: Option<Box<AttentionCapture>>,
}

/// What a run cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunStatistics {
    /// Requests finished.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Prompt tokens of all requests.
    pub prompt_tokens: u64,
    /// Prompt tokens that went through the model.
    pub prompt_tokens_computed: u64,
    /// Prompt tokens taken from the prefix cache.
    pub prompt_tokens_reused: u64,
    /// New tokens.
    pub generated_tokens: u64,
    /// Seconds from the first request's start to its first token; 0 where no token was generated.
    pub time_to_first_token: f64,
    /// Seconds spent in steps that computed prompt tokens only.
    pub prefill_seconds: f64,
    /// Seconds spent in steps that generated tokens.
    pub decode_seconds: f64,
    /// Wall-clock seconds of the run.
    pub seconds: f64,
    /// Largest resident memory of the process in bytes; 0 where the system does not tell.
    pub peak_memory: u64,
    /// How often a server was asked, repeated attempts included; 0 for local models.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u64,
    /// Requests that a request journal answered; their tokens are not counted here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub from_journal: u64,
    /// What the tokens cost, in the currency of the prices; `None` without prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What identifies a model in a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// What the user asked for: a path, hub id or server.
    pub name: String,
    /// Hex SHA-256 over the weights and configuration; empty for a server.
    pub sha256: String,
    /// The tensors' format: `f32`, `bf16`, `q4_k` …
    pub dtype: String,
    /// Hex SHA-256 of the chat template's source; empty where there is none.
    pub template_sha256: String,
}

/// Something that continues and scores text.
pub trait TextModel {
    /// What identifies the model.
    fn identity(&self) -> ModelIdentity;

    /// The chat template, where the model's owner is on this side of a connection.
    fn template(&self) -> Option<&ChatTemplate>;

    /// Serves requests until the iterator ends, telling `sink` what happens. Requests are taken from the iterator as
    /// capacity allows and may finish in any order. If the sink breaks, running requests end as
    /// [`FinishReason::Cancelled`] without further events.
    ///
    /// # Errors
    /// Only what ends the whole run. A request that can't be served alone is told as [`Event::Failed`].
    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, crate::Error>;

    /// Scores continuations; the answers are in the order of the requests.
    ///
    /// # Errors
    /// As [`Self::generate`]; a request that can't be served gives an `Err` in its place.
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, crate::Error>;
}
