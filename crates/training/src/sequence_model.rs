//! What objectives over whole sequences need of a model: how probable it finds each token of a sequence. An encoder–decoder and a decoder-only model can both
//! say so.

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::{Fork, Llama, observed_token_log_probs};

use crate::{Pass, TrainingError};

/// A context and what may follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuations<'a> {
    /// What is given, tokens.
    pub context: &'a [u32],
    /// Sequences of tokens that may follow, each to its end (the token that ends a text included, where it is to be learned).
    pub sequences: Vec<&'a [u32]>,
}

impl Continuations<'_> {
    /// Says whether there is something to score.
    ///
    /// # Errors
    /// There is no context at all, a context has no sequence, or a sequence has no token.
    pub fn check(batch: &[Self]) -> Result<(), TrainingError> {
        let is_empty = |continuations: &Self| {
            continuations.sequences.is_empty() || continuations.sequences.iter().any(|sequence| sequence.is_empty())
        };
        if batch.is_empty() || batch.iter().any(is_empty) {
            let problem = "every context needs sequences of at least one token".into();
            return Err(TrainingError::Setting { setting: "batch", problem });
        }
        Ok(())
    }
}

/// A model that says how probable each token of a sequence is.
pub trait SequenceModel {
    /// `log p` of each token of each sequence, given the context and the tokens before it: `[tokens]` f32 with history, the sequences of the first
    /// context first. What else the logits say goes to the pass's statistics, if it has any.
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

/// The context stands before its sequences and is computed once for all of them.
impl SequenceModel for Llama {
    fn token_log_probs(&self, batch: &[Continuations<'_>], pass: &Pass) -> Result<Tensor, TrainingError> {
        Continuations::check(batch)?;
        let (mut ids, mut forks, mut rows, mut targets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for Continuations { context, sequences } in batch {
            if context.is_empty() {
                let problem =
                    "a context without a token: nothing says what the first token of a sequence follows".into();
                return Err(TrainingError::Setting { setting: "batch", problem });
            }
            ids.extend_from_slice(context);
            let last_of_context = ids.len() as u32 - 1;
            for sequence in sequences {
                // The row of a token says what comes next.
                let first = ids.len() as u32;
                rows.push(last_of_context);
                rows.extend(first..first + sequence.len() as u32 - 1);
                targets.extend_from_slice(sequence);
                ids.extend_from_slice(sequence);
            }
            let branches = sequences.iter().map(|sequence| sequence.len()).collect();
            forks.push(Fork { trunk: context.len(), branches });
        }
        let checkpoints = pass.checkpoints.as_ref();
        let states = self.forks(&ids, &forks, checkpoints)?;
        let states = states.index_select(&Tensor::new(rows, states.device())?, 0)?;
        Ok(observed_token_log_probs(self.head(), &states, &targets, checkpoints, pass.statistics.as_ref())?)
    }
}
