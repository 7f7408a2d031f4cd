//! [`LogitsProcessor`], and [`ProcessorChain`]: processors in the order in which the Hugging Face library applies them.

use std::fmt::Debug;

use super::{MinLength, MinNewTokens, MinP, NoRepeatNgram, RepetitionPenalty, Temperature, TopK, TopP, Typical};
use crate::GenerationOptions;

/// Changes the scores of the next token.
pub trait LogitsProcessor: Debug + Send + Sync {
    /// Changes `scores` (`[vocabulary]`, logits or log-probabilities) in place; a removed token gets `-inf`.
    /// `tokens` are the prompt and everything generated so far; ids outside the vocabulary are ignored.
    fn apply(&self, tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch);
}

/// Buffers that processors reuse from step to step, so that a step allocates nothing once they have grown.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) values: Vec<f32>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) seen: Vec<bool>,
}

/// A token under consideration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) token: u32,
    /// What candidates are ordered by, greatest first.
    pub(super) key: f64,
    /// Its probability, not necessarily normalised.
    pub(super) mass: f64,
}

/// Processors that run one after the other.
#[derive(Debug, Default)]
pub struct ProcessorChain {
    processors: Vec<Box<dyn LogitsProcessor>>,
}

impl ProcessorChain {
    /// A chain that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The processors that `options` ask for, in the library's order: repetition penalty, no-repeat n-gram, minimum length,
    /// minimum new tokens; then, unless decoding is greedy (temperature 0), temperature, top-k, top-p, min-p, typical.
    /// A neutral setting adds nothing. `prompt_len` is the number of prompt tokens; `eos` are the end-of-sequence tokens,
    /// which count as absent under `ignore_eos`.
    pub fn from_options(options: &GenerationOptions, prompt_len: usize, eos: &[u32]) -> Self {
        let mut chain = Self::new();
        chain.push_if(options.repetition_penalty != 1.0, RepetitionPenalty { penalty: options.repetition_penalty });
        chain.push_if(options.no_repeat_ngram_size > 0, NoRepeatNgram { size: options.no_repeat_ngram_size });
        if !options.ignore_eos && !eos.is_empty() {
            let (min_length, min_new_tokens) = (options.min_length, options.min_new_tokens);
            chain.push_if(min_length > 0, MinLength { min_length, eos: eos.to_vec() });
            chain.push_if(min_new_tokens > 0, MinNewTokens { prompt_len, min_new_tokens, eos: eos.to_vec() });
        }
        if options.temperature > 0.0 {
            chain.push_warpers(options);
        }
        chain
    }

    fn push_warpers(&mut self, options: &GenerationOptions) {
        self.push_if(options.temperature != 1.0, Temperature { temperature: options.temperature });
        self.push_if(options.top_k > 0, TopK { top_k: options.top_k, min_tokens_to_keep: 1 });
        self.push_if(options.top_p < 1.0, TopP { top_p: options.top_p, min_tokens_to_keep: 1 });
        self.push_if(options.min_p > 0.0, MinP { min_p: options.min_p, min_tokens_to_keep: 1 });
        self.push_if(options.typical_p < 1.0, Typical { mass: options.typical_p, min_tokens_to_keep: 1 });
    }

    fn push_if(&mut self, wanted: bool, processor: impl LogitsProcessor + 'static) {
        if wanted {
            self.push(processor);
        }
    }

    /// Adds a processor at the end.
    pub fn push(&mut self, processor: impl LogitsProcessor + 'static) {
        self.processors.push(Box::new(processor));
    }

    /// Whether the chain changes nothing.
    pub fn is_empty(&self) -> bool {
        self.processors.is_empty()
    }

    /// Applies all processors to `scores` (`[vocabulary]`); `tokens` are the prompt and everything generated so far.
    pub fn apply(&self, tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch) {
        for processor in &self.processors {
            processor.apply(tokens, scores, scratch);
        }
    }
}
