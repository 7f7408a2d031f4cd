//! The distributions behind p values: normal, Student's t, the fair coin.
//!
//! Written out here for the few functions that are needed, to 11 digits or more. Series and continued fractions are
//! those of the NIST Digital Library of Mathematical Functions (numbers in brackets).

use std::f64::consts::{PI, SQRT_2};

/// Terms after which a series or continued fraction is given up; what is there by then is returned.
const MOST_TERMS: usize = 100_000;
/// Relative change at which a series or continued fraction counts as settled.
const SETTLED: f64 = f64::EPSILON;

/// Probability that a standard normal value is at least so far from zero, on either side.
pub(crate) fn normal_two_sided(z: f64) -> f64 {
    complementary_error(z.abs() / SQRT_2)
}

/// The value that a standard normal one exceeds with probability `tail`, which lies between 0 and 1/2.
pub(crate) fn normal_upper_quantile(tail: f64) -> f64 {
    let mut z = 0.0_f64;
    // The upper half of the distribution function is concave, so Newton's steps from zero never overshoot.
    for _ in 0..200 {
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        let step = (normal_two_sided(z) / 2.0 - tail) / density;
        z += step;
        if step.abs() <= 4.0 * f64::EPSILON * z {
            break;
        }
    }
    z
}

/// Probability that a value of Student's t distribution is at least so far from zero, on either side.
pub(crate) fn student_two_sided(t: f64, degrees: f64) -> f64 {
    let square = t * t / degrees;
    if square.is_infinite() {
        return 0.0;
    }
    incomplete_beta(degrees / 2.0, 0.5, 1.0 / (1.0 + square), square / (1.0 + square))
}

/// Probability that a fair coin, thrown `wins + losses` times, falls at least so unevenly. 1 without throws.
pub(crate) fn fair_coin_two_sided(wins: usize, losses: usize) -> f64 {
    if wins == losses {
        return 1.0;
    }
    let (fewer, more) = (wins.min(losses) as f64, wins.max(losses) as f64);
    (2.0 * incomplete_beta(more, fewer + 1.0, 0.5, 0.5)).min(1.0)
}

/// erfc(x) for x of zero or more.
fn complementary_error(x: f64) -> f64 {
    let bell = (-x * x).exp();
    if x < 2.0 {
        // [7.6.2]: every term is positive, nothing cancels.
        let (mut term, mut sum) = (x, x);
        for number in 1..MOST_TERMS {
            term *= 2.0 * x * x / (2 * number + 1) as f64;
            sum += term;
            if term <= SETTLED * sum {
                break;
            }
        }
        return 1.0 - 2.0 / PI.sqrt() * bell * sum;
    }
    if bell == 0.0 {
        return 0.0;
    }
    // [7.9.1], from the inside outwards. From x = 2 on, 100 levels are more than double precision can tell apart.
    let fraction = (1..=100).rev().fold(x, |inner, level| x + 0.5 * f64::from(level) / inner);
    bell / (PI.sqrt() * fraction)
}

/// The regularised incomplete beta function I_x(a, b) [8.17], given x and 1 - x, of which one may be tiny.
fn incomplete_beta(a: f64, b: f64, x: f64, rest: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if rest <= 0.0 {
        return 1.0;
    }
    // The fraction converges fast below the distribution's mean.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, rest, x);
    }
    let logarithm = |value: f64, other: f64| if value > 0.5 { (-other).ln_1p() } else { value.ln() };
    let front = (a * logarithm(x, rest) + b * logarithm(rest, x) - ln_beta(a, b)).exp() / a;
    front / beta_fraction(a, b, x)
}

/// The continued fraction [8.17.22] by the modified Lentz algorithm.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut fraction, mut upper, mut lower) = (1.0, 1.0, 0.0);
    for number in 1..MOST_TERMS {
        let half = (number / 2) as f64;
        let coefficient = if number % 2 == 0 {
            half * (b - half) * x / ((a + 2.0 * half - 1.0) * (a + 2.0 * half))
        } else {
            -(a + half) * (a + b + half) * x / ((a + 2.0 * half) * (a + 2.0 * half + 1.0))
        };
        lower = 1.0 / away_from_zero(1.0 + coefficient * lower);
        upper = away_from_zero(1.0 + coefficient / upper);
        let change = upper * lower;
        fraction *= change;
        if (change - 1.0).abs() <= SETTLED {
            break;
        }
    }
    fraction
}

/// ln B(a, b).
fn ln_beta(a: f64, b: f64) -> f64 {
    let (small, large) = (a.min(b), a.max(b));
    if large < STIRLING_FROM {
        return ln_gamma(small) + ln_gamma(large) - ln_gamma(small + large);
    }
    // ln Γ(large) - ln Γ(large + small) without taking two big numbers from each other.
    let sum = small + large;
    let difference = small - (large - 0.5) * (small / large).ln_1p() - small * sum.ln() + stirling_correction(large)
        - stirling_correction(sum);
    ln_gamma(small) + difference
}

/// From here on Stirling's series is exact to double precision.
const STIRLING_FROM: f64 = 15.0;

/// ln Γ(x) for positive x.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < STIRLING_FROM {
        product *= x;
        x += 1.0;
    }
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + stirling_correction(x) - f64::ln(product)
}

/// The series of [5.11.1]: what Stirling's formula lacks.
fn stirling_correction(x: f64) -> f64 {
    let square = 1.0 / (x * x);
    let terms = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
    terms.iter().rev().fold(0.0, |sum, term| sum * square + term) / x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-11 * expected.abs(), "{found:e}, expected {expected:e}");
    }

    // The expected values of this module are mpmath's, computed with 40 digits.
    #[test]
    fn normal_tails_are_exact() {
        assert_near(normal_two_sided(0.0), 1.0);
        assert_near(normal_two_sided(0.1), 0.920344325445942);
        assert_near(normal_two_sided(-1.0), 0.3173105078629141);
        assert_near(normal_two_sided(1.9), 0.05743311963200361);
        assert_near(normal_two_sided(3.0), 0.002699796063260189);
        assert_near(normal_two_sided(6.0), 1.973175290075396e-9);
        assert_near(normal_two_sided(20.0), 5.507248237212467e-89);
        assert_eq!(normal_two_sided(f64::INFINITY), 0.0);
    }

    #[test]
    fn student_tails_are_exact() {
        assert_near(student_two_sided(0.0, 4.0), 1.0);
        assert_near(student_two_sided(0.3, 1.0), 0.8144528418445153);
        assert_near(student_two_sided(-2.0, 5.0), 0.1019394788298584);
        assert_near(student_two_sided(5.0, 30.0), 2.32966854670078e-5);
        assert_near(student_two_sided(0.001, 7.0), 0.9992300172449988);
        assert_near(student_two_sided(1.96, 100_000.0), 0.04999856319430164);
        assert_near(student_two_sided(12.0, 3.0), 0.001245015800789337);
        assert_near(student_two_sided(40.0, 500.0), 6.29064291825824e-158);
        assert_eq!(student_two_sided(f64::INFINITY, 3.0), 0.0);
    }

    #[test]
    fn coin_tails_are_exact() {
        assert_near(fair_coin_two_sided(0, 0), 1.0);
        assert_near(fair_coin_two_sided(3, 0), 0.25);
        assert_near(fair_coin_two_sided(29, 22), 0.4010619910279374);
        assert_near(fair_coin_two_sided(100, 160), 0.0002389419030681402);
        assert_near(fair_coin_two_sided(5000, 5200), 0.04878796312682245);
    }

    #[test]
    fn quantile_and_tail_undo_one_another() {
        assert_near(normal_upper_quantile(0.025), 1.959_963_984_540_054);
        for tail in [0.5, 0.4, 0.1, 1e-3, 1e-9, 1e-15] {
            let found = normal_two_sided(normal_upper_quantile(tail)) / 2.0;
            assert!((found - tail).abs() <= 1e-11 * tail, "{found:e}, expected {tail:e}");
        }
    }
}
