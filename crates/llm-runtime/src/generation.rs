//! What may be asked of a generation: lengths, sampling, beams, stops, seed.

use serde::{Deserialize, Serialize};

/// Settings of one generation request. The default is greedy decoding of up to 256 tokens.
///
/// Processors run in the order of the Hugging Face library: repetition penalty, no-repeat n-gram, minimum lengths,
/// temperature, top-k, top-p, min-p, typical.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerationOptions {
    /// At most this many new tokens (the end-of-sequence token counts).
    pub max_new_tokens: usize,
    /// The end-of-sequence token is not allowed before this many new tokens.
    pub min_new_tokens: usize,
    /// The end-of-sequence token is not allowed before prompt and new tokens together are this many.
    pub min_length: usize,
    /// Softmax temperature; `0` means greedy decoding.
    pub temperature: f32,
    /// Keep only the `top_k` most likely tokens (ties with the k-th are kept); `0` keeps all.
    pub top_k: usize,
    /// Keep the smallest set of most likely tokens whose probability reaches `top_p`; `1` keeps all.
    pub top_p: f32,
    /// Keep tokens at least `min_p` times as likely as the most likely one; `0` keeps all.
    pub min_p: f32,
    /// Locally typical sampling: probability mass to keep; `1` keeps all.
    pub typical_p: f32,
    /// Divides positive and multiplies negative logits of tokens that occurred already; `1` changes nothing.
    pub repetition_penalty: f32,
    /// No n-gram of this size occurs twice (prompt included); `0` allows all.
    pub no_repeat_ngram_size: usize,
    /// Number of beams; `1` is greedy decoding or sampling. Beam search needs `temperature` 0.
    pub beam_width: usize,
    /// Beam scores are divided by length to this power.
    pub length_penalty: f32,
    /// When beam search may end.
    pub early_stopping: EarlyStopping,
    /// How many hypotheses beam search returns, best first; at most `beam_width`.
    pub num_return_sequences: usize,
    /// The text ends before the first of these strings.
    pub stop: Vec<String>,
    /// Do not end at the model's end-of-sequence tokens.
    pub ignore_eos: bool,
    /// Seed of this request's own generator. The same request and seed give the same tokens whatever runs beside it.
    pub seed: u64,
    /// Report log-probabilities of the chosen tokens, and of this many alternatives at each step.
    pub logprobs: Option<usize>,
}

impl Default for GenerationOptions {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            min_new_tokens: 0,
            min_length: 0,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            beam_width: 1,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::No,
            num_return_sequences: 1,
            stop: Vec::new(),
            ignore_eos: false,
            seed: 0,
            logprobs: None,
        }
    }
}

/// When beam search ends, as in the Hugging Face library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EarlyStopping {
    /// When `beam_width` hypotheses are finished and the best running beam, at its present length, is not better than the worst of them.
    #[default]
    No,
    /// As soon as `beam_width` hypotheses are finished.
    Yes,
    /// Only when no running beam could become better at any length.
    Never,
}

/// A setting that makes no sense; [`GenerationOptions::validate`] finds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("generation option `{option}`: {problem}")]
pub struct InvalidOption {
    /// The field's name.
    pub option: &'static str,
    /// What was given and what is allowed.
    pub problem: String,
}

impl GenerationOptions {
    /// Checks ranges and combinations.
    ///
    /// # Errors
    /// The first option that is out of range or contradicts another.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        let check = |ok: bool, option: &'static str, problem: String| {
            if ok { Ok(()) } else { Err(InvalidOption { option, problem }) }
        };
        check(self.max_new_tokens > 0, "max_new_tokens", "must be at least 1".into())?;
        let finite = |value: f32, low: f32, high: f32| value.is_finite() && value >= low && value <= high;
        check(
            finite(self.temperature, 0.0, 1e4),
            "temperature",
            format!("{} is not in 0..=10000 (0 is greedy)", self.temperature),
        )?;
        check(finite(self.top_p, 0.0, 1.0), "top_p", format!("{} is not in 0..=1", self.top_p))?;
        check(finite(self.min_p, 0.0, 1.0), "min_p", format!("{} is not in 0..=1", self.min_p))?;
        check(
            finite(self.typical_p, 0.0, 1.0) && self.typical_p > 0.0,
            "typical_p",
            format!("{} is not above 0 and at most 1", self.typical_p),
        )?;
        check(
            finite(self.repetition_penalty, 0.0, 1e4) && self.repetition_penalty > 0.0,
            "repetition_penalty",
            format!("{} is not positive", self.repetition_penalty),
        )?;
        check(self.length_penalty.is_finite(), "length_penalty", "must be finite".into())?;
        check(self.beam_width > 0, "beam_width", "must be at least 1".into())?;
        check(
            self.beam_width == 1 || self.temperature == 0.0,
            "beam_width",
            format!("{} beams need temperature 0, not {}", self.beam_width, self.temperature),
        )?;
        check(
            (1..=self.beam_width).contains(&self.num_return_sequences),
            "num_return_sequences",
            format!("{} is not in 1..={} (the beam width)", self.num_return_sequences, self.beam_width),
        )?;
        check(self.stop.iter().all(|stop| !stop.is_empty()), "stop", "a stop string is empty".into())
    }
}
