//! A value and how sure one is of it.

/// A value with, if known, its interval. A value that is not finite is missing: it leaves a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// The lower and the upper end of its interval.
    pub interval: Option<(f64, f64)>,
}

impl Estimate {
    /// A value without an interval.
    pub fn new(value: f64) -> Self {
        Self { value, interval: None }
    }

    /// No value.
    pub fn missing() -> Self {
        Self::new(f64::NAN)
    }

    /// The value with an interval from `low` to `high`.
    pub fn between(self, low: f64, high: f64) -> Self {
        Self { interval: Some((low, high)), ..self }
    }

    /// The value with an interval of `error` to both sides.
    pub fn plus_minus(self, error: f64) -> Self {
        self.between(self.value - error, self.value + error)
    }

    /// The ends of the interval if both can be drawn, the lower one first.
    pub(crate) fn ends(self) -> Option<(f64, f64)> {
        let (one, other) = self.interval?;
        let is_known = crate::number::is_usable(one) && crate::number::is_usable(other);
        is_known.then(|| (one.min(other), one.max(other)))
    }

    /// All that an axis has to show of it.
    pub(crate) fn extent(self) -> impl Iterator<Item = f64> {
        let ends = self.ends().filter(|_| crate::number::is_usable(self.value));
        std::iter::once(self.value).chain(ends.into_iter().flat_map(|(low, high)| [low, high]))
    }
}

impl From<f64> for Estimate {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl From<Option<f64>> for Estimate {
    fn from(value: Option<f64>) -> Self {
        value.map_or_else(Self::missing, Self::new)
    }
}

/// A value with the lower and the upper end of its interval.
impl From<(f64, f64, f64)> for Estimate {
    fn from((value, low, high): (f64, f64, f64)) -> Self {
        Self::new(value).between(low, high)
    }
}
