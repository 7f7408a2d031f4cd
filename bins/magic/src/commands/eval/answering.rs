//! Answers to the samples of a round, kept as they come.

use command_line::{Failure, Progress, interrupt};
use magic::{ResponseGenerator, ResponseRow, Strategy, input_sha256};
use memory_bank::Sample as EncodedSample;
use seq2seq::search::{Decoded, DecodingOptions};
use strategy_prompting::RowFile;

use super::round::Round;

/// A round that is answered.
pub(super) struct Answering<'a> {
    pub(super) generator: &'a ResponseGenerator,
    pub(super) decoding: &'a DecodingOptions,
    /// How rows name generator and settings.
    pub(super) maker: &'a str,
    pub(super) round: &'a Round,
}

impl Answering<'_> {
    /// Answers what is not answered yet, so many samples at a time; whether all is answered then.
    pub(super) fn answer(&self, at_a_time: usize, rows: &mut RowFile<ResponseRow>) -> Result<bool, Failure> {
        let samples = &self.round.encoded;
        let mut pending: Vec<usize> =
            (0..samples.len()).filter(|number| !rows.contains(&self.round.id(*number))).collect();
        // A batch waits for its longest sample.
        pending.sort_by_key(|number| samples[*number].input.len());
        let mut done = samples.len() - pending.len();
        let mut bar = Progress::new("answering", done as u64, samples.len() as u64);
        for numbers in pending.chunks(at_a_time) {
            if interrupt::was_asked() {
                bar.finish();
                return Ok(false);
            }
            for row in self.rows(numbers)? {
                rows.append(row)?;
            }
            done += numbers.len();
            bar.set(done as u64);
        }
        bar.finish();
        Ok(true)
    }

    fn rows(&self, numbers: &[usize]) -> Result<Vec<ResponseRow>, Failure> {
        let batch: Vec<EncodedSample> = numbers.iter().map(|number| self.round.encoded[*number].clone()).collect();
        let streams: Vec<u64> = numbers.iter().map(|number| *number as u64).collect();
        let decoded = self.generator.respond(&batch, &streams, self.decoding)?;
        let likelihoods = self.generator.likelihoods(&batch)?;
        let answers = decoded.into_iter().zip(likelihoods).zip(numbers.iter().zip(&batch));
        let row = |((hypotheses, (nll, labels)), (number, sample)): ((Vec<Decoded>, _), (&usize, &EncodedSample))| {
            // Searches give the best first; where the rules left nothing to say, the response is empty.
            let best = hypotheses.into_iter().next();
            let ids = best.as_ref().map(|best| best.ids.as_slice()).unwrap_or_default();
            ResponseRow {
                source: self.round.name.to_owned(),
                sample: *number,
                input_sha256: input_sha256(sample),
                strategy: Strategy::ALL[sample.strategy],
                response: self.generator.text(ids),
                score: best.as_ref().map_or(0.0, |best| best.score),
                tokens: ids.len(),
                nll,
                labels,
                model: self.maker.to_owned(),
            }
        };
        Ok(answers.map(row).collect())
    }
}
