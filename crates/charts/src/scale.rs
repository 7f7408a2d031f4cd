//! From values to places on an axis, and the round values that are labelled there.

use crate::axis::{Axis, AxisKind};
use crate::number::{self, SMALLEST, is_usable};

/// A range that is smaller, relative to its values, is that of a constant.
const SMALLEST_RELATIVE_RANGE: f64 = 1e-9;
/// Room around the values, as a part of their range.
const AIR: f64 = 0.05;
/// Places this far outside are still on the axis; rounding puts them there.
const SLACK: f64 = 1e-9;

/// Why a value can't be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unplaced {
    /// Not finite.
    Missing,
    /// Not above zero, on a logarithmic axis.
    NotPositive,
    /// Outside the range that was asked for.
    Outside,
}

/// What an axis must show besides the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Base {
    /// The values with some air.
    Values,
    /// The values from zero on; on a logarithmic axis, from the decade below them.
    Zero,
    /// The values, exactly.
    Tight,
}

/// A labelled place on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// From 0 to 1.
    pub(crate) place: f64,
    pub(crate) label: String,
}

/// An axis with its ends; on a logarithmic one these are powers of ten.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    kind: AxisKind,
    low: f64,
    high: f64,
    is_whole: bool,
}

impl Scale {
    pub(crate) fn over(axis: &Axis, values: impl Iterator<Item = f64>, base: Base) -> Self {
        let kind = axis.kind;
        let usable = values.filter_map(|value| transformed(kind, value).ok());
        let found = usable.fold(None, |range: Option<(f64, f64)>, value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        });
        let (low, high) = with_air(kind, found.unwrap_or((0.0, 1.0)), base);
        let asked = |end: Option<f64>| end.and_then(|end| transformed(kind, end).ok());
        let (asked_low, asked_high) = (asked(axis.low), asked(axis.high));
        let (low, high) = match (asked_low, asked_high) {
            (Some(low), Some(high)) if low < high => (low, high),
            (Some(asked), None) if asked < high => (asked, high),
            (None, Some(asked)) if low < asked => (low, asked),
            _ => (low, high),
        };
        let (low, high) = widened(low, high);
        Self { kind, low, high, is_whole: axis.is_whole }
    }

    /// Where a value lies: 0 at the lower end, 1 at the upper one.
    pub(crate) fn place(&self, value: f64) -> Result<f64, Unplaced> {
        let place = self.part(transformed(self.kind, value)?);
        if (-SLACK..=1.0 + SLACK).contains(&place) { Ok(place.clamp(0.0, 1.0)) } else { Err(Unplaced::Outside) }
    }

    /// The place on the axis that is nearest to a value.
    pub(crate) fn nearest(&self, value: f64) -> f64 {
        match transformed(self.kind, value) {
            Ok(value) => self.part(value).clamp(0.0, 1.0),
            Err(_) => 0.0,
        }
    }

    /// The value at a place.
    pub(crate) fn value(&self, place: f64) -> f64 {
        self.kind.value(self.low + (self.high - self.low) * place)
    }

    pub(crate) fn kind(&self) -> AxisKind {
        self.kind
    }

    /// About `count` labelled places.
    pub(crate) fn ticks(&self, count: f64) -> Vec<Tick> {
        match self.kind {
            AxisKind::Linear | AxisKind::Root => self.linear_ticks(self.value(0.0), self.value(1.0), count),
            AxisKind::Log10 => self.log_ticks(count),
        }
    }

    fn part(&self, transformed: f64) -> f64 {
        (transformed - self.low) / (self.high - self.low)
    }

    fn linear_ticks(&self, low: f64, high: f64, count: f64) -> Vec<Tick> {
        let distance = round_distance((high - low) / count.max(1.0));
        let distance = if self.is_whole { distance.max(1.0) } else { distance };
        let (first, last) = ((low / distance - SLACK).ceil() as i64, (high / distance + SLACK).floor() as i64);
        let values = (first..=last).map(|index| index as f64 * distance);
        values
            .filter_map(|value| Some(Tick { place: self.place(value).ok()?, label: number::tick(value, distance) }))
            .collect()
    }

    /// Decades, every so many of them if there are many; 1-2-5 within few; linear steps within less than one.
    fn log_ticks(&self, count: f64) -> Vec<Tick> {
        let span = self.high - self.low;
        if span < 0.7 {
            return self.linear_ticks(10_f64.powf(self.low), 10_f64.powf(self.high), count);
        }
        let factors: &[u32] = if span * 3.0 <= count * 1.5 { &[1, 2, 5] } else { &[1] };
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        let every = (span / count.max(1.0)).ceil().max(1.0) as i32;
        let is_plain = first >= -3 && last <= 5;
        let decades = (first..=last).filter(|exponent| exponent.rem_euclid(every) == 0);
        let places = decades.flat_map(|exponent| factors.iter().map(move |factor| (*factor, exponent)));
        places
            .filter_map(|(factor, exponent)| {
                let place = self.part(f64::from(factor).log10() + f64::from(exponent));
                let plain = || number::short(f64::from(factor) * 10_f64.powi(exponent));
                let label = if is_plain { plain() } else { number::power(factor, exponent) };
                (-SLACK..=1.0 + SLACK).contains(&place).then_some(Tick { place, label })
            })
            .collect()
    }
}

fn transformed(kind: AxisKind, value: f64) -> Result<f64, Unplaced> {
    match kind {
        _ if !is_usable(value) => Err(Unplaced::Missing),
        AxisKind::Log10 if value < SMALLEST => Err(Unplaced::NotPositive),
        kind => kind.transformed(value).ok_or(Unplaced::NotPositive),
    }
}

fn with_air(kind: AxisKind, (low, high): (f64, f64), base: Base) -> (f64, f64) {
    match (base, kind) {
        (Base::Tight, _) => (low, high),
        (Base::Zero, AxisKind::Linear | AxisKind::Root) => {
            let (low, high) = (low.min(0.0), high.max(0.0));
            let air = (high - low) * AIR;
            (if low < 0.0 { low - air } else { 0.0 }, if high > 0.0 { high + air } else { 0.0 })
        }
        (Base::Zero, AxisKind::Log10) => ((low - 0.1).floor(), high + (high - low).max(1.0) * AIR),
        (Base::Values, _) => {
            let (low, high) = widened(low, high);
            let air = (high - low) * AIR;
            (low - air, high + air)
        }
    }
}

/// Ends that differ enough to compute with.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let magnitude = low.abs().max(high.abs());
    if high - low > magnitude * SMALLEST_RELATIVE_RANGE && high - low > SMALLEST {
        return (low, high);
    }
    let air = if magnitude > SMALLEST { magnitude * 0.1 } else { 1.0 };
    (low - air, high + air)
}

/// 1, 2 or 5 times a power of ten, near `rough`.
fn round_distance(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    power
        * match rough / power {
            ..1.4 => 1.0,
            ..3.2 => 2.0,
            ..7.1 => 5.0,
            _ => 10.0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64], count: f64) -> Vec<String> {
        let scale = Scale::over(axis, values.iter().copied(), Base::Tight);
        scale.ticks(count).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(labels(&Axis::linear(""), &[0.0, 1.0], 5.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"].map(zero));
        assert_eq!(labels(&Axis::linear(""), &[-2.0, 2.0], 4.0), ["−2", "−1", "0", "1", "2"]);
    }

    #[test]
    fn what_is_counted_has_whole_ticks() {
        let turns = Axis::linear("turn").whole_numbers();
        assert_eq!(labels(&turns, &[3.0, 4.0], 10.0), ["3", "4"]);
        assert_eq!(labels(&turns, &[3.0, 8.0], 10.0), ["3", "4", "5", "6", "7", "8"]);
        assert_eq!(labels(&turns, &[0.0, 100.0], 5.0), ["0", "20", "40", "60", "80", "100"]);
        // All in one turn.
        assert_eq!(labels(&turns, &[3.0], 10.0), ["3"]);
        assert_eq!(labels(&turns, &[30.0], 10.0).first().map(String::as_str), Some("27"));
    }

    #[test]
    fn log_ticks_are_decades() {
        assert_eq!(labels(&Axis::log10(""), &[1e-6, 1e-2], 6.0), ["10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²"]);
        assert_eq!(labels(&Axis::log10(""), &[1.0, 100.0], 6.0), ["1", "2", "5", "10", "20", "50", "100"]);
        assert_eq!(labels(&Axis::log10(""), &[1e-20, 1e20], 5.0).len(), 5);
        assert_eq!(labels(&Axis::log10(""), &[2.0, 3.0], 5.0), ["2.0", "2.2", "2.4", "2.6", "2.8", "3.0"]);
    }

    #[test]
    fn roots_spread_small_values_on_both_sides_of_zero() {
        let scale = Scale::over(&Axis::root(""), [-0.4, 0.4].into_iter(), Base::Tight);
        for (value, place) in [(-0.4, 0.0), (-0.1, 0.25), (0.0, 0.5), (0.1, 0.75), (0.4, 1.0)] {
            assert!((scale.place(value).unwrap() - place).abs() < 1e-12, "{value}");
            assert!((scale.value(place) - value).abs() < 1e-12, "{place}");
        }
        assert_eq!(scale.place(0.5), Err(Unplaced::Outside));
        assert_eq!(labels(&Axis::root(""), &[0.0, 0.08], 4.0), ["0", "0.02", "0.04", "0.06", "0.08"]);
    }

    #[test]
    fn a_constant_and_nonsense_have_a_range_too() {
        for (axis, values) in [
            (Axis::linear(""), vec![3.0]),
            (Axis::linear("").range(5.0, 1.0), vec![]),
            (Axis::log10("").range(-1.0, f64::NAN), vec![f64::INFINITY, -1.0]),
            (Axis::linear("").range(1.0, 1.0 + 1e-15), vec![1.0]),
        ] {
            let scale = Scale::over(&axis, values.into_iter(), Base::Values);
            assert!(scale.low < scale.high && !scale.ticks(5.0).is_empty(), "{axis:?} {scale:?}");
        }
    }

    fn zero(label: &str) -> &str {
        if label == "0.0" { "0" } else { label }
    }
}
