//! Beam search without the model: which beams live on, which hypotheses are finished, when it is over.
//!
//! The bookkeeping is that of the Hugging Face library (`BeamSearchScorer` and `BeamHypotheses`): log-softmax first, then
//! the logits processors on the log-probabilities, then the best candidates over all beams; an end-of-sequence token among
//! the first `beam_width` candidates finishes a hypothesis, and the others continue. Log-probabilities are added up in f32,
//! as there, so that the same beams win.
//!
//! One difference: beams that could only continue with excluded tokens (`-inf`) are dropped, where the library carries
//! them on with a worthless score. So there may be fewer live beams than `beam_width`, one at the very first step.

use std::cmp::Ordering;

use crate::sampling::{ProcessorChain, SamplingError, check_row, log_softmax_in_place, most_likely};
use crate::{EarlyStopping, GenerationOptions};

/// How a live beam continues one of the beams before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeamStep {
    /// Index of the beam that is continued, among the beams that were live before.
    pub parent: usize,
    /// Its next token.
    pub token: u32,
}

/// The state of one beam search.
#[derive(Debug)]
pub struct BeamSearch {
    width: usize,
    max_new_tokens: usize,
    num_return_sequences: usize,
    prompt_len: usize,
    eos: Vec<u32>,
    chain: ProcessorChain,
    beams: Vec<Beam>,
    generated: usize,
    finished: Hypotheses,
    settled: bool,
    row: Vec<f32>,
}

/// A running beam.
#[derive(Debug, Clone)]
struct Beam {
    /// Prompt and new tokens.
    tokens: Vec<u32>,
    /// Sum of processed log-probabilities.
    score: f32,
}

/// A continuation of a beam under consideration.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    parent: usize,
    token: u32,
    score: f32,
}

impl BeamSearch {
    /// A search that has seen the prompt only. `eos` are the end-of-sequence tokens, which count as absent under `ignore_eos`.
    pub fn new(options: &GenerationOptions, prompt: &[u32], eos: &[u32]) -> Self {
        let mut eos = if options.ignore_eos { Vec::new() } else { eos.to_vec() };
        eos.sort_unstable();
        eos.dedup();
        // The library starts with `beam_width` copies, all but the first at -1e9, so that only one of them can win.
        let start = Beam { tokens: prompt.to_vec(), score: 0.0 };
        Self {
            width: options.beam_width.max(1),
            max_new_tokens: options.max_new_tokens,
            num_return_sequences: options.num_return_sequences,
            prompt_len: prompt.len(),
            chain: ProcessorChain::from_options(options, prompt.len(), &eos),
            eos,
            beams: vec![start],
            generated: 0,
            finished: Hypotheses::new(options),
            settled: false,
            row: Vec::new(),
        }
    }

    /// Number of live beams, and of rows that [`Self::advance`] wants: 1 at first, then at most `beam_width`.
    pub fn live(&self) -> usize {
        self.beams.len()
    }

    /// Whether no further step can change the outcome, or `max_new_tokens` is reached, or no beam is left.
    pub fn is_done(&self) -> bool {
        self.settled || self.generated >= self.max_new_tokens || self.beams.is_empty()
    }

    /// One step. `rows` are the raw logits `[vocabulary]` of each live beam. The answer says which beams live now, best first:
    /// the next rows are wanted in this order. After the end nothing happens and the answer is empty.
    ///
    /// # Errors
    /// The wrong number of rows, a logit that is NaN or `+inf`, or no token left to choose and no hypothesis finished.
    pub fn advance(&mut self, rows: &[&[f32]]) -> Result<Vec<BeamStep>, SamplingError> {
        if self.is_done() {
            return Ok(Vec::new());
        }
        let candidates = self.candidates(rows)?;
        self.generated += 1;
        let steps = self.select(&candidates);
        if let Some(best) = candidates.first() {
            self.settled = self.finished.is_done(best.score, self.generated);
        }
        if self.beams.is_empty() && self.finished.is_empty() {
            return Err(SamplingError::NothingLeft);
        }
        Ok(steps)
    }

    /// The best continuations of all beams, best first; twice `beam_width` or more, so that end-of-sequence tokens can't
    /// leave too few others.
    fn candidates(&mut self, rows: &[&[f32]]) -> Result<Vec<Candidate>, SamplingError> {
        if rows.len() != self.beams.len() {
            return Err(SamplingError::RowCount { expected: self.beams.len(), got: rows.len() });
        }
        let wanted = (1 + self.eos.len()).max(2) * self.width;
        let mut candidates = Vec::with_capacity(wanted * rows.len());
        for (parent, (beam, row)) in self.beams.iter().zip(rows).enumerate() {
            check_row(row)?;
            self.row.clear();
            self.row.extend_from_slice(row);
            log_softmax_in_place(&mut self.row);
            self.chain.apply(&beam.tokens, &mut self.row);
            self.row.iter_mut().for_each(|score| *score += beam.score);
            let best = most_likely(&self.row, wanted);
            candidates.extend(best.into_iter().map(|(token, score)| Candidate { parent, token, score }));
        }
        // The sort is stable: among equals the earlier beam and the smaller token come first.
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        candidates.truncate(wanted);
        Ok(candidates)
    }

    /// Sorts candidates into finished hypotheses and new beams.
    fn select(&mut self, candidates: &[Candidate]) -> Vec<BeamStep> {
        let mut beams = Vec::with_capacity(self.width);
        let mut steps = Vec::with_capacity(self.width);
        for (rank, candidate) in candidates.iter().enumerate() {
            if beams.len() == self.width {
                break;
            }
            let tokens = self.beams[candidate.parent].tokens.iter().copied().chain([candidate.token]);
            if !self.eos.contains(&candidate.token) {
                beams.push(Beam { tokens: tokens.collect(), score: candidate.score });
                steps.push(BeamStep { parent: candidate.parent, token: candidate.token });
            } else if rank < self.width {
                self.finished.add(tokens.skip(self.prompt_len).collect(), candidate.score);
            }
        }
        self.beams = beams;
        steps
    }

    /// The best `num_return_sequences` hypotheses, best first: new tokens, the end-of-sequence token included, and the sum
    /// of their log-probabilities divided by their number to the power of the length penalty. Beams that still run count as
    /// hypotheses, unless the search had settled without them.
    pub fn finish(mut self) -> Vec<(Vec<u32>, f32)> {
        if !self.settled {
            for beam in &self.beams {
                self.finished.add(beam.tokens[self.prompt_len..].to_vec(), beam.score);
            }
        }
        self.finished.best_first().take(self.num_return_sequences).collect()
    }
}

/// The best finished hypotheses, at most `beam_width`.
#[derive(Debug)]
struct Hypotheses {
    capacity: usize,
    length_penalty: f64,
    early_stopping: EarlyStopping,
    max_new_tokens: usize,
    /// In the order in which they came.
    kept: Vec<(Vec<u32>, f64)>,
}

impl Hypotheses {
    fn new(options: &GenerationOptions) -> Self {
        Self {
            capacity: options.beam_width.max(1),
            length_penalty: f64::from(options.length_penalty),
            early_stopping: options.early_stopping,
            max_new_tokens: options.max_new_tokens,
            kept: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn score(&self, sum_logprobs: f32, length: usize) -> f64 {
        f64::from(sum_logprobs) / (length.max(1) as f64).powf(self.length_penalty)
    }

    /// Position and score of the worst one kept; among equals the first.
    fn worst(&self) -> Option<(usize, f64)> {
        let by_score = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
        self.kept.iter().enumerate().map(|(at, (_, score))| (at, *score)).min_by(by_score)
    }

    fn add(&mut self, tokens: Vec<u32>, sum_logprobs: f32) {
        let score = self.score(sum_logprobs, tokens.len());
        if self.kept.len() < self.capacity {
            self.kept.push((tokens, score));
        } else if let Some((at, worst)) = self.worst()
            && score > worst
        {
            self.kept.remove(at);
            self.kept.push((tokens, score));
        }
    }

    /// Whether no continuation can be better than the worst one kept. `best_sum_logprobs` belongs to the best candidate of
    /// the present step, finished or not, with `length` new tokens.
    fn is_done(&self, best_sum_logprobs: f32, length: usize) -> bool {
        let Some((_, worst)) = self.worst() else { return false };
        if self.kept.len() < self.capacity {
            return false;
        }
        let best_length = match self.early_stopping {
            EarlyStopping::Yes => return true,
            // Sums are negative: with a positive penalty they score best at the greatest length.
            EarlyStopping::Never if self.length_penalty > 0.0 => self.max_new_tokens,
            EarlyStopping::Never | EarlyStopping::No => length,
        };
        worst >= self.score(best_sum_logprobs, best_length)
    }

    /// Best first; among equals the later one, as in the library, which pops from an ascending stable sort.
    fn best_first(self) -> impl Iterator<Item = (Vec<u32>, f32)> {
        let mut kept = self.kept;
        let ascending = |a: &(Vec<u32>, f64), b: &(Vec<u32>, f64)| -> Ordering { a.1.total_cmp(&b.1) };
        kept.sort_by(ascending);
        kept.into_iter().rev().map(|(tokens, score)| (tokens, score as f32))
    }
}
