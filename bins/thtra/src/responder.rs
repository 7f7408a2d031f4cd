//! A BlenderBot-small that knows the strategies, with its tokenizer: what stages train and pass on to each other.

use std::path::Path;

use candle_core::Device;
use seq2seq::{Architecture, Seq2SeqConfig, Seq2SeqTokenizer, StackConfig, TrainableSeq2Seq};

use crate::error::Error;
use crate::tokenizer::DialogueTokenizer;

/// Where a run keeps its model.
pub const MODEL_FOLDER: &str = "model";

/// A model to be trained, and what makes ids for it.
pub struct Responder {
    /// The model.
    pub model: TrainableSeq2Seq,
    /// Its tokenizer.
    pub tokenizer: DialogueTokenizer,
}

/// A model that begins with nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// One layer on either side, of width 64.
    Tiny,
    /// Three layers on either side, of width 256.
    Small,
}

impl Responder {
    /// Goes on with a Hugging Face folder: facebook/blenderbot_small-90M, whose vocabulary gets the strategies (their rows are drawn from `seed`),
    /// or what another stage has saved.
    ///
    /// # Errors
    /// It can't be read, or is no BlenderBot-small.
    pub fn open(folder: &Path, seed: u64, device: &Device) -> Result<Self, Error> {
        let tokenizer = DialogueTokenizer::open(folder)?;
        let config = Seq2SeqConfig::read(folder)?;
        if config.architecture != Architecture::BlenderbotSmall {
            let name = config.architecture.name();
            return Err(Error::format(folder, format!("holds a {name}: expected a BlenderBot-small")));
        }
        let config = Seq2SeqConfig { vocabulary_size: tokenizer.tokenizer().vocabulary_size(), ..config };
        let model = TrainableSeq2Seq::open_with(folder, &config, seed, device)?;
        Ok(Self { model, tokenizer })
    }

    /// Begins with nothing, for texts of at most so many tokens.
    ///
    /// # Errors
    /// The shape makes no sense.
    pub fn fresh(
        size: Size,
        tokenizer: DialogueTokenizer,
        longest: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, Error> {
        let config = size.config(tokenizer.tokenizer(), longest);
        Ok(Self { model: TrainableSeq2Seq::fresh(&config, seed, device)?, tokenizer })
    }

    /// Writes a Hugging Face folder with the tokenizer, which [`Self::open`] reads.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        self.model.save(folder)?;
        Ok(self.tokenizer.tokenizer().save(folder)?)
    }
}

impl Size {
    /// For records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
        }
    }

    fn config(self, tokenizer: &Seq2SeqTokenizer, longest: usize) -> Seq2SeqConfig {
        let tiny = Seq2SeqConfig::tiny(Architecture::BlenderbotSmall, tokenizer.vocabulary_size());
        let tiny = Seq2SeqConfig { max_positions: longest, dropout: 0.1, ..tiny };
        let stack = StackConfig { layers: 3, heads: 8, inner_width: 1024 };
        match self {
            Self::Tiny => tiny,
            Self::Small => {
                Seq2SeqConfig { width: 256, encoder: stack, decoder: stack, initializer_range: 0.05, ..tiny }
            }
        }
    }
}
