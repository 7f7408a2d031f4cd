//! The adapters of one model: add, load, switch, merge, save.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use candle_core::{DType, Device, Tensor, Var};
use llm_runtime::{Embedding, Error, Linear, LinearLoader, seeded_stream};
use rand::RngExt;
use training::{Mode, Parameters};

use crate::layer::{LoraLinear, Switches, Update, row_norms};
use crate::{ALL_LINEAR, LoraConfig, LoraError, Targets, peft};

/// The adapters of one model. Clones are handles to the same adapters.
///
/// Build the model through [`Adapters::wrap`]; then adapters can come and go by name. All of them cost nothing while none is
/// active. An engine keeps prefixes computed with the adapters of the time: after switching call `Engine::clear_cache`.
#[derive(Clone, Default)]
pub struct Adapters {
    layers: Arc<Mutex<BTreeMap<String, Arc<LoraLinear>>>>,
    configs: Arc<Mutex<BTreeMap<String, LoraConfig>>>,
    switches: Arc<RwLock<Switches>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Adapters {
    /// No adapters yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A loader that gives every linear layer a place for adapters; put it between a model's loader and the model.
    pub fn wrap<'a>(&self, inner: &'a dyn LinearLoader) -> LoraLoader<'a> {
        LoraLoader { inner, adapters: self.clone() }
    }

    /// Adds a fresh adapter and makes it the only active one. `A` is uniform in ±1/√in_features as in PEFT, `B` is 0, so that the
    /// model's output is unchanged; each matrix is drawn from a stream of its own name.
    ///
    /// # Errors
    /// A value is out of range, or no layer of the model is a target.
    pub fn add(&self, name: &str, config: &LoraConfig, seed: u64) -> Result<(), LoraError> {
        config.check()?;
        let layers = self.covered(config)?;
        for (module, layer) in &layers {
            let (base, rank) = (layer.base(), config.rank_of(module));
            let weight = base.weight()?;
            let device = weight.device();
            let a = Var::from_tensor(&uniform(seed, module, rank, base.in_features(), device)?)?;
            let b = Var::zeros((base.out_features(), rank), DType::F32, device)?;
            let magnitude = config.use_dora.then(|| Var::from_tensor(&row_norms(&weight)?)).transpose()?;
            layer.set(name, Update::new(a, b, magnitude, config.scale_of(module), config.dropout as f32));
        }
        lock(&self.configs).insert(name.to_owned(), config.clone());
        self.activate(&[name])
    }

    /// Reads a PEFT folder (`adapter_config.json`, `adapter_model.safetensors`) as an adapter and makes it the only active one.
    ///
    /// # Errors
    /// The files can't be read, ask for something that is not supported, or do not fit the model; then nothing was changed.
    pub fn load(&self, name: &str, folder: &Path) -> Result<(), LoraError> {
        let (config, mut tensors) = peft::read(folder)?;
        let mut updates = Vec::new();
        for (module, layer) in self.covered(&config)? {
            let update = peft::take_update(folder, &mut tensors, &config, &module, layer.base())?;
            updates.push((layer, update));
        }
        if let Some(unused) = tensors.keys().min() {
            let problem = format!("`{unused}` belongs to no layer of this model: the adapter was made for another");
            return Err(LoraError::format(&folder.join(peft::WEIGHTS_FILE), problem));
        }
        for (layer, update) in updates {
            layer.set(name, update);
        }
        lock(&self.configs).insert(name.to_owned(), config);
        self.activate(&[name])
    }

    /// Writes an adapter as a PEFT folder. `base_model` is noted as the model it belongs to.
    ///
    /// # Errors
    /// There is no such adapter, or the folder can't be written.
    pub fn save(&self, name: &str, folder: &Path, base_model: &str) -> Result<(), LoraError> {
        let mut config = self.config(name)?;
        if config.targets == Targets::Named(ALL_LINEAR.into()) {
            // The layers by name, as PEFT itself writes them.
            let names: BTreeSet<String> = self.covered(&config)?.iter().map(|(module, _)| last_part(module)).collect();
            config.targets = Targets::Any(names.into_iter().collect());
        }
        peft::write(folder, &config, base_model, &self.parameters(name)?)
    }

    /// Removes an adapter.
    ///
    /// # Errors
    /// There is no such adapter.
    pub fn unload(&self, name: &str) -> Result<(), LoraError> {
        self.config(name)?;
        lock(&self.configs).remove(name);
        lock(&self.layers).values().for_each(|layer| layer.remove(name));
        self.write_switches().active.retain(|(active, _)| active != name);
        Ok(())
    }

    /// Makes exactly these adapters active, each at its own scale; none of them switches all off.
    ///
    /// # Errors
    /// There is no such adapter.
    pub fn activate(&self, names: &[&str]) -> Result<(), LoraError> {
        for name in names {
            self.config(name)?;
        }
        self.forget_norms();
        self.write_switches().active = names.iter().map(|name| ((*name).to_owned(), 1.0)).collect();
        Ok(())
    }

    /// Multiplies an active adapter's scale by `factor` (1 is as trained, 0 as good as off).
    ///
    /// # Errors
    /// The adapter is not active, or the factor is not finite.
    pub fn set_scale(&self, name: &str, factor: f64) -> Result<(), LoraError> {
        if !factor.is_finite() {
            return Err(LoraError::Invalid(format!("the scale of an adapter must be finite, not {factor}")));
        }
        self.forget_norms();
        let mut switches = self.write_switches();
        let Some(entry) = switches.active.iter_mut().find(|(active, _)| active == name) else {
            return Err(LoraError::Invalid(format!("the adapter `{name}` is not active: activate it first")));
        };
        entry.1 = factor;
        Ok(())
    }

    /// Names of the active adapters.
    pub fn active(&self) -> Vec<String> {
        let switches = self.switches.read().unwrap_or_else(PoisonError::into_inner);
        switches.active.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Names of all adapters.
    pub fn names(&self) -> Vec<String> {
        lock(&self.configs).keys().cloned().collect()
    }

    /// An adapter's shape.
    ///
    /// # Errors
    /// There is no such adapter.
    pub fn config(&self, name: &str) -> Result<LoraConfig, LoraError> {
        let configs = lock(&self.configs);
        configs.get(name).cloned().ok_or_else(|| LoraError::UnknownAdapter {
            name: name.to_owned(),
            known: configs.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// An adapter's variables under PEFT's names, to be trained.
    ///
    /// # Errors
    /// There is no such adapter.
    pub fn parameters(&self, name: &str) -> Result<Parameters, LoraError> {
        self.config(name)?;
        let mut parameters = Parameters::new();
        for (module, layer) in &*lock(&self.layers) {
            let Some(update) = layer.update(name) else { continue };
            let parts = [("lora_A.weight", Some(update.a)), ("lora_B.weight", Some(update.b))];
            for (part, variable) in parts.into_iter().chain([("lora_magnitude_vector", update.magnitude)]) {
                if let Some(variable) = variable {
                    parameters.insert(peft::key(module, part), variable)?;
                }
            }
        }
        Ok(parameters)
    }

    /// Tells the layers how the next pass is made: with gradients and dropout, or without.
    pub fn set_mode(&self, mode: Mode) {
        let training = mode.dropout();
        let before = std::mem::replace(&mut self.write_switches().training, training);
        if before.is_some() && training.is_none() {
            self.forget_norms();
        }
    }

    /// Folds the active adapters into dense f32 weights, one per adapted layer. Faster to run; takes their memory; adapters can't
    /// be trained meanwhile. A quantised base is dequantised where it is adapted.
    ///
    /// # Errors
    /// The device fails.
    pub fn merge(&self) -> Result<(), LoraError> {
        for layer in lock(&self.layers).values() {
            layer.merge()?;
        }
        Ok(())
    }

    /// Undoes [`Self::merge`]: the base was never touched.
    pub fn unmerge(&self) {
        lock(&self.layers).values().for_each(|layer| layer.unmerge());
    }

    /// The weight of a layer with its active adapters, `[out_features, in_features]` f32; `None` where no adapter is active.
    ///
    /// # Errors
    /// The device fails.
    pub fn merged_weight(&self, module: &str) -> Result<Option<Tensor>, LoraError> {
        let layer = lock(&self.layers).get(module).cloned();
        Ok(layer.map(|layer| layer.merged_weight()).transpose()?.flatten())
    }

    fn covered(&self, config: &LoraConfig) -> Result<Vec<(String, Arc<LoraLinear>)>, LoraError> {
        let layers = lock(&self.layers);
        let covered: Vec<_> = layers
            .iter()
            .filter(|(module, _)| config.covers(module))
            .map(|(module, layer)| (module.clone(), layer.clone()))
            .collect();
        if covered.is_empty() {
            let some: Vec<&str> = layers.keys().map(String::as_str).take(9).collect();
            return Err(LoraError::Invalid(format!(
                "no linear layer of the model is a target of the adapter ({:?}); the model has {} …",
                config.targets,
                some.join(", ")
            )));
        }
        Ok(covered)
    }

    fn forget_norms(&self) {
        lock(&self.layers).values().for_each(|layer| layer.forget_norms());
    }

    fn write_switches(&self) -> std::sync::RwLockWriteGuard<'_, Switches> {
        self.switches.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `model.layers.0.mlp.up_proj` ends with `up_proj`.
fn last_part(module: &str) -> String {
    module.rsplit('.').next().unwrap_or(module).to_owned()
}

/// `[rank, in_features]` values, uniform in ±1/√in_features.
fn uniform(seed: u64, module: &str, rank: usize, in_features: usize, device: &Device) -> Result<Tensor, LoraError> {
    let mut generator = seeded_stream(seed, &format!("lora/{module}"));
    let bound = 1.0 / (in_features as f64).sqrt();
    let values: Vec<f32> =
        (0..rank * in_features).map(|_| (bound * (2.0 * generator.random::<f64>() - 1.0)) as f32).collect();
    Ok(Tensor::from_vec(values, (rank, in_features), device)?)
}

/// Gives each linear layer a place for adapters. See [`Adapters::wrap`].
pub struct LoraLoader<'a> {
    inner: &'a dyn LinearLoader,
    adapters: Adapters,
}

impl LinearLoader for LoraLoader<'_> {
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error> {
        let base = self.inner.linear(name, in_features, out_features)?;
        let layer = Arc::new(LoraLinear::new(name, base, self.adapters.switches.clone()));
        lock(&self.adapters.layers).insert(name.to_owned(), layer.clone());
        Ok(layer)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.inner.tensor(name, shape)
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        self.inner.embedding(name, vocabulary, width)
    }

    fn contains(&self, name: &str) -> bool {
        self.inner.contains(name)
    }
}
