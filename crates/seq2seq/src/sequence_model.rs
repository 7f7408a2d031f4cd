//! How probable an encoder–decoder finds each token of a sequence.

use candle_core::Tensor;
use llm_runtime::observed_token_log_probs;
use training::{Continuations, Pass, SequenceModel, TrainingError};

use crate::batch::check_ids;
use crate::{Seq2SeqModel, TokenBatch, shift_right};

/// The encoder reads the context, once for all of its sequences; the decoder begins with its start token and is fed a sequence's tokens.
impl SequenceModel for Seq2SeqModel {
    fn token_log_probs(&self, batch: &[Continuations<'_>], pass: &Pass) -> Result<Tensor, TrainingError> {
        Continuations::check(batch)?;
        let (start, pad) = (self.config().generation.decoder_start_id, self.config().pad_id);
        let contexts = TokenBatch::of(batch.iter().map(|continuations| continuations.context));
        let (mut fed, mut targets) = (TokenBatch::new(), Vec::new());
        for sequence in batch.iter().flat_map(|continuations| &continuations.sequences) {
            let own: Vec<Option<u32>> = sequence.iter().copied().map(Some).collect();
            fed.push(&shift_right(&own, start, pad));
            targets.extend_from_slice(sequence);
        }
        check_ids(&targets, self.head().out_features())?;
        let counts: Vec<usize> = batch.iter().map(|continuations| continuations.sequences.len()).collect();
        let memory = self.encoder().forward(&contexts, pass)?;
        let states = self.decoder().forward_several(&fed, &counts, &memory, pass)?;
        let (checkpoints, statistics) = (pass.checkpoints.as_ref(), pass.statistics.as_ref());
        Ok(observed_token_log_probs(self.head(), states.states(), &targets, checkpoints, statistics)?)
    }
}
