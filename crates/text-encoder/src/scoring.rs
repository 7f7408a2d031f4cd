//! An encoder as what `esc-metrics` scores with: BERTScore, and the similarity of sentence vectors.

use candle_core::DType;
use esc_metrics::bertscore::TokenEmbeddings;
use esc_metrics::{EncodedText, Error};
use training::Pass;

use crate::inference::by_length;
use crate::{EncoderError, ReadingOptions, SentenceEncoder};

/// An encoder and the layer whose states BERTScore compares.
pub struct ScoringEncoder {
    encoder: SentenceEncoder,
    name: String,
    layer: usize,
}

impl ScoringEncoder {
    /// States behind `layer` (0: the embeddings; without it the last) of an encoder that reports call `name`.
    ///
    /// # Errors
    /// The encoder has no such layer.
    pub fn new(encoder: SentenceEncoder, name: &str, layer: Option<usize>) -> Result<Self, EncoderError> {
        let layers = encoder.encoder.config().layers;
        let layer = layer.unwrap_or(layers);
        if layer > layers {
            let problem = format!("layer {layer}: {name} has the embeddings (0) and layers 1 to {layers}");
            return Err(EncoderError::Invalid(problem));
        }
        Ok(Self { encoder, name: name.to_owned(), layer })
    }

    fn tokens(&self, texts: &[&str]) -> Result<Vec<EncodedText>, EncoderError> {
        let SentenceEncoder { encoder, tokenizer } = &self.encoder;
        by_length(texts, tokenizer, encoder.config(), &ReadingOptions::default(), |batch| {
            let states = encoder.hidden_states(batch, &Pass::evaluation())?;
            let states = states[self.layer].to_dtype(DType::F32)?;
            let mut start = 0;
            let text = |length: &usize| {
                let tokens = batch.ids()[start..start + length].to_vec();
                let values = states.narrow(0, start, *length)?.flatten_all()?.to_vec1::<f32>()?;
                start += length;
                encoded(tokens, &values)
            };
            batch.lengths().iter().map(text).collect()
        })
    }
}

/// The first and the last token only frame the text, and do not count.
fn encoded(tokens: Vec<u32>, values: &[f32]) -> Result<EncodedText, EncoderError> {
    let last = tokens.len().saturating_sub(1);
    let weights = (0..tokens.len()).map(|place| if place == 0 || place == last { 0.0 } else { 1.0 }).collect();
    let embeddings = TokenEmbeddings::new(values, values.len() / tokens.len().max(1))?.with_weights(weights)?;
    Ok(EncodedText { tokens, embeddings })
}

impl esc_metrics::Encoder for ScoringEncoder {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn layer(&self) -> usize {
        self.layer
    }

    fn embed_tokens(&self, texts: &[&str]) -> Result<Vec<EncodedText>, Error> {
        self.tokens(texts).map_err(Error::model)
    }

    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        self.encoder.embed(texts, &ReadingOptions::default()).map_err(Error::model)
    }
}
