//! What the reference says of pairs, computed once and kept.
//!
//! The reference never changes while a policy is trained, so its log-probabilities may be computed before: each step saves a forward pass, and trials of a search
//! share one file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{output_file, sha256_of};
use training::{Continuations, Pass, SequenceModel};

use crate::{DpoError, EncodedPair};

/// Log-probabilities of a pair's tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairTokenLogProbs {
    /// Of the chosen completion, one per token.
    pub chosen: Vec<f32>,
    /// Of the rejected completion.
    pub rejected: Vec<f32>,
}

/// The reference's log-probabilities of all pairs of a set, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReferenceLogProbs {
    rows: Vec<Arc<PairTokenLogProbs>>,
}

impl ReferenceLogProbs {
    /// Asks `model` about every pair, `batch` at a time; `progress` is told how many are done.
    ///
    /// # Errors
    /// A pair does not fit the model, or the device fails.
    pub fn compute(
        model: &dyn SequenceModel,
        pairs: &[Arc<EncodedPair>],
        batch: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, DpoError> {
        let mut rows = Vec::with_capacity(pairs.len());
        for chunk in pairs.chunks(batch.max(1)) {
            rows.extend(ask(model, chunk)?.into_iter().map(Arc::new));
            progress(rows.len());
        }
        Ok(Self { rows })
    }

    /// What is kept of the pair at this place of the set.
    pub fn get(&self, place: usize) -> Option<&Arc<PairTokenLogProbs>> {
        self.rows.get(place)
    }

    /// The file in `folder` for these pairs under a reference of this identity: its name is a hash of both.
    pub fn file(folder: &Path, identity: &str, pairs: &[Arc<EncodedPair>]) -> PathBuf {
        let mut key = identity.as_bytes().to_vec();
        for pair in pairs {
            for ids in [&pair.prompt, &pair.chosen, &pair.rejected] {
                key.extend((ids.len() as u64).to_le_bytes());
                key.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
            }
        }
        folder.join(format!("reference-{}.safetensors", &sha256_of(&key)[..16]))
    }

    /// Writes them, whole or not at all.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, path: &Path) -> Result<(), DpoError> {
        let lengths: Vec<u32> =
            self.rows.iter().flat_map(|row| [row.chosen.len() as u32, row.rejected.len() as u32]).collect();
        let values: Vec<f32> =
            self.rows.iter().flat_map(|row| row.chosen.iter().chain(&row.rejected).copied()).collect();
        let tensors = HashMap::from([
            ("lengths", Tensor::new(lengths, &Device::Cpu)?),
            ("log_probs", Tensor::new(values, &Device::Cpu)?),
        ]);
        // Several processes may share a cache: the last to be done wins, with the same values.
        output_file::place(path, DpoError::io(path), |partial| {
            candle_core::safetensors::save(&tensors, partial).map_err(|error| DpoError::Format {
                path: path.into(),
                line: None,
                problem: error.to_string(),
            })
        })
    }

    /// Reads what [`Self::write`] wrote for these pairs; `None` if there is no file.
    ///
    /// # Errors
    /// The file is damaged, or belongs to other pairs.
    pub fn read(path: &Path, pairs: &[Arc<EncodedPair>]) -> Result<Option<Self>, DpoError> {
        if !path.exists() {
            return Ok(None);
        }
        let damaged = |problem: String| DpoError::Format {
            path: path.into(),
            line: None,
            problem: format!("{problem}: delete the file, it will be made anew"),
        };
        let tensors = candle_core::safetensors::load(path, &Device::Cpu).map_err(|error| damaged(error.to_string()))?;
        let get = |name: &str| tensors.get(name).ok_or_else(|| damaged(format!("no tensor `{name}`")));
        let lengths = get("lengths")?.to_vec1::<u32>()?;
        let values = get("log_probs")?.to_vec1::<f32>()?;
        let expected: Vec<u32> =
            pairs.iter().flat_map(|pair| [pair.chosen.len() as u32, pair.rejected.len() as u32]).collect();
        if lengths != expected || values.len() != lengths.iter().map(|length| *length as usize).sum::<usize>() {
            return Err(damaged("its lengths are not those of the pairs".into()));
        }
        let mut values = values.into_iter();
        let row = |pair: &Arc<EncodedPair>| {
            let chosen = values.by_ref().take(pair.chosen.len()).collect();
            Arc::new(PairTokenLogProbs { chosen, rejected: values.by_ref().take(pair.rejected.len()).collect() })
        };
        Ok(Some(Self { rows: pairs.iter().map(row).collect() }))
    }
}

/// Prompt and completions as a model is asked about them.
pub(crate) fn continuations(pair: &EncodedPair) -> Continuations<'_> {
    Continuations { context: &pair.prompt, sequences: vec![&pair.chosen, &pair.rejected] }
}

/// What a model says of each pair, without gradients.
pub(crate) fn ask(model: &dyn SequenceModel, pairs: &[Arc<EncodedPair>]) -> Result<Vec<PairTokenLogProbs>, DpoError> {
    let batch: Vec<Continuations<'_>> = pairs.iter().map(|pair| continuations(pair)).collect();
    let values = model.token_log_probs(&batch, &Pass::evaluation())?.detach().to_vec1::<f32>()?;
    Ok(by_pair(pairs, &values))
}

/// Values of all tokens, chosen before rejected, pair by pair.
pub(crate) fn by_pair(pairs: &[Arc<EncodedPair>], values: &[f32]) -> Vec<PairTokenLogProbs> {
    let mut values = values.iter().copied();
    let row = |pair: &Arc<EncodedPair>| {
        let chosen = values.by_ref().take(pair.chosen.len()).collect();
        PairTokenLogProbs { chosen, rejected: values.by_ref().take(pair.rejected.len()).collect() }
    };
    pairs.iter().map(row).collect()
}
