//! What alignment learns from: the candidates of each sample in the order of their helpfulness.

use std::collections::HashMap;

use helpfulness::{RankedSample, RankingDataset, ScoredCandidate, ranked};

use crate::candidates::{CandidateRow, ScoreRow};
use crate::error::Error;
use crate::sample::Sample;
use crate::strategy::Strategy;
use crate::tokenizer::DialogueTokenizer;

/// How candidates become sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankingRule {
    /// Candidates of a sample at most, the best ones.
    pub max_candidates: usize,
    /// Tokens that the decoder is fed at most, its first one and the strategy's included ([`crate::Lengths::max_decoder_input_length`]).
    pub longest: usize,
}

/// Puts samples, their candidates and these' scores together, in the order of the candidates' file. Sequences are those that the decoder shall say: the
/// strategy's token, the text's, EOS; a sequence that is too long loses its end, EOS included, and no other one does.
///
/// The score of the response that was really given takes no part. Candidates that say the same are one, with the strategy of the first.
///
/// # Errors
/// A row is about no sample or about another strategy, has no scores or not as many as responses, or a score is not a number.
pub fn ranking_data(
    samples: &[Sample],
    candidates: &[CandidateRow],
    scores: &[ScoreRow],
    tokenizer: &DialogueTokenizer,
    rule: RankingRule,
) -> Result<RankingDataset, Error> {
    let samples: HashMap<_, _> = samples.iter().map(|sample| ((sample.dialogue, sample.turn), sample)).collect();
    let scores: HashMap<_, _> = scores.iter().map(|row| ((row.sample_id, row.turn), row)).collect();
    let layout = SequenceLayout { tokenizer, rule };
    let mut data = RankingDataset::new();
    for row in candidates {
        let place = (row.sample_id, row.turn);
        let sample = samples.get(&place).copied().ok_or_else(|| {
            wrong(row, "no sample is there: candidates and samples must be made of the same dialogues")
        })?;
        let scores = scores.get(&place).copied().ok_or_else(|| {
            wrong(row, "its candidates have no scores: score them with `thtra candidates --helpfulness … --resume`")
        })?;
        check(row, sample, scores)?;
        data.push(layout.ranked_sample(sample, row, scores)?)?;
    }
    Ok(data)
}

fn check(row: &CandidateRow, sample: &Sample, scores: &ScoreRow) -> Result<(), Error> {
    if sample.strategy != row.strategy {
        let (found, expected) = (row.strategy.name(), sample.strategy.name());
        let problem = format!("the candidates are for the strategy {found}, the sample's is {expected}");
        return Err(wrong(row, &problem));
    }
    let (responses, strategies, scored) = (row.responses.len(), row.strategies.len(), scores.score.len());
    if responses == 0 || strategies != responses || scored != responses {
        let problem =
            format!("{responses} responses with {strategies} strategies and {scored} scores: expected as many of each");
        return Err(wrong(row, &problem));
    }
    Ok(())
}

fn wrong(row: &CandidateRow, problem: &str) -> Error {
    let CandidateRow { sample_id, turn, .. } = row;
    Error::Setting(format!("candidates of dialogue {sample_id}, turn {turn} (both counted from 0): {problem}"))
}

struct SequenceLayout<'a> {
    tokenizer: &'a DialogueTokenizer,
    rule: RankingRule,
}

impl SequenceLayout<'_> {
    fn ranked_sample(&self, sample: &Sample, row: &CandidateRow, scores: &ScoreRow) -> Result<RankedSample, Error> {
        // The first response is the one that was really given.
        let others = row.responses.iter().zip(&row.strategies).zip(&scores.score).skip(1);
        let mut first_strategies: HashMap<&str, Strategy> = HashMap::new();
        let mut scored = Vec::new();
        for ((text, strategy), score) in others {
            let strategy = *first_strategies.entry(text).or_insert(*strategy);
            let tokens = self.sequence(strategy, &self.tokenizer.encode(text)?);
            scored.push(ScoredCandidate { text: text.clone(), tokens, unhelpfulness: f64::from(*score) });
        }
        let best_first = ranked(scored, self.rule.max_candidates)?;
        Ok(RankedSample {
            context: sample.encoder_ids.clone(),
            gold: self.gold(sample),
            candidates: best_first.into_iter().map(|candidate| candidate.tokens).collect(),
        })
    }

    /// The response of the corpus, whose labels may be one token longer than a candidate's.
    fn gold(&self, sample: &Sample) -> Vec<u32> {
        let text = sample.labels.get(1..).unwrap_or_default();
        match text.split_last() {
            Some((last, text)) if *last == self.tokenizer.eos() => self.sequence(sample.strategy, text),
            // It was cut already, and is so here.
            _ => sample.labels.iter().take(self.rule.longest.saturating_sub(1)).copied().collect(),
        }
    }

    fn sequence(&self, strategy: Strategy, text: &[u32]) -> Vec<u32> {
        // The decoder's first token and the strategy's are fed before the text.
        let room = self.rule.longest.saturating_sub(2);
        let mut labels = vec![self.tokenizer.strategy_id(strategy)];
        labels.extend(text.iter().take(room));
        if text.len() <= room {
            labels.push(self.tokenizer.eos());
        }
        labels
    }
}
