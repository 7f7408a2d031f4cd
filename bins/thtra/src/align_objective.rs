//! What the third stage minimises, and what its model is worth on held-out samples.
//!
//! Better candidates become likelier and the response that was really given stays likely ([`AlignmentObjective`]). Held-out samples are scored as those of the other
//! stages are, and some of them are answered: how close the answers come to the real responses, and how helpful a model finds them, decides beside perplexity which
//! evaluation is the best.

use std::sync::Arc;

use esc_metrics::{Item, Resources, Suite};
use helpfulness::{AlignmentObjective, AlignmentOptions, Exchange, HelpfulnessModel, RankedSample, RankingDataset};
use seq2seq::Seq2SeqModel;
use serde::{Deserialize, Serialize};
use training::{Batches, Dataset, LossParts, Objective, Pass, Selection, SetScores, TrainingError};

use crate::answering::{Answerer, Question};
use crate::batching::{SampleBatch, SampleDataset};
use crate::error::Error;
use crate::objective::StageObjective;
use crate::strategy::Strategy;

/// Names of the values that an evaluation tells: BLEU-4 of the answers as NLTK computes it (smoothing 3), from 0 to 1.
pub const BLEU_4: &str = "bleu_4";
/// As [`BLEU_4`]: how helpful a model finds the answers on average, from 0 to 1.
pub const HELPFULNESS: &str = "helpfulness";
/// As [`BLEU_4`]: what evaluations are compared by, where that is not the loss.
pub const WORTH: &str = "worth";

const BLEU: &str = "bleu-nltk";
const BLEU_4_OF_SUITE: &str = "bleu-4";

/// By what the best evaluation is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The lowest perplexity.
    #[serde(rename = "ppl")]
    Perplexity,
    /// The highest BLEU-4 of answers, as published.
    #[serde(rename = "bleu-4")]
    Bleu4,
    /// The highest mean helpfulness of answers.
    Helpfulness,
}

impl Select {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Perplexity, Self::Bleu4, Self::Helpfulness];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Perplexity => "ppl",
            Self::Bleu4 => "bleu-4",
            Self::Helpfulness => "helpfulness",
        }
    }

    /// Reads its name.
    ///
    /// # Errors
    /// It is none; for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|select| select.name() == text);
        found.ok_or_else(|| format!("expected {}", Self::ALL.map(Self::name).join(", ")))
    }

    /// How a trainer compares evaluations.
    pub fn selection(self) -> Selection {
        match self {
            Self::Perplexity => Selection::Loss,
            Self::Bleu4 | Self::Helpfulness => Selection::Highest(WORTH.into()),
        }
    }

    fn metric(self) -> Option<&'static str> {
        match self {
            Self::Perplexity => None,
            Self::Bleu4 => Some(BLEU_4),
            Self::Helpfulness => Some(HELPFULNESS),
        }
    }
}

/// Samples to learn from, or held-out ones.
pub enum AlignDataset {
    /// With candidates in order.
    Ranked(RankingDataset),
    /// As they are.
    HeldOut(SampleDataset),
}

/// Some of them.
pub enum AlignBatch {
    /// With candidates in order.
    Ranked(Vec<RankedSample>),
    /// As they are.
    HeldOut(SampleBatch),
}

impl Dataset for AlignDataset {
    type Batch = AlignBatch;

    fn lengths(&self) -> Vec<usize> {
        match self {
            Self::Ranked(samples) => samples.lengths(),
            Self::HeldOut(samples) => samples.lengths(),
        }
    }

    fn batch(&self, examples: &[usize]) -> Result<AlignBatch, TrainingError> {
        Ok(match self {
            Self::Ranked(samples) => AlignBatch::Ranked(samples.batch(examples)?),
            Self::HeldOut(samples) => AlignBatch::HeldOut(samples.batch(examples)?),
        })
    }
}

/// A held-out sample that is answered in each evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOutQuestion {
    /// What the encoder reads.
    pub encoder_ids: Vec<u32>,
    /// The annotated strategy.
    pub strategy: Strategy,
    /// The response that was really given, as the model's tokens have it.
    pub reference: String,
    /// The seeker's situation.
    pub situation: String,
    /// What a model of helpfulness reads before the answer.
    pub context: String,
}

/// Answers held-out samples, always with the same draws, so that evaluations can be compared.
pub struct HeldOutAnswers<'a> {
    answerer: Answerer<'a>,
    questions: Vec<HeldOutQuestion>,
    scorer: Option<&'a HelpfulnessModel>,
    bleu: Suite,
    batch: usize,
}

impl<'a> HeldOutAnswers<'a> {
    /// So many questions go through the model at a time; the answers are scored for helpfulness where there is a `scorer`.
    ///
    /// # Errors
    /// There is no question, or none may go through the model.
    pub fn new(
        answerer: Answerer<'a>,
        questions: Vec<HeldOutQuestion>,
        scorer: Option<&'a HelpfulnessModel>,
        batch: usize,
    ) -> Result<Self, Error> {
        if questions.is_empty() || batch == 0 {
            return Err(Error::Setting("no held-out sample is answered: at least 1 is needed".into()));
        }
        let bleu = Suite::of_names(&[BLEU], &Resources::built_in())?;
        Ok(Self { answerer, questions, scorer, bleu, batch })
    }

    /// What the answers of the model as it is now are worth: [`BLEU_4`], and [`HELPFULNESS`] where there is a scorer.
    ///
    /// # Errors
    /// A question is longer than the model takes, or the device fails.
    pub fn worth(&self) -> Result<Vec<(String, f64)>, Error> {
        let answers = self.answers()?;
        let mut worth = vec![(BLEU_4.to_owned(), self.bleu_4(&answers)?)];
        if let Some(scorer) = self.scorer {
            worth.push((HELPFULNESS.to_owned(), self.mean_helpfulness(scorer, &answers)?));
        }
        Ok(worth)
    }

    fn answers(&self) -> Result<Vec<String>, Error> {
        let mut texts = Vec::with_capacity(self.questions.len());
        for questions in self.questions.chunks(self.batch) {
            let numbered = (texts.len() as u64..).zip(questions);
            let asked: Vec<Question<'_>> = numbered
                .map(|(stream, question)| Question {
                    encoder_ids: &question.encoder_ids,
                    gold: Some(question.strategy),
                    stream,
                })
                .collect();
            for answer in self.answerer.answer(&asked)? {
                let ids = answer.responses.first().map(|found| found.ids.as_slice()).unwrap_or_default();
                texts.push(self.answerer.text(ids)?);
            }
        }
        Ok(texts)
    }

    fn bleu_4(&self, answers: &[String]) -> Result<f64, Error> {
        let pairs = answers.iter().zip(&self.questions);
        let scored = self.bleu.score(pairs.map(|(answer, question)| Item::new(answer, &question.reference)))?;
        let found = scored.rows().into_iter().find(|row| row.name == BLEU_4_OF_SUITE).map(|row| row.value);
        // Answers without a word have no n-gram.
        Ok(found.filter(|value| value.is_finite()).unwrap_or(0.0))
    }

    fn mean_helpfulness(&self, scorer: &HelpfulnessModel, answers: &[String]) -> Result<f64, Error> {
        let pairs = answers.iter().zip(&self.questions);
        let exchanges: Vec<Exchange<'_>> = pairs
            .map(|(response, HeldOutQuestion { situation, context, .. })| Exchange { situation, context, response })
            .collect();
        let scores = scorer.score(&exchanges)?;
        Ok(scores.iter().map(|score| f64::from(score.helpfulness)).sum::<f64>() / scores.len() as f64)
    }
}

/// What an evaluation may cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AlignLimits {
    /// The run fails when the held-out loss is above this.
    pub loss: f64,
    /// An evaluation whose perplexity is above that of the model before its first step times this is worth less than any other, the less the further;
    /// for selections by something else than perplexity.
    pub perplexity_factor: f64,
}

impl Default for AlignLimits {
    fn default() -> Self {
        Self { loss: 5.0, perplexity_factor: 1.1 }
    }
}

/// Ranking and likelihood of samples to learn from; perplexity and answers of held-out ones.
pub struct AlignObjective<'a> {
    ranking: AlignmentObjective<Arc<Seq2SeqModel>>,
    stage: StageObjective,
    answers: Option<HeldOutAnswers<'a>>,
    select: Select,
    limits: AlignLimits,
    /// The held-out loss before the first step.
    first_loss: Option<f64>,
}

impl<'a> AlignObjective<'a> {
    /// For a model whose parameters are variables. `answers` are made in each evaluation.
    ///
    /// # Errors
    /// A setting is out of range, the model has no strategies, or nobody answers what is to be selected by.
    pub fn new(
        model: Arc<Seq2SeqModel>,
        options: AlignmentOptions,
        select: Select,
        answers: Option<HeldOutAnswers<'a>>,
        limits: AlignLimits,
    ) -> Result<Self, Error> {
        let scorer = answers.as_ref().map(|answers| answers.scorer.is_some());
        if select != Select::Perplexity && scorer.is_none() {
            return Err(Error::Setting(format!(
                "the selection by {} needs answers to held-out samples",
                select.name()
            )));
        }
        if select == Select::Helpfulness && scorer != Some(true) {
            return Err(Error::Setting("the selection by helpfulness needs a model of helpfulness".into()));
        }
        let stage = StageObjective::new(model.clone())?;
        let ranking = AlignmentObjective::new(model, options)?;
        Ok(Self { ranking, stage, answers, select, limits, first_loss: None })
    }

    /// Notes what held-out samples cost before the first step: call it before a run is begun or resumed.
    ///
    /// # Errors
    /// As [`StageObjective::scores`].
    pub fn note_first_loss(&mut self, held_out: &AlignDataset, batch: usize) -> Result<(), TrainingError> {
        if self.select == Select::Perplexity {
            return Ok(());
        }
        let numbers: Vec<usize> = (0..held_out.lengths().len()).collect();
        let mut batches = numbers.chunks(batch.max(1)).map(|numbers| held_out_batch(held_out.batch(numbers)));
        self.first_loss = Some(self.stage.evaluate(&mut batches)?.loss);
        Ok(())
    }

    /// What the evaluation is compared by; higher is better.
    fn worth(&self, loss: f64, metrics: &[(String, f64)]) -> Option<f64> {
        let name = self.select.metric()?;
        let value = metrics.iter().find(|(metric, _)| metric == name)?.1;
        let allowed = self.limits.perplexity_factor;
        let factor = self.first_loss.map_or(1.0, |first| (loss - first).exp());
        Some(if factor <= allowed { value } else { allowed - factor })
    }
}

impl Objective for AlignObjective<'_> {
    type Batch = AlignBatch;

    fn loss(&self, batch: &AlignBatch, pass: &Pass) -> Result<LossParts, TrainingError> {
        match batch {
            AlignBatch::Ranked(samples) => self.ranking.loss(samples, pass),
            AlignBatch::HeldOut(samples) => self.stage.loss(samples, pass),
        }
    }

    fn evaluate(&self, batches: Batches<'_, AlignBatch>) -> Result<SetScores, TrainingError> {
        let SetScores { loss, mut metrics } = self.stage.evaluate(&mut batches.map(held_out_batch))?;
        if loss > self.limits.loss {
            return Err(too_high(loss, self.limits.loss));
        }
        if let Some(answers) = &self.answers {
            metrics.extend(answers.worth().map_err(objective_error)?);
        }
        metrics.extend(self.worth(loss, &metrics).map(|worth| (WORTH.to_owned(), worth)));
        Ok(SetScores { loss, metrics })
    }

    fn end(&self) {
        self.ranking.end();
    }
}

fn held_out_batch(batch: Result<AlignBatch, TrainingError>) -> Result<SampleBatch, TrainingError> {
    match batch? {
        AlignBatch::HeldOut(samples) => Ok(samples),
        AlignBatch::Ranked(_) => {
            let problem = "candidates in order are no held-out set: give samples".to_owned();
            Err(TrainingError::Setting { setting: "held-out data", problem })
        }
    }
}

fn too_high(loss: f64, limit: f64) -> TrainingError {
    let problem = format!(
        "the held-out loss is {loss:.3} nats per token, above the limit of {limit}: begin with a model that is trained, lower the learning rate or \
         the ranking's weight, or lengthen the warm-up"
    );
    TrainingError::Objective(problem.into())
}

fn objective_error(error: Error) -> TrainingError {
    TrainingError::Objective(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for select in Select::ALL {
            assert_eq!(Select::parse(select.name()), Ok(select));
            assert_eq!(serde_json::to_value(select).unwrap(), select.name());
        }
        assert!(Select::parse("bleu").unwrap_err().contains("ppl, bleu-4, helpfulness"));
    }
}
