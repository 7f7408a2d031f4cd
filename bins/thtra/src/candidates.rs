//! Candidates for alignment: what else could be answered, and how helpful each answer is.
//!
//! Candidates of a sample come from a diverse beam search, one from each of its groups, behind the strategy that was really taken; or they are divided
//! among the strategies that the model finds likeliest, so that alignment can teach the choice of a strategy, too. A model of helpfulness then scores them together
//! with the response that was really given. Both are rows of files that grow, so that a long job can go on where it ended.

use std::collections::BTreeMap;

use esconv_data::Speaker;
use helpfulness::{Exchange, HelpfulnessModel, Score};
use seq2seq::TokenBatch;
use serde::{Deserialize, Serialize};
use strategy_prompting::RowKind;

use crate::answering::{Answerer, Question, candidate_options, text_of};
use crate::dialogue::Dialogue;
use crate::error::Error;
use crate::objective::ranked;
use crate::responder::Responder;
use crate::sample::Sample;
use crate::scorer_context::{ContextTurn, ScorerContext};
use crate::strategy::Strategy;
use crate::strategy_mode::StrategyMode;

/// Where candidates stand in a folder of them.
pub const CANDIDATES_FILE: &str = "candidates.jsonl";
/// Where their scores stand.
pub const SCORES_FILE: &str = "scores.jsonl";

/// The responses to one context. The order of the fields is that of the file; those up to `responses` are the published ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateRow {
    /// Number of the dialogue in its file, from 0.
    pub sample_id: usize,
    /// Number of the turn within the dialogue, from 0.
    pub turn: usize,
    /// The annotated strategy.
    pub strategy: Strategy,
    /// The seeker's situation.
    pub situa: String,
    /// The last three turns, the supporter's behind their strategies in brackets.
    pub context: Vec<String>,
    /// Whose they are: `usr` or `sys`.
    pub speaker: Vec<String>,
    /// The response that was really given, as the model's tokens have it, and the candidates.
    pub responses: Vec<String>,
    /// The strategy of each response.
    pub strategies: Vec<Strategy>,
    /// Who made the candidates, of what and how.
    pub made_by: String,
}

/// Rows of [`CANDIDATES_FILE`].
pub const CANDIDATE_ROWS: RowKind<CandidateRow> = RowKind {
    name: "row of candidates",
    beginning: r#"{"sample_id":"#,
    id: |row| place_id(row.sample_id, row.turn),
    made_by: |row| &row.made_by,
};

/// What a model of helpfulness says of the responses of a [`CandidateRow`], in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreRow {
    /// As [`CandidateRow::sample_id`].
    pub sample_id: usize,
    /// As [`CandidateRow::turn`].
    pub turn: usize,
    /// What the model read before each response.
    pub context: String,
    /// Lower is better: [`Score::unhelpfulness`].
    pub score: Vec<f32>,
    /// Higher is better: [`Score::helpfulness`].
    pub helpfulness: Vec<f32>,
    /// Who scored which candidates, and how.
    pub made_by: String,
}

/// Rows of [`SCORES_FILE`].
pub const SCORE_ROWS: RowKind<ScoreRow> = RowKind {
    name: "row of scores",
    beginning: r#"{"sample_id":"#,
    id: |row| place_id(row.sample_id, row.turn),
    made_by: |row| &row.made_by,
};

/// Which row is about a turn: [`strategy_prompting::RowFile::contains`] takes it.
pub fn place_id(dialogue: usize, turn: usize) -> String {
    format!("{dialogue}:{turn}")
}

/// Which strategies candidates follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateStrategies {
    /// All of them the annotated one, as published.
    Annotated,
    /// They are divided among so many strategies, those that the model finds likeliest; where they can't be divided evenly, likelier ones get one more.
    Likeliest(usize),
}

impl CandidateStrategies {
    /// For records.
    pub fn name(self) -> String {
        match self {
            Self::Annotated => "annotated strategy".into(),
            Self::Likeliest(count) => format!("{count} likeliest strategies"),
        }
    }

    /// How many of `candidates` each strategy gets, given all strategies with the likeliest first.
    fn shares(self, annotated: Strategy, likeliest: &[Strategy], candidates: usize) -> Vec<(Strategy, usize)> {
        match self {
            Self::Annotated => vec![(annotated, candidates)],
            Self::Likeliest(count) => {
                let count = count.clamp(1, candidates.max(1));
                let (each, more) = (candidates / count, candidates % count);
                let likeliest = likeliest.iter().copied().take(count).enumerate();
                likeliest.map(|(place, strategy)| (strategy, each + usize::from(place < more))).collect()
            }
        }
    }
}

/// Makes candidates with a model.
pub struct CandidateMaker<'a> {
    responder: &'a Responder,
    strategies: CandidateStrategies,
    candidates: usize,
    made_by: String,
}

/// A sample and the dialogue that it is from.
#[derive(Debug, Clone, Copy)]
pub struct SampleInDialogue<'a> {
    /// The sample, laid out as [`crate::Layout::Strat`].
    pub sample: &'a Sample,
    /// Its dialogue.
    pub dialogue: &'a Dialogue,
}

/// A strategy's share of a sample's candidates.
struct Share {
    /// The sample's place among those of the batch.
    of: usize,
    /// The strategy's place among those of the sample.
    rank: usize,
    strategy: Strategy,
}

impl<'a> CandidateMaker<'a> {
    /// Makes so many candidates for each sample. `made_by` names the model and the dialogues in the rows; how candidates are made is added to it.
    ///
    /// # Errors
    /// There are no candidates, or more strategies than candidates or than there are.
    pub fn new(
        responder: &'a Responder,
        strategies: CandidateStrategies,
        candidates: usize,
        made_by: &str,
    ) -> Result<Self, Error> {
        if candidates == 0 {
            return Err(Error::Setting("0 candidates: at least 1 is needed".into()));
        }
        if let CandidateStrategies::Likeliest(count) = strategies
            && !(1..=candidates.min(Strategy::ALL.len())).contains(&count)
        {
            let most = Strategy::ALL.len();
            let problem = format!(
                "{candidates} candidates of {count} strategies: expected from 1 to {most} strategies, each with a candidate"
            );
            return Err(Error::Setting(problem));
        }
        let made_by = format!("{made_by} · {candidates} candidates, {}", strategies.name());
        Ok(Self { responder, strategies, candidates, made_by })
    }

    /// How rows name who made them.
    pub fn made_by(&self) -> &str {
        &self.made_by
    }

    /// The candidates of some samples, which go through the model together. What a sample gets does not depend on those beside it.
    ///
    /// # Errors
    /// A sample is longer than the model takes, or the device fails.
    pub fn rows(&self, samples: &[SampleInDialogue<'_>]) -> Result<Vec<CandidateRow>, Error> {
        let mut found: Vec<BTreeMap<usize, (Strategy, Vec<String>)>> = vec![BTreeMap::new(); samples.len()];
        for (count, shares) in self.shares_by_size(samples)? {
            for (share, texts) in shares.iter().zip(self.texts(samples, count, &shares)?) {
                if let Some(of_sample) = found.get_mut(share.of) {
                    of_sample.insert(share.rank, (share.strategy, texts));
                }
            }
        }
        samples.iter().zip(found).map(|(sample, found)| self.row(sample, found.into_values())).collect()
    }

    /// What is to be searched for, by the number of candidates: searches of one size go through the model together.
    fn shares_by_size(&self, samples: &[SampleInDialogue<'_>]) -> Result<BTreeMap<usize, Vec<Share>>, Error> {
        let likeliest = self.likeliest(samples)?;
        let mut by_size: BTreeMap<usize, Vec<Share>> = BTreeMap::new();
        for (of, (sample, likeliest)) in samples.iter().zip(&likeliest).enumerate() {
            let shares = self.strategies.shares(sample.sample.strategy, likeliest, self.candidates);
            for (rank, (strategy, count)) in shares.into_iter().enumerate() {
                by_size.entry(count).or_default().push(Share { of, rank, strategy });
            }
        }
        Ok(by_size)
    }

    /// All strategies of each sample, the likeliest first; none where nobody asks.
    fn likeliest(&self, samples: &[SampleInDialogue<'_>]) -> Result<Vec<Vec<Strategy>>, Error> {
        if self.strategies == CandidateStrategies::Annotated {
            return Ok(vec![Vec::new(); samples.len()]);
        }
        let Responder { model, tokenizer } = self.responder;
        let inputs = TokenBatch::of(samples.iter().map(|sample| sample.sample.encoder_ids.as_slice()));
        let mut cache = model.model.start(&inputs)?;
        let logits = model.model.step(&vec![tokenizer.bos(); samples.len()], &mut cache)?;
        let of_strategies = logits.narrow(1, tokenizer.first_strategy() as usize, Strategy::ALL.len());
        let logits: Vec<Vec<f32>> =
            of_strategies.and_then(|logits| logits.to_vec2()).map_err(seq2seq::Seq2SeqError::from)?;
        Ok(logits.iter().map(|logits| ranked(logits)).collect())
    }

    /// The texts of each share's candidates, the best first.
    fn texts(
        &self,
        samples: &[SampleInDialogue<'_>],
        count: usize,
        shares: &[Share],
    ) -> Result<Vec<Vec<String>>, Error> {
        // The strategy of each question is given, whoever chose it.
        let answerer = Answerer::new(self.responder, StrategyMode::Gold, candidate_options(count), 0);
        let question = |share: &Share| {
            let sample = samples.get(share.of)?.sample;
            Some(Question { encoder_ids: &sample.encoder_ids, gold: Some(share.strategy), stream: 0 })
        };
        let questions: Vec<Question<'_>> = shares.iter().filter_map(question).collect();
        let answers = answerer.answer(&questions)?;
        let texts =
            answers.iter().map(|answer| answer.responses.iter().map(|found| answerer.text(&found.ids)).collect());
        texts.collect()
    }

    fn row(
        &self,
        sample: &SampleInDialogue<'_>,
        found: impl Iterator<Item = (Strategy, Vec<String>)>,
    ) -> Result<CandidateRow, Error> {
        let SampleInDialogue { sample, dialogue } = sample;
        let gold = sample.labels.get(1..).unwrap_or_default();
        let (mut responses, mut strategies) = (vec![text_of(&self.responder.tokenizer, gold)?], vec![sample.strategy]);
        for (strategy, texts) in found {
            strategies.extend(texts.iter().map(|_| strategy));
            responses.extend(texts);
        }
        let context = ScorerContext::LastThree.of(dialogue, sample.turn);
        Ok(CandidateRow {
            sample_id: sample.dialogue,
            turn: sample.turn,
            strategy: sample.strategy,
            situa: dialogue.situation.clone(),
            speaker: context.iter().map(|turn| speaker_name(turn).to_owned()).collect(),
            context: context.into_iter().map(|turn| turn.text).collect(),
            responses,
            strategies,
            made_by: self.made_by.clone(),
        })
    }
}

fn speaker_name(turn: &ContextTurn) -> &'static str {
    match turn.speaker {
        Speaker::Seeker => "usr",
        Speaker::Supporter => "sys",
    }
}

/// Scores candidates with a model of helpfulness.
pub struct CandidateScorer<'a> {
    model: &'a HelpfulnessModel,
    context: ScorerContext,
    made_by: String,
}

impl<'a> CandidateScorer<'a> {
    /// `scorer` names the model in the rows, `candidates` those who made what is scored ([`CandidateMaker::made_by`]).
    pub fn new(model: &'a HelpfulnessModel, context: ScorerContext, scorer: &str, candidates: &str) -> Self {
        let made_by = format!("{scorer}, context {} · {candidates}", context.name());
        Self { model, context, made_by }
    }

    /// How rows name who made them.
    pub fn made_by(&self) -> &str {
        &self.made_by
    }

    /// Scores all responses to one context. What a response gets does not depend on those beside it, unless the model's mask is the published one.
    ///
    /// # Errors
    /// A text can't be tokenised, a score is no number, or the device fails.
    pub fn row(&self, candidates: &CandidateRow, dialogue: &Dialogue) -> Result<ScoreRow, Error> {
        let context = context_text(self.context, dialogue, candidates.turn);
        let exchanges: Vec<Exchange<'_>> = candidates
            .responses
            .iter()
            .map(|response| Exchange { situation: &candidates.situa, context: &context, response })
            .collect();
        let scores = self.model.score(&exchanges)?;
        let values = |of: fn(&Score) -> f32| scores.iter().map(of).collect::<Vec<f32>>();
        let (score, helpfulness) = (values(|score| score.unhelpfulness), values(|score| score.helpfulness));
        if score.iter().chain(&helpfulness).any(|value| !value.is_finite()) {
            let (dialogue, turn) = (candidates.sample_id, candidates.turn);
            let problem =
                format!("dialogue {dialogue}, turn {turn}: the model of helpfulness gives a score that is no number");
            return Err(Error::Setting(problem));
        }
        Ok(ScoreRow {
            sample_id: candidates.sample_id,
            turn: candidates.turn,
            context,
            score,
            helpfulness,
            made_by: self.made_by.clone(),
        })
    }
}

/// What a model of helpfulness reads before an answer in the place of turn number `turn`: the turns of its context, joined by blanks.
pub fn context_text(context: ScorerContext, dialogue: &Dialogue, turn: usize) -> String {
    let turns: Vec<String> = context.of(dialogue, turn).into_iter().map(|turn| turn.text).collect();
    turns.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelier_strategies_get_what_is_left_over() {
        let all = Strategy::ALL;
        let shares = |strategies: CandidateStrategies| strategies.shares(Strategy::Others, &all, 10);
        assert_eq!(shares(CandidateStrategies::Annotated), [(Strategy::Others, 10)]);
        assert_eq!(shares(CandidateStrategies::Likeliest(3)), [(all[0], 4), (all[1], 3), (all[2], 3)]);
        let sizes =
            |count| shares(CandidateStrategies::Likeliest(count)).iter().map(|(_, size)| *size).collect::<Vec<_>>();
        assert_eq!(sizes(1), [10]);
        assert_eq!(sizes(8), [2, 2, 1, 1, 1, 1, 1, 1]);
    }
}
