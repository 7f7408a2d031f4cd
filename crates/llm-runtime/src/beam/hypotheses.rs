//! Finished hypotheses: how they are ranked, which are kept, and when no better one can come.

use serde::{Deserialize, Serialize};

use super::BeamRules;
use crate::EarlyStopping;

/// What a beam search found.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamHypothesis {
    /// The new tokens, the end-of-sequence token included where there is one.
    pub tokens: Vec<u32>,
    /// What each token added to the sum: its log-probability as the processors left it. As many as `tokens`.
    pub logprobs: Vec<f32>,
    /// What hypotheses are ordered by, greatest first: see [`Ranking`].
    pub score: f64,
}

/// What hypotheses are ordered by. Running beams always compete by the plain sum of their log-probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranking {
    /// `sum / n^penalty` with `n` the number of new tokens.
    LengthPenalty(f32),
    /// MAGIC's (doi 10.1007/978-3-031-70362-1_13): `sum / (variety · distinct / n + length · n / max_new_tokens)` with
    /// `distinct` the number of different new tokens; the plain sum where both weights are 0. Sums are negative, so varied and
    /// long texts gain.
    VarietyAndLength {
        /// At least 0.
        variety: f32,
        /// At least 0.
        length: f32,
    },
}

impl Ranking {
    /// The score of new `tokens` whose log-probabilities add up to `sum`.
    pub fn score(&self, sum: f32, tokens: &[u32], max_new_tokens: usize) -> f64 {
        f64::from(sum) / self.denominator(tokens.len(), distinct(tokens), max_new_tokens)
    }

    /// The score of a sum at a length, if all its tokens were different.
    fn attainable(&self, sum: f32, length: usize, max_new_tokens: usize) -> f64 {
        f64::from(sum) / self.denominator(length, length, max_new_tokens)
    }

    fn denominator(&self, length: usize, distinct: usize, max_new_tokens: usize) -> f64 {
        let n = length.max(1) as f64;
        match *self {
            Self::LengthPenalty(penalty) => n.powf(f64::from(penalty)),
            Self::VarietyAndLength { variety, length } => {
                let varied = f64::from(variety) * distinct as f64 / n;
                let long = f64::from(length) * n / max_new_tokens.max(1) as f64;
                if varied + long > 0.0 { varied + long } else { 1.0 }
            }
        }
    }

    /// Whether a sum scores best at the greatest length.
    fn favours_length(&self) -> bool {
        match *self {
            Self::LengthPenalty(penalty) => penalty > 0.0,
            Self::VarietyAndLength { .. } => true,
        }
    }
}

fn distinct(tokens: &[u32]) -> usize {
    let mut tokens = tokens.to_vec();
    tokens.sort_unstable();
    tokens.dedup();
    tokens.len()
}

/// The best finished hypotheses, at most `beam_width`.
#[derive(Debug)]
pub(super) struct Hypotheses {
    rules: BeamRules,
    /// In the order in which they came.
    kept: Vec<BeamHypothesis>,
}

impl Hypotheses {
    pub(super) fn new(rules: BeamRules) -> Self {
        Self { rules, kept: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn add(&mut self, tokens: Vec<u32>, logprobs: Vec<f32>, sum: f32) {
        let score = self.rules.ranking.score(sum, &tokens, self.rules.max_new_tokens);
        if self.kept.len() >= self.rules.beam_width {
            match self.worst() {
                Some((at, worst)) if score > worst => self.kept.remove(at),
                _ => return,
            };
        }
        self.kept.push(BeamHypothesis { tokens, logprobs, score });
    }

    /// Position and score of the worst one kept; among equals the first.
    fn worst(&self) -> Option<(usize, f64)> {
        let by_score = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
        self.kept.iter().enumerate().map(|(at, kept)| (at, kept.score)).min_by(by_score)
    }

    /// Whether no continuation can be better than the worst one kept. `best_sum` belongs to the best candidate of the present
    /// step, finished or not, with `length` new tokens.
    pub(super) fn is_done(&self, best_sum: f32, length: usize) -> bool {
        let Some((_, worst)) = self.worst() else { return false };
        if self.kept.len() < self.rules.beam_width {
            return false;
        }
        let best_length = match self.rules.early_stopping {
            EarlyStopping::Yes => return true,
            EarlyStopping::Never if self.rules.ranking.favours_length() => self.rules.max_new_tokens,
            EarlyStopping::Never | EarlyStopping::No => length,
        };
        worst >= self.rules.ranking.attainable(best_sum, best_length, self.rules.max_new_tokens)
    }

    /// Best first; among equals the later one, as in the library, which pops from an ascending stable sort.
    pub(super) fn best_first(self) -> Vec<BeamHypothesis> {
        let mut kept = self.kept;
        kept.sort_by(|a, b| a.score.total_cmp(&b.score));
        kept.reverse();
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varied_and_long_texts_gain() {
        let ranking = Ranking::VarietyAndLength { variety: 1.0, length: 0.5 };
        // 2 of 4 tokens differ, 4 of 8 tokens are used: -3 / (1 · 2/4 + 0.5 · 4/8).
        assert_eq!(ranking.score(-3.0, &[5, 6, 5, 6], 8), -4.0);
        assert!(ranking.score(-3.0, &[5, 6, 7, 8], 8) > -4.0);
        assert!(ranking.score(-3.0, &[5, 6, 5, 6, 5, 6, 7, 8], 8) > -4.0);
        let plain = Ranking::VarietyAndLength { variety: 0.0, length: 0.0 };
        assert_eq!(plain.score(-3.0, &[5, 6, 5, 6], 8), -3.0);
    }

    /// A search by variety and length that never stops early goes on while a longer text of different tokens could still win.
    #[test]
    fn a_search_by_variety_and_length_ends_when_none_can_win() {
        let ranking = Ranking::VarietyAndLength { variety: 1.0, length: 1.0 };
        let rules = BeamRules { beam_width: 1, max_new_tokens: 4, early_stopping: EarlyStopping::Never, ranking };
        let mut finished = Hypotheses::new(rules);
        finished.add(vec![2], vec![-1.0], -1.0);
        // It has -1 / (1 + 1/4) = -0.8; a running sum can still be divided by 1 + 1.
        assert!(!finished.is_done(-1.5, 1));
        assert!(finished.is_done(-1.6, 1));
    }
}
