//! What an axis is asked to be.

/// How values are spread over an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AxisKind {
    /// Equal differences are equally far apart.
    #[default]
    Linear,
    /// Equal ratios are equally far apart; values must be above zero.
    Log10,
    /// Roots are equally far apart, so that small values stay apart from zero beside large ones; values below zero are
    /// mirrored.
    Root,
}

impl AxisKind {
    /// Where a value lies on a ruler of equal parts; none on a logarithmic axis that has no place for it.
    pub(crate) fn transformed(self, value: f64) -> Option<f64> {
        match self {
            Self::Linear => Some(value),
            Self::Log10 => (value > 0.0).then(|| value.log10()),
            Self::Root => Some(value.abs().sqrt().copysign(value)),
        }
    }

    /// The value that lies there.
    pub(crate) fn value(self, transformed: f64) -> f64 {
        match self {
            Self::Linear => transformed,
            Self::Log10 => 10_f64.powf(transformed),
            Self::Root => transformed * transformed.abs(),
        }
    }
}

/// An axis: its title (with the unit) and its scale. On an axis of categories only the title counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    pub(crate) title: String,
    pub(crate) kind: AxisKind,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) is_whole: bool,
}

impl Axis {
    /// A linear axis.
    pub fn linear(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// A logarithmic axis.
    pub fn log10(title: impl Into<String>) -> Self {
        Self { title: title.into(), kind: AxisKind::Log10, ..Self::default() }
    }

    /// An axis of roots.
    pub fn root(title: impl Into<String>) -> Self {
        Self { title: title.into(), kind: AxisKind::Root, ..Self::default() }
    }

    /// Labels whole numbers only, as for turns, layers or counts: there is no turn 3.2.
    pub fn whole_numbers(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// Where the axis begins and ends, instead of around the values. Values outside are not drawn (bars and intervals
    /// are cut at the edge) and counted in a note. A range that makes no sense is ignored.
    pub fn range(self, low: f64, high: f64) -> Self {
        Self { low: Some(low), high: Some(high), ..self }
    }

    /// Where the axis begins; its end follows the values.
    pub fn starting_at(self, low: f64) -> Self {
        Self { low: Some(low), ..self }
    }
}
