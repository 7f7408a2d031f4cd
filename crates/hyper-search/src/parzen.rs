//! Parzen estimators: a mixture of products of kernels, one kernel per observation and parameter and a wide one for what is not known yet.

use crate::distribution::Scale;
use crate::normal::{LN_SQRT_TAU, log_between, quantile_between};

/// A density over some parameters, `Σ_k weight_k · Π_p kernel_{k,p}`.
#[derive(Debug, Clone)]
pub(crate) struct Mixture {
    /// Add up to 1.
    weights: Vec<f64>,
    /// One for each parameter, each with a kernel for each weight.
    parameters: Vec<Kernels>,
}

impl Mixture {
    /// Of weights in any unit; each parameter has as many kernels.
    pub(crate) fn new(mut weights: Vec<f64>, parameters: Vec<Kernels>) -> Self {
        let total = sum(&weights);
        weights.iter_mut().for_each(|weight| *weight /= total);
        Self { weights, parameters }
    }

    /// Draws `count` points: internal values by parameter and point. All draws of kernels come first, then those of categories, then those
    /// of numbers; the order is Optuna's.
    pub(crate) fn draw(&self, count: usize, fraction: &mut impl FnMut() -> f64) -> Vec<Vec<f64>> {
        let cumulated = cumulated(&self.weights);
        let total = cumulated.last().copied().unwrap_or(1.0);
        let kernels: Vec<usize> = (0..count)
            .map(|_| {
                let place = fraction();
                cumulated.partition_point(|weight| weight / total <= place).min(self.weights.len() - 1)
            })
            .collect();
        let mut points = vec![Vec::new(); self.parameters.len()];
        for categories in [true, false] {
            let of_kind =
                self.parameters.iter().zip(&mut points).filter(|(parameter, _)| parameter.is_choice() == categories);
            of_kind.for_each(|(parameter, values)| {
                values.extend(kernels.iter().map(|kernel| parameter.draw(*kernel, fraction())));
            });
        }
        points
    }

    /// Logarithms of the density at some points, given as [`Self::draw`] returns them.
    pub(crate) fn log_densities(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let count = points.first().map_or(0, Vec::len);
        let log_weights: Vec<f64> = self.weights.iter().map(|weight| weight.ln()).collect();
        // [point, kernel]
        let mut rows = vec![log_weights; count];
        for (parameter, values) in self.parameters.iter().zip(points) {
            parameter.add_log_densities(values, &mut rows);
        }
        rows.iter().map(|row| log_sum_exp(row)).collect()
    }
}

/// The kernels of one parameter.
#[derive(Debug, Clone)]
pub(crate) enum Kernels {
    /// Of a parameter without an order.
    Choices {
        /// The choice each kernel but the last prefers.
        preferred: Vec<usize>,
        /// By preferred choice: the probability of that choice, and that of any other.
        shares: Vec<(f64, f64)>,
    },
    /// Normal distributions on the parameter's scale, cut at its limits.
    Numbers {
        /// Centres, widths, and the logarithms of the mass within the limits.
        normals: Vec<Normal>,
        /// The scale.
        scale: Scale,
        /// Whether a grid's points have the mass half a step around them, or the density.
        masses: bool,
    },
}

/// One kernel of a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normal {
    centre: f64,
    width: f64,
    log_mass: f64,
}

impl Kernels {
    /// A kernel for each observed choice, and one that has all `count` alike.
    pub(crate) fn of_choices(observed: impl Iterator<Item = usize>, count: usize) -> Self {
        let preferred: Vec<usize> = observed.filter(|choice| *choice < count).collect();
        let prior = 1.0 / (preferred.len() + 1) as f64;
        let shares = (0..count).map(|choice| {
            // The sum's last digit depends on the place of the greatest addend, and ties of candidates on that digit.
            let mut weights = vec![prior; count];
            weights[choice] += 1.0;
            let total = sum(&weights);
            ((1.0 + prior) / total, prior / total)
        });
        Self::Choices { preferred, shares: shares.collect() }
    }

    /// Normal distributions with these centres and widths on `scale`. With `masses`, a point of a grid has the mass of the half steps around
    /// it; else the density there.
    pub(crate) fn of_numbers(kernels: impl Iterator<Item = (f64, f64)>, scale: Scale, masses: bool) -> Self {
        let (low, high) = scale.limits();
        let normal = |(centre, width): (f64, f64)| {
            let log_mass = log_between((low - centre) / width, (high - centre) / width);
            Normal { centre, width, log_mass }
        };
        Self::Numbers { normals: kernels.map(normal).collect(), scale, masses: masses && scale.step > 0.0 }
    }

    fn is_choice(&self) -> bool {
        matches!(self, Self::Choices { .. })
    }

    /// The internal value at a fraction of one kernel.
    fn draw(&self, kernel: usize, fraction: f64) -> f64 {
        match self {
            Self::Choices { preferred, shares } => {
                let shares_of = |preferred: &usize| shares.get(*preferred).map(|(hit, miss)| (*preferred, *hit, *miss));
                let (preferred, hit, miss) = preferred.get(kernel).and_then(shares_of).unwrap_or((
                    0,
                    1.0 / shares.len() as f64,
                    1.0 / shares.len() as f64,
                ));
                let mut reached = 0.0;
                let passes = |choice: &usize| {
                    reached += if *choice == preferred { hit } else { miss };
                    reached >= fraction
                };
                let last = shares.len().saturating_sub(1);
                (0..last).find(passes).unwrap_or(last) as f64
            }
            Self::Numbers { normals, scale, .. } => {
                let (low, high) = scale.limits();
                let Some(Normal { centre, width, .. }) = normals.get(kernel) else { return scale.low };
                let place = quantile_between(fraction, (low - centre) / width, (high - centre) / width);
                scale.value_at(place * width + centre)
            }
        }
    }

    /// Adds this parameter's logarithms to `rows` (point, kernel).
    fn add_log_densities(&self, values: &[f64], rows: &mut [Vec<f64>]) {
        match self {
            Self::Choices { preferred, shares } => {
                let logs: Vec<(f64, f64)> = shares.iter().map(|(hit, miss)| (hit.ln(), miss.ln())).collect();
                let of_kernel: Vec<(f64, f64)> =
                    preferred.iter().filter_map(|choice| logs.get(*choice).copied()).collect();
                let prior = (1.0 / shares.len() as f64).ln();
                for (value, row) in values.iter().zip(rows) {
                    let kernels = preferred.iter().zip(&of_kernel);
                    let kernels =
                        kernels.map(|(choice, (hit, miss))| if *choice as f64 == *value { *hit } else { *miss });
                    add(row, kernels.chain([prior]));
                }
            }
            Self::Numbers { normals, scale, masses: false } => {
                let scaled: Vec<f64> =
                    normals.iter().map(|normal| LN_SQRT_TAU + normal.width.ln() + normal.log_mass).collect();
                for (value, row) in values.iter().zip(rows) {
                    let place = scale.of(*value);
                    let kernels = normals.iter().zip(&scaled).map(|(normal, scaled)| {
                        let distance = (place - normal.centre) / normal.width;
                        -0.5 * distance * distance - scaled
                    });
                    add(row, kernels);
                }
            }
            Self::Numbers { normals, scale, masses: true } => {
                // Several points of a draw are the same on a grid, and the mass takes long.
                let mut known: Vec<(f64, Vec<f64>)> = Vec::new();
                for (value, row) in values.iter().zip(rows) {
                    let place = known.iter().position(|(other, _)| other == value).unwrap_or_else(|| {
                        let (left, right) = (scale.of(value - scale.step / 2.0), scale.of(value + scale.step / 2.0));
                        known.push((*value, normals.iter().map(|normal| normal.log_share(left, right)).collect()));
                        known.len() - 1
                    });
                    add(row, known[place].1.iter().copied());
                }
            }
        }
    }
}

impl Normal {
    /// ln of the share of the kernel's mass that lies between two places.
    fn log_share(&self, left: f64, right: f64) -> f64 {
        log_between((left - self.centre) / self.width, (right - self.centre) / self.width) - self.log_mass
    }
}

fn add(row: &mut [f64], addends: impl Iterator<Item = f64>) {
    row.iter_mut().zip(addends).for_each(|(sum, addend)| *sum += addend);
}

pub(crate) fn cumulated(weights: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let running = |weight: &f64| {
        sum += weight;
        sum
    };
    weights.iter().map(running).collect()
}

fn log_sum_exp(row: &[f64]) -> f64 {
    let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if greatest == f64::NEG_INFINITY {
        return greatest;
    }
    let shares: Vec<f64> = row.iter().map(|value| (value - greatest).exp()).collect();
    sum(&shares).ln() + greatest
}

/// A sum in halves, whose rounding errors grow with the logarithm of the number of addends. The order is NumPy's, since candidates that are
/// equally good are told apart by the last digit.
fn sum(addends: &[f64]) -> f64 {
    const LANES: usize = 8;
    let count = addends.len();
    if count < LANES {
        return addends.iter().sum();
    }
    if count > 128 {
        let half = count / 2 - count / 2 % LANES;
        return sum(&addends[..half]) + sum(&addends[half..]);
    }
    let (blocks, rest) = addends.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(lane, addend)| *lane += addend);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let whole = ((a + b) + (c + d)) + ((e + f) + (g + h));
    rest.iter().fold(whole, |sum, addend| sum + addend)
}
