//! Penalties: processors that move scores according to what was said already or how long it became.

use super::chain::{LogitsProcessor, Scratch};

/// CTRL's repetition penalty (arXiv:1909.05858): the score of every token that occurred, prompt included, is divided by
/// `penalty` where positive and multiplied where negative, once per distinct token.
#[derive(Debug, Clone, PartialEq)]
pub struct RepetitionPenalty {
    /// Above 0; more than 1 discourages, less encourages repetition.
    pub penalty: f32,
}

impl LogitsProcessor for RepetitionPenalty {
    fn apply(&self, tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch) {
        penalise_once(tokens, self.penalty, scores, &mut scratch.seen);
    }
}

/// Encourages the tokens of a source text (an encoder's input): the inverse of [`RepetitionPenalty`] on those tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderRepetitionPenalty {
    /// Above 0; more than 1 favours the source's tokens.
    pub penalty: f32,
    /// The source.
    pub encoder_tokens: Vec<u32>,
}

impl LogitsProcessor for EncoderRepetitionPenalty {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch) {
        let inverse = (1.0 / f64::from(self.penalty)) as f32;
        penalise_once(&self.encoder_tokens, inverse, scores, &mut scratch.seen);
    }
}

fn penalise_once(tokens: &[u32], penalty: f32, scores: &mut [f32], seen: &mut Vec<bool>) {
    seen.resize(scores.len(), false);
    for &token in tokens {
        let token = token as usize;
        if token < scores.len() && !std::mem::replace(&mut seen[token], true) {
            let score = &mut scores[token];
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    }
    // All marks are cleared again through the same list, which is much shorter than the vocabulary.
    for &token in tokens {
        if let Some(mark) = seen.get_mut(token as usize) {
            *mark = false;
        }
    }
}

/// Raises the score of the end-of-sequence tokens exponentially once `start` new tokens exist:
/// `score + |score| * (factor^n - 1)` with `n` the new tokens beyond `start`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialDecayLengthPenalty {
    /// New tokens before it acts.
    pub start: usize,
    /// Growth per token; more than 1 shortens, less lengthens texts.
    pub factor: f64,
    /// Tokens of the prompt.
    pub prompt_len: usize,
    /// The end-of-sequence tokens.
    pub eos: Vec<u32>,
}

impl LogitsProcessor for ExponentialDecayLengthPenalty {
    fn apply(&self, tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        let beyond = tokens.len().saturating_sub(self.prompt_len.saturating_add(self.start));
        if beyond == 0 {
            return;
        }
        let growth = (self.factor.powf(beyond as f64) - 1.0) as f32;
        for &token in &self.eos {
            if let Some(score) = scores.get_mut(token as usize) {
                *score += score.abs() * growth;
            }
        }
    }
}
