//! A linear layer with adapters on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use candle_core::{D, Result, Tensor, Var};
use llm_runtime::{DenseLinear, DropoutPass, Linear};

/// `y = W x + scale · B A x` over any base layer; the base is never trained.
pub(crate) struct LoraLinear {
    name: String,
    base: Arc<dyn Linear>,
    switches: Arc<RwLock<Switches>>,
    updates: RwLock<BTreeMap<String, Update>>,
    /// The dense layer that takes the place of base and updates while they are merged.
    merged: RwLock<Option<DenseLinear>>,
}

/// What all layers of a model have in common.
#[derive(Default)]
pub(crate) struct Switches {
    /// Adapters that take part, in order, with a factor on their scale.
    pub(crate) active: Vec<(String, f64)>,
    /// Set while gradients are wanted.
    pub(crate) training: Option<DropoutPass>,
}

/// One adapter's part in one layer.
#[derive(Clone)]
pub(crate) struct Update {
    /// `[rank, in_features]`.
    pub(crate) a: Var,
    /// `[out_features, rank]`.
    pub(crate) b: Var,
    /// DoRA's length of each output row, `[out_features]`.
    pub(crate) magnitude: Option<Var>,
    pub(crate) scale: f64,
    pub(crate) dropout: f32,
    /// Row norms of `W + scale · B A` while nothing changes.
    norms: Arc<Mutex<Option<Tensor>>>,
}

impl Update {
    pub(crate) fn new(a: Var, b: Var, magnitude: Option<Var>, scale: f64, dropout: f32) -> Self {
        Self { a, b, magnitude, scale, dropout, norms: Arc::default() }
    }

    /// The weight of base and update together; `factor` multiplies the scale.
    fn merged(&self, base: &Tensor, factor: f64) -> Result<Tensor> {
        let weight = (base + self.delta(factor)?)?;
        let Some(magnitude) = &self.magnitude else { return Ok(weight) };
        let norms = row_norms(&weight)?;
        weight.broadcast_mul(&(magnitude.as_detached_tensor() / norms)?.unsqueeze(1)?)
    }

    /// `scale · B A`, without history.
    fn delta(&self, factor: f64) -> Result<Tensor> {
        let (a, b) = (self.a.as_detached_tensor(), self.b.as_detached_tensor());
        b.matmul(&a)? * (self.scale * factor)
    }

    pub(crate) fn forget_norms(&self) {
        *self.norms.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Row norms of the adapted weight: a constant in the backward pass (DoRA, section 4.3).
    fn norms(&self, base: &dyn Linear, factor: f64, keep: bool) -> Result<Tensor> {
        let mut cached = self.norms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(norms) = cached.as_ref().filter(|_| keep) {
            return Ok(norms.clone());
        }
        let norms = row_norms(&(base.weight()? + self.delta(factor)?)?)?;
        *cached = keep.then(|| norms.clone());
        Ok(norms)
    }
}

/// Euclidean norms of the rows of a matrix.
pub(crate) fn row_norms(weight: &Tensor) -> Result<Tensor> {
    weight.sqr()?.sum(D::Minus1)?.sqrt()
}

impl LoraLinear {
    pub(crate) fn new(name: &str, base: Arc<dyn Linear>, switches: Arc<RwLock<Switches>>) -> Self {
        Self { name: name.to_owned(), base, switches, updates: RwLock::default(), merged: RwLock::default() }
    }

    pub(crate) fn base(&self) -> &dyn Linear {
        self.base.as_ref()
    }

    pub(crate) fn set(&self, adapter: &str, update: Update) {
        self.updates.write().unwrap_or_else(PoisonError::into_inner).insert(adapter.to_owned(), update);
    }

    pub(crate) fn remove(&self, adapter: &str) {
        self.updates.write().unwrap_or_else(PoisonError::into_inner).remove(adapter);
    }

    pub(crate) fn update(&self, adapter: &str) -> Option<Update> {
        self.updates.read().unwrap_or_else(PoisonError::into_inner).get(adapter).cloned()
    }

    pub(crate) fn forget_norms(&self) {
        self.updates.read().unwrap_or_else(PoisonError::into_inner).values().for_each(Update::forget_norms);
    }

    /// The `[out_features, in_features]` f32 weight of base and active adapters together; `None` if no adapter is active here.
    /// Each adapter adds its own difference to the base, as in the forward pass.
    pub(crate) fn merged_weight(&self) -> Result<Option<Tensor>> {
        let active = self.switches.read().unwrap_or_else(PoisonError::into_inner).active.clone();
        let updates: Vec<(Update, f64)> =
            active.into_iter().filter_map(|(adapter, factor)| Some((self.update(&adapter)?, factor))).collect();
        let Some(((first, factor), others)) = updates.split_first() else { return Ok(None) };
        let base = self.base.weight()?;
        let mut weight = first.merged(&base, *factor)?;
        for (update, factor) in others {
            weight = (weight + (update.merged(&base, *factor)? - &base)?)?;
        }
        Ok(Some(weight))
    }

    pub(crate) fn merge(&self) -> Result<()> {
        let merged = match self.merged_weight()? {
            Some(weight) => Some(DenseLinear::new(weight, self.base.bias().cloned())?),
            None => None,
        };
        *self.merged.write().unwrap_or_else(PoisonError::into_inner) = merged;
        Ok(())
    }

    pub(crate) fn unmerge(&self) {
        *self.merged.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What an adapter adds to `y`, the base layer's output.
    fn part(
        &self,
        y: &Tensor,
        x: &Tensor,
        update: &Update,
        factor: f64,
        training: Option<DropoutPass>,
        product: Product,
    ) -> Result<Tensor> {
        let place = &self.name;
        let dropped = match training {
            Some(pass) if update.dropout > 0.0 => Some(pass.apply(x, update.dropout, place)?),
            _ => None,
        };
        let values = |variable: &Var| match training {
            Some(_) => variable.as_tensor().clone(),
            // Without history: inference must not keep what a backward pass would need.
            None => variable.as_detached_tensor(),
        };
        let (a, b) = (DenseLinear::new(values(&update.a), None)?, DenseLinear::new(values(&update.b), None)?);
        let delta = b.forward(&(a.forward(dropped.as_ref().unwrap_or(x))? * (update.scale * factor))?)?;
        let Some(magnitude) = &update.magnitude else { return Ok(delta) };

        let norms = update.norms(self.base.as_ref(), factor, training.is_none())?;
        let lengths = (values(magnitude) / norms)?.unsqueeze(0)?;
        let base = match &dropped {
            Some(dropped) => product(self.base.as_ref(), dropped)?,
            None => y.clone(),
        };
        let base = match self.base.bias() {
            Some(bias) => base.broadcast_sub(bias)?,
            None => base,
        };
        base.broadcast_mul(&(&lengths - 1.0)?)? + delta.broadcast_mul(&lengths)?
    }
}

/// How a base layer is applied.
type Product = fn(&dyn Linear, &Tensor) -> Result<Tensor>;

impl LoraLinear {
    fn apply(&self, x: &Tensor, product: Product) -> Result<Tensor> {
        if let Some(merged) = self.merged.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return merged.forward(x);
        }
        let switches = self.switches.read().unwrap_or_else(PoisonError::into_inner);
        let updates = self.updates.read().unwrap_or_else(PoisonError::into_inner);
        let base = product(self.base.as_ref(), x)?;
        let mut y = base.clone();
        for (adapter, factor) in &switches.active {
            if let Some(update) = updates.get(adapter) {
                y = (y + self.part(&base, x, update, *factor, switches.training, product)?)?;
            }
        }
        Ok(y)
    }
}

impl Linear for LoraLinear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, |base, x| base.forward(x))
    }

    fn forward_dequantised(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, |base, x| base.forward_dequantised(x))
    }

    fn in_features(&self) -> usize {
        self.base.in_features()
    }

    fn out_features(&self) -> usize {
        self.base.out_features()
    }

    fn weight(&self) -> Result<Tensor> {
        self.merged_weight()?.map_or_else(|| self.base.weight(), Ok)
    }

    fn bias(&self) -> Option<&Tensor> {
        self.base.bias()
    }
}
