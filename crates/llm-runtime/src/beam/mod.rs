//! Beam search without the model: which beams live on, which hypotheses are finished, when it is over.
//!
//! The bookkeeping is that of the Hugging Face library (`BeamSearchScorer` and `BeamHypotheses`): log-softmax first, then
//! the logits processors on the log-probabilities, then the best candidates over all beams; an end-of-sequence token among
//! the first `beam_width` candidates finishes a hypothesis, and the others continue. Log-probabilities are added up in f32,
//! as there, so that the same beams win.
//!
//! One difference: beams that could only continue with excluded tokens (`-inf`) are dropped, where the library carries
//! them on with a worthless score. So there may be fewer live beams than `beam_width`, one at the very first step.

mod hypotheses;

use hypotheses::Hypotheses;
pub use hypotheses::{BeamHypothesis, Ranking};

use rayon::prelude::*;

use crate::sampling::{ProcessorChain, SamplingError, Scratch, check_row, log_softmax_in_place, most_likely};
use crate::{EarlyStopping, GenerationOptions};

/// What a beam search goes by, beside its processors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeamRules {
    /// Number of beams, and of finished hypotheses that are kept; 0 counts as 1.
    pub beam_width: usize,
    /// At most this many new tokens (the end-of-sequence token counts).
    pub max_new_tokens: usize,
    /// When the search may end.
    pub early_stopping: EarlyStopping,
    /// What hypotheses are ordered by.
    pub ranking: Ranking,
}

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
    rules: BeamRules,
    num_return_sequences: usize,
    prompt_len: usize,
    eos: Vec<u32>,
    chain: ProcessorChain,
    beams: Vec<Beam>,
    generated: usize,
    finished: Hypotheses,
    settled: bool,
    /// Of each live beam.
    workspaces: Vec<Workspace>,
}

/// Buffers of a step over the vocabulary.
#[derive(Debug, Default)]
struct Workspace {
    logprobs: Vec<f32>,
    sums: Vec<f32>,
    scratch: Scratch,
}

impl Workspace {
    /// Log-probabilities of a beam's next token, by the processors' leave, and their sums with the beam's own.
    fn score(
        &mut self,
        beam: &Beam,
        logits: &[f32],
        chain: &ProcessorChain,
        adjust: &dyn Fn(&mut [f32]),
    ) -> Result<(), SamplingError> {
        check_row(logits)?;
        self.logprobs.clear();
        self.logprobs.extend_from_slice(logits);
        log_softmax_in_place(&mut self.logprobs);
        adjust(&mut self.logprobs);
        chain.apply(&beam.tokens, &mut self.logprobs, &mut self.scratch);
        self.sums.clear();
        self.sums.extend(self.logprobs.iter().map(|logprob| logprob + beam.sum));
        Ok(())
    }

    /// The best continuations, best first.
    fn best(&self, parent: usize, wanted: usize) -> Vec<Candidate> {
        let candidate = |(token, sum)| Candidate { parent, token, logprob: self.logprobs[token as usize], sum };
        most_likely(&self.sums, wanted).into_iter().map(candidate).collect()
    }
}

/// A running beam.
#[derive(Debug, Clone)]
struct Beam {
    /// Prompt and new tokens.
    tokens: Vec<u32>,
    /// Processed log-probabilities of the new tokens.
    logprobs: Vec<f32>,
    /// Their sum.
    sum: f32,
}

/// A continuation of a beam under consideration.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    parent: usize,
    token: u32,
    logprob: f32,
    sum: f32,
}

impl BeamSearch {
    /// A search that has seen the prompt only. `eos` are the end-of-sequence tokens, which count as absent under `ignore_eos`.
    pub fn new(options: &GenerationOptions, prompt: &[u32], eos: &[u32]) -> Self {
        let mut eos = if options.ignore_eos { Vec::new() } else { eos.to_vec() };
        eos.sort_unstable();
        eos.dedup();
        let rules = BeamRules {
            beam_width: options.beam_width,
            max_new_tokens: options.max_new_tokens,
            early_stopping: options.early_stopping,
            ranking: Ranking::LengthPenalty(options.length_penalty),
        };
        let chain = ProcessorChain::from_options(options, prompt.len(), &eos);
        Self { num_return_sequences: options.num_return_sequences, ..Self::with_processors(rules, chain, prompt, &eos) }
    }

    /// A search with processors of its own, which keeps all `beam_width` hypotheses.
    pub fn with_processors(rules: BeamRules, chain: ProcessorChain, prompt: &[u32], eos: &[u32]) -> Self {
        let rules = BeamRules { beam_width: rules.beam_width.max(1), ..rules };
        // The library starts with `beam_width` copies, all but the first at -1e9, so that only one of them can win.
        let start = Beam { tokens: prompt.to_vec(), logprobs: Vec::new(), sum: 0.0 };
        Self {
            num_return_sequences: rules.beam_width,
            prompt_len: prompt.len(),
            eos: eos.to_vec(),
            chain,
            beams: vec![start],
            generated: 0,
            finished: Hypotheses::new(rules),
            settled: false,
            workspaces: Vec::new(),
            rules,
        }
    }

    /// Number of live beams, and of rows that [`Self::advance`] wants: 1 at first, then at most `beam_width`.
    pub fn live(&self) -> usize {
        self.beams.len()
    }

    /// Whether no further step can change the outcome, or `max_new_tokens` is reached, or no beam is left.
    pub fn is_done(&self) -> bool {
        self.settled || self.generated >= self.rules.max_new_tokens || self.beams.is_empty()
    }

    /// One step. `rows` are the raw logits `[vocabulary]` of each live beam. The answer says which beams live now, best first:
    /// the next rows are wanted in this order. After the end nothing happens and the answer is empty.
    ///
    /// # Errors
    /// The wrong number of rows, a logit that is NaN or `+inf`, or no token left to choose and no hypothesis finished.
    pub fn advance(&mut self, rows: &[&[f32]]) -> Result<Vec<BeamStep>, SamplingError> {
        self.advance_with(rows, &|_| ())
    }

    /// [`Self::advance`], where `adjust` changes each beam's log-probabilities before the processors do: what another
    /// search of the same prompt has chosen can be made less likely. The change stays in the sums.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn advance_with(
        &mut self,
        rows: &[&[f32]],
        adjust: &(dyn Fn(&mut [f32]) + Sync),
    ) -> Result<Vec<BeamStep>, SamplingError> {
        if self.is_done() {
            return Ok(Vec::new());
        }
        let candidates = self.candidates(rows, adjust)?;
        self.generated += 1;
        let steps = self.select(&candidates);
        if let Some(best) = candidates.first() {
            self.settled = self.finished.is_done(best.sum, self.generated);
        }
        if self.beams.is_empty() && self.finished.is_empty() {
            return Err(SamplingError::NothingLeft);
        }
        Ok(steps)
    }

    /// The best continuations of all beams, best first; twice `beam_width` or more, so that end-of-sequence tokens can't
    /// leave too few others.
    fn candidates(
        &mut self,
        rows: &[&[f32]],
        adjust: &(dyn Fn(&mut [f32]) + Sync),
    ) -> Result<Vec<Candidate>, SamplingError> {
        if rows.len() != self.beams.len() {
            return Err(SamplingError::RowCount { expected: self.beams.len(), got: rows.len() });
        }
        let wanted = (1 + self.eos.len()).max(2) * self.rules.beam_width;
        self.workspaces.resize_with(rows.len(), Workspace::default);
        let (beams, chain) = (&self.beams, &self.chain);
        let of_beam = |(parent, (workspace, row)): (usize, (&mut Workspace, &&[f32]))| {
            workspace.score(&beams[parent], row, chain, adjust)?;
            Ok(workspace.best(parent, wanted))
        };
        let best = self.workspaces.par_iter_mut().zip(rows).enumerate().map(of_beam);
        // All are awaited, so that it is always the first of several problems that is told.
        let best: Vec<Result<Vec<Candidate>, SamplingError>> = best.collect();
        let mut candidates = best.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        // The sort is stable: among equals the earlier beam and the smaller token come first.
        candidates.sort_by(|a, b| b.sum.total_cmp(&a.sum));
        candidates.truncate(wanted);
        Ok(candidates)
    }

    /// Sorts candidates into finished hypotheses and new beams.
    fn select(&mut self, candidates: &[Candidate]) -> Vec<BeamStep> {
        let width = self.rules.beam_width;
        let mut beams = Vec::with_capacity(width);
        let mut steps = Vec::with_capacity(width);
        for (rank, candidate) in candidates.iter().enumerate() {
            if beams.len() == width {
                break;
            }
            let beam = &self.beams[candidate.parent];
            let tokens = beam.tokens.iter().copied().chain([candidate.token]);
            let logprobs = beam.logprobs.iter().copied().chain([candidate.logprob]);
            if !self.eos.contains(&candidate.token) {
                beams.push(Beam { tokens: tokens.collect(), logprobs: logprobs.collect(), sum: candidate.sum });
                steps.push(BeamStep { parent: candidate.parent, token: candidate.token });
            } else if rank < width {
                self.finished.add(tokens.skip(self.prompt_len).collect(), logprobs.collect(), candidate.sum);
            }
        }
        self.beams = beams;
        steps
    }

    /// The best `num_return_sequences` hypotheses, best first: new tokens, the end-of-sequence token included, and the sum
    /// of their log-probabilities divided by their number to the power of the length penalty. Beams that still run count as
    /// hypotheses, unless the search had settled without them.
    pub fn finish(self) -> Vec<(Vec<u32>, f32)> {
        self.hypotheses().into_iter().map(|found| (found.tokens, found.score as f32)).collect()
    }

    /// What [`Self::finish`] gives, with the log-probability of each token.
    pub fn hypotheses(mut self) -> Vec<BeamHypothesis> {
        if !self.settled {
            for Beam { mut tokens, logprobs, sum } in std::mem::take(&mut self.beams) {
                tokens.drain(..self.prompt_len);
                self.finished.add(tokens, logprobs, sum);
            }
        }
        let mut found = self.finished.best_first();
        found.truncate(self.num_return_sequences);
        found
    }
}
