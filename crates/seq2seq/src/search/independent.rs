//! Greedy decoding and sampling: sequences that know nothing of each other.

use llm_runtime::beam::{BeamStep, Ranking};
use llm_runtime::sampling::{Sampler, SamplingError, logprob_of};
use llm_runtime::seeded_stream;

use super::{Decoded, DecodingIds, DecodingOptions, DecodingRow, RowSearch, rules};

/// The sequences of one row, which part after the prompt.
pub(super) struct Independent {
    sequences: Vec<Sequence>,
    prompt_len: usize,
    max_new_tokens: usize,
    ranking: Ranking,
    eos: u32,
    parted: bool,
    scores: Vec<f32>,
}

struct Sequence {
    sampler: Sampler,
    /// Prompt and new ids.
    ids: Vec<u32>,
    logprobs: Vec<f32>,
    ended: bool,
}

impl Independent {
    /// One greedy sequence, or as many draws as are to be returned.
    pub(super) fn new(options: &DecodingOptions, row: &DecodingRow, ids: DecodingIds) -> Self {
        let sequence = |number: usize| {
            let name = format!("decoding/{}/{number}", row.stream);
            let generator = options.samples().then(|| seeded_stream(options.seed, &name));
            let sampler = Sampler::with_processors(rules::chain(options, row, ids), generator);
            Sequence { sampler, ids: row.prompt.clone(), logprobs: Vec::new(), ended: false }
        };
        Self {
            sequences: (0..options.num_return_sequences).map(sequence).collect(),
            prompt_len: row.prompt.len(),
            max_new_tokens: options.max_new_tokens,
            ranking: options.ranking(),
            eos: ids.eos,
            parted: false,
            scores: Vec::new(),
        }
    }
}

impl RowSearch for Independent {
    fn live(&self) -> usize {
        let running = self.sequences.iter().filter(|sequence| !sequence.ended).count();
        if self.parted { running } else { running.min(1) }
    }

    fn advance(&mut self, logits: &[&[f32]]) -> Result<Vec<BeamStep>, SamplingError> {
        let mut steps = Vec::with_capacity(self.sequences.len());
        let running = self.sequences.iter_mut().filter(|sequence| !sequence.ended);
        for (place, sequence) in running.enumerate() {
            let parent = if self.parted { place } else { 0 };
            let row = logits.get(parent).ok_or(SamplingError::EmptyRow)?;
            self.scores.clear();
            self.scores.extend_from_slice(row);
            let token = sequence.sampler.sample(&mut self.scores, &sequence.ids)?;
            sequence.ids.push(token);
            sequence.logprobs.push(logprob_of(&self.scores, token));
            sequence.ended = token == self.eos || sequence.logprobs.len() >= self.max_new_tokens;
            if !sequence.ended {
                steps.push(BeamStep { parent, token });
            }
        }
        self.parted = true;
        Ok(steps)
    }

    fn finish(self: Box<Self>) -> Vec<Decoded> {
        let Self { sequences, prompt_len, max_new_tokens, ranking, .. } = *self;
        let decoded = |mut sequence: Sequence| {
            sequence.ids.drain(..prompt_len);
            let sum = sequence.logprobs.iter().sum();
            let score = ranking.score(sum, &sequence.ids, max_new_tokens) as f32;
            Decoded { ids: sequence.ids, token_logprobs: sequence.logprobs, score }
        };
        sequences.into_iter().map(decoded).collect()
    }
}
