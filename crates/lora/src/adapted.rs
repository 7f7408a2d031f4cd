//! A model seen with some of its adapters.

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::Llama;
use training::{Continuations, Mode, Pass, SequenceModel, TrainingError};

use crate::{Adapters, LoraError};

/// A Llama with these adapters switched on and all others off, at each pass. Two views of one model can be a policy and its reference: with the adapter, and without.
///
/// Views share one set of switches, so only one of them is at work at a time.
#[derive(Clone)]
pub struct AdaptedLlama {
    llama: Arc<Llama>,
    adapters: Adapters,
    active: Vec<String>,
}

impl AdaptedLlama {
    /// The model that was built through `adapters`, with those named; with none it is the base model.
    ///
    /// # Errors
    /// There is no such adapter.
    pub fn new(llama: Arc<Llama>, adapters: &Adapters, active: &[&str]) -> Result<Self, LoraError> {
        for name in active {
            adapters.config(name)?;
        }
        let active = active.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self { llama, adapters: adapters.clone(), active })
    }

    /// Switches this view's adapters on, and all others off.
    ///
    /// # Errors
    /// An adapter was removed meanwhile.
    pub fn activate(&self) -> Result<(), LoraError> {
        if self.adapters.active() == self.active {
            return Ok(());
        }
        self.adapters.activate(&self.active.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl SequenceModel for AdaptedLlama {
    fn token_log_probs(&self, batch: &[Continuations<'_>], pass: &Pass) -> Result<Tensor, TrainingError> {
        self.activate().map_err(|error| TrainingError::Objective(Box::new(error)))?;
        self.adapters.set_mode(pass.mode);
        self.llama.token_log_probs(batch, pass)
    }

    fn end(&self) {
        self.adapters.set_mode(Mode::Evaluate);
    }
}
