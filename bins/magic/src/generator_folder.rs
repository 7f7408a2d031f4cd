//! A trained generator with all that belongs to it: memory, tokenizer and settings, in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use llm_runtime::sha256_of_files;
use memory_bank::{
    BankOptions, EmptyMemory, FixedLengths, GeneratorOptions, HeadInit, MagicGenerator, MotivationFusion, Pool,
    StrategyBank, TrainableMagic,
};
use seq2seq::{Seq2SeqConfig, Seq2SeqTokenizer};
use serde::{Deserialize, Serialize};

use crate::encoding::EncodingOptions;
use crate::error::Error;
use crate::strategy::Strategy;

/// The folder of the generator in a run of `magic train`.
pub const GENERATOR_FOLDER: &str = "model";
/// The generator's settings.
pub const SETTINGS_FILE: &str = "magic.json";
const CONFIG_FILE: &str = "config.json";

/// Whose behaviour is followed where the published code does not do what its paper means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// What is meant.
    #[default]
    Ours,
    /// What the published code does, as far as it has a result.
    Reference,
}

impl Profile {
    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Reference => "reference",
        }
    }

    /// How its generator reads and pools.
    pub fn generator(self) -> GeneratorOptions {
        match self {
            Self::Ours => GeneratorOptions::default(),
            Self::Reference => GeneratorOptions {
                pool: Pool::All,
                motivation: MotivationFusion::None,
                empty: EmptyMemory::Refuse,
                head: HeadInit::Random,
            },
        }
    }

    /// How its memory keeps rows.
    pub fn bank(self) -> BankOptions {
        let is_ours = self == Self::Ours;
        BankOptions { deduplicate: is_ours, exclude_self: is_ours, ..BankOptions::default() }
    }
}

/// `magic.json`: how the generator was trained and has to be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorSettings {
    /// Whose behaviour is followed.
    pub profile: Profile,
    /// How it reads and pools.
    pub generator: GeneratorOptions,
    /// How texts become tokens.
    pub encoding: EncodingOptions,
    /// Names of the strategies; the place is the list of the memory.
    pub strategies: Vec<String>,
}

impl GeneratorSettings {
    /// Settings for the eight strategies.
    pub fn new(profile: Profile, generator: GeneratorOptions, encoding: EncodingOptions) -> Self {
        let strategies = Strategy::ALL.map(|strategy| strategy.name().to_owned()).to_vec();
        Self { profile, generator, encoding, strategies }
    }

    /// To which lengths batches are padded: none, unless padding is pooled over.
    pub fn padding(&self, pad_id: u32) -> Option<FixedLengths> {
        let (inputs, responses) = (self.encoding.max_length, self.encoding.max_length_res_memory);
        (self.generator.pool == Pool::All).then_some(FixedLengths { inputs, responses, pad_id })
    }

    fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(SETTINGS_FILE);
        if !path.is_file() {
            let problem = "there is no generator here: name a run of `magic train`, or its model folder";
            return Err(Error::format(&path, problem));
        }
        let text = fs::read(&path).map_err(Error::io(&path))?;
        let settings: Self = serde_json::from_slice(&text)
            .map_err(|error| Error::format(&path, format!("not the settings of a generator: {error}")))?;
        let names: Vec<&str> = Strategy::ALL.iter().map(|strategy| strategy.name()).collect();
        if settings.strategies != names {
            let problem = format!("the strategies are {:?}, expected {names:?} in this order", settings.strategies);
            return Err(Error::format(&path, problem));
        }
        settings.encoding.check().map_err(|error| Error::format(&path, error.to_string()))?;
        Ok(settings)
    }

    /// Writes `magic.json`.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(SETTINGS_FILE);
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::format(&path, error.to_string()))?;
        fs::write(&path, text).map_err(Error::io(&path))
    }
}

/// A generator that is to be used.
pub struct ResponseGenerator {
    /// The generator itself.
    pub generator: MagicGenerator,
    /// What it remembers.
    pub bank: StrategyBank,
    /// Its tokenizer.
    pub tokenizer: Seq2SeqTokenizer,
    /// How it has to be used.
    pub settings: GeneratorSettings,
    /// Where it was found.
    pub folder: PathBuf,
}

impl ResponseGenerator {
    /// Opens a folder that [`save_generator`] has written, or the run of a training, which holds one.
    ///
    /// # Errors
    /// A file is missing, damaged, or does not fit the others.
    pub fn open(path: &Path, device: &Device) -> Result<Self, Error> {
        let folder = generator_folder(path);
        let settings = GeneratorSettings::read(&folder)?;
        let config = Seq2SeqConfig::read(&folder)?;
        let generator = MagicGenerator::open(&folder, &config, settings.generator, device)?;
        let bank = StrategyBank::load(&folder, device)?;
        if bank.strategies() != settings.strategies.len() || bank.width() != config.width {
            let problem = format!(
                "the memory has {} strategies and the width {}, the generator {} and {}",
                bank.strategies(),
                bank.width(),
                settings.strategies.len(),
                config.width
            );
            return Err(Error::format(&folder, problem));
        }
        let tokenizer = Seq2SeqTokenizer::open(&folder)?;
        if tokenizer.vocabulary_size() > config.vocabulary_size {
            let (tokens, rows) = (tokenizer.vocabulary_size(), config.vocabulary_size);
            let problem = format!("the tokenizer has {tokens} tokens, the generator rows for {rows}");
            return Err(Error::format(&folder, problem));
        }
        Ok(Self { generator, bank, tokenizer, settings, folder })
    }

    /// Hex SHA-256 of parameters, memory and settings.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn sha256(&self) -> Result<String, llm_runtime::Error> {
        let files = ["dialogue_model.safetensors", "memory_bank.safetensors", "memory_bank.json", SETTINGS_FILE];
        sha256_of_files(&files.map(|file| self.folder.join(file)))
    }
}

/// The generator's own folder within `path`: that of a run, or the path itself.
pub fn generator_folder(path: &Path) -> PathBuf {
    let inside = path.join(GENERATOR_FOLDER);
    if inside.join(SETTINGS_FILE).is_file() { inside } else { path.to_path_buf() }
}

/// Writes a generator with all that belongs to it into a folder, which is made if it is not there.
///
/// # Errors
/// A file can't be written.
pub fn save_generator(
    folder: &Path,
    model: &TrainableMagic,
    bank: &StrategyBank,
    tokenizer: &Seq2SeqTokenizer,
    settings: &GeneratorSettings,
) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let path = folder.join(CONFIG_FILE);
    let config = format!("{:#}\n", model.generator.config().to_hugging_face());
    fs::write(&path, config).map_err(Error::io(&path))?;
    tokenizer.save(folder)?;
    model.save(folder)?;
    bank.save(folder)?;
    // Last: a folder with settings is a whole one.
    settings.write(folder)
}
