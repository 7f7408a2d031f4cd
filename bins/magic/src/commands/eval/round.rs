//! The samples of an evaluation, with the strategies and motivations of one source.

use std::collections::HashMap;

use command_line::Failure;
use magic::{
    RESPONSE_ROWS, ResponseGenerator, ResponseRow, Sample, SampleEncoder, StrategySource, add_inferences, input_sha256,
    read_inferences, read_samples, response_id,
};
use memory_bank::Sample as EncodedSample;

use crate::generator_arguments::Eval;

/// The samples with the strategies and motivations of one source.
pub(super) struct Round {
    /// `given`, those of the test file, or `inferred`.
    pub(super) name: &'static str,
    pub(super) samples: Vec<Sample>,
    pub(super) encoded: Vec<EncodedSample>,
}

/// The rounds that are asked for: the test file's own, and the inferred one.
pub(super) fn read(options: &Eval, generator: &ResponseGenerator) -> Result<Vec<Round>, Failure> {
    let given = read_samples(&options.test_data)?;
    let mut sources = vec![("given", given.clone())];
    if let Some(path) = &options.inferred {
        let mut inferred = given;
        add_inferences(&mut inferred, read_inferences(path)?, StrategySource::Inferred, path)?;
        sources.push(("inferred", inferred));
    }
    let mut encoder = SampleEncoder::new(&generator.tokenizer, &generator.settings.encoding);
    let mut round = |(name, mut samples): (&'static str, Vec<Sample>)| {
        samples.truncate(options.limit.unwrap_or(usize::MAX));
        let encoded = encoder.encode_all(&options.test_data, &samples)?;
        Ok(Round { name, samples, encoded })
    };
    sources.into_iter().map(&mut round).collect()
}

impl Round {
    /// The id of a sample's row.
    pub(super) fn id(&self, number: usize) -> String {
        response_id(self.name, number, &input_sha256(&self.encoded[number]))
    }

    /// The dialogue of each sample.
    pub(super) fn dialogues(&self) -> Vec<&str> {
        self.encoded.iter().map(|sample| sample.place.dialogue.as_str()).collect()
    }

    /// The row of each sample.
    pub(super) fn responses<'r>(&self, rows: &'r [ResponseRow]) -> Result<Vec<&'r ResponseRow>, Failure> {
        let known: HashMap<String, &ResponseRow> = rows.iter().map(|row| ((RESPONSE_ROWS.id)(row), row)).collect();
        let row = |number: usize| {
            let missing = || Failure::work(format!("the response to sample {number} is missing: --resume makes it"));
            known.get(&self.id(number)).copied().ok_or_else(missing)
        };
        (0..self.samples.len()).map(row).collect()
    }
}
