//! Beam search of one row, in one group of beams or in several that avoid each other.

use llm_runtime::beam::{BeamHypothesis, BeamRules, BeamSearch, BeamStep};
use llm_runtime::sampling::SamplingError;

use super::rules::{self, Chosen};
use super::{Decoded, DecodingIds, DecodingOptions, DecodingRow, RowSearch};

/// The groups of one row. Each is a beam search with finished hypotheses of its own; within a step they take turns.
pub(super) struct Beams {
    groups: Vec<BeamSearch>,
    group_width: usize,
    diversity_penalty: f32,
    num_return_sequences: usize,
    pad: u32,
    /// At first all groups continue the one sequence there is.
    parted: bool,
}

impl Beams {
    pub(super) fn new(options: &DecodingOptions, row: &DecodingRow, ids: DecodingIds) -> Self {
        let group_width = options.beam_width / options.beam_groups.max(1);
        let rules = BeamRules {
            beam_width: group_width,
            max_new_tokens: options.max_new_tokens,
            early_stopping: options.early_stopping,
            ranking: options.ranking(),
        };
        let group = |_| {
            let chain = rules::chain(options, row, ids);
            BeamSearch::with_processors(rules, chain, &row.prompt, &[ids.eos])
        };
        Self {
            groups: (0..options.beam_groups).map(group).collect(),
            group_width,
            diversity_penalty: options.diversity_penalty,
            num_return_sequences: options.num_return_sequences,
            pad: ids.pad,
            parted: false,
        }
    }
}

impl RowSearch for Beams {
    fn live(&self) -> usize {
        let running = self.groups.iter().filter(|group| !group.is_done()).map(BeamSearch::live);
        if self.parted { running.sum() } else { running.max().unwrap_or(0) }
    }

    fn advance(&mut self, logits: &[&[f32]]) -> Result<Vec<BeamStep>, SamplingError> {
        let mut chosen = Chosen::default();
        let mut next = Vec::with_capacity(self.groups.len() * self.group_width);
        let mut first = 0;
        for group in &mut self.groups {
            if group.is_done() {
                chosen.add(self.pad, self.group_width);
                continue;
            }
            let end = first + group.live();
            let own = logits.get(first..end).unwrap_or_default();
            let steps = group.advance_with(own, &|scores| chosen.penalise(self.diversity_penalty, scores))?;
            steps.iter().for_each(|step| chosen.add(step.token, 1));
            if !group.is_done() {
                next.extend(steps.into_iter().map(|step| BeamStep { parent: first + step.parent, ..step }));
            }
            first = if self.parted { end } else { 0 };
        }
        self.parted = true;
        Ok(next)
    }

    fn finish(self: Box<Self>) -> Vec<Decoded> {
        // Later groups stand before earlier ones, so that the stable sort puts the later of two equals first, as the library does.
        let mut found: Vec<BeamHypothesis> = self.groups.into_iter().rev().flat_map(BeamSearch::hypotheses).collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(self.num_return_sequences);
        let decoded = |found: BeamHypothesis| Decoded {
            ids: found.tokens,
            token_logprobs: found.logprobs,
            score: found.score as f32,
        };
        found.into_iter().map(decoded).collect()
    }
}
