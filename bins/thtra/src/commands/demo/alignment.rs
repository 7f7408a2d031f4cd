//! The third stage: candidates, their order, and a model that prefers the better ones.

use std::path::Path;

use candle_core::Device;
use command_line::{Failure, interrupt};
use helpfulness::{AlignmentOptions, HelpfulnessModel, ScoreMode};
use thtra::{
    AlignDataset, AlignLimits, AlignObjective, Answerer, CandidateMaker, CandidateRow, CandidateScorer,
    CandidateStrategies, HeldOutAnswers, HeldOutQuestion, Layout, RankingRule, Responder, SampleDataset,
    SampleInDialogue, ScorerContext, Select, StrategyMode, context_text, ranking_data, sampling_options,
};
use training::{Control, End, Schedule, Trainer, TrainerOptions, Warmup};

use super::corpus::{DemoCorpus, LENGTHS};

const CANDIDATES: usize = 10;
/// Candidates made at a time.
const BATCH: usize = 16;

/// A third stage.
pub(super) struct Alignment<'a> {
    pub(super) corpus: &'a DemoCorpus,
    pub(super) scorer: &'a HelpfulnessModel,
    pub(super) strategies: CandidateStrategies,
    pub(super) seed: u64,
    /// Training samples that get candidates.
    pub(super) samples: usize,
}

impl Alignment<'_> {
    /// Goes on with the model in a folder. None after an interrupt.
    pub(super) fn train(&self, base: &Path) -> Result<Option<Responder>, Failure> {
        let responder = Responder::open(base, self.seed, &Device::Cpu)?;
        let (corpus, tokenizer) = (self.corpus, &self.corpus.tokenizer);
        let samples = corpus.samples(&corpus.train, Layout::Strat)?;
        let rows = self.candidates(&responder)?;
        let scorer = CandidateScorer::new(self.scorer, ScorerContext::default(), "demo", "demo");
        let scored = rows.iter().map(|row| scorer.row(row, &corpus.train.dialogues[row.sample_id]));
        let scores = scored.collect::<Result<Vec<_>, _>>()?;
        let rule = RankingRule { max_candidates: CANDIDATES, longest: LENGTHS.max_decoder_input_length };
        let train = AlignDataset::Ranked(ranking_data(&samples, &rows, &scores, tokenizer, rule)?);
        let valid = corpus.samples(&corpus.valid, Layout::Strat)?;
        let valid = AlignDataset::HeldOut(SampleDataset::new(valid, tokenizer));
        let options = options(self.seed);
        let mut objective = self.objective(&responder)?;
        objective.note_first_loss(&valid, options.evaluation_batch)?;
        let evaluation = vec![("valid".to_owned(), &valid)];
        let trainer = Trainer { objective: &objective, train: &train, evaluation, options: &options };
        let folder = tempfile::tempdir().map_err(Failure::work)?;
        let run = training::RunDir::create(folder.path())?;
        let summary = trainer.run(&responder.model.parameters, Some(&run), false, &mut |_| {
            Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
        })?;
        drop(objective);
        Ok((summary.end != End::Stopped).then_some(responder))
    }

    fn candidates(&self, responder: &Responder) -> Result<Vec<CandidateRow>, Failure> {
        let side = &self.corpus.train;
        let mut samples = self.corpus.samples(side, Layout::Strat)?;
        samples.truncate(self.samples);
        let samples: Vec<SampleInDialogue<'_>> = samples
            .iter()
            .map(|sample| SampleInDialogue { sample, dialogue: &side.dialogues[sample.dialogue] })
            .collect();
        let maker = CandidateMaker::new(responder, self.strategies, CANDIDATES, "demo")?;
        let mut rows = Vec::new();
        for samples in samples.chunks(BATCH) {
            rows.extend(maker.rows(samples)?);
        }
        Ok(rows)
    }

    fn objective<'b>(&'b self, responder: &'b Responder) -> Result<AlignObjective<'b>, Failure> {
        let answerer = Answerer::new(responder, StrategyMode::Argmax, sampling_options(), 0);
        let questions = self.questions(&answerer)?;
        let answers = HeldOutAnswers::new(answerer, questions, Some(self.scorer), 32)?;
        // Tokens of a small model are so unlikely that the published score, their mean probability, tells little.
        let options =
            AlignmentOptions { score: ScoreMode::Log, margin: 0.01, rank_weight: 0.3, ..AlignmentOptions::default() };
        // What holds on a few validation dialogues holds only about on others.
        let limits = AlignLimits { perplexity_factor: 1.07, loss: f64::INFINITY };
        let model = responder.model.model.clone();
        Ok(AlignObjective::new(model, options, Select::Helpfulness, Some(answers), limits)?)
    }

    /// The validation samples, to be answered in each evaluation.
    fn questions(&self, answerer: &Answerer<'_>) -> Result<Vec<HeldOutQuestion>, Failure> {
        let side = &self.corpus.valid;
        let question = |sample: thtra::Sample| -> Result<HeldOutQuestion, Failure> {
            let dialogue = &side.dialogues[sample.dialogue];
            Ok(HeldOutQuestion {
                reference: answerer.text(sample.labels.get(1..).unwrap_or_default())?,
                situation: dialogue.situation.clone(),
                context: context_text(ScorerContext::default(), dialogue, sample.turn),
                encoder_ids: sample.encoder_ids,
                strategy: sample.strategy,
            })
        };
        self.corpus.samples(side, Layout::Strat)?.into_iter().map(question).collect()
    }
}

fn options(seed: u64) -> TrainerOptions {
    TrainerOptions {
        epochs: 3.0,
        batch: 4,
        accumulate: 2,
        learning_rate: 2e-4,
        schedule: Schedule::Linear,
        warmup: Warmup::Ratio(0.1),
        evaluate_every: 15,
        evaluate_first: true,
        evaluation_batch: 32,
        selection: Select::Helpfulness.selection(),
        seed,
        ..TrainerOptions::default()
    }
}
