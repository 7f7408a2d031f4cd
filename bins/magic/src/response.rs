//! Responses of a trained generator, and how likely it finds those of people.

use llm_runtime::sha256_of;
use memory_bank::{BankRow, MagicBatch, Sample as EncodedSample, Sources};
use seq2seq::search::{Decoded, DecodingOptions};
use serde::{Deserialize, Serialize};
use strategy_prompting::RowKind;
use training::Pass;

use crate::error::Error;
use crate::generator_folder::ResponseGenerator;
use crate::strategy::Strategy;

/// A generated response: a line of `responses.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResponseRow {
    /// Whose strategies and motivations it follows.
    pub source: String,
    /// The sample's number in its file, from 0.
    pub sample: usize,
    /// Hex SHA-256 of what the generator read.
    pub input_sha256: String,
    /// The strategy that was followed.
    pub strategy: Strategy,
    /// What was generated; line ends are blanks.
    pub response: String,
    /// What the search ordered it by.
    pub score: f32,
    /// New tokens, the end included.
    pub tokens: usize,
    /// Negative log-likelihood of the real response, in nats.
    pub nll: f64,
    /// Its tokens.
    pub labels: usize,
    /// Generator and settings that made it.
    pub model: String,
}

/// A row of the memory and how much a sample looks at it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remembered {
    /// Share of the attention, 0 to 1: the mean over heads and over the tokens of what the generator read.
    pub share: f32,
    /// The row.
    pub row: BankRow,
}

/// Rows of `responses.jsonl`.
pub const RESPONSE_ROWS: RowKind<ResponseRow> = RowKind {
    name: "row of `magic eval`",
    beginning: r#"{"source":"#,
    id: |row| response_id(&row.source, row.sample, &row.input_sha256),
    made_by: |row| &row.model,
};

/// How a row is found again.
pub fn response_id(source: &str, sample: usize, input_sha256: &str) -> String {
    format!("{source} {sample} {input_sha256}")
}

/// Hex SHA-256 of all that decides a sample's response, beside the generator.
pub fn input_sha256(sample: &EncodedSample) -> String {
    let EncodedSample { input, motivation, labels, strategy, place, .. } = sample;
    let whole = format!("{input:?} {motivation:?} {labels:?} {strategy} {} {}", place.dialogue, place.turn);
    sha256_of(&whole)
}

impl ResponseGenerator {
    /// Decodes responses to samples, each with as many hypotheses as the options ask for, the best first. `streams` are the numbers of the samples, so that
    /// one that is drawn does not depend on those beside it.
    ///
    /// # Errors
    /// An option makes no sense, or the device fails.
    pub fn respond(
        &self,
        samples: &[EncodedSample],
        streams: &[u64],
        options: &DecodingOptions,
    ) -> Result<Vec<Vec<Decoded>>, Error> {
        let batch = self.batch(samples)?;
        let memories = batch.memories(&self.bank)?;
        let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories: &memories };
        Ok(self.generator.generate(&sources, streams, options)?)
    }

    /// Negative log-likelihood of each sample's own response, in nats, and the number of its tokens.
    ///
    /// # Errors
    /// The device fails.
    pub fn likelihoods(&self, samples: &[EncodedSample]) -> Result<Vec<(f64, usize)>, Error> {
        let batch = self.batch(samples)?;
        let memories = batch.memories(&self.bank)?;
        let log_probs = self.generator.label_log_probs(&batch, &memories, &Pass::evaluation())?;
        let log_probs = log_probs.to_vec1::<f32>().map_err(memory_bank::MemoryError::from)?;
        let mut rest = log_probs.as_slice();
        Ok(samples
            .iter()
            .map(|sample| {
                let (own, others) = rest.split_at(sample.labels.len().min(rest.len()));
                rest = others;
                (-own.iter().map(|log_prob| f64::from(*log_prob)).sum::<f64>(), own.len())
            })
            .collect())
    }

    /// What a sample sees of its strategy's memory, and how much it looks at each row: the most first.
    ///
    /// # Errors
    /// The device fails.
    pub fn remembered(&self, sample: &EncodedSample) -> Result<Vec<Remembered>, Error> {
        let Some(vectors) = self.bank.read(sample.strategy, Some(&sample.place))? else { return Ok(Vec::new()) };
        let batch = self.batch(std::slice::from_ref(sample))?;
        let shares = self.generator.attention_to_memory(&batch.inputs, &batch.motivations, &vectors)?;
        let seen = self.bank.seen(sample.strategy, Some(&sample.place))?;
        let rows = self.bank.rows(sample.strategy);
        let row = |(place, share): (&usize, f32)| Some(Remembered { share, row: rows.get(*place)?.clone() });
        let mut remembered: Vec<Remembered> = seen.iter().zip(shares).filter_map(row).collect();
        remembered.sort_by(|left, right| right.share.total_cmp(&left.share));
        Ok(remembered)
    }

    /// The text of generated ids, on one line.
    pub fn text(&self, ids: &[u32]) -> String {
        self.tokenizer.decode_text(ids).replace(['\n', '\r'], " ")
    }

    fn batch(&self, samples: &[EncodedSample]) -> Result<MagicBatch, Error> {
        let padding = self.settings.padding(self.generator.config().pad_id);
        Ok(MagicBatch::new(samples, padding)?)
    }
}
