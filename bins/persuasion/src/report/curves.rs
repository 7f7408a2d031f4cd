//! The numbers of a run over its steps, thin enough to be drawn.

use std::collections::HashMap;

use charts::Estimate;
use training::tracking::{Entry, Event};

/// A curve of more points than this is drawn as the mean and the range of so many pieces.
const MOST_POINTS: usize = 160;
/// What scalars of held-out pairs begin with.
pub(super) const HELD_OUT: &str = "eval_";

/// The scalars of a run by name, in the order in which they came up.
#[derive(Debug, Clone, Default)]
pub(super) struct Curves {
    all: Vec<Curve>,
}

/// A scalar over the steps.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) step: u64,
    pub(super) value: f64,
}

/// Whether small or large values of a scalar are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    Small,
    Large,
}

/// What a scalar should be, if it is one to choose a checkpoint by.
pub(super) fn aim(name: &str) -> Option<Aim> {
    match name.strip_prefix(HELD_OUT)? {
        "loss" | "perplexity_policy/chosen" => Some(Aim::Small),
        "rewards/accuracies" | "rewards/margins" => Some(Aim::Large),
        _ => None,
    }
}

impl Curves {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut all: Vec<Curve> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for event in events {
            let Entry::Scalars(values) = &event.entry else { continue };
            for (name, value) in values {
                let place = *places.entry(name.clone()).or_insert(all.len());
                if place == all.len() {
                    all.push(Curve { name: name.clone(), points: Vec::new() });
                }
                if let Some(curve) = all.get_mut(place) {
                    curve.points.push(Point { step: event.at.step, value: *value });
                }
            }
        }
        Self { all }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|curve| curve.name.as_str())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Curve> {
        self.all.iter().find(|curve| curve.name == name)
    }
}

impl Curve {
    /// The last value that is a number.
    pub(super) fn last(&self) -> Option<Point> {
        self.finite().last()
    }

    /// The best value and the first step that had it.
    pub(super) fn best(&self, aim: Aim) -> Option<Point> {
        let is_better = |one: &Point, other: &Point| match aim {
            Aim::Small => one.value < other.value,
            Aim::Large => one.value > other.value,
        };
        self.finite().reduce(|best, point| if is_better(&point, &best) { point } else { best })
    }

    /// Values that are no numbers.
    pub(super) fn gaps(&self) -> usize {
        self.points.len() - self.finite().count()
    }

    fn finite(&self) -> impl Iterator<Item = Point> {
        self.points.iter().copied().filter(|point| point.value.is_finite())
    }

    /// The curve as it is drawn: each point, or the mean of a piece and the range of its values. A piece of which no value is a
    /// number leaves a gap.
    pub(super) fn drawn(&self) -> Vec<(f64, Estimate)> {
        if self.points.len() <= MOST_POINTS {
            return self.points.iter().map(|point| (point.step as f64, Estimate::new(point.value))).collect();
        }
        let piece = self.points.len().div_ceil(MOST_POINTS);
        self.points.chunks(piece).map(summed_up).collect()
    }

    pub(super) fn is_thinned(&self) -> bool {
        self.points.len() > MOST_POINTS
    }
}

fn summed_up(piece: &[Point]) -> (f64, Estimate) {
    let steps = piece.iter().map(|point| point.step as f64);
    let step = steps.sum::<f64>() / piece.len().max(1) as f64;
    let values = || piece.iter().map(|point| point.value).filter(|value| value.is_finite());
    let count = values().count();
    if count == 0 {
        return (step, Estimate::missing());
    }
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    // Divided first, so that large values do not overflow.
    let mean = values().map(|value| value / count as f64).sum();
    (step, Estimate::new(mean).between(low, high))
}

#[cfg(test)]
mod tests {
    use training::tracking::At;

    use super::*;

    fn curves(values: &[f64]) -> Curves {
        let event = |(step, value): (usize, &f64)| Event {
            at: At { step: step as u64, epoch: 0.0, time: 0.0 },
            entry: Entry::Scalars(vec![("eval_rewards/accuracies".into(), *value)]),
        };
        Curves::of(&values.iter().enumerate().map(event).collect::<Vec<_>>())
    }

    #[test]
    fn the_best_value_is_the_first_of_its_size_and_no_gap() {
        let curves = curves(&[0.5, f64::NAN, 0.75, f64::INFINITY, 0.75, 0.25, f64::NAN]);
        let curve = curves.get("eval_rewards/accuracies").unwrap();
        assert_eq!(curve.best(aim(&curve.name).unwrap()), Some(Point { step: 2, value: 0.75 }));
        assert_eq!(curve.best(Aim::Small), Some(Point { step: 5, value: 0.25 }));
        assert_eq!((curve.last(), curve.gaps()), (Some(Point { step: 5, value: 0.25 }), 3));
        assert_eq!((aim("loss"), aim("eval_loss"), aim("eval_runtime")), (None, Some(Aim::Small), None));
    }

    #[test]
    fn a_long_curve_keeps_its_means_and_extremes() {
        let mut values: Vec<f64> = (0..5000).map(|step| f64::from(step % 2)).collect();
        values[4321] = 90.0;
        values[..40].fill(f64::NAN);
        let curves = curves(&values);
        let drawn = curves.get("eval_rewards/accuracies").unwrap().drawn();
        assert!(drawn.len() <= MOST_POINTS && drawn.len() > MOST_POINTS / 2);
        assert!(drawn[0].1.value.is_nan());
        assert_eq!((drawn[2].1.value, drawn[2].1.interval), (0.5, Some((0.0, 1.0))));
        assert!(drawn.iter().any(|(_, estimate)| estimate.interval == Some((0.0, 90.0))));
    }
}
