//! [`Sampler`]: chooses one request's next token, greedily or by a draw from the request's own generator.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{ProcessorChain, SamplingError, Scratch, check_row, most_likely};
use crate::GenerationOptions;

/// Chooses the tokens of one request.
///
/// A draw takes one 64-bit word per token from ChaCha8, whose key is the seed in little-endian bytes followed by 24 zero
/// bytes (stream 0); the upper 53 bits make a number in `[0, 1)`, and the token is where that number falls in the cumulated
/// probabilities, tokens in the order of their ids. So a token depends on the seed, its position and its logits only.
#[derive(Debug)]
pub struct Sampler {
    chain: ProcessorChain,
    scratch: Scratch,
    generator: Option<ChaCha8Rng>,
    probabilities: Vec<f32>,
}

impl Sampler {
    /// A sampler for a request: greedy where the temperature is 0. `prompt` are the prompt's tokens, `eos` the
    /// end-of-sequence tokens.
    pub fn new(options: &GenerationOptions, prompt: &[u32], eos: &[u32]) -> Self {
        let chain = ProcessorChain::from_options(options, prompt.len(), eos);
        Self::with_processors(chain, (options.temperature > 0.0).then(|| seeded(options.seed)))
    }

    /// A sampler with processors and a generator of its own (see [`crate::seeded_stream`]); greedy without a generator.
    pub fn with_processors(chain: ProcessorChain, generator: Option<ChaCha8Rng>) -> Self {
        Self { chain, scratch: Scratch::default(), generator, probabilities: Vec::new() }
    }

    /// Chooses the next token. `logits` (`[vocabulary]`) are left as the processors changed them; `tokens_so_far` are the
    /// prompt and everything generated. Greedy decoding takes the greatest score, among equals the smallest id.
    ///
    /// # Errors
    /// A logit is NaN or `+inf`, or no token is left to choose.
    pub fn sample(&mut self, logits: &mut [f32], tokens_so_far: &[u32]) -> Result<u32, SamplingError> {
        check_row(logits)?;
        if !self.chain.is_empty() {
            self.chain.apply(tokens_so_far, logits, &mut self.scratch);
            // A small temperature or penalty can overflow a large logit.
            check_row(logits)?;
        }
        let (best, greatest) = *most_likely(logits, 1).first().ok_or(SamplingError::NothingLeft)?;
        match &mut self.generator {
            None => Ok(best),
            Some(generator) => Ok(draw(logits, greatest, uniform(generator), &mut self.probabilities)),
        }
    }
}

fn seeded(seed: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A number in `[0, 1)` with 53 random bits.
fn uniform(generator: &mut ChaCha8Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// The token at which the cumulated softmax of `scores` passes `position` in `[0, 1)`. `greatest` is their finite maximum.
fn draw(scores: &[f32], greatest: f32, position: f64, probabilities: &mut Vec<f32>) -> u32 {
    probabilities.clear();
    probabilities.extend(scores.iter().map(|score| (score - greatest).exp()));
    let total: f64 = probabilities.iter().copied().map(f64::from).sum();
    let target = position * total;

    let (mut cumulated, mut last) = (0.0, 0);
    for (token, &probability) in probabilities.iter().enumerate() {
        if probability > 0.0 {
            cumulated += f64::from(probability);
            last = token;
            if cumulated > target {
                break;
            }
        }
    }
    last as u32
}
