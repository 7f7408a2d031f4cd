//! The local engine: continuous batching over a block cache with a prefix tree.
//!
//! Requests that begin alike share what they have in common: it is computed once and kept, in blocks of
//! 16 positions, until the memory is needed for something else. Requests join and leave the batch at every step.
//!
//! **The same request and seed give the same tokens** alone, in a batch, after a prefix hit and with any number of threads, on
//! the CPU and the same kind of processor: each row of a step is computed in an order that depends on that row only (see
//! the crate's `kernels`). On a GPU the matrix library may choose another kernel for another batch, so logits may
//! differ in the last bits there.

mod job;
mod scheduler;
mod sequence;
mod stop;

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::path::PathBuf;

use self::job::{BeamDecoder, Decoder, Job, Outcome, SampleDecoder, ScoreDecoder};
use self::scheduler::{Incoming, Limits, Scheduler, Told};
use self::sequence::Sequence;
use self::stop::StopMatcher;
use crate::beam::BeamSearch;
use crate::cache::{BLOCK_SIZE, KvCache, PrefixTree};
use crate::memory::format_bytes;
use crate::sampling::Sampler;
use crate::text_model::{
    Continuation, Event, ModelIdentity, Prompt, PromptReport, Request, RequestError, RunStatistics, Score,
    ScoreRequest, Span, TextModel,
};
use crate::tokenizer::{Encoding, Tokenizer};
use crate::{ChatTemplate, Error, GenerationOptions, Llama, Part, load};

/// Limits of an [`Engine`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EngineOptions {
    /// Sequences that run at a time; a beam counts as one. Default 16.
    pub batch: usize,
    /// Bytes for keys and values. Default 1 GiB.
    pub kv_memory: u64,
    /// Rows of one step: how much of a prompt is computed before the next token of the others. Default 512.
    pub step_rows: usize,
    /// Longest prompt plus new tokens; `None` takes the model's own context length.
    pub context_length: Option<usize>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { batch: 16, kv_memory: 1 << 30, step_rows: 512, context_length: None }
    }
}

/// A model with its tokenizer, template and cache. Implements [`TextModel`].
pub struct Engine {
    model: Llama,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    cache: KvCache,
    tree: PrefixTree,
    limits: Limits,
    context_length: usize,
    eos: Vec<u32>,
    identity: IdentityParts,
}

/// What [`Engine::identity`] is made of; hashing waits until it is asked for.
#[derive(Default)]
pub(crate) struct IdentityParts {
    pub(crate) name: String,
    pub(crate) dtype: String,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) sha256: OnceCell<String>,
}

impl Engine {
    /// Puts a model to work that was loaded or built elsewhere; [`Engine::load`] does everything from a path. The tokenizer's
    /// end-of-sequence tokens end a generation.
    ///
    /// # Errors
    /// An option is 0, the vocabularies do not fit, or the cache can't be allocated.
    pub fn new(
        model: Llama,
        tokenizer: Tokenizer,
        template: Option<ChatTemplate>,
        options: &EngineOptions,
    ) -> Result<Self, Error> {
        let config = model.config();
        if options.batch == 0 || options.step_rows == 0 {
            return Err(Error::Invalid("batch and step rows must be at least 1".into()));
        }
        if tokenizer.vocabulary_size() > config.vocabulary_size {
            return Err(Error::Invalid(format!(
                "the tokenizer has {} tokens, but the model only {}: it is another model's tokenizer",
                tokenizer.vocabulary_size(),
                config.vocabulary_size
            )));
        }
        let context_length = options.context_length.unwrap_or(config.context_length);
        if context_length > config.context_length {
            tracing::warn!(
                "a context of {context_length} tokens is beyond the {} the model was made for: expect poor text there",
                config.context_length
            );
        }
        let block_bytes = KvCache::block_bytes(config);
        let blocks = usize::try_from(options.kv_memory / block_bytes).unwrap_or(usize::MAX).min(u32::MAX as usize / BLOCK_SIZE);
        if blocks == 0 {
            return Err(Error::Memory {
                what: "one cache block".into(),
                needed: format_bytes(block_bytes),
                available: format!("{} of key/value memory", format_bytes(options.kv_memory)),
                advice: "raise --kv-memory".into(),
            });
        }
        let cache = KvCache::new(config, blocks, model.device())?;
        let limits = Limits { batch: options.batch, rows: options.step_rows, blocks };
        let eos = tokenizer.eos().to_vec();
        let identity = IdentityParts::default();
        Ok(Self {
            model,
            tokenizer,
            template,
            cache,
            tree: PrefixTree::new(blocks),
            limits,
            context_length,
            eos,
            identity,
        })
    }

    /// Adds what a folder or file says beyond model and tokenizer.
    pub(crate) fn with_origin(mut self, identity: IdentityParts, eos: Vec<u32>) -> Self {
        self.identity = identity;
        self.eos = eos;
        self
    }

    /// The model.
    pub fn model(&self) -> &Llama {
        &self.model
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Tokens that end a generation.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// Longest prompt plus new tokens.
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// Tokens the key/value memory holds.
    pub fn cache_tokens(&self) -> usize {
        self.limits.blocks * BLOCK_SIZE
    }

    /// Forgets all cached prefixes.
    pub fn clear_cache(&mut self) {
        self.tree = PrefixTree::new(self.limits.blocks);
    }

    /// Logits at every position of a sequence, `[tokens.len(), vocabulary_size]` f32, computed without the cache of other
    /// requests.
    ///
    /// # Errors
    /// The device fails, a token is outside the vocabulary or the sequence does not fit into the cache.
    pub fn logits(&mut self, tokens: &[u32]) -> Result<candle_core::Tensor, Error> {
        self.check_tokens(tokens).map_err(|error| Error::Invalid(error.to_string()))?;
        let blocks: Vec<u32> = (0..tokens.len().div_ceil(BLOCK_SIZE) as u32).collect();
        if blocks.len() > self.limits.blocks {
            return Err(Error::Invalid(format!("{} tokens do not fit into the key/value memory", tokens.len())));
        }
        self.clear_cache();
        let positions: Vec<usize> = (0..tokens.len()).collect();
        let slots: Vec<u32> = positions.iter().map(|position| crate::cache::slot(&blocks, *position)).collect();
        let segments = [crate::kernels::Segment { rows: 0..tokens.len(), first_position: 0, blocks }];
        let mut attention = self.cache.step(&slots, &segments);
        let hidden = self.model.hidden_states(tokens, &positions, &mut attention)?;
        Ok(self.model.logits(&hidden)?)
    }

    fn run(
        &mut self,
        incoming: &mut dyn FnMut(&Preparation<'_>) -> Option<Result<Draft, (u64, RequestError)>>,
        tell: &mut dyn FnMut(Told) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        let preparation = Preparation {
            tokenizer: &self.tokenizer,
            template: self.template.as_ref(),
            eos: &self.eos,
            context_length: self.context_length,
            vocabulary: self.model.config().vocabulary_size,
            blocks: self.limits.blocks,
        };
        let mut jobs = std::iter::from_fn(|| -> Option<Incoming<'_>> {
            Some(incoming(&preparation)?.map(|draft| preparation.job(draft)))
        });
        Scheduler::new(&self.model, &self.cache, &mut self.tree, self.limits).run(&mut jobs, tell)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), RequestError> {
        check_tokens(tokens, self.model.config().vocabulary_size)
    }
}

fn check_tokens(tokens: &[u32], vocabulary: usize) -> Result<(), RequestError> {
    if tokens.is_empty() {
        return Err(RequestError::EmptyPrompt);
    }
    match tokens.iter().find(|id| **id as usize >= vocabulary) {
        Some(id) => Err(RequestError::UnknownToken { id: *id, vocabulary }),
        None => Ok(()),
    }
}

impl TextModel for Engine {
    fn identity(&self) -> ModelIdentity {
        let parts = &self.identity;
        ModelIdentity {
            name: parts.name.clone(),
            sha256: parts.sha256.get_or_init(|| load::sha256_of_files(&parts.files)).clone(),
            dtype: parts.dtype.clone(),
            template_sha256: self.template.as_ref().map(|template| template.sha256().to_string()).unwrap_or_default(),
        }
    }

    fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        let mut next = |preparation: &Preparation<'_>| {
            let request = requests.next()?;
            let key = request.key;
            Some(preparation.generation(request).map_err(|error| (key, error)))
        };
        let mut tell = |told| match told {
            Told::Text { key, delta } => sink(Event::Text { key, delta }),
            Told::Failed { key, error } => sink(Event::Failed { key, error }),
            Told::Finished { outcome: Outcome::Completion(completion), .. } => sink(Event::Finished(completion)),
            Told::Finished { outcome: Outcome::Score(_), .. } => ControlFlow::Continue(()),
        };
        self.run(&mut next, &mut tell)
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, Error> {
        let mut answers: Vec<Option<Result<Score, RequestError>>> = vec![None; requests.len()];
        let mut queue = requests.iter().enumerate();
        let mut next = |preparation: &Preparation<'_>| {
            let (number, request) = queue.next()?;
            Some(preparation.scoring(number as u64, request).map_err(|error| (number as u64, error)))
        };
        let mut tell = |told| {
            match told {
                Told::Finished { key, outcome: Outcome::Score(score) } => answers[key as usize] = Some(Ok(score)),
                Told::Failed { key, error } => answers[key as usize] = Some(Err(error)),
                _ => {}
            }
            ControlFlow::Continue(())
        };
        self.run(&mut next, &mut tell)?;
        Ok(answers.into_iter().map(|answer| answer.unwrap_or(Err(RequestError::EmptyPrompt))).collect())
    }
}

/// What is needed to turn requests into jobs.
struct Preparation<'a> {
    tokenizer: &'a Tokenizer,
    template: Option<&'a ChatTemplate>,
    eos: &'a [u32],
    context_length: usize,
    vocabulary: usize,
    blocks: usize,
}

/// A request that was tokenised and checked.
struct Draft {
    key: u64,
    prompt: PromptReport,
    kind: DraftKind,
    cancel: Option<crate::CancelToken>,
}

enum DraftKind {
    Generate(GenerationOptions),
    Score { prompt_length: usize },
}

impl<'a> Preparation<'a> {
    fn generation(&self, request: Request) -> Result<Draft, RequestError> {
        request.options.validate()?;
        let prompt = self.prompt(&request.prompt)?;
        self.check_length(prompt.tokens.len(), request.options.max_new_tokens, request.options.beam_width)?;
        Ok(Draft { key: request.key, prompt, kind: DraftKind::Generate(request.options), cancel: request.cancel })
    }

    fn scoring(&self, key: u64, request: &ScoreRequest) -> Result<Draft, RequestError> {
        let mut prompt = self.prompt(&request.prompt)?;
        let mut prompt_length = prompt.tokens.len();
        match &request.continuation {
            Continuation::Tokens(tokens) => prompt.tokens.extend_from_slice(tokens),
            Continuation::Text(text) => prompt_length = self.append(&mut prompt, &request.prompt, text)?,
        }
        check_tokens(&prompt.tokens, self.vocabulary)?;
        self.check_length(prompt.tokens.len(), 0, 1)?;
        if prompt_length == 0 {
            return Err(RequestError::EmptyPrompt);
        }
        Ok(Draft { key, prompt, kind: DraftKind::Score { prompt_length }, cancel: None })
    }

    /// Tokenises prompt and continuation together; gives the number of tokens that end inside the prompt.
    fn append(&self, report: &mut PromptReport, prompt: &Prompt, text: &str) -> Result<usize, RequestError> {
        let start = report.text.len();
        if matches!(prompt, Prompt::Tokens(_)) {
            let length = report.tokens.len();
            let encoding = self.tokenizer.encode(text).map_err(|error| RequestError::Tokenizer(error.to_string()))?;
            report.tokens.extend(encoding.ids);
            return Ok(length);
        }
        let whole = format!("{}{text}", report.text);
        let encoding = match prompt {
            Prompt::Chat(messages) => {
                let mut protected = self.render(messages)?.contents;
                protected.push(start..whole.len());
                self.tokenizer.encode_rendered(&whole, &protected)
            }
            _ => self.encode_text(&whole),
        }
        .map_err(|error| RequestError::Tokenizer(error.to_string()))?;
        let prompt_length = encoding.offsets.iter().take_while(|bytes| bytes.end <= start).count();
        report.text = whole;
        report.tokens = encoding.ids;
        Ok(prompt_length)
    }

    fn encode_text(&self, text: &str) -> Result<Encoding, crate::TokenizerError> {
        if self.tokenizer.adds_bos() { self.tokenizer.encode_with_bos(text) } else { self.tokenizer.encode(text) }
    }

    fn render(&self, messages: &[crate::Message]) -> Result<crate::RenderedChat, RequestError> {
        let template = self.template.ok_or_else(|| {
            RequestError::Template("the model has no chat template: choose a built-in one with --chat-template".into())
        })?;
        template.render(messages, true).map_err(|error| RequestError::Template(error.to_string()))
    }

    fn prompt(&self, prompt: &Prompt) -> Result<PromptReport, RequestError> {
        let tokenizer_error = |error: crate::TokenizerError| RequestError::Tokenizer(error.to_string());
        let report = match prompt {
            Prompt::Tokens(tokens) => PromptReport { tokens: tokens.clone(), ..PromptReport::default() },
            Prompt::Text(text) => {
                let encoding = self.encode_text(text).map_err(tokenizer_error)?;
                PromptReport { text: text.clone(), tokens: encoding.ids, ..PromptReport::default() }
            }
            Prompt::Chat(messages) => {
                let rendered = self.render(messages)?;
                let encoding =
                    self.tokenizer.encode_rendered(&rendered.text, &rendered.contents).map_err(tokenizer_error)?;
                let spans = rendered.spans.into_iter().map(|part| span(part, &encoding)).collect();
                PromptReport { text: rendered.text, tokens: encoding.ids, reused: 0, spans }
            }
        };
        check_tokens(&report.tokens, self.vocabulary)?;
        Ok(report)
    }

    fn check_length(&self, prompt: usize, new: usize, beams: usize) -> Result<(), RequestError> {
        if prompt + new > self.context_length {
            return Err(RequestError::ContextTooLong { prompt, new, context: self.context_length });
        }
        // Each beam may end up with blocks of its own for everything new, and a copy of the block where it begins.
        let needed = prompt.div_ceil(BLOCK_SIZE) + beams * (new.div_ceil(BLOCK_SIZE) + 1);
        if needed > self.blocks {
            return Err(RequestError::CacheTooSmall { needed, block: BLOCK_SIZE, available: self.blocks });
        }
        Ok(())
    }

    fn job(&self, draft: Draft) -> Job<'a> {
        let Draft { key, prompt, kind, cancel } = draft;
        let (decoder, new) = match kind {
            DraftKind::Score { prompt_length } => {
                (Decoder::Score(ScoreDecoder { prompt_length, logprobs: Vec::new() }), 0)
            }
            DraftKind::Generate(options) => (self.decoder(&options, &prompt.tokens), options.max_new_tokens),
        };
        let longest = prompt.tokens.len() + new;
        let sequences = vec![Sequence::new(prompt.tokens.clone())];
        Job { key, sequences, prompt, decoder, cancel, longest, started: None }
    }

    fn decoder(&self, options: &GenerationOptions, prompt: &[u32]) -> Decoder<'a> {
        let eos = if options.ignore_eos { Vec::new() } else { self.eos.to_vec() };
        if options.beam_width > 1 {
            return Decoder::Beam(Box::new(BeamDecoder {
                search: Some(BeamSearch::new(options, prompt, &eos)),
                width: options.beam_width,
                tokenizer: self.tokenizer,
                eos,
                stops: options.stop.clone(),
            }));
        }
        Decoder::Sample(Box::new(SampleDecoder {
            sampler: Sampler::new(options, prompt, &eos),
            stream: self.tokenizer.decode_stream(),
            stop: StopMatcher::new(&options.stop),
            eos,
            max_new_tokens: options.max_new_tokens,
            report: options.logprobs,
            text: String::new(),
            logprobs: Vec::new(),
        }))
    }
}

/// The tokens that overlap a part's bytes.
fn span(part: Part, encoding: &Encoding) -> Span {
    let Part { label, range } = part;
    let first = encoding.offsets.partition_point(|bytes| bytes.end <= range.start);
    let last = encoding.offsets.partition_point(|bytes| bytes.start < range.end);
    let tokens = if range.is_empty() { first..first } else { first..last.max(first) };
    Span { label, bytes: range, tokens }
}
