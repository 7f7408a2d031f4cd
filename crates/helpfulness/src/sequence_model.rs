//! What alignment needs of a model: how probable it finds each token of a sequence. An encoder–decoder and a decoder-only model can both say so.

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::{Llama, token_log_probs};
use seq2seq::{Seq2SeqModel, TokenBatch, label_log_probs, shift_right};
use training::{Pass, TrainingError};

use crate::HelpfulnessError;

/// A context and what may follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuations<'a> {
    /// What is given, tokens.
    pub context: &'a [u32],
    /// Sequences of tokens that may follow, each to its end (the token that ends a text included, where it is to be learned).
    pub sequences: Vec<&'a [u32]>,
}

/// A model that says how probable each token of a sequence is.
pub trait SequenceModel {
    /// `log p` of each token of each sequence, given the context and the tokens before it: `[tokens]` f32 with history, the sequences of the first
    /// context first.
    ///
    /// # Errors
    /// A context has no sequence or a sequence no token, they do not fit the model, or the device fails.
    fn token_log_probs(&self, batch: &[Continuations<'_>], pass: &Pass) -> Result<Tensor, TrainingError>;

    /// The run is over: what was switched to training is to be switched back.
    fn end(&self) {}
}

impl<M: SequenceModel + ?Sized> SequenceModel for Arc<M> {
    fn token_log_probs(&self, batch: &[Continuations<'_>], pass: &Pass) -> Result<Tensor, TrainingError> {
        (**self).token_log_probs(batch, pass)
    }

    fn end(&self) {
        (**self).end();
    }
}

/// The encoder reads the context, once for all of its sequences; the decoder begins with its start token and is fed a sequence's tokens.
impl SequenceModel for Seq2SeqModel {
    fn token_log_probs(&self, batch: &[Continuations<'_>], pass: &Pass) -> Result<Tensor, TrainingError> {
        check(batch)?;
        let (start, pad) = (self.config().generation.decoder_start_id, self.config().pad_id);
        let contexts = TokenBatch::of(batch.iter().map(|continuations| continuations.context));
        let (mut fed, mut labels) = (TokenBatch::new(), Vec::new());
        for sequence in sequences(batch) {
            let own: Vec<Option<u32>> = sequence.iter().copied().map(Some).collect();
            fed.push(&shift_right(&own, start, pad));
            labels.extend(own);
        }
        let counts: Vec<usize> = batch.iter().map(|continuations| continuations.sequences.len()).collect();
        let memory = self.encoder().forward(&contexts, pass)?;
        let states = self.decoder().forward_several(&fed, &counts, &memory, pass)?;
        Ok(label_log_probs(self.head(), states.states(), &labels, 0.0, pass.checkpoints.as_ref())?)
    }
}

/// The context stands before each of its sequences.
impl SequenceModel for Llama {
    fn token_log_probs(&self, batch: &[Continuations<'_>], pass: &Pass) -> Result<Tensor, TrainingError> {
        check(batch)?;
        let (mut ids, mut lengths, mut rows, mut targets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for Continuations { context, sequences } in batch {
            if context.is_empty() {
                let problem = "a context without a token: nothing says what the first token of a sequence follows";
                return Err(HelpfulnessError::Invalid(problem.into()).into());
            }
            for sequence in sequences {
                // The row of a token says what comes next.
                let first = (ids.len() + context.len() - 1) as u32;
                rows.extend(first..first + sequence.len() as u32);
                targets.extend_from_slice(sequence);
                ids.extend(context.iter().chain(*sequence));
                lengths.push(context.len() + sequence.len());
            }
        }
        let checkpoints = pass.checkpoints.as_ref();
        let states = self.sequences(&ids, &lengths, checkpoints)?;
        let states = states.index_select(&Tensor::new(rows, states.device())?, 0)?;
        Ok(token_log_probs(self.head(), &states, &targets, checkpoints)?)
    }
}

fn sequences<'a>(batch: &'a [Continuations<'a>]) -> impl Iterator<Item = &'a [u32]> {
    batch.iter().flat_map(|continuations| continuations.sequences.iter().copied())
}

fn check(batch: &[Continuations<'_>]) -> Result<(), HelpfulnessError> {
    let is_empty = batch.iter().any(|continuations| continuations.sequences.is_empty());
    if batch.is_empty() || is_empty || sequences(batch).any(<[u32]>::is_empty) {
        let problem = "every context needs sequences of at least one token";
        return Err(HelpfulnessError::Invalid(problem.into()));
    }
    Ok(())
}
