//! The frozen encoder below every model, with its tokenizer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{Embedding, Linear, LinearLoader, weights_sha256};
use text_encoder::{EncoderConfig, EncoderTokenizer, EncoderWeights, TextEncoder, learn_pieces, write_encoder};

use crate::HelpfulnessError;

/// Pieces of a vocabulary that is learned.
const PIECES: usize = 4096;

/// An encoder that stays as it is, with its tokenizer.
#[derive(Clone)]
pub struct FrozenEncoder {
    encoder: Arc<TextEncoder>,
    tokenizer: EncoderTokenizer,
    origin: Option<Origin>,
    /// Of one that was drawn.
    seed: Option<u64>,
}

/// Where it was read.
#[derive(Clone)]
struct Origin {
    folder: PathBuf,
    sha256: String,
}

impl Origin {
    fn of(folder: &Path) -> Result<Self, HelpfulnessError> {
        Ok(Self { folder: folder.to_owned(), sha256: weights_sha256(folder)? })
    }
}

impl FrozenEncoder {
    /// Opens a Hugging Face folder of a BERT; a head in it is left aside.
    ///
    /// # Errors
    /// A file is missing or damaged, values are missing, or tokenizer and encoder do not belong together.
    pub fn open(folder: &Path, device: &Device) -> Result<Self, HelpfulnessError> {
        let (config, _) = EncoderConfig::read(&folder.join("config.json"))?;
        let tokenizer = EncoderTokenizer::open(folder)?;
        let (size, rows) = (tokenizer.vocabulary_size(), config.vocabulary_size);
        if size > rows {
            let problem = format!("the tokenizer has {size} tokens, the encoder's word embedding {rows} rows");
            return Err(HelpfulnessError::file(folder, problem));
        }
        let weights = EncoderWeights::open(folder, &config, device, 0)?;
        let encoder = TextEncoder::load(&weights, &config, device)?;
        if let Some(name) = weights.made_fresh().first() {
            let problem = format!("`{name}` is not whole: the folder lacks trained values");
            return Err(HelpfulnessError::file(folder, problem));
        }
        Ok(Self { origin: Some(Origin::of(folder)?), ..Self::new(encoder, tokenizer) })
    }

    /// A small encoder that knows nothing, with values drawn from `seed` and pieces learned from `texts`. A model on top of it learns from words alone,
    /// without anything that would have to be fetched. See [`Self::keep_in`].
    ///
    /// # Errors
    /// A text can't be split into words, or `longest` is 0.
    pub fn fresh(texts: &[&str], longest: usize, seed: u64, device: &Device) -> Result<Self, HelpfulnessError> {
        let tokenizer = EncoderTokenizer::word_piece(&learn_pieces(texts, PIECES)?)?;
        let tiny = EncoderConfig::tiny(tokenizer.vocabulary_size(), tokenizer.padding().unwrap_or(0));
        let config = EncoderConfig { max_positions: longest, initializer_range: 0.02, ..tiny };
        let encoder = TextEncoder::load(&Drawn::new(&config, device, seed), &config, device)?;
        Ok(Self { seed: Some(seed), ..Self::new(encoder, tokenizer) })
    }

    /// Writes the folder of an encoder that was made by [`Self::fresh`], so that models on top of it can be opened again. Others stay where they are.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn keep_in(&mut self, folder: &Path) -> Result<(), HelpfulnessError> {
        if let Some(seed) = self.seed {
            let config = self.encoder.config();
            write_encoder(folder, config, &self.tokenizer, &Drawn::new(config, &Device::Cpu, seed))?;
            self.origin = Some(Origin::of(folder)?);
        }
        Ok(())
    }

    /// Of an encoder in memory.
    pub fn new(encoder: TextEncoder, tokenizer: EncoderTokenizer) -> Self {
        Self { encoder: Arc::new(encoder), tokenizer, origin: None, seed: None }
    }

    /// The encoder.
    pub fn encoder(&self) -> &Arc<TextEncoder> {
        &self.encoder
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &EncoderTokenizer {
        &self.tokenizer
    }

    /// SHA-256 of its weights' files; none for one in memory.
    pub fn sha256(&self) -> Option<&str> {
        self.origin.as_ref().map(|origin| origin.sha256.as_str())
    }

    /// The folder that it was opened from; none for one in memory.
    pub fn folder(&self) -> Option<&Path> {
        self.origin.as_ref().map(|origin| origin.folder.as_path())
    }
}

/// Fresh values of an encoder that nothing trains: what a token is has to be louder than where it stands, or what is trained on top hears places.
struct Drawn(EncoderWeights);

/// How loud places and kinds of tokens are beside words.
const PLACES: f64 = 0.1;

impl Drawn {
    fn new(config: &EncoderConfig, device: &Device, seed: u64) -> Self {
        Self(EncoderWeights::fresh(config, device, seed))
    }
}

impl LinearLoader for Drawn {
    fn linear(&self, name: &str, from: usize, to: usize) -> Result<Arc<dyn Linear>, llm_runtime::Error> {
        self.0.linear(name, from, to)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, llm_runtime::Error> {
        self.0.tensor(name, shape)
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, llm_runtime::Error> {
        match self.0.embedding(name, vocabulary, width)? {
            Embedding::Dense(table) if !name.ends_with("word_embeddings") => Ok(Embedding::Dense((table * PLACES)?)),
            other => Ok(other),
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}
