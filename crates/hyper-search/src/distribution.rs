//! What a parameter can be.
//!
//! Samplers know a parameter by its *internal value*, a number: that of a float or an integer, or the place of a category's choice.
//! Between its limits a number is drawn on a scale of its own (its logarithm, or itself), which grids widen by half a step on either side,
//! so that each point of a grid has equally much of it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::SearchError;

/// Whole numbers up to this one are exact as internal values.
const LARGEST_EXACT: i64 = 1 << 53;

/// The values a parameter can take, and how they are drawn.
///
/// ```
/// use hyper_search::Distribution;
///
/// let epochs = Distribution::int(2, 5).checked("epochs")?;
/// assert_eq!(epochs.grid(), Some(vec![2.0, 3.0, 4.0, 5.0]));
/// let schedule = Distribution::categorical(["cosine", "linear"]).checked("schedule")?;
/// assert_eq!(schedule.internal("schedule", &"linear".into())?, 1.0);
/// # Ok::<(), hyper_search::SearchError>(())
/// ```
///
/// As JSON it is what Optuna's journals have: `{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 2, "high": 5}}`.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// A real number in `low..=high`.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Values are `low + k·step`; `None` is continuous.
        step: Option<f64>,
        /// Drawn by its logarithm; not together with `step`.
        log: bool,
    },
    /// A whole number in `low..=high`.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Values are `low + k·step`.
        step: i64,
        /// Drawn by its logarithm; then `step` is 1.
        log: bool,
    },
    /// One of several values without an order.
    Categorical {
        /// Null, booleans, numbers or strings.
        choices: Vec<Value>,
    },
}

impl Distribution {
    /// A real number, uniform.
    pub fn float(low: f64, high: f64) -> Self {
        Self::Float { low, high, step: None, log: false }
    }

    /// A real number, its logarithm uniform.
    pub fn log_float(low: f64, high: f64) -> Self {
        Self::Float { low, high, step: None, log: true }
    }

    /// A real number on the grid `low + k·step`.
    pub fn stepped_float(low: f64, high: f64, step: f64) -> Self {
        Self::Float { low, high, step: Some(step), log: false }
    }

    /// A whole number, uniform.
    pub fn int(low: i64, high: i64) -> Self {
        Self::Int { low, high, step: 1, log: false }
    }

    /// A whole number, its logarithm uniform.
    pub fn log_int(low: i64, high: i64) -> Self {
        Self::Int { low, high, step: 1, log: true }
    }

    /// A whole number on the grid `low + k·step`.
    pub fn stepped_int(low: i64, high: i64, step: i64) -> Self {
        Self::Int { low, high, step, log: false }
    }

    /// One of several values without an order.
    pub fn categorical<T: Into<Value>>(choices: impl IntoIterator<Item = T>) -> Self {
        Self::Categorical { choices: choices.into_iter().map(Into::into).collect() }
    }

    /// The distribution, if it makes sense; the largest value of a grid is lowered to its last point.
    ///
    /// # Errors
    ///
    /// The limits are not finite or not in order, a logarithm has to be taken of what is not positive, a step is not positive or stands beside
    /// a logarithm, a whole number is beyond 2⁵³, or there are no choices, equal ones, or such as are arrays or objects. `name` is the
    /// parameter in the message.
    pub fn checked(mut self, name: &str) -> Result<Self, SearchError> {
        match &mut self {
            Self::Float { low, high, step, log } => check_float(*low, high, *step, *log),
            Self::Int { low, high, step, log } => check_int(*low, high, *step, *log),
            Self::Categorical { choices } => check_choices(choices),
        }
        .map_err(|problem| SearchError::distribution(name, problem))?;
        Ok(self)
    }

    /// Whether there is only one value.
    pub fn is_single(&self) -> bool {
        match self {
            Self::Float { low, high, .. } => low == high,
            Self::Int { low, high, .. } => low == high,
            Self::Categorical { choices } => choices.len() == 1,
        }
    }

    /// Whether an internal value is one of this distribution.
    pub fn contains(&self, internal: f64) -> bool {
        match self {
            Self::Float { low, high, step, .. } => {
                (*low..=*high).contains(&internal) && step.is_none_or(|step| on_grid(internal - low, step))
            }
            Self::Int { low, high, step, .. } => {
                let whole = internal.trunc() == internal && (*low as f64..=*high as f64).contains(&internal);
                whole && (internal as i64 - low) % step.max(&1) == 0
            }
            Self::Categorical { choices } => {
                internal.trunc() == internal && (0.0..choices.len() as f64).contains(&internal)
            }
        }
    }

    /// All internal values in order, if there are finitely many and not more than a million.
    pub fn grid(&self) -> Option<Vec<f64>> {
        let points = |low: f64, high: f64, step: f64| {
            let last = ((high - low) / step).round();
            (0.0..1e6).contains(&last).then(|| (0..=last as u32).map(|k| low + f64::from(k) * step).collect())
        };
        match self {
            Self::Float { low, high, .. } if low == high => Some(vec![*low]),
            Self::Float { low, high, step, .. } => points(*low, *high, (*step)?),
            Self::Int { low, high, step, .. } => points(*low as f64, *high as f64, *step as f64),
            Self::Categorical { choices } => Some((0..choices.len()).map(|place| place as f64).collect()),
        }
    }

    /// The internal value of what the objective sees.
    ///
    /// # Errors
    ///
    /// The value is not one of this distribution. `name` is the parameter in the message.
    pub fn internal(&self, name: &str, value: &Value) -> Result<f64, SearchError> {
        let internal = match self {
            Self::Categorical { choices } => place_of(value, choices).map(|place| place as f64),
            _ => value.as_f64(),
        };
        internal.filter(|internal| self.contains(*internal)).ok_or_else(|| {
            SearchError::distribution(name, format!("{value} is not one of its values, which are {self}"))
        })
    }

    /// What the objective sees of an internal value: a number, or the choice at that place. A value outside counts as the nearest inside.
    pub fn external(&self, internal: f64) -> Value {
        match self {
            Self::Float { low, high, .. } => Value::from(within(internal, *low, *high)),
            Self::Int { low, high, .. } => Value::from(within(internal.round(), *low as f64, *high as f64) as i64),
            Self::Categorical { choices } => {
                choices.get(internal as usize).or(choices.last()).cloned().unwrap_or_default()
            }
        }
    }

    /// The limits on the scale that a number is drawn on.
    pub(crate) fn scale(&self) -> Option<Scale> {
        let (low, high, step, log) = match self {
            Self::Float { low, high, step, log } => (*low, *high, step.unwrap_or(0.0), *log),
            Self::Int { low, high, step, log } => (*low as f64, *high as f64, *step as f64, *log),
            Self::Categorical { .. } => return None,
        };
        Some(Scale { low, high, step, log })
    }

    /// The internal value at a fraction in `[0, 1)` of the distribution.
    pub(crate) fn at_fraction(&self, fraction: f64) -> f64 {
        match (self.scale(), self) {
            (Some(scale), _) => {
                let (bottom, top) = scale.limits();
                scale.value_at(bottom + (top - bottom) * fraction)
            }
            (None, Self::Categorical { choices }) => (fraction * choices.len() as f64).floor(),
            (None, _) => 0.0,
        }
    }
}

/// In words, for messages: `2..=5 in steps of 1`.
impl std::fmt::Display for Distribution {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float { low, high, step: None, .. } => write!(out, "numbers from {low} to {high}"),
            Self::Float { low, high, step: Some(step), .. } => {
                write!(out, "numbers from {low} to {high} in steps of {step}")
            }
            Self::Int { low, high, step, .. } => write!(out, "whole numbers from {low} to {high} in steps of {step}"),
            Self::Categorical { choices } => write!(out, "the choices {}", Value::from(choices.clone())),
        }
    }
}

/// The scale a number is drawn on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// 0 for what is continuous.
    pub(crate) step: f64,
    pub(crate) log: bool,
}

impl Scale {
    /// Both ends on the scale, grids widened by half a step.
    pub(crate) fn limits(&self) -> (f64, f64) {
        (self.of(self.low - self.step / 2.0), self.of(self.high + self.step / 2.0))
    }

    /// Where an internal value stands on the scale.
    pub(crate) fn of(&self, internal: f64) -> f64 {
        if self.log { internal.ln() } else { internal }
    }

    /// The internal value that is nearest to a place on the scale; halves go to the even point, as NumPy rounds them.
    pub(crate) fn value_at(&self, place: f64) -> f64 {
        let number = if self.log { place.exp() } else { place };
        let point = |step: f64| self.low + ((number - self.low) / step).round_ties_even() * step;
        within(if self.step > 0.0 { point(self.step) } else { number }, self.low, self.high)
    }
}

/// As `clamp`, which panics where limits are not in order.
fn within(value: f64, low: f64, high: f64) -> f64 {
    value.min(high).max(low)
}

fn on_grid(distance: f64, step: f64) -> bool {
    let steps = distance / step;
    (steps - steps.round()).abs() < 1e-8
}

/// The place of an equal choice; numbers that are written differently (`1`, `1.0`) are equal if there is none that is the same.
fn place_of(value: &Value, choices: &[Value]) -> Option<usize> {
    let same = choices.iter().position(|choice| choice == value);
    same.or_else(|| choices.iter().position(|choice| choice.is_number() && choice.as_f64() == value.as_f64()))
}

fn check_float(low: f64, high: &mut f64, step: Option<f64>, log: bool) -> Result<(), String> {
    if !(low.is_finite() && high.is_finite() && (*high - low).is_finite() && low <= *high) {
        return Err(format!("its limits are {low} and {high}: expected finite numbers, the smaller first"));
    }
    if log && low <= 0.0 {
        return Err(format!(
            "its logarithm is to be drawn, but its smallest value is {low}: expected a positive number"
        ));
    }
    let Some(step) = step else { return Ok(()) };
    if log {
        return Err("a step and a logarithm don't go together: leave one of them out".into());
    }
    if !(step.is_finite() && step > 0.0) {
        return Err(format!("its step is {step}: expected a positive number"));
    }
    let steps = (*high - low) / step;
    // 0.1 goes three times into 0.3, though not in binary fractions.
    let whole = if on_grid(*high - low, step) { steps.round() } else { steps.floor() };
    *high = low + whole * step;
    Ok(())
}

fn check_int(low: i64, high: &mut i64, step: i64, log: bool) -> Result<(), String> {
    if low > *high {
        return Err(format!("its limits are {low} and {high}: expected the smaller first"));
    }
    if low < -LARGEST_EXACT || *high > LARGEST_EXACT {
        return Err(format!("its limits are {low} and {high}: expected whole numbers up to 2^53"));
    }
    if log && low < 1 {
        return Err(format!("its logarithm is to be drawn, but its smallest value is {low}: expected 1 or more"));
    }
    if log && step != 1 {
        return Err(format!("a step of {step} and a logarithm don't go together: leave one of them out"));
    }
    if step < 1 {
        return Err(format!("its step is {step}: expected 1 or more"));
    }
    *high = low + (*high - low) / step * step;
    Ok(())
}

fn check_choices(choices: &[Value]) -> Result<(), String> {
    if choices.is_empty() {
        return Err("it has no choices: expected at least one".into());
    }
    if let Some(choice) = choices.iter().find(|choice| choice.is_array() || choice.is_object()) {
        return Err(format!("{choice} can't be a choice: expected null, a boolean, a number or a string"));
    }
    let twice = choices.iter().enumerate().find(|(place, choice)| place_of(choice, choices) != Some(*place));
    match twice {
        Some((_, choice)) => Err(format!("{choice} is twice among its choices")),
        None => Ok(()),
    }
}

/// The form of Optuna's JSON.
#[derive(Serialize, Deserialize)]
#[serde(tag = "name", content = "attributes")]
enum Written {
    #[serde(rename = "FloatDistribution")]
    Float { step: Option<f64>, low: f64, high: f64, log: bool },
    #[serde(rename = "IntDistribution")]
    Int { log: bool, step: i64, low: i64, high: i64 },
    #[serde(rename = "CategoricalDistribution")]
    Categorical { choices: Vec<Value> },
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self.clone() {
            Self::Float { low, high, step, log } => Written::Float { step, low, high, log },
            Self::Int { low, high, step, log } => Written::Int { log, step, low, high },
            Self::Categorical { choices } => Written::Categorical { choices },
        };
        written.serialize(serializer)
    }
}

/// Only what makes sense is read.
impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match Written::deserialize(deserializer)? {
            Written::Float { step, low, high, log } => Self::Float { low, high, step, log },
            Written::Int { log, step, low, high } => Self::Int { low, high, step, log },
            Written::Categorical { choices } => Self::Categorical { choices },
        };
        read.checked("of a file").map_err(D::Error::custom)
    }
}
