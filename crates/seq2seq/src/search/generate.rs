//! Decoding with a model: what the encoder gives, keys and values are computed once, and outputs grow in a cache.

use std::sync::Arc;

use candle_core::DType;
use llm_runtime::Linear;
use training::Pass;

use super::{Decoded, DecodingIds, DecodingOptions, DecodingRow, StepModel, go_on_decoding};
use crate::{Decoder, DecoderCache, HiddenStates, Seq2SeqConfig, Seq2SeqError, Seq2SeqModel, TokenBatch};

/// A decoder with a head, at work on outputs over a memory.
pub struct CachedDecoder<'a> {
    decoder: &'a Decoder,
    head: &'a Arc<dyn Linear>,
    vocabulary: usize,
    cache: DecoderCache,
}

impl<'a> CachedDecoder<'a> {
    /// Begins one output for each sequence of `memory`; `vocabulary` is the number of logits that `head` gives.
    ///
    /// # Errors
    /// As [`Decoder::start`].
    pub fn new(
        decoder: &'a Decoder,
        head: &'a Arc<dyn Linear>,
        vocabulary: usize,
        memory: &HiddenStates,
    ) -> Result<Self, Seq2SeqError> {
        Ok(Self { decoder, head, vocabulary, cache: decoder.start(memory)? })
    }
}

impl StepModel for CachedDecoder<'_> {
    fn vocabulary_size(&self) -> usize {
        self.vocabulary
    }

    fn step(&mut self, last_ids: &[u32]) -> Result<Vec<f32>, Seq2SeqError> {
        let states = self.decoder.step(last_ids, &mut self.cache)?;
        Ok(self.head.forward(&states)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    fn reorder(&mut self, from: &[usize]) -> Result<(), Seq2SeqError> {
        let parents: Vec<u32> = from.iter().map(|parent| *parent as u32).collect();
        self.cache.reorder(&parents)
    }
}

impl Seq2SeqModel {
    /// A row that answers what the encoder reads, from the decoder's first id on.
    pub fn decoding_row(&self, encoder_ids: &[u32]) -> DecodingRow {
        let prompt = vec![self.config().generation.decoder_start_id];
        DecodingRow { prompt, encoder_ids: encoder_ids.to_vec(), stream: 0 }
    }

    /// Reads what the rows say of the encoder, all at once, and decodes their answers.
    ///
    /// # Errors
    /// As [`crate::Encoder::forward`] and [`Self::generate_over`].
    pub fn generate(&self, rows: &[DecodingRow], options: &DecodingOptions) -> Result<Vec<Vec<Decoded>>, Seq2SeqError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        // Options are refused before anything is computed.
        options.validate()?;
        let inputs = TokenBatch::of(rows.iter().map(|row| row.encoder_ids.as_slice()));
        self.generate_over(&self.encoder().forward(&inputs, &Pass::evaluation())?, rows, options)
    }

    /// Begins an output over what the encoder made of each row, to be asked for logits ([`StepModel::step`]) and to be gone on with
    /// ([`Self::generate_from`]).
    ///
    /// # Errors
    /// As [`Decoder::start`].
    pub fn begin(&self, memory: &HiddenStates) -> Result<CachedDecoder<'_>, Seq2SeqError> {
        CachedDecoder::new(self.decoder(), self.head(), self.config().vocabulary_size, memory)
    }

    /// Decodes answers to what the encoder made of each row.
    ///
    /// # Errors
    /// There are not as many rows as sequences of the memory, the longest answer is longer than the model takes, or as [`decode`](super::decode()).
    pub fn generate_over(
        &self,
        memory: &HiddenStates,
        rows: &[DecodingRow],
        options: &DecodingOptions,
    ) -> Result<Vec<Vec<Decoded>>, Seq2SeqError> {
        self.generate_from(self.begin(memory)?, rows, options)
    }

    /// Decodes the rest of answers that have been begun: the rows' prompts begin with the ids that `begun` has read, and are longer.
    ///
    /// # Errors
    /// There are not as many rows as outputs, nothing of the prompts is left, the longest answer is longer than the model takes, or as
    /// [`decode`](super::decode()).
    pub fn generate_from(
        &self,
        mut begun: CachedDecoder<'_>,
        rows: &[DecodingRow],
        options: &DecodingOptions,
    ) -> Result<Vec<Vec<Decoded>>, Seq2SeqError> {
        let (outputs, read) = (begun.cache.rows(), begun.cache.length());
        if rows.len() != outputs {
            let problem = format!("{} rows to decode over a memory of {outputs} sequences", rows.len());
            return Err(Seq2SeqError::Invalid(problem));
        }
        self.check_lengths(rows, options)?;
        let ids = DecodingIds { eos: self.config().eos_id, pad: self.config().pad_id };
        go_on_decoding(&mut begun, rows, ids, options, read)
    }

    /// The last new id is never read.
    fn check_lengths(&self, rows: &[DecodingRow], options: &DecodingOptions) -> Result<(), Seq2SeqError> {
        let prompt = rows.iter().map(|row| row.prompt.len()).max().unwrap_or(0);
        let most = (self.config().max_positions + 1).saturating_sub(prompt);
        if options.max_new_tokens <= most {
            return Ok(());
        }
        let problem = format!(
            "max_new_tokens is {}: behind a prompt of {prompt} the model has places for {most}",
            options.max_new_tokens
        );
        Err(Seq2SeqError::Invalid(problem))
    }
}

impl DecodingOptions {
    /// What a model's own files say; the default where they are silent.
    pub fn of_model(config: &Seq2SeqConfig) -> Self {
        let (defaults, generation) = (Self::default(), &config.generation);
        Self {
            // With the decoder's first id, which is not new.
            max_new_tokens: generation
                .max_length
                .map_or(defaults.max_new_tokens, |length| length.saturating_sub(1).max(1)),
            min_length: generation.min_length.unwrap_or(defaults.min_length),
            no_repeat_ngram_size: generation.no_repeat_ngram_size.unwrap_or(defaults.no_repeat_ngram_size),
            forced_first_id: generation.forced_bos_id,
            forced_last_id: generation.forced_eos_id,
            beam_width: generation.beam_width.unwrap_or(defaults.beam_width),
            length_penalty: generation.length_penalty.map_or(defaults.length_penalty, |penalty| penalty as f32),
            early_stopping: generation.early_stopping.unwrap_or(defaults.early_stopping),
            ..defaults
        }
    }
}
