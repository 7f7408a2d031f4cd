//! Warpers: processors that reshape a distribution before a token is drawn from it.
//!
//! Each keeps at least `min_tokens_to_keep` tokens (0 counts as 1). Sums of probabilities are taken in f64. Where a set of
//! most likely tokens is needed, only as much of the vocabulary is sorted as the set is large.

use super::chain::{Candidate, LogitsProcessor, Scratch};

/// Divides all scores: below 1 the distribution becomes sharper, above 1 flatter.
#[derive(Debug, Clone, PartialEq)]
pub struct Temperature {
    /// The divisor, above 0.
    pub temperature: f32,
}

impl LogitsProcessor for Temperature {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        for score in scores {
            *score /= self.temperature;
        }
    }
}

/// Keeps the `top_k` most likely tokens and every token tied with the last of them.
#[derive(Debug, Clone, PartialEq)]
pub struct TopK {
    /// How many.
    pub top_k: usize,
    /// At least this many are kept, even if `top_k` is less.
    pub min_tokens_to_keep: usize,
}

impl LogitsProcessor for TopK {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch) {
        let threshold = nth_largest(scores, self.top_k.max(self.min_tokens_to_keep), scratch);
        remove_if(scores, |score| score < threshold);
    }
}

/// Nucleus sampling (arXiv:1904.09751): keeps the smallest set of most likely tokens whose probability reaches `top_p`;
/// that is, removes the low tail whose cumulative probability is at most `1 - top_p`. Among tied tokens at the border the
/// smaller ids stay.
#[derive(Debug, Clone, PartialEq)]
pub struct TopP {
    /// The probability to reach, 0..=1.
    pub top_p: f32,
    /// At least this many are kept.
    pub min_tokens_to_keep: usize,
}

impl LogitsProcessor for TopP {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch) {
        if self.top_p >= 1.0 {
            return;
        }
        let Some(distribution) = Distribution::of(scores) else { return };
        let candidates = &mut scratch.candidates;
        candidates.clear();
        candidates.extend(distribution.tokens(scores, |score, _| f64::from(score)));

        let (mut kept, mut mass) = (0, 0.0);
        let target = f64::from(self.top_p);
        let cut = sort_until(candidates, |candidate| {
            let enough = kept >= self.min_tokens_to_keep.max(1) && mass >= target;
            kept += 1;
            mass += candidate.mass;
            enough
        });
        for candidate in &candidates[cut..] {
            scores[candidate.token as usize] = f32::NEG_INFINITY;
        }
    }
}

/// Min-p sampling (arXiv:2407.01082): keeps tokens at least `min_p` times as likely as the most likely one.
#[derive(Debug, Clone, PartialEq)]
pub struct MinP {
    /// The ratio, 0..=1.
    pub min_p: f32,
    /// At least this many are kept.
    pub min_tokens_to_keep: usize,
}

impl LogitsProcessor for MinP {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch) {
        // p / p_max = exp(score - max): the ratio is compared in the log domain, without a softmax.
        let threshold = f64::from(greatest(scores)) + f64::from(self.min_p).ln();
        let protected = nth_largest(scores, self.min_tokens_to_keep, scratch);
        remove_if(scores, |score| f64::from(score) < threshold && score < protected);
    }
}

/// Locally typical sampling (arXiv:2202.00666): keeps the tokens whose surprise is closest to the distribution's entropy,
/// until their probability reaches `mass`, and every token equally close as the last of them. The most likely token may
/// be removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Typical {
    /// The probability to reach, above 0 and at most 1.
    pub mass: f32,
    /// At least this many are kept.
    pub min_tokens_to_keep: usize,
}

impl LogitsProcessor for Typical {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch) {
        let Some(distribution) = Distribution::of(scores) else { return };
        let entropy = distribution.entropy(scores);
        let candidates = &mut scratch.candidates;
        candidates.clear();
        // Rounded to f32 as the reference does, so that what is a tie there is a tie here.
        candidates.extend(distribution.tokens(scores, |_, logprob| -f64::from((-logprob - entropy).abs() as f32)));

        let (mut kept, mut mass) = (0, 0.0);
        let target = f64::from(self.mass);
        let last = sort_until(candidates, |candidate| {
            kept += 1;
            mass += candidate.mass;
            kept >= self.min_tokens_to_keep.max(1) && mass >= target
        });
        let Some(&Candidate { key: threshold, .. }) = candidates.get(last) else { return };
        for candidate in &candidates[last..] {
            if candidate.key < threshold {
                scores[candidate.token as usize] = f32::NEG_INFINITY;
            }
        }
    }
}

/// Epsilon sampling (arXiv:2210.15191): removes tokens less likely than `epsilon`.
#[derive(Debug, Clone, PartialEq)]
pub struct Epsilon {
    /// The probability, 0..1.
    pub epsilon: f32,
    /// At least this many are kept, with their ties.
    pub min_tokens_to_keep: usize,
}

impl LogitsProcessor for Epsilon {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch) {
        let Some(distribution) = Distribution::of(scores) else { return };
        let protected = nth_largest(scores, self.min_tokens_to_keep, scratch);
        distribution.remove_below(f64::from(self.epsilon), protected, scores);
    }
}

/// Eta sampling (arXiv:2210.15191): removes tokens less likely than `min(epsilon, sqrt(epsilon) * exp(-entropy))`.
#[derive(Debug, Clone, PartialEq)]
pub struct Eta {
    /// The probability, 0..1.
    pub epsilon: f32,
    /// At least this many are kept, with their ties.
    pub min_tokens_to_keep: usize,
}

impl LogitsProcessor for Eta {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], scratch: &mut Scratch) {
        let Some(distribution) = Distribution::of(scores) else { return };
        let epsilon = f64::from(self.epsilon);
        let eta = epsilon.min(epsilon.sqrt() * (-distribution.entropy(scores)).exp());
        let protected = nth_largest(scores, self.min_tokens_to_keep, scratch);
        distribution.remove_below(eta, protected, scores);
    }
}

/// The softmax of a row, by the logarithm of its normaliser.
struct Distribution {
    log_total: f64,
}

impl Distribution {
    /// Nothing where no score is finite or one is not a number.
    fn of(scores: &[f32]) -> Option<Self> {
        let max = f64::from(greatest(scores));
        let total: f64 = scores.iter().map(|score| (f64::from(*score) - max).exp()).sum();
        let log_total = max + total.ln();
        log_total.is_finite().then_some(Self { log_total })
    }

    fn logprob(&self, score: f32) -> f64 {
        f64::from(score) - self.log_total
    }

    /// In nats; removed tokens count as 0.
    fn entropy(&self, scores: &[f32]) -> f64 {
        let of_token = |score: &f32| {
            let logprob = self.logprob(*score);
            if logprob == f64::NEG_INFINITY { 0.0 } else { -logprob * logprob.exp() }
        };
        scores.iter().map(of_token).sum()
    }

    /// The tokens that are not removed yet, ordered by `key(score, logprob)`.
    fn tokens<'a>(
        &'a self,
        scores: &'a [f32],
        key: impl Fn(f32, f64) -> f64 + 'a,
    ) -> impl Iterator<Item = Candidate> + 'a {
        scores.iter().enumerate().filter(|(_, score)| **score != f32::NEG_INFINITY).map(move |(token, score)| {
            let logprob = self.logprob(*score);
            Candidate { token: token as u32, key: key(*score, logprob), mass: logprob.exp() }
        })
    }

    fn remove_below(&self, probability: f64, protected: f32, scores: &mut [f32]) {
        let threshold = self.log_total + probability.ln();
        remove_if(scores, |score| f64::from(score) < threshold && score < protected);
    }
}

/// Sorts candidates by descending key (ties: smaller id first), block by growing block, until `stop` says so of one;
/// returns its index, or their number. What comes behind that index is not sorted, but not greater.
fn sort_until(candidates: &mut [Candidate], mut stop: impl FnMut(&Candidate) -> bool) -> usize {
    let order = |a: &Candidate, b: &Candidate| b.key.total_cmp(&a.key).then(a.token.cmp(&b.token));
    let (mut sorted, mut block) = (0, 256);
    while sorted < candidates.len() {
        let rest = &mut candidates[sorted..];
        if block < rest.len() {
            rest.select_nth_unstable_by(block, order);
        }
        let length = block.min(rest.len());
        let head = &mut rest[..length];
        head.sort_unstable_by(order);
        if let Some(found) = head.iter().position(&mut stop) {
            return sorted + found;
        }
        sorted += length;
        block *= 4;
    }
    candidates.len()
}

/// The `n`-th largest score (0 counts as 1), or `-inf` where there are no more than `n`.
fn nth_largest(scores: &[f32], n: usize, scratch: &mut Scratch) -> f32 {
    if n <= 1 {
        return greatest(scores);
    }
    if n >= scores.len() {
        return f32::NEG_INFINITY;
    }
    let values = &mut scratch.values;
    values.clear();
    values.extend_from_slice(scores);
    *values.select_nth_unstable_by(n - 1, |a, b| b.total_cmp(a)).1
}

fn greatest(scores: &[f32]) -> f32 {
    scores.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

fn remove_if(scores: &mut [f32], removed: impl Fn(f32) -> bool) {
    for score in scores {
        if removed(*score) {
            *score = f32::NEG_INFINITY;
        }
    }
}
