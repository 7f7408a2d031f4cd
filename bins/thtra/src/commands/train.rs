//! The stages that learn from samples: `thtra train-lookahead`, `train-situation` and `train-baseline`.

use std::process::ExitCode;

use candle_core::Device;
use command_line::{
    Failure, Format, Outcome, Recorder, hugging_face_folder, interrupt, open_run, output_place, print_json,
};
use llm_runtime::{format_bytes, sha256_of_files, weights_sha256};
use serde::Serialize;
use thtra::{
    DialogueTokenizer, Layout, META_FILE, MODEL_FOLDER, Part, Prepared, Responder, SampleDataset, Stage,
    StageObjective, Wanted,
};
use training::{Control, End, RunDir, TrainSummary, Trainer, TrainerOptions};

use crate::train_arguments::{Baseline, SelectOn, Train, TrainBaseline, TrainLookAhead, TrainSituation};

/// Names of held-out sets.
const VALID: &str = "valid";
const VALID_WITH_LOOK_AHEAD: &str = "valid_with_look_ahead";

/// What `config.toml` of a run holds.
#[derive(Debug, Serialize)]
struct Settings {
    stage: Stage,
    base: String,
    base_sha256: String,
    prepared: String,
    prepared_sha256: String,
    limit: Option<usize>,
    val_limit: Option<usize>,
    situation_weight: f64,
    /// The layout of the validation samples that decide, and of others that are scored beside them.
    judged: Layout,
    also_judged: Option<Layout>,
    trainer: TrainerOptions,
}

pub(crate) fn look_ahead(options: &TrainLookAhead, format: Format) -> Result<ExitCode, Failure> {
    let judged = match options.select_on {
        SelectOn::WithoutLookAhead => (Layout::Strat, Some(Layout::StratLookAhead)),
        SelectOn::WithLookAhead => (Layout::StratLookAhead, Some(Layout::Strat)),
    };
    run(&options.train, Stage::LookAhead, 0.0, judged, format)
}

pub(crate) fn situation(options: &TrainSituation, format: Format) -> Result<ExitCode, Failure> {
    let stage = Stage::Situation;
    run(&options.train, stage, options.situation_weight, (stage.judged_layout(), None), format)
}

pub(crate) fn baseline(options: &TrainBaseline, format: Format) -> Result<ExitCode, Failure> {
    let stage = match options.kind {
        Baseline::Joint => Stage::Joint,
        Baseline::Vanilla => Stage::Vanilla,
    };
    run(&options.train, stage, 0.0, (stage.judged_layout(), None), format)
}

fn run(
    options: &Train,
    stage: Stage,
    situation_weight: f64,
    (judged, also_judged): (Layout, Option<Layout>),
    format: Format,
) -> Result<ExitCode, Failure> {
    let trainer = options.loop_.options(options.size.is_some());
    trainer.check()?;
    output_place::check_folder(&options.out)?;
    let device = options.machine.device.open()?;
    let (responder, base, base_sha256) = begin(options, trainer.seed, &device)?;
    let settings = Settings {
        stage,
        base,
        base_sha256,
        prepared: options.prepared.display().to_string(),
        prepared_sha256: sha256_of_files(&[&options.prepared.join(META_FILE)])?,
        limit: options.limit,
        val_limit: options.val_limit,
        situation_weight,
        judged,
        also_judged,
        trainer,
    };
    let sets = Sets::read(options, &settings, &responder.tokenizer)?;
    let run = open_run(&options.out, options.resume, &settings)?;
    interrupt::listen();
    let summary = train(options, &settings, &sets, &responder, &run)?;
    let folder = run.path().join(MODEL_FOLDER);
    responder.save(&folder)?;
    finished(&run, &folder.display().to_string(), &summary, format)?;
    Ok(match summary.end {
        End::Stopped => ExitCode::from(interrupt::EXIT_CODE),
        End::Finished | End::Early => ExitCode::SUCCESS,
    })
}

/// The model before its first step, where its weights come from, and their hash.
fn begin(options: &Train, seed: u64, device: &Device) -> Result<(Responder, String, String), Failure> {
    if let Some(base) = &options.base {
        let folder = hugging_face_folder(base, &options.machine)?;
        return Ok((Responder::open(&folder, seed, device)?, base.clone(), weights_sha256(&folder)?));
    }
    let (Some(size), Some(tokenizer)) = (options.size, &options.tokenizer) else {
        return Err(Failure::wrong_use("give a model to begin with (--base), or --size and --tokenizer"));
    };
    let lengths = Prepared::open(&options.prepared, Wanted::default())?.meta().lengths;
    let longest = lengths.max_input_length.max(lengths.max_decoder_input_length + 2);
    let size = size.size();
    let responder = Responder::fresh(size, DialogueTokenizer::open(tokenizer)?, longest, seed, device)?;
    Ok((responder, format!("nothing ({})", size.name()), String::new()))
}

/// Samples to learn from, and those that decide.
struct Sets {
    train: SampleDataset,
    valid: Vec<(String, SampleDataset)>,
}

impl Sets {
    fn read(options: &Train, settings: &Settings, tokenizer: &DialogueTokenizer) -> Result<Self, Failure> {
        let wanted = Wanted { tokenizer: Some(tokenizer), ..Wanted::default() };
        let prepared = Prepared::open(&options.prepared, wanted)?;
        let read = |part, layout, limit: Option<usize>| -> Result<SampleDataset, Failure> {
            let mut samples = prepared.read(part, layout)?;
            samples.truncate(limit.unwrap_or(usize::MAX));
            Ok(SampleDataset::new(samples, tokenizer))
        };
        let name = |layout| if layout == Layout::StratLookAhead { VALID_WITH_LOOK_AHEAD } else { VALID };
        let valid = [Some(settings.judged), settings.also_judged].into_iter().flatten();
        let valid = valid.map(|layout| Ok((name(layout).to_owned(), read(Part::Valid, layout, options.val_limit)?)));
        Ok(Self {
            train: read(Part::Train, settings.stage.layout(), options.limit)?,
            valid: valid.collect::<Result<_, Failure>>()?,
        })
    }
}

fn train(
    options: &Train,
    settings: &Settings,
    sets: &Sets,
    responder: &Responder,
    run: &RunDir,
) -> Result<TrainSummary, Failure> {
    let model = responder.model.model.clone();
    let objective = match settings.stage {
        Stage::Vanilla => StageObjective::without_strategies(model),
        Stage::LookAhead | Stage::Situation | Stage::Joint => StageObjective::new(model)?,
    };
    let objective = objective.with_situation(settings.situation_weight);
    let evaluation = sets.valid.iter().map(|(name, set)| (name.clone(), set)).collect();
    let trainer = Trainer { objective: &objective, train: &sets.train, evaluation, options: &settings.trainer };
    let names = sets.valid.iter().map(|(name, _)| name.clone()).collect();
    let mut recorder = Recorder::new(run, &options.loop_.usual.tracking, settings, names);
    let outcome = trainer.run(&responder.model.parameters, Some(run), options.resume, &mut |event| {
        recorder.see(event)?;
        Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
    });
    recorder.finish(outcome)
}

/// What a finished run tells.
#[derive(Serialize)]
struct Finished<'a> {
    model: &'a str,
    /// Of the best evaluation; strategies are not asked for.
    perplexity: Option<f64>,
    #[serde(flatten)]
    outcome: Outcome,
}

fn finished(run: &RunDir, model: &str, summary: &TrainSummary, format: Format) -> Result<(), Failure> {
    let perplexity = summary.best.map(|best| best.loss.exp());
    let told = Finished { model, perplexity, outcome: Outcome::new(run, summary) };
    if format == Format::Json {
        return Ok(print_json(&told)?);
    }
    let Finished { model, perplexity, outcome } = told;
    println!("run              {}", outcome.run);
    println!("model            {model}");
    println!("steps            {} of {} ({})", outcome.steps, outcome.planned_steps, outcome.ended);
    if let Some(loss) = outcome.loss {
        println!("last loss        {loss:.4} nats per token");
    }
    if let (Some(perplexity), Some(best)) = (perplexity, outcome.best) {
        println!("best perplexity  {perplexity:.3}, at step {}", best.step);
    }
    println!("time             {:.1} s", outcome.seconds);
    println!("peak memory      {}", format_bytes(outcome.peak_memory));
    Ok(())
}
