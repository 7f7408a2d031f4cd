//! The rules that change scores before an id is chosen, in the order of transformers 4.38.1.
//!
//! Diversity penalty, repetition penalty, no-repeat n-gram, the encoder's no-repeat n-gram, bad words, minimum lengths, forced first id, forced
//! last id; when sampling then temperature, top-k, top-p. All but the first are [`llm_runtime::sampling`]'s. Greedy decoding and sampling
//! apply them to logits, beam search to log-probabilities, which are not normalised again.

use llm_runtime::sampling::{
    EncoderNoRepeatNgram, ForcedBos, ForcedEos, MinLength, MinNewTokens, NoBadWords, NoRepeatNgram, ProcessorChain,
    RepetitionPenalty, Temperature, TopK, TopP,
};

use super::{DecodingIds, DecodingOptions, DecodingRow};

/// The rules that `options` ask for in this row, but for the diversity penalty; a neutral setting adds none.
pub(super) fn chain(options: &DecodingOptions, row: &DecodingRow, ids: DecodingIds) -> ProcessorChain {
    let prompt_len = row.prompt.len();
    let eos = vec![ids.eos];
    let mut chain = ProcessorChain::new();
    if options.repetition_penalty != 1.0 {
        chain.push(RepetitionPenalty { penalty: options.repetition_penalty });
    }
    if options.no_repeat_ngram_size > 0 {
        chain.push(NoRepeatNgram { size: options.no_repeat_ngram_size });
    }
    if options.encoder_no_repeat_ngram_size > 0 {
        let (size, encoder_tokens) = (options.encoder_no_repeat_ngram_size, row.encoder_ids.clone());
        chain.push(EncoderNoRepeatNgram { size, encoder_tokens });
    }
    if !options.bad_words.is_empty() {
        chain.push(NoBadWords::new(options.bad_words.clone(), &eos));
    }
    if options.min_length > 0 {
        chain.push(MinLength { min_length: options.min_length, eos: eos.clone() });
    }
    if options.min_new_tokens > 0 {
        chain.push(MinNewTokens { prompt_len, min_new_tokens: options.min_new_tokens, eos });
    }
    if let Some(bos) = options.forced_first_id {
        chain.push(ForcedBos { bos });
    }
    if let Some(last) = options.forced_last_id {
        let max_length = prompt_len.saturating_add(options.max_new_tokens);
        chain.push(ForcedEos { max_length, eos: vec![last] });
    }
    if options.samples() {
        push_warpers(&mut chain, options);
    }
    chain
}

fn push_warpers(chain: &mut ProcessorChain, options: &DecodingOptions) {
    if options.temperature != 1.0 {
        chain.push(Temperature { temperature: options.temperature });
    }
    if options.top_k > 0 {
        chain.push(TopK { top_k: options.top_k, min_tokens_to_keep: 1 });
    }
    if options.top_p < 1.0 {
        chain.push(TopP { top_p: options.top_p, min_tokens_to_keep: 1 });
    }
}

/// What the groups of a row have chosen at this step.
#[derive(Debug, Default)]
pub(super) struct Chosen(Vec<(u32, f32)>);

impl Chosen {
    /// Counts an id `times` more.
    pub(super) fn add(&mut self, id: u32, times: usize) {
        let times = times as f32;
        match self.0.iter_mut().find(|(known, _)| *known == id) {
            Some((_, count)) => *count += times,
            None => self.0.push((id, times)),
        }
    }

    /// Takes `penalty` off each id's score as often as it was chosen (arXiv:1610.02424, Hamming diversity).
    pub(super) fn penalise(&self, penalty: f32, scores: &mut [f32]) {
        for (id, count) in &self.0 {
            if let Some(score) = scores.get_mut(*id as usize) {
                *score -= penalty * count;
            }
        }
    }
}
