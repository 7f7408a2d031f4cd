//! A model's answers to the samples of a file, with what it thinks of the real ones: lines of `generations.jsonl`.

use std::path::Path;

use llm_runtime::{sha256_of, sha256_of_files};
use serde::{Deserialize, Serialize};
use strategy_prompting::{RowKind, read_rows};
use training::Dataset;

use crate::answering::{Answer, Answerer, Question, StrategyPrediction, text_of};
use crate::batching::SampleDataset;
use crate::dialogue::Dialogue;
use crate::error::Error;
use crate::model_folder::TrainedModel;
use crate::objective::{StageObjective, ranked};
use crate::sample::{EncodedDialogues, Layout, Lengths, Sample};
use crate::scorer_context::ScorerContext;
use crate::strategy::Strategy;
use crate::strategy_mode::StrategyMode;

/// An answer to a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// Number of the dialogue in its file, from 0.
    pub sample_id: usize,
    /// Number of the turn within the dialogue, from 0.
    pub turn: usize,
    /// The last thing that was said before, as the model reads it; of a supporter's turn with the strategy in brackets.
    pub post: String,
    /// What was really said: the turn's tokens as text, as a generation is.
    pub response: String,
    /// The answer.
    pub generation: String,
    /// The annotated strategy.
    pub strategy: Strategy,
    /// Who has chosen the strategy of the answer; none where the model knows no strategies, and so in all that follows about them.
    pub mode: Option<StrategyMode>,
    /// The strategy that the answer follows.
    pub chosen: Option<Strategy>,
    /// The model's likeliest strategy, whoever has chosen.
    pub top1: Option<Strategy>,
    /// Its three likeliest, the first first.
    pub top3: Vec<Strategy>,
    /// Its probabilities of all eight, in the order of [`Strategy::ALL`].
    pub distribution: Vec<f32>,
    /// Tokens of the real response that its cost is the sum of: its end counts, its strategy does not.
    pub token_num: usize,
    /// The sum of their costs in nats, among all tokens but strategies.
    pub loss: f64,
    /// `exp(loss / token_num)`.
    pub ppl: f64,
    /// New tokens of the answer, its end included.
    pub generated_tokens: usize,
    /// The seeker's summary of what happened.
    pub situation: String,
    /// What the seeker said in one go before the answer, last: what a helpfulness model reads before it. Empty where the seeker has said nothing.
    pub context: String,
    /// Hex SHA-256 of what the model read and was to say.
    pub input_sha256: String,
    /// Model and settings that made it.
    pub model: String,
}

/// Lines of `generations.jsonl`.
pub const GENERATION_ROWS: RowKind<Generation> = RowKind {
    name: "row of `thtra infer`",
    beginning: r#"{"sample_id":"#,
    id: |row| generation_id(row.sample_id, row.turn, &row.input_sha256),
    made_by: |row| &row.model,
};

/// How a row is found again.
fn generation_id(dialogue: usize, turn: usize, input_sha256: &str) -> String {
    format!("{dialogue} {turn} {input_sha256}")
}

/// Reads generations, one for each sample, in the order of the samples: files have them as they were made, which is by length.
///
/// # Errors
/// The file can't be read, a line is none, there is none at all, or rows are of different models or modes.
pub fn read_generations(path: &Path) -> Result<Vec<Generation>, Error> {
    let mut rows = read_rows(path, GENERATION_ROWS)?;
    let Some(first) = rows.first() else {
        return Err(Error::format(path, "holds no generation: make some with `thtra infer`"));
    };
    let is_other = |row: &Generation| (row.mode, &row.model) != (first.mode, &first.model);
    if let Some(line) = rows.iter().position(is_other) {
        return Err(Error::line(path, line + 1, "made by another model, or in another way, than the first one"));
    }
    rows.sort_by_key(|row| (row.sample_id, row.turn));
    Ok(rows)
}

/// Samples to be answered.
pub struct QuestionSet {
    samples: SampleDataset,
    texts: Vec<Texts>,
    ids: Vec<String>,
    /// Hex SHA-256 of their file.
    pub sha256: String,
}

/// What a sample says besides its ids.
struct Texts {
    post: String,
    response: String,
    situation: String,
    context: String,
    input_sha256: String,
}

impl QuestionSet {
    /// The samples of a file of dialogue lines (`test.txt`) as a model reads them, at most `limit`.
    ///
    /// # Errors
    /// The file holds no dialogues, or none that has something to answer.
    pub fn read(path: &Path, model: &TrainedModel, lengths: Lengths, limit: Option<usize>) -> Result<Self, Error> {
        lengths.check()?;
        let tokenizer = &model.responder.tokenizer;
        let dialogues = Dialogue::read_all(path)?;
        let encoded = EncodedDialogues::new(tokenizer, &dialogues)?;
        let mut samples = encoded.lay_out(model.layout, lengths).samples;
        samples.truncate(limit.unwrap_or(usize::MAX));
        if samples.is_empty() {
            return Err(Error::format(
                path,
                "there is nothing to answer: expected a supporter's turn behind another turn",
            ));
        }
        let texts = samples.iter().map(|sample| Texts::of(sample, &dialogues, model)).collect::<Result<Vec<_>, _>>()?;
        let ids = samples.iter().zip(&texts);
        let ids = ids.map(|(sample, texts)| generation_id(sample.dialogue, sample.turn, &texts.input_sha256)).collect();
        Ok(Self { samples: SampleDataset::new(samples, tokenizer), texts, ids, sha256: sha256_of_files(&[path])? })
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        self.samples.samples()
    }

    /// How the rows of the samples are found again: see [`GENERATION_ROWS`].
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The rows of the samples, in their order.
    ///
    /// # Errors
    /// One is missing.
    pub fn in_order<'r>(&self, rows: &'r [Generation]) -> Result<Vec<&'r Generation>, Error> {
        let known: std::collections::HashMap<String, &Generation> =
            rows.iter().map(|row| ((GENERATION_ROWS.id)(row), row)).collect();
        let row = |(number, id): (usize, &String)| {
            let missing = || Error::Setting(format!("the answer to sample {number} is missing: --resume makes it"));
            known.get(id).copied().ok_or_else(missing)
        };
        self.ids.iter().enumerate().map(row).collect()
    }
}

impl Texts {
    fn of(sample: &Sample, dialogues: &[Dialogue], model: &TrainedModel) -> Result<Self, Error> {
        let tokenizer = &model.responder.tokenizer;
        let ids = &sample.encoder_ids;
        let post = ids.iter().rposition(|id| *id == tokenizer.eos()).map_or(0, |end| end + 1);
        let dialogue = dialogues.get(sample.dialogue);
        let turn = dialogue.and_then(|dialogue| dialogue.turns.get(sample.turn));
        let context = dialogue.map(|dialogue| ScorerContext::SeekerBlock.of(dialogue, sample.turn)).unwrap_or_default();
        // The whole turn, where labels end at the longest length.
        let response = tokenizer.encode(turn.map_or("", |turn| turn.text.as_str()))?;
        Ok(Self {
            post: text_of(tokenizer, &ids[post..])?,
            response: text_of(tokenizer, &response)?,
            situation: dialogue.map_or_else(String::new, |dialogue| dialogue.situation.clone()),
            context: context.into_iter().next().map_or_else(String::new, |turn| turn.text),
            input_sha256: sha256_of(format!("{ids:?} {:?} {response:?}", sample.labels)),
        })
    }
}

/// Answers sets of questions with a model.
pub struct Inference<'a> {
    answerer: Answerer<'a>,
    objective: StageObjective,
    mode: Option<StrategyMode>,
    maker: String,
}

impl<'a> Inference<'a> {
    /// With an answerer for the model: one without strategies for [`Layout::Vanilla`], where a mode in which the model chooses has no meaning.
    ///
    /// # Errors
    /// The vocabulary has no room for strategies, a strategy is given to a model that knows none, or as [`Answerer::check`].
    pub fn new(
        model: &'a TrainedModel,
        mode: StrategyMode,
        options: seq2seq::search::DecodingOptions,
        seed: u64,
    ) -> Result<Self, Error> {
        let (responder, weights) = (&model.responder, model.responder.model.model.clone());
        if model.layout == Layout::Vanilla && matches!(mode, StrategyMode::Gold | StrategyMode::Given(_)) {
            let mode = mode.name();
            return Err(Error::Setting(format!("the model knows of no strategies: it can't follow `{mode}`")));
        }
        let (answerer, objective, mode) = match model.layout {
            Layout::Vanilla => (
                Answerer::without_strategies(responder, options, seed),
                StageObjective::without_strategies(weights),
                None,
            ),
            Layout::Strat | Layout::StratLookAhead => {
                (Answerer::new(responder, mode, options, seed), StageObjective::new(weights)?, Some(mode))
            }
        };
        answerer.check()?;
        let said = serde_json::to_string(answerer.options()).map_err(|error| Error::Setting(error.to_string()))?;
        let mode_name = mode.map_or_else(|| "no strategies".into(), StrategyMode::name);
        let maker = format!("{} {mode_name} {said}", model.sha256);
        Ok(Self { answerer, objective, mode, maker })
    }

    /// How rows name model and settings.
    pub fn maker(&self) -> &str {
        &self.maker
    }

    /// Who chooses strategies, where there are any.
    pub fn mode(&self) -> Option<StrategyMode> {
        self.mode
    }

    /// Answers some samples, at once. What a row says does not depend on those beside it.
    ///
    /// # Errors
    /// There is no such sample, or as [`Answerer::answer`].
    pub fn answer(&self, set: &QuestionSet, numbers: &[usize]) -> Result<Vec<Generation>, Error> {
        let batch = set.samples.batch(numbers).map_err(seq2seq::Seq2SeqError::from)?;
        let scores = self.objective.scores(&batch)?;
        let samples = numbers.iter().filter_map(|number| Some((*number, set.samples().get(*number)?)));
        let questions: Vec<Question<'_>> = samples
            .map(|(number, sample)| Question {
                encoder_ids: &sample.encoder_ids,
                gold: Some(sample.strategy),
                stream: number as u64,
            })
            .collect();
        let answers = self.answerer.answer(&questions)?;
        let rows = numbers.iter().zip(answers).zip(&scores.response_losses);
        rows.map(|((number, answer), losses)| self.row(set, *number, &answer, losses)).collect()
    }

    fn row(&self, set: &QuestionSet, number: usize, answer: &Answer, losses: &[f32]) -> Result<Generation, Error> {
        let missing = || Error::Setting(format!("there is no sample {number}"));
        let (sample, texts) = set.samples().get(number).zip(set.texts.get(number)).ok_or_else(missing)?;
        // Searches give the best first; where the rules left nothing to say, the answer is empty.
        let ids = answer.responses.first().map(|best| best.ids.as_slice()).unwrap_or_default();
        let loss: f64 = losses.iter().map(|loss| f64::from(*loss)).sum();
        let strategy = answer.strategy.as_ref();
        let ranked = strategy.map(|strategy| ranked(&strategy.logits)).unwrap_or_default();
        let Texts { post, response, situation, context, input_sha256 } = texts;
        Ok(Generation {
            sample_id: sample.dialogue,
            turn: sample.turn,
            post: post.clone(),
            response: response.clone(),
            generation: self.answerer.text(ids)?,
            strategy: sample.strategy,
            mode: self.mode,
            chosen: strategy.map(|strategy| strategy.chosen),
            top1: ranked.first().copied(),
            top3: ranked.iter().copied().take(3).collect(),
            distribution: strategy.map(StrategyPrediction::probabilities).unwrap_or_default(),
            token_num: losses.len(),
            loss,
            ppl: (loss / losses.len() as f64).exp(),
            generated_tokens: ids.len(),
            situation: situation.clone(),
            context: context.clone(),
            input_sha256: input_sha256.clone(),
            model: self.maker.clone(),
        })
    }
}
