//! The local engine: continuous batching over a block cache with a prefix tree.
//!
//! Requests that begin alike share what they have in common: it is computed once and kept, in blocks of
//! 16 positions, until the memory is needed for something else. Requests join and leave the batch at every step; they come from an
//! iterator, or from a [`RequestSource`] that is open while others are being served.
//!
//! **The same request and seed give the same tokens** alone, in a batch, after a prefix hit and with any number of threads, on
//! the CPU and the same kind of processor: each row of a step is computed in an order that depends on that row only (see
//! the crate's `kernels`). On a GPU the matrix library may choose another kernel for another batch, so logits may
//! differ in the last bits there.

mod front;
mod job;
mod probe;
mod scheduler;
mod sequence;
mod source;
mod stop;

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{Device, Tensor};

#[cfg(feature = "serve")]
pub(crate) use self::front::Draft;
pub(crate) use self::front::{Drafted, Front};
pub(crate) use self::job::Outcome;
pub(crate) use self::scheduler::Told;
pub use self::source::{Pressure, RequestSource, Supply};

use self::probe::LayerWatch;
use self::scheduler::{Limits, Scheduler};
use self::source::Mapped;
use crate::cache::{BLOCK_SIZE, KvCache, KvType, PrefixTree, slot};
use crate::kernels::{Segment, Watch};
use crate::memory::format_bytes;
use crate::text_model::{
    Event, ModelIdentity, Prompt, Request, RequestError, RunStatistics, Score, ScoreRequest, TextModel,
};
use crate::tokenizer::Tokenizer;
use crate::{ChatTemplate, Error, Llama, sha256_of_files};

/// Limits of an [`Engine`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EngineOptions {
    /// Sequences that run at a time; a beam counts as one. Default 16.
    pub batch: usize,
    /// Bytes for keys and values. Default 1 GiB.
    pub kv_memory: u64,
    /// In which type they are kept. Default f32.
    pub kv_type: KvType,
    /// Rows of one step: how much of a prompt is computed before the next token of the others. Default 512.
    pub step_rows: usize,
    /// Longest prompt plus new tokens; `None` takes the model's own context length.
    pub context_length: Option<usize>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { batch: 16, kv_memory: 1 << 30, kv_type: KvType::F32, step_rows: 512, context_length: None }
    }
}

/// A model with its tokenizer, template and cache. Implements [`TextModel`].
pub struct Engine {
    model: Arc<Llama>,
    front: Arc<Front>,
    cache: KvCache,
    tree: PrefixTree,
    limits: Limits,
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

impl IdentityParts {
    pub(crate) fn identity(&self, template: Option<&ChatTemplate>) -> ModelIdentity {
        ModelIdentity {
            name: self.name.clone(),
            sha256: self.sha256.get_or_init(|| sha256_of_files(&self.files).unwrap_or_default()).clone(),
            dtype: self.dtype.clone(),
            template_sha256: template.map(|template| template.sha256().to_string()).unwrap_or_default(),
        }
    }
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
        Self::sharing(Arc::new(model), tokenizer, template, options)
    }

    /// As [`Self::new`] for a model that is used elsewhere too, e.g. one in training. After its parameters or adapters change,
    /// call [`Self::clear_cache`]: cached prefixes were computed with the old ones.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn sharing(
        model: Arc<Llama>,
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
        let block_bytes = KvCache::block_bytes(config, options.kv_type);
        let blocks =
            usize::try_from(options.kv_memory / block_bytes).unwrap_or(usize::MAX).min(u32::MAX as usize / BLOCK_SIZE);
        if blocks == 0 {
            return Err(Error::Memory {
                what: "one cache block".into(),
                needed: format_bytes(block_bytes),
                available: format!("{} of key/value memory", format_bytes(options.kv_memory)),
                advice: "raise --kv-memory".into(),
            });
        }
        let cache = KvCache::new(config, options.kv_type, blocks, model.device())?;
        let limits = Limits { batch: options.batch, rows: options.step_rows, blocks };
        let eos = tokenizer.eos().to_vec();
        let vocabulary = config.vocabulary_size;
        let (layers, heads) = (config.layers, config.heads);
        let front = Arc::new(Front { tokenizer, template, eos, context_length, vocabulary, layers, heads, blocks });
        Ok(Self { model, front, cache, tree: PrefixTree::new(blocks), limits, identity: IdentityParts::default() })
    }

    /// Adds what a folder or file says beyond model and tokenizer.
    pub(crate) fn with_origin(mut self, identity: IdentityParts, eos: Vec<u32>) -> Self {
        self.identity = identity;
        Arc::make_mut(&mut self.front).eos = eos;
        self
    }

    /// The model.
    pub fn model(&self) -> &Llama {
        &self.model
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.front.tokenizer
    }

    /// Tokens that end a generation.
    pub fn eos(&self) -> &[u32] {
        &self.front.eos
    }

    /// Longest prompt plus new tokens.
    pub fn context_length(&self) -> usize {
        self.front.context_length
    }

    /// Tokens the key/value memory holds.
    pub fn cache_tokens(&self) -> usize {
        self.limits.blocks * BLOCK_SIZE
    }

    /// How many tokens a chat's prompt has.
    ///
    /// # Errors
    /// The template refuses the messages, or the prompt is empty.
    pub fn count_tokens(&self, messages: &[crate::Message]) -> Result<usize, RequestError> {
        Ok(self.front.prompt(&Prompt::Chat(messages.to_vec()))?.tokens.len())
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
    pub fn logits(&mut self, tokens: &[u32]) -> Result<Tensor, Error> {
        let hidden = self.run_alone(tokens, &mut |_, _| (), None)?;
        Ok(self.model.logits(&hidden)?)
    }

    /// Hidden states at every position of a sequence, each `[tokens.len(), hidden_size]` f32: the input of every layer
    /// (the first is the embedding), then the output after the final norm.
    ///
    /// # Errors
    /// As [`Self::logits`].
    pub fn hidden_states(&mut self, tokens: &[u32]) -> Result<Vec<Tensor>, Error> {
        let mut states = Vec::new();
        let last = self.run_alone(tokens, &mut |_, state| states.push(state.clone()), None)?;
        states.push(last);
        Ok(states)
    }

    /// Attention of every position of a sequence in one layer, `[heads, tokens.len(), tokens.len()]` f32 on the CPU; a row sums
    /// to 1 and is 0 where it does not see. This is the only way to whole prompts, one layer at a time, because its
    /// size is the square of the length.
    ///
    /// # Errors
    /// There is no such layer, or as [`Self::logits`].
    pub fn prompt_attention(&mut self, tokens: &[u32], layer: usize) -> Result<Tensor, Error> {
        let config = self.model.config();
        let (layers, heads) = (config.layers, config.heads);
        if layer >= layers {
            return Err(Error::Invalid(format!("there is no layer {layer}: the model has layers 0 to {}", layers - 1)));
        }
        let mut watch = LayerWatch::new(layer, tokens.len(), heads);
        self.run_alone(tokens, &mut |_, _| (), Some(&mut watch))?;
        Ok(Tensor::from_vec(watch.into_values(), (heads, tokens.len(), tokens.len()), &Device::Cpu)?)
    }

    /// Runs one sequence through the whole model, with the cache to itself.
    fn run_alone(
        &mut self,
        tokens: &[u32],
        observe: &mut dyn FnMut(usize, &Tensor),
        watch: Option<&mut dyn Watch>,
    ) -> Result<Tensor, Error> {
        self.front.check_tokens(tokens).map_err(|error| Error::Invalid(error.to_string()))?;
        let blocks: Vec<u32> = (0..tokens.len().div_ceil(BLOCK_SIZE) as u32).collect();
        if blocks.len() > self.limits.blocks {
            return Err(Error::Invalid(format!("{} tokens do not fit into the key/value memory", tokens.len())));
        }
        self.clear_cache();
        let positions: Vec<usize> = (0..tokens.len()).collect();
        let slots: Vec<u32> = positions.iter().map(|position| slot(&blocks, *position)).collect();
        let segments = [Segment { rows: 0..tokens.len(), first_position: 0, blocks }];
        let mut attention = self.cache.step(&slots, &segments, watch.map(|watch| watch as &mut dyn Watch));
        Ok(self.model.hidden_states_observed(tokens, &positions, &mut attention, observe)?)
    }

    /// As [`TextModel::generate`], with requests that may come while others are being served: they join the running batch. Ends when
    /// the source is closed and everything is served, or the sink breaks.
    ///
    /// # Errors
    /// As [`TextModel::generate`].
    pub fn generate_from(
        &mut self,
        source: &mut dyn RequestSource,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        let front = self.front.clone();
        let map = |request: Request| {
            let key = request.key;
            front.generation(request).map_err(|error| (key, error))
        };
        let mut tell = |told| match told {
            Told::Text { key, delta } => sink(Event::Text { key, delta }),
            Told::Failed { key, error } => sink(Event::Failed { key, error }),
            Told::Finished { outcome: Outcome::Completion(completion), .. } => sink(Event::Finished(completion)),
            Told::Finished { outcome: Outcome::Score(_), .. } => ControlFlow::Continue(()),
        };
        self.run(&mut Mapped { source, map }, &mut tell)
    }

    /// What turns requests into drafts; it may do so elsewhere while the engine runs.
    #[cfg(feature = "serve")]
    pub(crate) fn front(&self) -> Arc<Front> {
        self.front.clone()
    }

    pub(crate) fn run(
        &mut self,
        source: &mut dyn RequestSource<Drafted>,
        tell: &mut dyn FnMut(Told) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        let front = &self.front;
        let mut jobs = Mapped { source, map: |draft: Drafted| draft.map(|draft| front.job(draft)) };
        Scheduler::new(&self.model, &self.cache, &mut self.tree, self.limits).run(&mut jobs, tell)
    }
}

impl TextModel for Engine {
    fn identity(&self) -> ModelIdentity {
        self.identity.identity(self.front.template.as_ref())
    }

    fn template(&self) -> Option<&ChatTemplate> {
        self.front.template.as_ref()
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        let mut requests = requests;
        self.generate_from(&mut requests, sink)
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, Error> {
        let mut answers: Vec<Option<Result<Score, RequestError>>> = vec![None; requests.len()];
        let front = self.front.clone();
        let mut drafts = requests.iter().enumerate().map(|(number, request)| {
            let key = number as u64;
            front.scoring(key, request).map_err(|error| (key, error))
        });
        let mut tell = |told| {
            match told {
                Told::Finished { key, outcome: Outcome::Score(score) } => answers[key as usize] = Some(Ok(score)),
                Told::Failed { key, error } => answers[key as usize] = Some(Err(error)),
                _ => {}
            }
            ControlFlow::Continue(())
        };
        self.run(&mut drafts, &mut tell)?;
        Ok(answers.into_iter().map(|answer| answer.unwrap_or(Err(RequestError::EmptyPrompt))).collect())
    }
}
