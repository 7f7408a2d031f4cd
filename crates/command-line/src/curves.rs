//! The numbers of a run over its steps, thin enough to be drawn, and the picture of a training.

use std::collections::HashMap;

use charts::{Axis, Estimate, Figure, Lines, Panel};
use training::tracking::{Entry, Event};

/// A curve of more points than this is drawn as the mean and the range of so many pieces.
const MOST_POINTS: usize = 160;
const LEARNING_RATE: &str = "learning_rate";
const UPPER_HEIGHT: f64 = 320.0;
const LOWER_HEIGHT: f64 = 90.0;
/// What the names of scalars of held-out data begin with.
pub const HELD_OUT: &str = "eval_";

/// The scalars of a run by name, in the order in which they came up.
#[derive(Debug, Clone, Default)]
pub struct Curves {
    all: Vec<Curve>,
}

/// A scalar over the steps.
#[derive(Debug, Clone)]
pub struct Curve {
    /// As the trackers have it.
    pub name: String,
    /// In the order in which they were recorded.
    pub points: Vec<Point>,
}

/// A value of a scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Optimiser steps that were done.
    pub step: u64,
    /// Anything, not finite ones included.
    pub value: f64,
}

/// Whether small or large values of a scalar are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Small ones, as of a loss.
    Small,
    /// Large ones, as of an accuracy.
    Large,
}

impl Curves {
    /// Those of a run's records.
    pub fn of(events: &[Event]) -> Self {
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

    /// What the scalars are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|curve| curve.name.as_str())
    }

    /// A scalar, if it was ever recorded.
    pub fn get(&self, name: &str) -> Option<&Curve> {
        self.all.iter().find(|curve| curve.name == name)
    }
}

impl Curve {
    /// The last value that is a number.
    pub fn last(&self) -> Option<Point> {
        self.finite().last()
    }

    /// The best value and the first step that had it.
    pub fn best(&self, aim: Aim) -> Option<Point> {
        let is_better = |one: &Point, other: &Point| match aim {
            Aim::Small => one.value < other.value,
            Aim::Large => one.value > other.value,
        };
        self.finite().reduce(|best, point| if is_better(&point, &best) { point } else { best })
    }

    /// Values that are no numbers.
    pub fn gaps(&self) -> usize {
        self.points.len() - self.finite().count()
    }

    fn finite(&self) -> impl Iterator<Item = Point> {
        self.points.iter().copied().filter(|point| point.value.is_finite())
    }

    /// The curve as it is drawn: each point, or the mean of a piece and the range of its values. A piece of which no value is a
    /// number leaves a gap.
    pub fn drawn(&self) -> Vec<(f64, Estimate)> {
        if self.points.len() <= MOST_POINTS {
            return self.points.iter().map(|point| (point.step as f64, Estimate::new(point.value))).collect();
        }
        let piece = self.points.len().div_ceil(MOST_POINTS);
        self.points.chunks(piece).map(summed_up).collect()
    }

    /// Whether fewer points are drawn than there are.
    pub fn is_thinned(&self) -> bool {
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

/// The picture of a training: scalars over the steps, and the learning rate in a small panel of its own below.
///
/// `names` are those of the trainer; names without points are left out. The axis says "loss (nats)" if all that is drawn in the main panel is a loss, else
/// "value". Values that are not finite leave a gap and are counted in a note.
pub fn training_figure(events: &[Event], names: &[&str]) -> Figure {
    let curves = Curves::of(events);
    let chosen = names.iter().filter_map(|name| curves.get(name));
    let (rates, values): (Vec<&Curve>, Vec<&Curve>) = chosen.partition(|curve| curve.name == LEARNING_RATE);
    let mut figure = Figure::new("Training curve");
    if rates.is_empty() && values.is_empty() {
        figure = figure.subtitle("no values");
    }
    if !values.is_empty() {
        let is_loss = values.iter().all(|curve| curve.name.ends_with("loss"));
        let title = if is_loss { "loss (nats)" } else { "value" };
        figure = figure.panel(over_steps(&values, Axis::linear(title)).height(UPPER_HEIGHT));
    }
    if !rates.is_empty() {
        figure = figure.panel(over_steps(&rates, Axis::linear("learning rate").starting_at(0.0)).height(LOWER_HEIGHT));
    }
    if rates.iter().chain(&values).any(|curve| curve.is_thinned()) {
        figure = figure.note("Line: mean of neighbouring records; band: their range.");
    }
    figure
}

fn over_steps(curves: &[&Curve], axis: Axis) -> Panel {
    let label = |curve: &Curve| match curve.name.starts_with(HELD_OUT) {
        true => format!("{} (held out)", curve.name),
        false => curve.name.clone(),
    };
    let lines = curves.iter().fold(Lines::new(), |lines, curve| lines.series(label(curve), curve.drawn()));
    Panel::new("", lines).x(Axis::linear("optimiser step").whole_numbers()).y(axis)
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
        assert_eq!(curve.best(Aim::Large), Some(Point { step: 2, value: 0.75 }));
        assert_eq!(curve.best(Aim::Small), Some(Point { step: 5, value: 0.25 }));
        assert_eq!((curve.last(), curve.gaps()), (Some(Point { step: 5, value: 0.25 }), 3));
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

    fn losses(values: &[f64]) -> Vec<Event> {
        let scalars = |value: f64| ["loss", "eval_loss", LEARNING_RATE].map(|name| (name.to_owned(), value)).into();
        let event = |(step, value): (u64, &f64)| Event {
            at: At { step, epoch: 0.0, time: 0.0 },
            entry: Entry::Scalars(scalars(*value)),
        };
        (1..).zip(values).map(event).collect()
    }

    #[test]
    fn the_picture_of_a_training_names_what_it_shows() {
        let names = ["loss", "eval_loss", LEARNING_RATE, "never recorded"];
        let svg = training_figure(&losses(&[2.0, 1.5, f64::NAN, 1.0]), &names).svg();
        for text in ["loss (nats)", "optimiser step", "learning rate", "Training curve", "eval_loss (held out)"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("never recorded"));
        assert!(training_figure(&[], &names).svg().contains("no values"));
        assert!(training_figure(&losses(&vec![1.0; 5000]), &names).svg().contains("mean of neighbouring records"));
    }

    #[test]
    fn curves_of_any_values_are_pictures() {
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        let all: [&[f64]; 6] = [
            &[1.0],
            &[0.0],
            &[nan, infinity, -infinity],
            &[1e300, -1e300, 1.0],
            &[2.0, 2.0],
            &[f64::MIN_POSITIVE, 1e-320],
        ];
        for values in all {
            let svg = training_figure(&losses(values), &["loss", "eval_loss", LEARNING_RATE]).svg();
            assert!(svg.starts_with("<svg") && !svg.contains("NaN") && !svg.contains("inf"), "{values:?}");
        }
    }
}
