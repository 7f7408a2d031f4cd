//! `thtra align`: the third stage, in which more helpful responses become likelier.

use std::path::Path;
use std::process::ExitCode;

use command_line::{
    Failure, Format, Outcome, Recorder, hugging_face_folder, interrupt, open_run, output_place, print_json,
};
use helpfulness::AlignmentOptions;
use llm_runtime::{format_bytes, sha256_of_files, weights_sha256};
use serde::Serialize;
use strategy_prompting::read_rows;
use thtra::{
    AlignDataset, AlignLimits, AlignObjective, Answerer, CANDIDATE_ROWS, CANDIDATES_FILE, CandidateRow, Dialogue,
    HeldOutAnswers, HeldOutQuestion, Layout, META_FILE, MODEL_FOLDER, Part, Prepared, RankingRule, Responder,
    SCORE_ROWS, Sample, SampleDataset, ScoreRow, Select, Wanted, context_text, ranking_data, sampling_options,
};
use training::{Control, Dataset, End, RunDir, TrainSummary, Trainer, TrainerOptions};

use super::scorer::OpenScorer;
use crate::align_arguments::Align;

/// Name of the held-out set.
const VALID: &str = "valid";

/// What `config.toml` of a run holds.
#[derive(Debug, Serialize)]
struct Settings {
    base: String,
    base_sha256: String,
    prepared: String,
    prepared_sha256: String,
    candidates: String,
    candidates_sha256: String,
    scores_sha256: String,
    limit: Option<usize>,
    val_limit: Option<usize>,
    max_candidates: usize,
    /// The model that tells how helpful answers are in evaluations, and what it reads.
    scorer: Option<String>,
    scorer_context: &'static str,
    select: Select,
    answers: Option<usize>,
    answer_strategy: String,
    answer_seed: u64,
    limits: AlignLimits,
    alignment: AlignmentOptions,
    trainer: TrainerOptions,
}

pub(crate) fn run(options: &Align, format: Format) -> Result<ExitCode, Failure> {
    options.trainer().check()?;
    options.method.options().check().map_err(Failure::wrong_use)?;
    output_place::check_folder(&options.out)?;
    let device = options.machine.device.open()?;
    let scorer = OpenScorer::open(&options.scorer, &device)?;
    let folder = hugging_face_folder(&options.base, &options.machine)?;
    let responder = Responder::open(&folder, options.trainer().seed, &device)?;
    let sets = Sets::read(options, &responder)?;
    let settings = settings(options, &folder, scorer.as_ref())?;
    let mut objective = objective(options, &settings, &sets, &responder, scorer.as_ref())?;
    let run = open_run(&options.out, options.resume, &settings)?;
    interrupt::listen();
    let summary = train(options, &settings, &sets, &mut objective, &responder, &run)?;
    let folder = run.path().join(MODEL_FOLDER);
    responder.save(&folder)?;
    finished(&run, &folder, &settings, &sets, &summary, format)?;
    Ok(match summary.end {
        End::Stopped => ExitCode::from(interrupt::EXIT_CODE),
        End::Finished | End::Early => ExitCode::SUCCESS,
    })
}

fn settings(options: &Align, base: &Path, scorer: Option<&OpenScorer>) -> Result<Settings, Failure> {
    let candidates = options.candidates.join(CANDIDATES_FILE);
    let scores = options.candidates.join(&options.scores);
    Ok(Settings {
        base: options.base.clone(),
        base_sha256: weights_sha256(base)?,
        prepared: options.prepared.display().to_string(),
        prepared_sha256: sha256_of_files(&[&options.prepared.join(META_FILE)])?,
        candidates: options.candidates.display().to_string(),
        candidates_sha256: sha256_of_files(&[&candidates])?,
        scores_sha256: sha256_of_files(&[&scores])?,
        limit: options.limit,
        val_limit: options.val_limit,
        max_candidates: options.method.max_candidates,
        scorer: scorer.map(|scorer| scorer.name.clone()),
        scorer_context: options.scorer.scorer_context.name(),
        select: options.select(),
        answers: options.evaluation.answers,
        answer_strategy: options.evaluation.strategy.name(),
        answer_seed: options.evaluation.answer_seed,
        limits: options.evaluation.limits(),
        alignment: options.method.options(),
        trainer: options.trainer(),
    })
}

/// Samples with candidates to learn from, and those that decide.
struct Sets {
    train: AlignDataset,
    valid: AlignDataset,
    /// Those of the validation samples that are answered.
    questions: Vec<HeldOutQuestion>,
    /// Samples of the training part, with candidates or without.
    samples: usize,
}

impl Sets {
    fn read(options: &Align, responder: &Responder) -> Result<Self, Failure> {
        let tokenizer = &responder.tokenizer;
        let wanted = Wanted { tokenizer: Some(tokenizer), data_dir: Some(&options.data_dir), ..Wanted::default() };
        let prepared = Prepared::open(&options.prepared, wanted)?;
        let samples = prepared.read(Part::Train, Layout::Strat)?;
        let (candidates, scores) = candidates(options)?;
        let longest = prepared.meta().lengths.max_decoder_input_length;
        let rule = RankingRule { max_candidates: options.method.max_candidates, longest };
        let train = AlignDataset::Ranked(ranking_data(&samples, &candidates, &scores, tokenizer, rule)?);
        let mut valid = prepared.read(Part::Valid, Layout::Strat)?;
        valid.truncate(options.val_limit.unwrap_or(usize::MAX));
        let questions = questions(options, responder, &valid)?;
        let valid = AlignDataset::HeldOut(SampleDataset::new(valid, tokenizer));
        Ok(Self { train, valid, questions, samples: samples.len() })
    }
}

fn candidates(options: &Align) -> Result<(Vec<CandidateRow>, Vec<ScoreRow>), Failure> {
    let path = options.candidates.join(CANDIDATES_FILE);
    let mut candidates = read_rows(&path, CANDIDATE_ROWS)?;
    if candidates.is_empty() {
        return Err(Failure::work("there are no candidates: make them with `thtra candidates`").about(&told(&path)));
    }
    candidates.truncate(options.limit.unwrap_or(usize::MAX));
    let path = options.candidates.join(&options.scores);
    let scores = read_rows(&path, SCORE_ROWS)?;
    let made_by = candidates.first().map(|row| row.made_by.as_str()).unwrap_or_default();
    if scores.iter().any(|row| !row.made_by.ends_with(made_by)) {
        let problem = "the scores are of other candidates: score these with `thtra candidates`";
        return Err(Failure::work(problem).about(&told(&path)));
    }
    Ok((candidates, scores))
}

fn told(path: &Path) -> String {
    path.display().to_string()
}

/// As many validation samples as are asked for, spread evenly over all.
fn questions(options: &Align, responder: &Responder, valid: &[Sample]) -> Result<Vec<HeldOutQuestion>, Failure> {
    let answerer = answerer(options, responder);
    let count = options.evaluation.answers.unwrap_or(valid.len()).min(valid.len());
    let dialogues = Dialogue::read_all(&options.data_dir.join(Part::Valid.file()))?;
    let chosen = (0..count).filter_map(|number| valid.get(number * valid.len() / count));
    let question = |sample: &Sample| -> Result<HeldOutQuestion, Failure> {
        let dialogue = dialogues.get(sample.dialogue);
        let context = dialogue.map(|dialogue| context_text(options.scorer.scorer_context, dialogue, sample.turn));
        Ok(HeldOutQuestion {
            encoder_ids: sample.encoder_ids.clone(),
            strategy: sample.strategy,
            reference: answerer.text(sample.labels.get(1..).unwrap_or_default())?,
            situation: dialogue.map(|dialogue| dialogue.situation.clone()).unwrap_or_default(),
            context: context.unwrap_or_default(),
        })
    };
    chosen.map(question).collect()
}

fn objective<'a>(
    options: &Align,
    settings: &Settings,
    sets: &Sets,
    responder: &'a Responder,
    scorer: Option<&'a OpenScorer>,
) -> Result<AlignObjective<'a>, Failure> {
    let (answers, model) = (answers(options, sets, responder, scorer)?, responder.model.model.clone());
    AlignObjective::new(model, settings.alignment.clone(), settings.select, answers, settings.limits)
        .map_err(Failure::wrong_use)
}

fn answers<'a>(
    options: &Align,
    sets: &Sets,
    responder: &'a Responder,
    scorer: Option<&'a OpenScorer>,
) -> Result<Option<HeldOutAnswers<'a>>, Failure> {
    if sets.questions.is_empty() {
        return Ok(None);
    }
    let (answerer, batch) = (answerer(options, responder), options.evaluation.eval_batch_size);
    let scorer = scorer.map(|scorer| &scorer.model);
    Ok(Some(HeldOutAnswers::new(answerer, sets.questions.clone(), scorer, batch)?))
}

fn answerer<'a>(options: &Align, responder: &'a Responder) -> Answerer<'a> {
    let evaluation = &options.evaluation;
    Answerer::new(responder, evaluation.strategy, sampling_options(), evaluation.answer_seed)
}

fn train(
    options: &Align,
    settings: &Settings,
    sets: &Sets,
    objective: &mut AlignObjective<'_>,
    responder: &Responder,
    run: &RunDir,
) -> Result<TrainSummary, Failure> {
    objective.note_first_loss(&sets.valid, settings.trainer.evaluation_batch)?;
    let evaluation = vec![(VALID.to_owned(), &sets.valid)];
    let trainer = Trainer { objective, train: &sets.train, evaluation, options: &settings.trainer };
    let mut recorder = Recorder::new(run, options.tracking(), settings, vec![VALID.to_owned()]);
    let outcome = trainer.run(&responder.model.parameters, Some(run), options.resume, &mut |event| {
        recorder.see(event)?;
        Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
    });
    recorder.finish(outcome)
}

/// What a finished run tells.
#[derive(Serialize)]
struct Finished {
    model: String,
    /// Samples learned from, and those of the training part.
    samples: usize,
    of_samples: usize,
    select: Select,
    /// Of the best evaluation; strategies are not asked for.
    perplexity: Option<f64>,
    /// What it was chosen by, where that is not perplexity.
    worth: Option<f64>,
    #[serde(flatten)]
    outcome: Outcome,
}

fn finished(
    run: &RunDir,
    model: &Path,
    settings: &Settings,
    sets: &Sets,
    summary: &TrainSummary,
    format: Format,
) -> Result<(), Failure> {
    let finished = Finished {
        model: told(model),
        samples: sets.train.lengths().len(),
        of_samples: sets.samples,
        select: settings.select,
        perplexity: summary.best.map(|best| best.loss.exp()),
        worth: summary.best.and_then(|best| best.value),
        outcome: Outcome::new(run, summary),
    };
    match format {
        Format::Json => print_json(&finished)?,
        Format::Text => print(&finished),
    }
    Ok(())
}

fn print(finished: &Finished) {
    let Finished { model, samples, of_samples, select, perplexity, worth, outcome } = finished;
    println!("run              {}", outcome.run);
    println!("model            {model}");
    println!("samples          {samples} with candidates, of {of_samples}");
    println!("steps            {} of {} ({})", outcome.steps, outcome.planned_steps, outcome.ended);
    if let Some(loss) = outcome.loss {
        println!("last loss        {loss:.4}");
    }
    if let (Some(perplexity), Some(best)) = (perplexity, outcome.best) {
        let worth = worth.map(|worth| format!(", {} {worth:.4}", select.name())).unwrap_or_default();
        println!("best             perplexity {perplexity:.3}{worth}, at step {}", best.step);
    }
    println!("time             {:.1} s", outcome.seconds);
    println!("peak memory      {}", format_bytes(outcome.peak_memory));
}
