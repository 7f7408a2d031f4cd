//! A weighted sum of objectives, written `sigmoid=1,sft=0.2`.

use serde::{Deserialize, Serialize};

use crate::{DpoError, Loss};

/// An objective and its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightedLoss {
    /// The objective.
    pub loss: Loss,
    /// Its factor: finite, above 0.
    pub weight: f64,
}

/// A weighted sum of objectives; at least one, each once.
///
/// ```
/// use dpo::{Loss, LossMix};
/// let mix: LossMix = "sigmoid,sft=0.2".parse()?;
/// assert_eq!(mix.parts()[0].loss, Loss::Sigmoid);
/// assert_eq!(mix.to_string(), "sigmoid=1,sft=0.2");
/// # Ok::<(), dpo::DpoError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LossMix(Vec<WeightedLoss>);

impl LossMix {
    /// Of these parts.
    ///
    /// # Errors
    /// There is no part, one is there twice, or a weight is not above 0.
    pub fn new(parts: Vec<WeightedLoss>) -> Result<Self, DpoError> {
        if parts.is_empty() {
            return Err(DpoError::invalid("no loss is named: give one or more, as in `sigmoid=1,sft=0.2`"));
        }
        for (place, WeightedLoss { loss, weight }) in parts.iter().enumerate() {
            if !(weight.is_finite() && *weight > 0.0) {
                return Err(DpoError::invalid(format!("the weight {weight} of the loss `{loss}` is not above 0")));
            }
            if parts[..place].iter().any(|earlier| earlier.loss == *loss) {
                return Err(DpoError::invalid(format!("the loss `{loss}` is named twice")));
            }
        }
        Ok(Self(parts))
    }

    /// The parts as they were given.
    pub fn parts(&self) -> &[WeightedLoss] {
        &self.0
    }

    /// The part that rewards go by: the first that is a preference, else the first.
    pub(crate) fn leading(&self) -> Option<Loss> {
        let losses = || self.0.iter().map(|part| part.loss);
        losses().find(|loss| *loss != Loss::Sft).or_else(|| losses().next())
    }
}

impl From<Loss> for LossMix {
    fn from(loss: Loss) -> Self {
        Self(vec![WeightedLoss { loss, weight: 1.0 }])
    }
}

impl std::str::FromStr for LossMix {
    type Err = DpoError;

    fn from_str(text: &str) -> Result<Self, DpoError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Self::new(parts.map(weighted).collect::<Result<_, _>>()?)
    }
}

fn weighted(part: &str) -> Result<WeightedLoss, DpoError> {
    let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
    let loss = Loss::parse(name)?;
    let weight = weight.trim().parse().map_err(|_| {
        DpoError::invalid(format!(
            "`{part}`: `{weight}` is not a number; a loss and its weight are written `{loss}=0.5`"
        ))
    })?;
    Ok(WeightedLoss { loss, weight })
}

impl std::fmt::Display for LossMix {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, WeightedLoss { loss, weight }) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(formatter, "{comma}{loss}={weight}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for LossMix {
    type Error = DpoError;

    fn try_from(text: String) -> Result<Self, DpoError> {
        text.parse()
    }
}

impl From<LossMix> for String {
    fn from(mix: LossMix) -> Self {
        mix.to_string()
    }
}
