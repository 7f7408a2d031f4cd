//! `sra classifier train`: an encoder learns to tell strategies apart.

use std::path::PathBuf;
use std::process::ExitCode;

use command_line::{Failure, Format, Outcome, Recorder, interrupt, open_run, output_place, print_json};
use esconv_data::Split;
use llm_runtime::{format_bytes, weights_sha256};
use serde::Serialize;
use text_encoder::{
    ClassificationDataset, ClassificationObjective, EncoderConfig, EncoderTokenizer, TrainableClassifier, learn_pieces,
};
use training::{Control, Dataset, End, RunDir, SetScores, TrainSummary, Trainer, TrainerOptions};

use super::data::{self, LeftOut, Response};
use super::model::{self, MODEL_FOLDER};
use crate::classifier_arguments::ClassifierTrain;

/// Pieces of a vocabulary that is learned.
const VOCABULARY: usize = 4096;
/// Name of the held-out set.
const DEV: &str = "dev";

/// What `config.toml` of a run holds.
#[derive(Debug, Serialize)]
struct Settings {
    base: String,
    base_sha256: String,
    data: Vec<String>,
    dev: Vec<String>,
    hold_out: Option<f64>,
    max_length: usize,
    new_head: bool,
    added_tokens: Vec<String>,
    labels: Vec<String>,
    trainer: TrainerOptions,
}

pub(crate) fn run(options: &ClassifierTrain, format: Format) -> Result<ExitCode, Failure> {
    let trainer = options.loop_.options(options.size);
    trainer.check()?;
    about_a_base(options)?;
    if !options.dry_run {
        output_place::check_folder(&options.out)?;
    }
    let texts = Texts::read(options)?;
    let base = options.base.as_ref().map(|base| model::folder(base, &options.machine)).transpose()?;
    let model = begin(options, &texts, base.as_ref(), &trainer)?;
    let sets = Sets::new(&model, &texts, options.max_length)?;
    let settings = settings(options, &texts, base.as_ref(), trainer)?;
    if options.dry_run {
        dry_run(&settings, &sets, &texts, &model, format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let run = open_run(&options.out, options.resume, &settings)?;
    interrupt::listen();
    let (summary, dev) = train(options, &settings, &sets, &model, &run)?;
    model.save(&run.path().join(MODEL_FOLDER))?;
    finished(&run, &summary, dev, &texts, format)?;
    Ok(match summary.end {
        End::Stopped => ExitCode::from(interrupt::EXIT_CODE),
        End::Finished | End::Early => ExitCode::SUCCESS,
    })
}

/// Refuses options about a base where there is none.
fn about_a_base(options: &ClassifierTrain) -> Result<(), Failure> {
    let given = [("--new-head", options.new_head), ("--add-tokens", !options.add_tokens.is_empty())];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) if options.base.is_none() => Err(Failure::wrong_use(format!(
            "{option} is about an encoder to begin with: name it with --base in place of --size"
        ))),
        _ => Ok(()),
    }
}

/// What is learned from and what is held out, as texts.
struct Texts {
    labels: Vec<String>,
    train: Vec<(Response, usize)>,
    dev: Vec<(Response, usize)>,
    left_out: LeftOut,
    dev_left_out: LeftOut,
}

impl Texts {
    fn read(options: &ClassifierTrain) -> Result<Self, Failure> {
        let mut train = data::read_all(&options.data)?;
        let dev = match options.hold_out {
            Some(share) => hold_out(&mut train, share, options.loop_.usual.seed)?,
            None => data::read_all(&options.dev)?,
        };
        let (mut left_out, mut dev_left_out) = (LeftOut::default(), LeftOut::default());
        let mut train = data::usable(train, &mut left_out);
        train.truncate(options.limit.unwrap_or(usize::MAX));
        let labels = data::labels(&train);
        if let [] | [_] = labels.as_slice() {
            let found = labels.first().map_or("none".to_owned(), |label| format!("`{label}` only"));
            let problem = format!("strategies in the training data: {found}; at least two are needed ({left_out})");
            return Err(Failure::work(problem));
        }
        let train = data::numbered(train, &labels, &mut left_out);
        let is_wanted = !dev.is_empty();
        let dev = data::numbered(data::usable(dev, &mut dev_left_out), &labels, &mut dev_left_out);
        if is_wanted && dev.is_empty() {
            return Err(Failure::work(format!("no held-out response can be used ({dev_left_out})")));
        }
        for (set, left_out) in [("training data", &left_out), ("held-out data", &dev_left_out)] {
            if left_out.total() > 0 {
                tracing::warn!("{set}: {left_out}");
            }
        }
        Ok(Self { labels, train, dev, left_out, dev_left_out })
    }
}

/// Takes a share of the conversations out, drawn by the seed.
fn hold_out(responses: &mut Vec<Response>, share: f64, seed: u64) -> Result<Vec<Response>, Failure> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Failure::wrong_use(format!("--hold-out {share}: expected a share between 0 and 1")));
    }
    let mut conversations: Vec<String> = responses.iter().map(|response| response.conversation.clone()).collect();
    conversations.sort();
    conversations.dedup();
    let count = conversations.len();
    let wanted = ((count as f64 * share).round() as usize).clamp(1, count.saturating_sub(1).max(1));
    let split = Split::seeded(count, wanted, 0, seed).map_err(Failure::work)?;
    let held_out: Vec<&String> = split.valid.iter().map(|number| &conversations[*number]).collect();
    let is_held_out = |response: &Response| held_out.contains(&&response.conversation);
    let (dev, train) = std::mem::take(responses).into_iter().partition(is_held_out);
    *responses = train;
    Ok(dev)
}

/// The classifier before its first step.
fn begin(
    options: &ClassifierTrain,
    texts: &Texts,
    base: Option<&PathBuf>,
    trainer: &TrainerOptions,
) -> Result<TrainableClassifier, Failure> {
    let device = options.machine.device.open()?;
    let labels = texts.labels.clone();
    let Some(base) = base else {
        let known: Vec<&str> = texts.train.iter().map(|(response, _)| response.text.as_str()).collect();
        let tokenizer = EncoderTokenizer::word_piece(&learn_pieces(&known, VOCABULARY)?)?;
        let config = EncoderConfig::tiny(tokenizer.vocabulary_size(), tokenizer.padding().unwrap_or(0));
        return Ok(TrainableClassifier::fresh(config, tokenizer, labels, trainer.seed, &device)?);
    };
    let mut tokenizer = EncoderTokenizer::open(base)?;
    tokenizer.add_tokens(&options.add_tokens)?;
    let model = TrainableClassifier::open(base, tokenizer, labels, options.new_head, trainer.seed, &device)?;
    if !model.made_fresh.is_empty() {
        tracing::info!("made fresh: {}", model.made_fresh.join(", "));
    }
    Ok(model)
}

/// The same as token ids.
struct Sets {
    train: ClassificationDataset,
    dev: ClassificationDataset,
}

impl Sets {
    fn new(model: &TrainableClassifier, texts: &Texts, max_length: usize) -> Result<Self, Failure> {
        let longest = max_length.min(model.classifier.model.encoder().config().longest());
        let encode = |responses: &[(Response, usize)]| -> Result<ClassificationDataset, Failure> {
            let mut set = ClassificationDataset::new();
            for (response, class) in responses {
                set.push(model.classifier.tokenizer.encode(&response.text, longest)?, *class);
            }
            Ok(set)
        };
        Ok(Self { train: encode(&texts.train)?, dev: encode(&texts.dev)? })
    }
}

fn settings(
    options: &ClassifierTrain,
    texts: &Texts,
    base: Option<&PathBuf>,
    trainer: TrainerOptions,
) -> Result<Settings, Failure> {
    let names = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
    Ok(Settings {
        base: options.base.clone().unwrap_or_else(|| "nothing (tiny)".into()),
        base_sha256: base.map(|folder| weights_sha256(folder)).transpose()?.unwrap_or_default(),
        data: names(&options.data),
        dev: names(&options.dev),
        hold_out: options.hold_out,
        max_length: options.max_length,
        new_head: options.new_head,
        added_tokens: options.add_tokens.clone(),
        labels: texts.labels.clone(),
        trainer,
    })
}

fn train(
    options: &ClassifierTrain,
    settings: &Settings,
    sets: &Sets,
    model: &TrainableClassifier,
    run: &RunDir,
) -> Result<(TrainSummary, Option<SetScores>), Failure> {
    let objective = ClassificationObjective::new(model.classifier.model.clone());
    let dev = (!sets.dev.is_empty()).then(|| (DEV.to_owned(), &sets.dev));
    let held_out = dev.iter().map(|(name, _)| name.clone()).collect();
    let trainer = Trainer {
        objective: &objective,
        train: &sets.train,
        evaluation: dev.into_iter().collect(),
        options: &settings.trainer,
    };
    let mut recorder = Recorder::new(run, &options.loop_.usual.tracking, settings, held_out);
    let outcome = trainer.run(&model.parameters, Some(run), options.resume, &mut |event| {
        recorder.see(event)?;
        Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
    });
    let summary = recorder.finish(outcome)?;
    let scores = (!sets.dev.is_empty()).then(|| trainer.evaluate(&sets.dev)).transpose()?;
    Ok((summary, scores))
}

/// What a run will take.
#[derive(Serialize)]
struct DryRun<'a> {
    settings: &'a Settings,
    examples: usize,
    held_out: usize,
    left_out: &'a LeftOut,
    held_out_left_out: &'a LeftOut,
    tokens: usize,
    longest: usize,
    steps: u64,
    vocabulary: usize,
    trained_parameters: usize,
    made_fresh: &'a [String],
}

fn dry_run(
    settings: &Settings,
    sets: &Sets,
    texts: &Texts,
    model: &TrainableClassifier,
    format: Format,
) -> Result<(), Failure> {
    let lengths = sets.train.lengths();
    let answer = DryRun {
        settings,
        examples: sets.train.len(),
        held_out: sets.dev.len(),
        left_out: &texts.left_out,
        held_out_left_out: &texts.dev_left_out,
        tokens: lengths.iter().sum(),
        longest: lengths.iter().copied().max().unwrap_or(0),
        steps: settings.trainer.total_steps(lengths.len()),
        vocabulary: model.classifier.model.encoder().config().vocabulary_size,
        trained_parameters: model.parameters.elements(),
        made_fresh: &model.made_fresh,
    };
    if format == Format::Json {
        return Ok(print_json(&answer)?);
    }
    println!("{}", toml::to_string(settings).map_err(Failure::work)?);
    println!("responses           {} to learn from, {} held out", answer.examples, answer.held_out);
    println!("tokens              {}, longest response {}", answer.tokens, answer.longest);
    println!("optimiser steps     {}", answer.steps);
    println!("vocabulary          {}", answer.vocabulary);
    println!("trained parameters  {}", answer.trained_parameters);
    // Values, gradients and two moments.
    println!("memory for them     {}", format_bytes(16 * answer.trained_parameters as u64));
    Ok(())
}

/// What a finished run tells.
#[derive(Serialize)]
struct Finished<'a> {
    model: String,
    labels: usize,
    #[serde(flatten)]
    outcome: Outcome,
    /// Held-out loss and metrics of what was kept.
    dev: Option<Dev>,
    left_out: &'a LeftOut,
    dev_left_out: &'a LeftOut,
}

#[derive(Serialize)]
struct Dev {
    responses: usize,
    loss: f64,
    metrics: std::collections::BTreeMap<String, f64>,
}

fn finished(
    run: &RunDir,
    summary: &TrainSummary,
    dev: Option<SetScores>,
    texts: &Texts,
    format: Format,
) -> Result<(), Failure> {
    let answer = Finished {
        model: run.path().join(MODEL_FOLDER).display().to_string(),
        labels: texts.labels.len(),
        outcome: Outcome::new(run, summary),
        dev: dev.map(|scores| Dev {
            responses: texts.dev.len(),
            loss: scores.loss,
            metrics: scores.metrics.into_iter().collect(),
        }),
        left_out: &texts.left_out,
        dev_left_out: &texts.dev_left_out,
    };
    if format == Format::Json {
        return Ok(print_json(&answer)?);
    }
    let outcome = &answer.outcome;
    println!("run            {}", outcome.run);
    println!("classifier     {} ({} classes)", answer.model, answer.labels);
    println!("steps          {} of {} ({})", outcome.steps, outcome.planned_steps, outcome.ended);
    if let Some(dev) = &answer.dev {
        let metrics: Vec<String> = dev.metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        let step = outcome.best.map(|best| format!(" (best at step {})", best.step)).unwrap_or_default();
        println!("held out       {} responses: {}, loss {:.4}{step}", dev.responses, metrics.join(", "), dev.loss);
    }
    println!(
        "time           {:.1} s, {:.0} tokens a second with evaluations",
        outcome.seconds, outcome.tokens_per_second
    );
    println!("peak memory    {}", format_bytes(outcome.peak_memory));
    Ok(())
}
