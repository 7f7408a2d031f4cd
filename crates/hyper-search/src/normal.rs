//! The normal distribution, by logarithms that are exact far out in both tails.
//!
//! Kernels of an estimator may stand many of their widths from where they are asked; differences of plain probabilities would be 0 there.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

/// ln √(2π).
pub(crate) const LN_SQRT_TAU: f64 = 0.918_938_533_204_672_8;

/// Beyond, an asymptotic series is as exact as a double can be.
const FAR: f64 = -35.0;

/// ln Φ(x).
pub(crate) fn log_below(x: f64) -> f64 {
    if x > 0.0 {
        return (-below(-x)).ln_1p();
    }
    if x > FAR {
        return below(x).ln();
    }
    let inverse = 1.0 / (x * x);
    let series = inverse * (-1.0 + inverse * (3.0 + inverse * (-15.0 + inverse * 105.0)));
    -0.5 * x * x - (-x).ln() - LN_SQRT_TAU + series.ln_1p()
}

/// ln (Φ(high) − Φ(low)); −∞ where there is nothing between.
pub(crate) fn log_between(low: f64, high: f64) -> f64 {
    if low > 0.0 {
        return log_between(-high, -low);
    }
    if high <= 0.0 {
        let (greater, smaller) = (log_below(high), log_below(low));
        return if greater > f64::NEG_INFINITY { greater + log_one_minus_exp(smaller - greater) } else { greater };
    }
    (-below(low) - below(-high)).ln_1p()
}

/// The place below which a fraction `fraction` of the distribution between `low` and `high` lies.
pub(crate) fn quantile_between(fraction: f64, low: f64, high: f64) -> f64 {
    let all = log_between(low, high);
    // From the nearer tail, in which logarithms are exact.
    let place = if low < 0.0 {
        inverse_log_below(log_add(log_below(low), fraction.ln() + all))
    } else {
        -inverse_log_below(log_add(log_below(-high), (-fraction).ln_1p() + all))
    };
    place.max(low).min(high)
}

/// The `x` of ln Φ(x) = `log`.
fn inverse_log_below(log: f64) -> f64 {
    if log > -LN_2 {
        return -inverse_log_below(log_one_minus_exp(log));
    }
    if log == f64::NEG_INFINITY {
        return log;
    }
    // The logistic distribution is near enough in the middle, the leading term of the series in the tail.
    let mut x =
        if log > -5.0 { -(3.0f64.sqrt() / PI) * (-log).exp_m1().ln() } else { -(-2.0 * (log + LN_SQRT_TAU)).sqrt() };
    // ln Φ is concave, so that Newton's steps come from one side, each with twice as many digits.
    for _ in 0..50 {
        let value = log_below(x);
        let slope = (-0.5 * x * x - LN_SQRT_TAU - value).exp();
        let step = (value - log) / slope;
        x -= step;
        if step.abs() <= 1e-14 * x.abs() {
            break;
        }
    }
    x
}

/// Φ(x).
fn below(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// ln (1 − exp(x)) for x ≤ 0.
fn log_one_minus_exp(x: f64) -> f64 {
    if x > -LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

/// ln (exp(left) + exp(right)).
fn log_add(left: f64, right: f64) -> f64 {
    let greatest = left.max(right);
    if greatest == f64::NEG_INFINITY {
        return greatest;
    }
    greatest + (-(left - right).abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() <= 1e-13 * right.abs().max(1.0), "{left} is not {right}");
    }

    /// Of `mpmath` with 40 digits.
    #[test]
    fn logarithms_are_exact_in_both_tails() {
        for (x, expected) in [
            (0.0, -std::f64::consts::LN_2),
            (1.0, -0.17275377902344989),
            (9.0, -1.1285884059538406e-19),
            (-1.0, -1.8410216450092636),
            (-10.0, -53.23128515051247),
            (-40.0, -804.6084420137538),
        ] {
            assert!((log_below(x) / expected - 1.0).abs() < 1e-13, "{x}: {} is not {expected}", log_below(x));
        }
    }

    #[test]
    fn the_series_joins_the_function() {
        // The slope there is φ/Φ ≈ −x − 1/x.
        let (below, above) = (log_below(FAR - 1e-9), log_below(FAR + 1e-9));
        assert!((above - below - 2e-9 * (-FAR - 1.0 / FAR)).abs() < 1e-12, "{below} and {above}");
    }

    #[test]
    fn what_lies_between_is_the_same_on_both_sides() {
        for (low, high) in [(-1.0, 2.0), (-3.0, -1.0), (20.0, 21.0), (-0.001, 0.001)] {
            close(log_between(low, high), log_between(-high, -low));
        }
        close(log_between(-1.0, 1.0).exp(), 0.682_689_492_137_085_9);
        assert_eq!(log_between(0.5, 0.5), f64::NEG_INFINITY);
    }

    #[test]
    fn a_quantile_has_its_fraction_below() {
        for (low, high) in [(-1.0, 2.0), (-0.1, 30.0), (3.0, 4.0), (-40.0, -39.0), (-6.0, 6.0)] {
            for fraction in [1e-9, 0.1, 0.5, 0.9, 0.999_999] {
                let place = quantile_between(fraction, low, high);
                let found = (log_between(low, place) - log_between(low, high)).exp();
                assert!((found - fraction).abs() < 1e-9, "{fraction} between {low} and {high}: {found}");
            }
            close(quantile_between(0.0, low, high), low);
        }
    }
}
