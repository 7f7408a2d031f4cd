//! Fine-tuning of a language model with LoRA, from files of chats or of instructions to an adapter in a run folder.

mod data;
mod options;
mod report;

pub use options::{FineTune, Learn, Lora, TrainingData, Wording};

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use llm_runtime::{Llama, PretrainedModel};
use lora::sft::{Bos, EncodeRecord, Join};
use lora::{Adapters, LoraConfig, SftDataset, SftObjective};
use serde::Serialize;
use training::{Control, End, RunDir, TrainSummary, Trainer, TrainerOptions};

use crate::{Failure, Format, NO_ENGINE, Recorder, interrupt, load_pretrained, must_be_local, open_run, output_place};

/// Name under which the adapter is known inside a run.
const ADAPTER: &str = "trained";
/// Folder of the trained adapter in a run.
pub(crate) const ADAPTER_FOLDER: &str = "adapter";

/// What `config.toml` of a run holds.
#[derive(Debug, Serialize)]
struct Settings {
    model: String,
    model_sha256: String,
    data: Vec<String>,
    dev: Vec<String>,
    cutoff: Option<usize>,
    shortening: String,
    pack: Option<usize>,
    learn_on: String,
    template: String,
    bos: Bos,
    join: Join,
    trainer: TrainerOptions,
    lora: LoraConfig,
}

/// How examples are brought under the cutoff.
pub struct Shortening<'a> {
    /// What the run's settings call it.
    pub name: &'a str,
    /// Makes an example of a record.
    pub encode: EncodeRecord<'a>,
}

impl Default for Shortening<'_> {
    /// As [`lora::sft::SftEncoder::encode`] does.
    fn default() -> Self {
        Self { name: "turns-then-question", encode: &|encoder, record| encoder.encode(record) }
    }
}

/// Trains an adapter and prints what became of it.
///
/// # Errors
/// The model, the data or the settings can't be used, or the training fails; what was saved until then stays.
pub fn fine_tune(options: &FineTune, shortening: &Shortening<'_>, format: Format) -> Result<ExitCode, Failure> {
    must_be_local(&options.model, "training computes gradients through the model")?;
    if !options.dry_run {
        output_place::check_folder(&options.out)?;
    }
    let adapters = Adapters::new();
    let loaded = load_pretrained(&options.model, &options.options, NO_ENGINE, &|loader, config, device| {
        Llama::load(&adapters.wrap(loader), config, device)
    })?;
    let trainer_options = options.loop_.options();
    trainer_options.check()?;
    let sets = data::read(&options.data, &loaded, shortening.encode)?;
    let context = loaded.llama.config().context_length;
    if sets.summary.longest > context {
        tracing::warn!(
            "the longest example has {} tokens, the model was made for {context}: shorten with --cutoff {context}",
            sets.summary.longest
        );
    }
    match &options.lora.from_adapter {
        Some(folder) => adapters.load(ADAPTER, folder)?,
        None => adapters.add(ADAPTER, &options.lora.config(), trainer_options.seed)?,
    }
    let settings = settings(options, shortening, &loaded, &adapters, &trainer_options)?;
    if options.dry_run {
        report::dry_run(&settings, &sets, &adapters.parameters(ADAPTER)?, &loaded.llama, format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let run = open_run(&options.out, options.resume, &settings)?;
    interrupt::listen();
    let summary = train(options, &settings, &sets, loaded.llama.clone(), &adapters, &run)?;
    adapters.save(ADAPTER, &run.path().join(ADAPTER_FOLDER), &options.model)?;
    report::finished(&run, &summary, format)?;
    Ok(match summary.end {
        End::Stopped => ExitCode::from(interrupt::EXIT_CODE),
        End::Finished | End::Early => ExitCode::SUCCESS,
    })
}

fn settings(
    options: &FineTune,
    shortening: &Shortening<'_>,
    loaded: &PretrainedModel,
    adapters: &Adapters,
    trainer: &TrainerOptions,
) -> Result<Settings, Failure> {
    let names = |paths: &[std::path::PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
    Ok(Settings {
        model: options.model.clone(),
        model_sha256: loaded.identity().sha256,
        data: names(&options.data.data),
        dev: names(&options.data.dev),
        cutoff: options.data.cutoff,
        shortening: shortening.name.to_owned(),
        pack: options.data.pack,
        learn_on: format!("{:?}", options.data.learn_on).to_lowercase(),
        template: options.data.wording.plain.clone().unwrap_or_else(|| Wording::CHAT.to_owned()),
        bos: options.data.wording.bos,
        join: options.data.join,
        trainer: trainer.clone(),
        lora: adapters.config(ADAPTER)?,
    })
}

fn train(
    options: &FineTune,
    settings: &Settings,
    sets: &data::Sets,
    llama: Arc<Llama>,
    adapters: &Adapters,
    run: &RunDir,
) -> Result<TrainSummary, Failure> {
    let objective = SftObjective::new(llama, Some(adapters.clone()));
    let evaluation: Vec<(String, &SftDataset)> = sets.dev.iter().map(|(name, set)| (name.clone(), set)).collect();
    let trainer = Trainer { objective: &objective, train: &sets.train, evaluation, options: &settings.trainer };
    let held_out = sets.dev.iter().map(|(name, _)| name.clone()).collect();
    let mut recorder = Recorder::new(run, &options.loop_.usual.tracking, settings, held_out);
    let outcome = trainer.run(&adapters.parameters(ADAPTER)?, Some(run), options.resume, &mut |event| {
        recorder.see(event)?;
        Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
    });
    recorder.finish(outcome)
}

/// The adapter folder that `path` stands for: a PEFT folder, or a run of a fine-tuning.
pub fn adapter_folder(path: &Path) -> std::path::PathBuf {
    let inside = path.join(ADAPTER_FOLDER);
    if inside.join(lora::CONFIG_FILE).is_file() { inside } else { path.to_path_buf() }
}
