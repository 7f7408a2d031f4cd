//! What is trained, by name, and the gradients that belong to it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Storage, Tensor, Var};
use rayon::prelude::*;

use crate::TrainingError;

/// Trained variables in the order of their names, which is also the order of every sum over them.
#[derive(Clone, Default)]
pub struct Parameters {
    variables: BTreeMap<String, Var>,
}

impl Parameters {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable; a name stands once.
    ///
    /// # Errors
    /// The name is taken.
    pub fn insert(&mut self, name: impl Into<String>, variable: Var) -> Result<(), TrainingError> {
        let name = name.into();
        if self.variables.contains_key(&name) {
            return Err(TrainingError::Setting { setting: "parameters", problem: format!("`{name}` occurs twice") });
        }
        self.variables.insert(name, variable);
        Ok(())
    }

    /// Names and variables.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// The variable of that name.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.variables.get(name)
    }

    /// Number of variables.
    pub fn len(&self) -> usize {
        self.variables.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    /// Number of trained values.
    pub fn elements(&self) -> usize {
        self.variables.values().map(|variable| variable.elem_count()).sum()
    }

    /// Writes all values to a safetensors file.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainingError> {
        save_tensors(path, self.iter().map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone())), &[])
    }

    /// Sets all values from a safetensors file with exactly these names and shapes.
    ///
    /// # Errors
    /// The file can't be read, or a name or shape is another; then nothing was changed.
    pub fn restore(&self, path: &Path) -> Result<(), TrainingError> {
        let mut found = load_tensors(path)?.0;
        let mut values = Vec::with_capacity(self.len());
        for (name, variable) in self.iter() {
            let value = found
                .remove(name)
                .ok_or_else(|| TrainingError::format(path, format!("the tensor `{name}` is missing")))?;
            if value.dims() != variable.dims() {
                let problem = format!("`{name}` has the shape {:?}, not {:?}", value.dims(), variable.dims());
                return Err(TrainingError::format(path, problem));
            }
            values.push((variable, value));
        }
        if let Some(unknown) = found.keys().min() {
            return Err(TrainingError::format(path, format!("`{unknown}` is not a parameter of this run")));
        }
        for (variable, value) in values {
            variable.set(&value.to_device(variable.device())?.to_dtype(variable.dtype())?)?;
        }
        Ok(())
    }
}

/// Writes tensors and text metadata to a safetensors file.
pub(crate) fn save_tensors(
    path: &Path,
    tensors: impl Iterator<Item = (String, Tensor)>,
    metadata: &[(&str, String)],
) -> Result<(), TrainingError> {
    let tensors: Vec<(String, Tensor)> = tensors.collect();
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    safetensors::serialize_to_file(tensors, metadata, path).map_err(|error| TrainingError::format(path, error))
}

type Loaded = (BTreeMap<String, Tensor>, HashMap<String, String>);

/// Reads a safetensors file onto the CPU.
pub(crate) fn load_tensors(path: &Path) -> Result<Loaded, TrainingError> {
    let bytes = std::fs::read(path).map_err(TrainingError::io(path))?;
    let damaged =
        |error: &dyn std::fmt::Display| TrainingError::format(path, format!("not a whole safetensors file ({error})"));
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).map_err(|error| damaged(&error))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|error| damaged(&error))?;
    Ok((tensors.into_iter().collect(), metadata))
}

/// Gradients by parameter name, summed over micro-batches.
#[derive(Default)]
pub struct Gradients {
    sums: BTreeMap<String, Tensor>,
}

impl Gradients {
    /// Adds what one backward pass found. A variable that stands under several names is found under each.
    ///
    /// # Errors
    /// The device fails.
    pub fn add(&mut self, parameters: &Parameters, store: &GradStore) -> Result<(), TrainingError> {
        for (name, variable) in parameters.iter() {
            let Some(gradient) = store.get(variable.as_tensor()) else { continue };
            // f32 sums also for half-precision parameters, and no history.
            let gradient = gradient.detach().to_dtype(DType::F32)?;
            let sum = match self.sums.remove(name) {
                Some(sum) => (sum + gradient)?,
                None => gradient,
            };
            self.sums.insert(name.to_owned(), sum);
        }
        Ok(())
    }

    /// The gradient of a parameter, f32, if one was found.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.sums.get(name)
    }

    /// Multiplies all gradients.
    ///
    /// # Errors
    /// The device fails.
    pub fn scale(&mut self, factor: f64) -> Result<(), TrainingError> {
        for gradient in self.sums.values_mut() {
            *gradient = (&*gradient * factor)?;
        }
        Ok(())
    }

    /// The Euclidean norm over all gradients, summed in f64 in the order of names.
    ///
    /// # Errors
    /// The device fails.
    pub fn global_norm(&self) -> Result<f64, TrainingError> {
        let mut sum = 0.0;
        for gradient in self.sums.values() {
            sum += sum_of_squares(gradient)?;
        }
        Ok(sum.sqrt())
    }

    /// Scales all gradients so that their norm is at most `max_norm`, as torch's `clip_grad_norm_` does, and gives the norm
    /// they had.
    ///
    /// # Errors
    /// The device fails.
    pub fn clip(&mut self, max_norm: f64) -> Result<f64, TrainingError> {
        let norm = self.global_norm()?;
        if norm > max_norm {
            self.scale(max_norm / (norm + 1e-6))?;
        }
        Ok(norm)
    }
}

fn sum_of_squares(gradient: &Tensor) -> Result<f64, TrainingError> {
    if !gradient.device().is_cpu() {
        return Ok(f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?));
    }
    let gradient = gradient.contiguous()?;
    let (storage, layout) = gradient.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
        return Err(candle_core::Error::Msg("a gradient that is not contiguous".to_owned()).into());
    };
    // Parts of a fixed length: sums do not depend on the number of threads.
    let parts = storage.as_slice::<f32>()?[start..end].par_chunks(SQUARES_PER_TASK);
    let sums: Vec<f64> =
        parts.map(|part| part.iter().map(|value| f64::from(*value) * f64::from(*value)).sum()).collect();
    Ok(sums.iter().sum())
}

const SQUARES_PER_TASK: usize = 1 << 14;
