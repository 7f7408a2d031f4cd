//! Multinomial logistic regression with an L2 penalty, as scikit-learn fits it.
//!
//! Every class has weights of its own, also where there are two; scikit-learn then fits one vector, which is this at twice the strength.
//! Minimises `½‖W‖² + C · Σ −log p(label)` over weights and intercepts; intercepts are not penalised. Fitted by L-BFGS with a
//! backtracking line search, in f64.

use rayon::prelude::*;

use crate::error::Error;
use crate::features::Features;
use crate::split::Split;

/// Settings of a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogisticOptions {
    /// Inverse strength of the penalty, above 0.
    pub c: f64,
    /// At most so many steps.
    pub iterations: usize,
    /// Ends when no component of the gradient, per item, is larger.
    pub tolerance: f64,
}

impl Default for LogisticOptions {
    /// `C` 1, 200 steps, tolerance 1e-4 (scikit-learn's).
    fn default() -> Self {
        Self { c: 1.0, iterations: 200, tolerance: 1e-4 }
    }
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticRegression {
    /// Number of classes.
    pub classes: usize,
    /// `[classes, width]`.
    pub weights: Vec<f64>,
    /// `[classes]`.
    pub intercepts: Vec<f64>,
    /// Whether the tolerance was reached.
    pub converged: bool,
    /// Inverse strength it was fitted with.
    pub c: f64,
}

impl LogisticRegression {
    /// Fits labels `0..classes`.
    ///
    /// # Errors
    /// Lengths differ, fewer than two classes, a label out of range, a value that is not finite, or settings out of range.
    pub fn fit(features: &Features, labels: &[usize], classes: usize, options: LogisticOptions) -> Result<Self, Error> {
        check(features, labels, classes)?;
        if !(options.c > 0.0 && options.c.is_finite()) {
            return Err(Error::Setting(format!("C {} is not positive", options.c)));
        }
        let problem = Problem { features, labels, classes, c: options.c };
        let (parameters, converged) = minimise(&problem, options);
        let width = features.width();
        let weights = parameters[..classes * width].to_vec();
        let mut intercepts = parameters[classes * width..].to_vec();
        // Only differences matter; scikit-learn's have mean 0.
        let mean = intercepts.iter().sum::<f64>() / classes as f64;
        intercepts.iter_mut().for_each(|intercept| *intercept -= mean);
        Ok(Self { classes, weights, intercepts, converged, c: options.c })
    }

    /// Fits with the strength, of those given, that has the best mean accuracy over the folds (the smaller one among equals).
    ///
    /// # Errors
    /// As [`Self::fit`], or no strength is given.
    pub fn fit_best(
        features: &Features,
        labels: &[usize],
        classes: usize,
        strengths: &[f64],
        folds: &[Split],
        options: LogisticOptions,
    ) -> Result<Self, Error> {
        check(features, labels, classes)?;
        let accuracy = |c: f64| -> Result<f64, Error> {
            let of_fold = |split: &Split| {
                let chosen: Vec<usize> = split.train.iter().map(|item| labels[*item]).collect();
                let model =
                    Self::fit(&features.select(&split.train), &chosen, classes, LogisticOptions { c, ..options })?;
                let found = model.predict(&features.select(&split.test));
                let right = found.iter().zip(&split.test).filter(|(found, item)| **found == labels[**item]).count();
                Ok(right as f64 / split.test.len().max(1) as f64)
            };
            let all = folds.par_iter().map(of_fold).collect::<Result<Vec<f64>, Error>>()?;
            Ok(all.iter().sum::<f64>() / all.len().max(1) as f64)
        };
        let mut best: Option<(f64, f64)> = None;
        for &c in strengths {
            let found = accuracy(c)?;
            if best.is_none_or(|(most, _)| found > most) {
                best = Some((found, c));
            }
        }
        let (_, c) = best.ok_or_else(|| Error::Setting("no strength to choose from".into()))?;
        Self::fit(features, labels, classes, LogisticOptions { c, ..options })
    }

    /// Probabilities of an item's classes.
    pub fn probabilities(&self, features: &Features, item: usize) -> Vec<f64> {
        let mut scores = self.intercepts.clone();
        let width = features.width();
        features.for_each(item, |column, value| {
            for (class, score) in scores.iter_mut().enumerate() {
                *score += self.weights[class * width + column] * value;
            }
        });
        softmax(&mut scores);
        scores
    }

    /// The likeliest class of every item.
    pub fn predict(&self, features: &Features) -> Vec<usize> {
        (0..features.len()).into_par_iter().map(|item| largest(&self.probabilities(features, item))).collect()
    }

    /// The columns with the largest weights of a class, largest first.
    pub fn top_columns(&self, class: usize, count: usize) -> Vec<(usize, f64)> {
        let width = self.weights.len() / self.classes;
        let mut columns: Vec<(usize, f64)> =
            self.weights[class * width..(class + 1) * width].iter().copied().enumerate().collect();
        columns.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        columns.truncate(count);
        columns
    }
}

/// Strengths that scikit-learn's cross-validation tries: `count` values evenly spaced in the logarithm from 1e-4 to 1e4.
pub fn strengths(count: usize) -> Vec<f64> {
    (0..count).map(|at| 10f64.powf(-4.0 + 8.0 * at as f64 / (count.max(2) - 1) as f64)).collect()
}

pub(crate) fn check(features: &Features, labels: &[usize], classes: usize) -> Result<(), Error> {
    if features.len() != labels.len() {
        return Err(Error::Lengths { items: features.len(), what: "labels", other: labels.len() });
    }
    if classes < 2 {
        return Err(Error::Labels(classes));
    }
    if let Some(item) = labels.iter().position(|label| *label >= classes) {
        let problem = format!("label {} is outside 0..{classes}", labels[item]);
        return Err(Error::Vector { item, problem });
    }
    features.check()
}

pub(crate) fn largest(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best })
}

/// Softmax in place; gives the logarithm of the sum, with the largest score added again.
fn softmax(scores: &mut [f64]) -> f64 {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - most).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
    most + sum.ln()
}

/// The loss and its gradient.
pub(crate) struct Problem<'a> {
    pub(crate) features: &'a Features,
    pub(crate) labels: &'a [usize],
    pub(crate) classes: usize,
    pub(crate) c: f64,
}

/// Items of one piece of work.
const CHUNK: usize = 4096;

impl Problem<'_> {
    pub(crate) fn size(&self) -> usize {
        self.classes * (self.features.width() + 1)
    }

    /// Loss and gradient at `[weights, intercepts]`. Pieces are added up in their order, so that threads change nothing.
    pub(crate) fn evaluate(&self, at: &[f64]) -> (f64, Vec<f64>) {
        let penalised = self.classes * self.features.width();
        let mut gradient = at.to_vec();
        gradient[penalised..].fill(0.0);
        let mut loss = 0.5 * at[..penalised].iter().map(|weight| weight * weight).sum::<f64>();
        let pieces: Vec<usize> = (0..self.labels.len()).step_by(CHUNK).collect();
        for piece in pieces.chunks(16) {
            let computed: Vec<(f64, Vec<f64>)> = piece.par_iter().map(|start| self.piece(at, *start)).collect();
            for (part, slope) in computed {
                loss += self.c * part;
                gradient.iter_mut().zip(slope).for_each(|(sum, slope)| *sum += self.c * slope);
            }
        }
        (loss, gradient)
    }

    fn piece(&self, at: &[f64], start: usize) -> (f64, Vec<f64>) {
        let width = self.features.width();
        let (mut loss, mut gradient) = (0.0, vec![0.0; at.len()]);
        for item in start..(start + CHUNK).min(self.labels.len()) {
            let mut scores = at[self.classes * width..].to_vec();
            self.features.for_each(item, |column, value| {
                scores.iter_mut().enumerate().for_each(|(class, score)| *score += at[class * width + column] * value);
            });
            let own = scores[self.labels[item]];
            loss += softmax(&mut scores) - own;
            scores[self.labels[item]] -= 1.0;
            self.features.for_each(item, |column, value| {
                scores.iter().enumerate().for_each(|(class, slope)| gradient[class * width + column] += slope * value);
            });
            scores.iter().enumerate().for_each(|(class, slope)| gradient[self.classes * width + class] += slope);
        }
        (loss, gradient)
    }
}

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

fn minimise(problem: &Problem<'_>, options: LogisticOptions) -> (Vec<f64>, bool) {
    let mut at = vec![0.0; problem.size()];
    let (mut loss, mut gradient) = problem.evaluate(&at);
    let mut steps: Vec<Step> = Vec::new();
    let limit = options.tolerance * problem.c.min(1.0) * problem.labels.len() as f64;
    for _ in 0..options.iterations {
        if gradient.iter().all(|slope| slope.abs() <= limit) {
            return (at, true);
        }
        let mut direction = towards_minimum(&steps, &gradient);
        if dot(&direction, &gradient) >= 0.0 {
            steps.clear();
            direction = gradient.iter().map(|slope| -slope).collect();
        }
        let Some((next, next_loss, next_gradient)) = line_search(problem, &at, loss, &gradient, &direction) else {
            return (at, true);
        };
        remember(&mut steps, &at, &next, &gradient, &next_gradient);
        (at, loss, gradient) = (next, next_loss, next_gradient);
    }
    (at, false)
}

/// One step that was taken: how far, and how the gradient changed.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
    inverse: f64,
}

fn remember(steps: &mut Vec<Step>, at: &[f64], next: &[f64], gradient: &[f64], next_gradient: &[f64]) {
    let difference = |to: &[f64], from: &[f64]| to.iter().zip(from).map(|(to, from)| to - from).collect::<Vec<f64>>();
    let (moved, turned) = (difference(next, at), difference(next_gradient, gradient));
    let curvature = dot(&moved, &turned);
    if curvature > 1e-12 {
        steps.push(Step { moved, turned, inverse: 1.0 / curvature });
        if steps.len() > MEMORY {
            steps.remove(0);
        }
    }
}

/// The two-loop recursion.
fn towards_minimum(steps: &[Step], gradient: &[f64]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut factors = vec![0.0; steps.len()];
    for (step, factor) in steps.iter().zip(&mut factors).rev() {
        *factor = step.inverse * dot(&step.moved, &direction);
        add(&mut direction, -*factor, &step.turned);
    }
    if let Some(last) = steps.last() {
        let scale = 1.0 / (last.inverse * dot(&last.turned, &last.turned));
        direction.iter_mut().for_each(|value| *value *= scale);
    }
    for (step, factor) in steps.iter().zip(factors) {
        let other = step.inverse * dot(&step.turned, &direction);
        add(&mut direction, factor - other, &step.moved);
    }
    direction
}

/// Halves the step until the loss falls enough; `None` if it can't fall any more.
fn line_search(
    problem: &Problem<'_>,
    at: &[f64],
    loss: f64,
    gradient: &[f64],
    direction: &[f64],
) -> Option<(Vec<f64>, f64, Vec<f64>)> {
    let slope = dot(gradient, direction);
    let mut step = 1.0;
    for _ in 0..60 {
        let mut next = at.to_vec();
        add(&mut next, step, direction);
        let (next_loss, next_gradient) = problem.evaluate(&next);
        if next_loss <= loss + 1e-4 * step * slope && next_loss < loss {
            return Some((next, next_loss, next_gradient));
        }
        step *= 0.5;
    }
    None
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += factor * what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let features = Features::Dense { width: 2, values: vec![0.5, -1.0, 2.0, 0.1, -0.3, 0.7, 1.1, 0.9] };
        let problem = Problem { features: &features, labels: &[0, 2, 1, 2], classes: 3, c: 0.7 };
        let at: Vec<f64> = (0..problem.size()).map(|number| 0.1 * number as f64 - 0.4).collect();
        let (_, gradient) = problem.evaluate(&at);
        for (number, slope) in gradient.iter().enumerate() {
            let at_step = |step: f64| {
                let mut moved = at.clone();
                moved[number] += step;
                problem.evaluate(&moved).0
            };
            let difference = (at_step(1e-5) - at_step(-1e-5)) / 2e-5;
            assert!((difference - slope).abs() < 1e-6, "{number}: {difference} {slope}");
        }
    }
}
