//! The little statistics that a picture itself needs.

use crate::number::is_usable;

/// What a box plot shows of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxSummary {
    /// A quarter of the values lies below.
    pub lower_quartile: f64,
    /// Half of the values lies below.
    pub median: f64,
    /// A quarter of the values lies above.
    pub upper_quartile: f64,
    /// The lowest value within 1.5 interquartile ranges of the box.
    pub lower_whisker: f64,
    /// The highest such value.
    pub upper_whisker: f64,
    /// The values beyond the whiskers, in ascending order.
    pub outliers: Vec<f64>,
}

impl BoxSummary {
    /// Summarises the finite values; `None` if there are none. Quartiles are interpolated linearly between the values,
    /// as by NumPy and R (type 7).
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| is_usable(*value)).collect();
        sorted.sort_by(f64::total_cmp);
        let [lower_quartile, median, upper_quartile] =
            [quantile(&sorted, 0.25)?, quantile(&sorted, 0.5)?, quantile(&sorted, 0.75)?];
        let reach = 1.5 * (upper_quartile - lower_quartile);
        let is_near = |value: &f64| (lower_quartile - reach..=upper_quartile + reach).contains(value);
        Some(Self {
            lower_quartile,
            median,
            upper_quartile,
            lower_whisker: sorted.iter().copied().find(|value| is_near(value)).unwrap_or(lower_quartile),
            upper_whisker: sorted.iter().rev().copied().find(|value| is_near(value)).unwrap_or(upper_quartile),
            outliers: sorted.iter().copied().filter(|value| !is_near(value)).collect(),
        })
    }
}

/// A straight line through points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearFit {
    /// Change of y per x.
    pub slope: f64,
    /// y where x is zero.
    pub intercept: f64,
    /// The part of y's variance that the line explains.
    pub r_squared: f64,
}

impl LinearFit {
    /// The line of least squares through the finite points; `None` if there are fewer than two different x.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let points: Vec<_> = points.iter().copied().filter(|(x, y)| is_usable(*x) && is_usable(*y)).collect();
        let count = points.len() as f64;
        let (x_mean, y_mean) =
            (points.iter().map(|(x, _)| x / count).sum::<f64>(), points.iter().map(|(_, y)| y / count).sum::<f64>());
        let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(x - x_mean, y - y_mean)).sum::<f64>();
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        let slope = Some(xy / xx).filter(|slope| xx > 0.0 && slope.is_finite())?;
        let r_squared = if yy > 0.0 { ((xy / xx) * (xy / yy)).clamp(0.0, 1.0) } else { 1.0 };
        Some(Self { slope, intercept: y_mean - slope * x_mean, r_squared })
    }

    /// y of the line at an x.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// Of values in ascending order.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}
