//! Constraints: processors that forbid or force tokens.

use super::chain::{LogitsProcessor, Scratch};

/// No n-gram of this size occurs twice, prompt included.
#[derive(Debug, Clone, PartialEq)]
pub struct NoRepeatNgram {
    /// The n-gram's size, at least 1 (0 forbids nothing).
    pub size: usize,
}

impl LogitsProcessor for NoRepeatNgram {
    fn apply(&self, tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        forbid_ngrams_of(tokens, tokens, self.size, scores);
    }
}

/// No n-gram of a source text (an encoder's input) occurs in the output.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderNoRepeatNgram {
    /// The n-gram's size, at least 1 (0 forbids nothing).
    pub size: usize,
    /// The source.
    pub encoder_tokens: Vec<u32>,
}

impl LogitsProcessor for EncoderNoRepeatNgram {
    fn apply(&self, tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        forbid_ngrams_of(&self.encoder_tokens, tokens, self.size, scores);
    }
}

/// Forbids every token that would complete an n-gram of `source` at the end of `tokens`.
fn forbid_ngrams_of(source: &[u32], tokens: &[u32], size: usize, scores: &mut [f32]) {
    if size == 0 || tokens.len() + 1 < size {
        return;
    }
    let (_, begun) = tokens.split_at(tokens.len() + 1 - size);
    for ngram in source.windows(size) {
        if let Some((&last, prefix)) = ngram.split_last()
            && prefix == begun
        {
            forbid(scores, &[last]);
        }
    }
}

/// No end-of-sequence token before prompt and new tokens together are `min_length`.
#[derive(Debug, Clone, PartialEq)]
pub struct MinLength {
    /// In tokens, prompt included.
    pub min_length: usize,
    /// The end-of-sequence tokens.
    pub eos: Vec<u32>,
}

impl LogitsProcessor for MinLength {
    fn apply(&self, tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        if tokens.len() < self.min_length {
            forbid(scores, &self.eos);
        }
    }
}

/// No end-of-sequence token before there are `min_new_tokens` new tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct MinNewTokens {
    /// Tokens of the prompt.
    pub prompt_len: usize,
    /// In tokens, without the prompt.
    pub min_new_tokens: usize,
    /// The end-of-sequence tokens.
    pub eos: Vec<u32>,
}

impl LogitsProcessor for MinNewTokens {
    fn apply(&self, tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        if tokens.len() < self.prompt_len.saturating_add(self.min_new_tokens) {
            forbid(scores, &self.eos);
        }
    }
}

/// The last token that fits into `max_length` is an end-of-sequence token.
#[derive(Debug, Clone, PartialEq)]
pub struct ForcedEos {
    /// In tokens, prompt included.
    pub max_length: usize,
    /// The end-of-sequence tokens; they become equally likely.
    pub eos: Vec<u32>,
}

impl LogitsProcessor for ForcedEos {
    fn apply(&self, tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        if tokens.len() + 1 == self.max_length {
            force(scores, &self.eos);
        }
    }
}

/// The first token after a prompt of one token is this one.
#[derive(Debug, Clone, PartialEq)]
pub struct ForcedBos {
    /// Which.
    pub bos: u32,
}

impl LogitsProcessor for ForcedBos {
    fn apply(&self, tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        if tokens.len() == 1 {
            force(scores, &[self.bos]);
        }
    }
}

/// Forbids token sequences: the last token of each is removed where the tokens before it have just been produced.
#[derive(Debug, Clone, PartialEq)]
pub struct NoBadWords {
    words: Vec<Vec<u32>>,
}

impl NoBadWords {
    /// Forbids `words`, except a word that is an end-of-sequence token alone (as in the reference) or empty.
    pub fn new(words: Vec<Vec<u32>>, eos: &[u32]) -> Self {
        let is_word = |word: &Vec<u32>| match word.as_slice() {
            [] => false,
            [only] => !eos.contains(only),
            _ => true,
        };
        Self { words: words.into_iter().filter(is_word).collect() }
    }
}

impl LogitsProcessor for NoBadWords {
    fn apply(&self, tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        for word in &self.words {
            if let Some((&last, prefix)) = word.split_last() {
                // The reference looks at a longer word only once as many tokens as the whole word exist.
                let begun = prefix.is_empty() || (word.len() <= tokens.len() && tokens.ends_with(prefix));
                if begun {
                    forbid(scores, &[last]);
                }
            }
        }
    }
}

/// Forbids single tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct SuppressTokens {
    /// Which.
    pub tokens: Vec<u32>,
}

impl LogitsProcessor for SuppressTokens {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        forbid(scores, &self.tokens);
    }
}

fn forbid(scores: &mut [f32], tokens: &[u32]) {
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
}

/// Gives these tokens the score 0 and takes all others out.
fn force(scores: &mut [f32], tokens: &[u32]) {
    scores.fill(f32::NEG_INFINITY);
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = 0.0;
        }
    }
}
