//! `magic convert-checkpoint`: a checkpoint of the published code becomes one of this program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candle_core::Device;
use command_line::{Failure, Format, output_place, print_json};
use llm_runtime::StateDict;
use magic::{EncodingOptions, GeneratorSettings, Profile, Strategy, save_generator};
use memory_bank::{BankOptions, StrategyBank, TrainableMagic};
use seq2seq::{Seq2SeqConfig, Seq2SeqTokenizer};
use serde::Serialize;

use crate::generator_arguments::ConvertCheckpoint;

const MODEL: &str = "dialogue_model.pth";
const MEMORY: &str = "memory_bank.pth";

/// What was read.
#[derive(Serialize)]
struct Told<'a> {
    path: &'a Path,
    parameters: usize,
    memory: Vec<(&'static str, usize)>,
}

pub(crate) fn run(options: &ConvertCheckpoint, format: Format) -> Result<ExitCode, Failure> {
    let (checkpoint, device) = (&options.checkpoint, Device::Cpu);
    output_place::check_folder(&options.out)?;
    let config =
        Seq2SeqConfig::read(&folder_with("config.json", &[Some(checkpoint), options.bart_base_dir.as_ref()])?)?;
    let tokenizer =
        Seq2SeqTokenizer::open(&folder_with("vocab.json", &[Some(checkpoint), options.bart_base_dir.as_ref()])?)?;
    let profile = Profile::Reference;
    let generator = profile.generator();
    let model = TrainableMagic::of_state(&StateDict::open(&checkpoint.join(MODEL))?, &config, generator, &device)?;
    let capacity = options.strategy_memory_max;
    let bank =
        StrategyBank::open_published(&checkpoint.join(MEMORY), BankOptions { capacity, ..profile.bank() }, &device)?;
    if bank.strategies() != Strategy::ALL.len() || bank.width() != config.width {
        return Err(Failure::work(format!(
            "{}: {} lists of width {}, expected {} of width {}",
            checkpoint.join(MEMORY).display(),
            bank.strategies(),
            bank.width(),
            Strategy::ALL.len(),
            config.width
        )));
    }
    let encoding = EncodingOptions {
        max_length: options.max_length.unwrap_or(config.max_positions.min(EncodingOptions::default().max_length)),
        truncate: options.truncate,
        max_length_situation: options.max_length_situation,
        ..EncodingOptions::default()
    };
    encoding.check().map_err(Failure::wrong_use)?;
    if encoding.max_length > config.max_positions {
        let (longest, places) = (encoding.max_length, config.max_positions);
        return Err(Failure::wrong_use(format!("--max-length {longest}: the model has places for {places} tokens")));
    }
    let settings = GeneratorSettings::new(profile, generator, encoding);
    save_generator(&options.out, &model, &bank, &tokenizer, &settings)?;
    let told = Told {
        path: &options.out,
        parameters: model.parameters.elements(),
        memory: Strategy::ALL.iter().map(|strategy| strategy.name()).zip(bank.sizes()).collect(),
    };
    match format {
        Format::Json => print_json(&told)?,
        Format::Text => {
            let rows: usize = bank.sizes().iter().sum();
            println!("{}: {} parameters, {rows} rows of memory", told.path.display(), told.parameters);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The first of these folders that has the file.
fn folder_with(file: &str, folders: &[Option<&PathBuf>]) -> Result<PathBuf, Failure> {
    let mut named = folders.iter().flatten();
    named.find(|folder| folder.join(file).is_file()).map(|folder| folder.to_path_buf()).ok_or_else(|| {
        let looked: Vec<String> = folders.iter().flatten().map(|folder| folder.display().to_string()).collect();
        let where_ = looked.join(" or ");
        Failure::wrong_use(format!("there is no {file} in {where_}: name BART's folder with --bart-base-dir"))
    })
}
