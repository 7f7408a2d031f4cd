//! Ridge regression on ±1 targets, one per class: a fast probe for very many vectors.
//!
//! As scikit-learn's `RidgeClassifier`: vectors and targets are centred, weights solve `(XᵀX + αI) W = XᵀY`. Only sums are kept, so
//! vectors may come in batches and need not be in memory together.

use rayon::prelude::*;

use crate::error::Error;

/// Sums over vectors that came so far.
#[derive(Debug, Clone)]
pub struct RidgeClassifier {
    width: usize,
    classes: usize,
    alpha: f64,
    items: usize,
    counts: Vec<f64>,
    /// `[width]`
    sums: Vec<f64>,
    /// `[width, width]`
    products: Vec<f64>,
    /// `[classes, width]`: sums of each class's vectors.
    class_sums: Vec<f64>,
}

/// A fitted probe.
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeModel {
    width: usize,
    /// `[classes, width]`.
    pub weights: Vec<f64>,
    /// `[classes]`.
    pub intercepts: Vec<f64>,
}

impl RidgeClassifier {
    /// A probe for vectors of `width` values and labels `0..classes`, with penalty `alpha` (scikit-learn's default is 1).
    ///
    /// # Errors
    /// Fewer than two classes, no width, or a penalty that is not positive.
    pub fn new(width: usize, classes: usize, alpha: f64) -> Result<Self, Error> {
        if classes < 2 {
            return Err(Error::Labels(classes));
        }
        if width == 0 || !(alpha > 0.0 && alpha.is_finite()) {
            return Err(Error::Setting(format!("width {width} and penalty {alpha} must be positive")));
        }
        Ok(Self {
            width,
            classes,
            alpha,
            items: 0,
            counts: vec![0.0; classes],
            sums: vec![0.0; width],
            products: vec![0.0; width * width],
            class_sums: vec![0.0; classes * width],
        })
    }

    /// Adds vectors, `[labels.len(), width]`.
    ///
    /// # Errors
    /// Lengths differ, a label is out of range, or a value is not finite; then nothing is added.
    pub fn push(&mut self, vectors: &[f32], labels: &[usize]) -> Result<(), Error> {
        if vectors.len() != labels.len() * self.width {
            let items = vectors.len() / self.width;
            return Err(Error::Lengths { items, what: "labels", other: labels.len() });
        }
        if let Some(item) = labels.iter().position(|label| *label >= self.classes) {
            let problem = format!("label {} is outside 0..{}", labels[item], self.classes);
            return Err(Error::Vector { item: self.items + item, problem });
        }
        if let Some(at) = vectors.iter().position(|value| !value.is_finite()) {
            let problem = "a value is not finite".into();
            return Err(Error::Vector { item: self.items + at / self.width, problem });
        }
        let width = self.width;
        self.products.par_chunks_exact_mut(width).enumerate().for_each(|(row, products)| {
            for vector in vectors.chunks_exact(width) {
                let factor = f64::from(vector[row]);
                products.iter_mut().zip(vector).for_each(|(sum, value)| *sum += factor * f64::from(*value));
            }
        });
        for (vector, label) in vectors.chunks_exact(width).zip(labels) {
            let of_class = &mut self.class_sums[label * width..(label + 1) * width];
            of_class.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
            self.sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
            self.counts[*label] += 1.0;
        }
        self.items += labels.len();
        Ok(())
    }

    /// Solves for the weights.
    ///
    /// # Errors
    /// Fewer than two labels occurred.
    pub fn fit(&self) -> Result<RidgeModel, Error> {
        let seen = self.counts.iter().filter(|count| **count > 0.0).count();
        if seen < 2 {
            return Err(Error::Labels(seen));
        }
        let (width, count) = (self.width, self.items as f64);
        let mean: Vec<f64> = self.sums.iter().map(|sum| sum / count).collect();
        let mut matrix = self.products.clone();
        matrix.par_chunks_exact_mut(width).enumerate().for_each(|(row, values)| {
            values.iter_mut().zip(&mean).for_each(|(value, mean_of)| *value -= count * mean[row] * mean_of);
            values[row] += self.alpha;
        });
        cholesky(&mut matrix, width);
        let mut model = RidgeModel { width, weights: Vec::new(), intercepts: Vec::new() };
        for class in 0..self.classes {
            // Targets are +1 for the class and −1 for the rest; their mean is taken out.
            let target_mean = (2.0 * self.counts[class] - count) / count;
            let of_class = &self.class_sums[class * width..(class + 1) * width];
            let right: Vec<f64> =
                (0..width).map(|at| 2.0 * of_class[at] - self.sums[at] - count * mean[at] * target_mean).collect();
            let weights = solve(&matrix, width, right);
            let intercept = target_mean - weights.iter().zip(&mean).map(|(weight, mean)| weight * mean).sum::<f64>();
            model.weights.extend(weights);
            model.intercepts.push(intercept);
        }
        Ok(model)
    }
}

impl RidgeModel {
    /// The best class of every vector, `[items, width]`.
    pub fn predict(&self, vectors: &[f32]) -> Vec<usize> {
        let score = |vector: &[f32], class: usize| {
            let weights = &self.weights[class * self.width..(class + 1) * self.width];
            self.intercepts[class]
                + weights.iter().zip(vector).map(|(weight, value)| weight * f64::from(*value)).sum::<f64>()
        };
        let best = |vector: &[f32]| {
            let scores: Vec<f64> = (0..self.intercepts.len()).map(|class| score(vector, class)).collect();
            crate::logistic::largest(&scores)
        };
        vectors.par_chunks_exact(self.width).map(best).collect()
    }
}

/// The lower factor, in place.
fn cholesky(matrix: &mut [f64], size: usize) {
    for column in 0..size {
        let (above, below) = matrix.split_at_mut((column + 1) * size);
        let row = &mut above[column * size..];
        let square: f64 = row[..column].iter().map(|value| value * value).sum();
        // The penalty keeps this above 0 but for rounding.
        row[column] = (row[column] - square).max(f64::MIN_POSITIVE).sqrt();
        let row = &*row;
        below.par_chunks_exact_mut(size).for_each(|lower| {
            let product: f64 = lower[..column].iter().zip(&row[..column]).map(|(left, right)| left * right).sum();
            lower[column] = (lower[column] - product) / row[column];
        });
    }
}

/// Solves `L Lᵀ x = right`.
fn solve(factor: &[f64], size: usize, mut right: Vec<f64>) -> Vec<f64> {
    for row in 0..size {
        let known: f64 =
            factor[row * size..row * size + row].iter().zip(&right).map(|(left, right)| left * right).sum();
        right[row] = (right[row] - known) / factor[row * size + row];
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|lower| factor[lower * size + row] * right[lower]).sum();
        right[row] = (right[row] - known) / factor[row * size + row];
    }
    right
}
