//! MAGIC's generator: BART's encoder and decoder, a second encoder for what is remembered, the memory's reader, and a head of its own.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{Linear, LinearLoader};
use seq2seq::search::{CachedDecoder, Decoded, DecodingIds, DecodingOptions, DecodingRow, decode};
use seq2seq::{
    Decoder, DecoderCache, Encoder, HiddenStates, Seq2SeqConfig, Seq2SeqError, TokenBatch, TokenTable, label_log_probs,
};
use training::Pass;

use crate::reader::MemoryReader;
use crate::{EmptyMemory, GeneratorOptions, HeadInit, MagicBatch, MemoryError, MotivationFusion, Place};

/// The bias of the output layer.
pub(crate) const HEAD_BIAS: &str = "generator.proj.bias";

/// The generator of MAGIC (ECML-PKDD 2024, doi 10.1007/978-3-031-70362-1_13). Its three token tables are independent, and BART's own
/// head is not used. Built through [`training::VariableLoader`], every weight of it is trained.
pub struct MagicGenerator {
    encoder: Encoder,
    decoder: Decoder,
    strategy_encoder: Encoder,
    reader: MemoryReader,
    head: Arc<dyn Linear>,
    classifier: Arc<dyn Linear>,
    options: GeneratorOptions,
    config: Seq2SeqConfig,
}

/// What a batch of samples is generated from.
pub struct Sources<'a> {
    /// Situation and dialogue, one sequence for each sample.
    pub inputs: &'a TokenBatch,
    /// Motivations, one for each sample; not looked at where they are not fused.
    pub motivations: &'a TokenBatch,
    /// Each sample's rows of the memory, `[rows, width]`; none where there are none.
    pub memories: &'a [Option<Tensor>],
}

impl MagicGenerator {
    /// Takes its parameters from `loader`, under their names in MAGIC's state dict (`encoder`, `decoder`, `strategy_encoder`,
    /// `memory_enhance_module`, `generator.proj`, `strategy_cls.classifier`), for so many strategies.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` says, or the configuration makes no sense.
    pub fn load(
        loader: &dyn LinearLoader,
        config: &Seq2SeqConfig,
        strategies: usize,
        options: GeneratorOptions,
        device: &Device,
    ) -> Result<Self, MemoryError> {
        let width = config.width;
        let linear = |name: &str, outputs: usize| loader.linear(name, width, outputs);
        let tokens = TokenTable::load(loader, config, "decoder.embed_tokens", device)?;
        let head = match options.head {
            HeadInit::Tied => {
                let bias = loader.tensor(HEAD_BIAS, &[config.vocabulary_size])?;
                tokens.head(Some(bias))?
            }
            HeadInit::Embeddings | HeadInit::Random => linear("generator.proj", config.vocabulary_size)?,
        };
        Ok(Self {
            encoder: Encoder::load(loader, config, "encoder", device)?,
            decoder: Decoder::with_tokens(loader, config, "decoder", tokens, device)?,
            strategy_encoder: Encoder::load(loader, config, "strategy_encoder", device)?,
            reader: MemoryReader::load(loader, width, config.encoder.heads, options.empty, options.pool)?,
            head,
            classifier: linear("strategy_cls.classifier", strategies)?,
            options,
            config: config.clone(),
        })
    }

    /// The shape of its encoders and its decoder.
    pub fn config(&self) -> &Seq2SeqConfig {
        &self.config
    }

    /// How it reads and pools.
    pub fn options(&self) -> &GeneratorOptions {
        &self.options
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        self.reader.device()
    }

    /// The output layer: width to logits.
    pub fn head(&self) -> &Arc<dyn Linear> {
        &self.head
    }

    /// The layer that tells the strategy of a remembered vector.
    pub fn classifier(&self) -> &Arc<dyn Linear> {
        &self.classifier
    }

    /// A vector for each response that is to be remembered: `[responses, width]`.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn remember(&self, responses: &TokenBatch, pass: &Pass) -> Result<Tensor, MemoryError> {
        let states = self.strategy_encoder.forward(responses, pass)?;
        let mut start = 0;
        let pooled = states.lengths().iter().map(|length| {
            let (rows, attended) =
                (states.states().narrow(0, start, *length)?, &states.attended()[start..start + length]);
            start += length;
            self.options.pool.over(&rows, attended)
        });
        Ok(Tensor::cat(&pooled.collect::<Result<Vec<Tensor>, _>>()?, 0)?)
    }

    /// What the decoder looks at: the dialogue's states, what was read from the memory, and, where it is fused so, the motivation's states.
    ///
    /// # Errors
    /// There is not one motivation and one memory for each input, a sample finds no row where that is refused, or as [`Encoder::forward`].
    pub fn encode(&self, sources: &Sources<'_>, pass: &Pass) -> Result<HiddenStates, MemoryError> {
        let fuses = self.options.motivation != MotivationFusion::None;
        if sources.memories.len() != sources.inputs.len()
            || (fuses && sources.motivations.len() != sources.inputs.len())
        {
            let (inputs, motivations, memories) =
                (sources.inputs.len(), sources.motivations.len(), sources.memories.len());
            let problem =
                format!("{inputs} inputs, {motivations} motivations and {memories} memories: expected one of each");
            return Err(MemoryError::Invalid(problem));
        }
        let dialogue = self.encoder.forward(sources.inputs, pass)?;
        let motivation = fuses.then(|| self.encoder.forward(sources.motivations, pass)).transpose()?;
        let queries = match (&motivation, self.options.motivation) {
            (Some(motivation), MotivationFusion::Query) => &HiddenStates::joined(&[&dialogue, motivation])?,
            _ => &dialogue,
        };
        let read = self.read(queries, sources.memories)?;
        let mut seen = vec![&dialogue];
        seen.extend(&read);
        if self.options.motivation == MotivationFusion::Concat {
            seen.extend(&motivation);
        }
        Ok(HiddenStates::joined(&seen)?)
    }

    /// What was read, a row for each sample that read something; none where nobody did.
    fn read(&self, queries: &HiddenStates, memories: &[Option<Tensor>]) -> Result<Option<HiddenStates>, MemoryError> {
        let read = self.reader.read(queries, memories)?;
        let lengths: Vec<usize> = read.iter().map(|row| usize::from(row.is_some())).collect();
        let rows: Vec<Tensor> = read.into_iter().flatten().collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let attended = vec![true; rows.len()];
        Ok(Some(HiddenStates::new(Tensor::cat(&rows, 0)?, lengths, attended)?))
    }

    /// The decoder's last hidden states of whole outputs, `[rows of the outputs, width]`.
    ///
    /// # Errors
    /// As [`Self::encode`] and [`Decoder::forward`].
    pub fn forward(
        &self,
        sources: &Sources<'_>,
        outputs: &TokenBatch,
        pass: &Pass,
    ) -> Result<HiddenStates, MemoryError> {
        Ok(self.decoder.forward(outputs, &self.encode(sources, pass)?, pass)?)
    }

    /// The log-probability of each label of a batch, `[labels]` f32, sample after sample. `memories` are the rows that each sample sees.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn label_log_probs(
        &self,
        batch: &MagicBatch,
        memories: &[Option<Tensor>],
        pass: &Pass,
    ) -> Result<Tensor, MemoryError> {
        let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories };
        let nobody_may_miss = self.options.empty == EmptyMemory::Refuse && memories.iter().any(Option::is_some);
        let missing = batch.places.iter().zip(memories).find(|(_, memory)| memory.is_none());
        if let (true, Some((Place { dialogue, turn }, _))) = (nobody_may_miss, missing) {
            return Err(MemoryError::NoRows { sample: format!("turn {turn} of the dialogue `{dialogue}`") });
        }
        let states = self.forward(&sources, &batch.outputs, pass)?;
        Ok(label_log_probs(&self.head, states.states(), &batch.labels, 0.0, pass.checkpoints.as_ref())?)
    }

    /// Begins an output for each sample: encoders and memory are asked once.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn start(&self, sources: &Sources<'_>) -> Result<DecoderCache, MemoryError> {
        Ok(self.decoder.start(&self.encode(sources, &Pass::evaluation())?)?)
    }

    /// Appends one token to each output and gives the logits of the next one, `[rows, vocabulary]` f32.
    ///
    /// # Errors
    /// As [`Decoder::step`].
    pub fn step(&self, ids: &[u32], cache: &mut DecoderCache) -> Result<Tensor, MemoryError> {
        Ok(self.head.forward(&self.decoder.step(ids, cache)?)?.detach())
    }

    /// Decodes a response for each sample. `streams` says which random numbers each draws from, where ids are drawn: the number of a sample in its
    /// file, say, so that it gets the same response in any batch.
    ///
    /// # Errors
    /// The options make no sense or ask for more tokens than there are places, there is not one stream for each sample, or as [`Self::encode`].
    pub fn generate(
        &self,
        sources: &Sources<'_>,
        streams: &[u64],
        options: &DecodingOptions,
    ) -> Result<Vec<Vec<Decoded>>, MemoryError> {
        // Options are refused before anything is computed.
        options.validate().map_err(Seq2SeqError::from)?;
        let most = self.config.max_positions;
        if options.max_new_tokens > most {
            let problem = format!("max_new_tokens is {}: the generator has places for {most}", options.max_new_tokens);
            return Err(MemoryError::Invalid(problem));
        }
        if streams.len() != sources.inputs.len() {
            let (inputs, streams) = (sources.inputs.len(), streams.len());
            return Err(MemoryError::Invalid(format!("{streams} streams of random numbers for {inputs} samples")));
        }
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        let seen = self.encode(sources, &Pass::evaluation())?;
        let mut model = CachedDecoder::new(&self.decoder, &self.head, self.config.vocabulary_size, &seen)?;
        let row = |(ids, stream): (&[u32], &u64)| DecodingRow {
            // Training feeds the token that begins a text first; BART itself begins with the one that ends it.
            prompt: vec![self.config.bos_id],
            encoder_ids: ids.to_vec(),
            stream: *stream,
        };
        let rows: Vec<DecodingRow> = sources.inputs.sequences().zip(streams).map(row).collect();
        let ids = DecodingIds { eos: self.config.eos_id, pad: self.config.pad_id };
        Ok(decode(&mut model, &rows, ids, options)?)
    }

    /// How much one sample looks at each of its remembered rows, adding up to 1: the mean over heads and tokens.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn attention_to_memory(
        &self,
        inputs: &TokenBatch,
        motivations: &TokenBatch,
        rows: &Tensor,
    ) -> Result<Vec<f32>, MemoryError> {
        let dialogue = self.encoder.forward(inputs, &Pass::evaluation())?;
        if self.options.motivation != MotivationFusion::Query {
            return self.reader.weights(&dialogue, rows);
        }
        let motivation = self.encoder.forward(motivations, &Pass::evaluation())?;
        self.reader.weights(&HiddenStates::joined(&[&dialogue, &motivation])?, rows)
    }
}
