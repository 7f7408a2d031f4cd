//! `magic train`: the response generator learns, and fills its memory.

use std::path::Path;
use std::process::ExitCode;

use candle_core::Device;
use command_line::{
    Failure, Format, Outcome, Recorder, hugging_face_folder, interrupt, open_run, output_place, print_json,
};
use llm_runtime::{format_bytes, sha256_of_files, weights_sha256};
use magic::{GENERATOR_FOLDER, GeneratorSettings, Sample, SampleEncoder, Strategy, read_samples, save_generator};
use memory_bank::{BankOptions, MagicDataset, MagicObjective, MemoryError, StrategyBank, TrainableMagic};
use seq2seq::{Architecture, Seq2SeqConfig, Seq2SeqTokenizer, Seq2SeqWeights, StackConfig, Truncation};
use serde::Serialize;
use training::{Control, End, RunDir, TrainEvent, TrainSummary, Trainer, TrainerOptions};

use crate::train_arguments::{Size, Train, Writing};

/// Name of the held-out set.
const VALID: &str = "valid";

/// What `config.toml` of a run holds.
#[derive(Debug, Serialize)]
struct Settings {
    base: String,
    base_sha256: String,
    train_data: String,
    train_sha256: String,
    val_data: String,
    val_sha256: String,
    limit: Option<usize>,
    val_limit: Option<usize>,
    vocabulary: usize,
    dtype: String,
    strategy_weight: f64,
    bank_writes: bool,
    bank_refresh: u64,
    method: GeneratorSettings,
    bank: BankOptions,
    trainer: TrainerOptions,
}

pub(crate) fn run(options: &Train, format: Format) -> Result<ExitCode, Failure> {
    let trainer = options.loop_.options(options.size);
    trainer.check()?;
    let method = options.method.settings();
    method.encoding.check().map_err(Failure::wrong_use)?;
    if !options.dry_run {
        output_place::check_folder(&options.output_dir)?;
    }
    let device = options.machine.device.open()?;
    let texts = Texts::read(options)?;
    let pupil = Pupil::begin(options, &texts, &method, trainer.seed, &device)?;
    let sets = Sets::encode(options, &texts, &pupil, &method)?;
    let settings = settings(options, &pupil, method, trainer)?;
    if options.dry_run {
        return dry_run(&settings, &sets, &pupil, format);
    }
    let run = open_run(&options.output_dir, options.resume, &settings)?;
    interrupt::listen();
    let (summary, bank) = train(options, &settings, &sets, &pupil, &device, &run)?;
    let folder = run.path().join(GENERATOR_FOLDER);
    save_generator(&folder, &pupil.model, &bank, &pupil.tokenizer, &settings.method)?;
    finished(&run, &folder, &summary, &bank, format)?;
    Ok(match summary.end {
        End::Stopped => ExitCode::from(interrupt::EXIT_CODE),
        End::Finished | End::Early => ExitCode::SUCCESS,
    })
}

/// What is learned from, and what decides.
struct Texts {
    train: Vec<Sample>,
    valid: Vec<Sample>,
}

impl Texts {
    fn read(options: &Train) -> Result<Self, Failure> {
        let read = |path: &Path, limit: Option<usize>| -> Result<Vec<Sample>, Failure> {
            let mut samples = read_samples(path)?;
            samples.truncate(limit.unwrap_or(usize::MAX));
            Ok(samples)
        };
        Ok(Self {
            train: read(&options.train_data, options.limit)?,
            valid: read(&options.val_data, options.val_limit)?,
        })
    }

    /// Every text to learn from once, for a vocabulary.
    fn unique(&self) -> Vec<&str> {
        let texts = self
            .train
            .iter()
            .flat_map(|sample| sample.context.iter().chain([&sample.response, &sample.motivation]).map(String::as_str));
        let mut known = std::collections::HashSet::new();
        texts.filter(|text| known.insert(*text)).collect()
    }
}

/// The generator before its first step.
struct Pupil {
    model: TrainableMagic,
    tokenizer: Seq2SeqTokenizer,
    config: Seq2SeqConfig,
    /// Where its weights come from, and their hash.
    base: (String, String),
}

impl Pupil {
    fn begin(
        options: &Train,
        texts: &Texts,
        method: &GeneratorSettings,
        seed: u64,
        device: &Device,
    ) -> Result<Self, Failure> {
        let new = |weights: &Seq2SeqWeights, config: &Seq2SeqConfig| {
            let linears = options.loop_.dtype.dtype();
            TrainableMagic::new_in(linears, weights, config, Strategy::ALL.len(), method.generator, seed, device)
        };
        let Some(base) = &options.bart_base_dir else {
            let tokenizer = Seq2SeqTokenizer::learn_byte_pairs(&texts.unique(), options.vocabulary)?;
            let size = options.size.unwrap_or(Size::Tiny);
            let config = size.config(tokenizer.vocabulary_size(), method.encoding.max_length);
            let model = new(&Seq2SeqWeights::fresh(&config, device, seed), &config)?;
            return Ok(Self { model, tokenizer, config, base: (size.told().to_owned(), String::new()) });
        };
        let folder = hugging_face_folder(base, &options.machine)?;
        let config = Seq2SeqConfig::read(&folder)?;
        if config.architecture != Architecture::Bart {
            let problem = format!("{base}: the model is a {}, expected a BART", config.architecture.name());
            return Err(Failure::wrong_use(problem));
        }
        let tokenizer = Seq2SeqTokenizer::open(&folder)?;
        let model = new(&Seq2SeqWeights::open(&folder, &config, device, seed)?, &config)?;
        Ok(Self { model, tokenizer, config, base: (base.clone(), weights_sha256(&folder)?) })
    }
}

impl Size {
    fn told(self) -> &'static str {
        match self {
            Self::Tiny => "nothing (tiny)",
            Self::Small => "nothing (small)",
        }
    }

    fn config(self, vocabulary: usize, max_positions: usize) -> Seq2SeqConfig {
        let tiny = Seq2SeqConfig { max_positions, dropout: 0.1, ..Seq2SeqConfig::tiny(Architecture::Bart, vocabulary) };
        let stack = StackConfig { layers: 3, heads: 8, inner_width: 1024 };
        match self {
            Self::Tiny => tiny,
            Self::Small => {
                Seq2SeqConfig { width: 256, encoder: stack, decoder: stack, initializer_range: 0.05, ..tiny }
            }
        }
    }
}

/// The samples as token sequences.
struct Sets {
    train: MagicDataset,
    valid: MagicDataset,
    shortened: usize,
}

impl Sets {
    fn encode(options: &Train, texts: &Texts, pupil: &Pupil, method: &GeneratorSettings) -> Result<Self, Failure> {
        let (longest, places) = (method.encoding.max_length, pupil.config.max_positions);
        if longest > places {
            return Err(Failure::wrong_use(format!(
                "--max-length {longest}: the model has places for {places} tokens"
            )));
        }
        let mut encoder = SampleEncoder::new(&pupil.tokenizer, &method.encoding);
        let padding = method.padding(pupil.config.pad_id);
        let mut encode = |path: &Path, samples: &[Sample]| -> Result<MagicDataset, Failure> {
            Ok(MagicDataset::new(encoder.encode_all(path, samples)?, padding))
        };
        let train = encode(&options.train_data, &texts.train)?;
        let valid = encode(&options.val_data, &texts.valid)?;
        Ok(Self { train, valid, shortened: encoder.shortened() })
    }
}

fn settings(
    options: &Train,
    pupil: &Pupil,
    method: GeneratorSettings,
    trainer: TrainerOptions,
) -> Result<Settings, Failure> {
    let (base, base_sha256) = pupil.base.clone();
    Ok(Settings {
        base,
        base_sha256,
        train_data: options.train_data.display().to_string(),
        train_sha256: sha256_of_files(&[&options.train_data])?,
        val_data: options.val_data.display().to_string(),
        val_sha256: sha256_of_files(&[&options.val_data])?,
        limit: options.limit,
        val_limit: options.val_limit,
        vocabulary: pupil.config.vocabulary_size,
        dtype: format!("{:?}", options.loop_.dtype).to_lowercase(),
        strategy_weight: options.method.l_strategy,
        bank_writes: options.method.bank_write == Writing::Train,
        bank_refresh: options.method.bank_refresh,
        method,
        bank: options.method.bank(),
        trainer,
    })
}

fn train(
    options: &Train,
    settings: &Settings,
    sets: &Sets,
    pupil: &Pupil,
    device: &Device,
    run: &RunDir,
) -> Result<(TrainSummary, StrategyBank), Failure> {
    let bank = StrategyBank::new(Strategy::ALL.len(), pupil.config.width, settings.bank.clone(), device)?;
    let objective = MagicObjective::new(pupil.model.generator.clone(), bank, settings.strategy_weight);
    let objective = if settings.bank_writes { objective } else { objective.with_frozen_bank() };
    let evaluation = vec![(VALID.to_owned(), &sets.valid)];
    let trainer = Trainer { objective: &objective, train: &sets.train, evaluation, options: &settings.trainer };
    let mut recorder = Recorder::new(run, &options.loop_.usual.tracking, settings, vec![VALID.to_owned()]);
    let longest = Truncation::right(settings.method.encoding.max_length_res_memory);
    let tokens = |text: &str| -> Result<Vec<u32>, MemoryError> {
        Ok(pupil.tokenizer.frame(&pupil.tokenizer.encode(text)?, Some(longest))?)
    };
    let outcome = trainer.run(&pupil.model.parameters, Some(run), options.resume, &mut |event| {
        recorder.see(event)?;
        if let TrainEvent::Step(step) = event
            && settings.bank_refresh > 0
            && step.step.is_multiple_of(settings.bank_refresh)
        {
            objective.refresh(tokens)?;
        }
        Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
    });
    Ok((recorder.finish(outcome)?, objective.bank()))
}

/// What a run will take.
#[derive(Serialize)]
struct DryRun<'a> {
    settings: &'a Settings,
    samples: usize,
    shortened: usize,
    steps: u64,
    parameters: usize,
    /// Parameters, gradients and two moments in f32.
    bytes: u64,
}

fn dry_run(settings: &Settings, sets: &Sets, pupil: &Pupil, format: Format) -> Result<ExitCode, Failure> {
    let samples = sets.train.samples().len();
    let parameters = pupil.model.parameters.elements();
    let steps = settings.trainer.total_steps(samples);
    let told =
        DryRun { settings, samples, shortened: sets.shortened, steps, parameters, bytes: 16 * parameters as u64 };
    match format {
        Format::Json => print_json(&told)?,
        Format::Text => {
            println!("{}", toml::to_string(settings).map_err(Failure::work)?);
            println!("samples                            {samples}, {} shortened", told.shortened);
            println!("optimiser steps                    {steps}");
            println!("trained parameters                 {parameters}");
            println!("parameters, gradients and moments  {}", format_bytes(told.bytes));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a finished run tells.
#[derive(Serialize)]
struct Finished {
    generator: String,
    /// Perplexity of the validation samples, of the best evaluation.
    perplexity: Option<f64>,
    /// Rows of the memory, by strategy.
    memory: Vec<(&'static str, usize)>,
    #[serde(flatten)]
    outcome: Outcome,
}

fn finished(
    run: &RunDir,
    folder: &Path,
    summary: &TrainSummary,
    bank: &StrategyBank,
    format: Format,
) -> Result<(), Failure> {
    let told = Finished {
        generator: folder.display().to_string(),
        perplexity: summary.best.map(|best| best.loss.exp()),
        memory: Strategy::ALL.iter().map(|strategy| strategy.name()).zip(bank.sizes()).collect(),
        outcome: Outcome::new(run, summary),
    };
    if format == Format::Json {
        return Ok(print_json(&told)?);
    }
    let Finished { generator, perplexity, memory, outcome } = told;
    println!("run              {}", outcome.run);
    println!("generator        {generator}");
    println!("steps            {} of {} ({})", outcome.steps, outcome.planned_steps, outcome.ended);
    if let Some(loss) = outcome.loss {
        println!("last loss        {loss:.4} nats per token");
    }
    if let (Some(perplexity), Some(best)) = (perplexity, outcome.best) {
        println!("best perplexity  {perplexity:.3}, at step {}", best.step);
    }
    println!("memory           {} rows", bank.sizes().iter().sum::<usize>());
    for (strategy, rows) in memory {
        println!("  {rows:>5}  {strategy}");
    }
    println!("time             {:.1} s", outcome.seconds);
    println!("peak memory      {}", format_bytes(outcome.peak_memory));
    Ok(())
}
