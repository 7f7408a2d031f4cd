//! Tests on the differences of two systems' item scores: Wilcoxon, paired t, signs, and the size of the effect.

use serde::{Deserialize, Serialize};

use super::distributions::{fair_coin_two_sided, normal_two_sided, student_two_sided};
use crate::Error;
use crate::correlation::mean_ranks;

/// Tests on the items' differences. A test that is undefined for them is missing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PerItemTests {
    /// Wilcoxon's signed-rank test, zeros dropped.
    pub wilcoxon: Option<SignedRanks>,
    /// Student's t for pairs.
    pub paired_t: Option<PairedT>,
    /// Wins against losses.
    pub sign_test: SignTest,
    /// Cohen's d_z.
    pub standardised_difference: Option<f64>,
}

impl PerItemTests {
    pub(super) fn new(differences: &[f64]) -> Self {
        Self {
            wilcoxon: wilcoxon_signed_rank(differences, ZeroDifferences::Drop).ok(),
            paired_t: paired_t(differences).ok(),
            sign_test: SignTest::of_differences(differences),
            standardised_difference: standardised_difference(differences).ok(),
        }
    }
}

/// What becomes of items with equal scores in Wilcoxon's test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroDifferences {
    /// They are left out (Wilcoxon).
    Drop,
    /// They are ranked, then left out (Pratt).
    Pratt,
    /// They are ranked, and half of their ranks goes to either side.
    Split,
}

/// What Wilcoxon's signed-rank test finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SignedRanks {
    /// Sum of the ranks of positive differences.
    pub positive: f64,
    /// Sum of the ranks of negative differences.
    pub negative: f64,
    /// The smaller of the two.
    pub statistic: f64,
    /// Two-sided, by the normal approximation with correction for ties and without one for continuity.
    pub p: f64,
}

/// What the paired t test finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedT {
    /// Mean difference over its standard error.
    pub t: f64,
    /// Degrees of freedom: differences less one.
    pub degrees: usize,
    /// Two-sided.
    pub p: f64,
}

/// What the sign test finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SignTest {
    /// Positive differences.
    pub wins: usize,
    /// Negative differences.
    pub losses: usize,
    /// Zero differences, which the test leaves out.
    pub ties: usize,
    /// Two-sided, exact.
    pub p: f64,
}

impl SignTest {
    fn of_differences(differences: &[f64]) -> Self {
        let count = |is: fn(&f64) -> bool| differences.iter().filter(|difference| is(difference)).count();
        let (wins, losses) = (count(|difference| *difference > 0.0), count(|difference| *difference < 0.0));
        Self { wins, losses, ties: differences.len() - wins - losses, p: sign_test(wins, losses) }
    }
}

/// The exact two-sided p value of wins against losses, if either were as likely. 1 where there are none.
pub fn sign_test(wins: usize, losses: usize) -> f64 {
    fair_coin_two_sided(wins, losses)
}

/// Wilcoxon's signed-rank test of differences.
///
/// # Errors
/// A difference is not finite, or none differs from zero.
pub fn wilcoxon_signed_rank(differences: &[f64], zeros: ZeroDifferences) -> Result<SignedRanks, Error> {
    check("wilcoxon-signed-rank", differences, 1)?;
    let is_kept = |difference: &f64| zeros != ZeroDifferences::Drop || *difference != 0.0;
    let kept: Vec<f64> = differences.iter().copied().filter(is_kept).collect();
    let sizes: Vec<f64> = kept.iter().map(|difference| difference.abs()).collect();
    let ranks = mean_ranks(&sizes);
    let sum = |is: fn(&f64) -> bool| -> f64 {
        kept.iter().zip(&ranks).filter(|(difference, _)| is(difference)).map(|(_, rank)| rank).sum()
    };
    let (mut positive, mut negative) = (sum(|difference| *difference > 0.0), sum(|difference| *difference < 0.0));
    if positive + negative == 0.0 {
        return Err(undefined("wilcoxon-signed-rank", "all differences are zero"));
    }
    if zeros == ZeroDifferences::Split {
        let half = sum(|difference| *difference == 0.0) / 2.0;
        (positive, negative) = (positive + half, negative + half);
    }
    let (mean, deviation) = rank_sum_moments(&sizes, zeros);
    let p = normal_two_sided((positive - mean) / deviation);
    Ok(SignedRanks { positive, negative, statistic: positive.min(negative), p })
}

/// Mean and standard deviation of the positive rank sum if the signs were thrown by a coin.
fn rank_sum_moments(sizes: &[f64], zeros: ZeroDifferences) -> (f64, f64) {
    let moments = |count: f64| (count * (count + 1.0) / 4.0, count * (count + 1.0) * (2.0 * count + 1.0) / 24.0);
    let mut sorted = sizes.to_vec();
    sorted.sort_by(f64::total_cmp);
    let without_zeros = zeros == ZeroDifferences::Pratt;
    let zero_count = if without_zeros { sorted.partition_point(|size| *size == 0.0) } else { 0 };
    let (all, of_zeros) = (moments(sorted.len() as f64), moments(zero_count as f64));
    let ties = |run: &[f64]| (run.len() as f64).powi(3) - run.len() as f64;
    let tied: f64 = sorted[zero_count..].chunk_by(|left, right| left == right).map(ties).sum();
    (all.0 - of_zeros.0, (all.1 - of_zeros.1 - tied / 48.0).sqrt())
}

/// Student's t test of differences against zero.
///
/// # Errors
/// A difference is not finite, there are fewer than two, or all are the same.
pub fn paired_t(differences: &[f64]) -> Result<PairedT, Error> {
    let effect = effect("paired-t", differences)?;
    let degrees = differences.len() - 1;
    let t = effect * (differences.len() as f64).sqrt();
    Ok(PairedT { t, degrees, p: student_two_sided(t, degrees as f64) })
}

/// Cohen's d_z: the mean difference divided by the differences' sample standard deviation.
///
/// # Errors
/// As [`paired_t`].
pub fn standardised_difference(differences: &[f64]) -> Result<f64, Error> {
    effect("cohen-dz", differences)
}

fn effect(metric: &'static str, differences: &[f64]) -> Result<f64, Error> {
    check(metric, differences, 2)?;
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
    let effect = mean / (squares / (count - 1.0)).sqrt();
    // Equal differences leave a spread of rounding errors, not of zero.
    let vary = differences.windows(2).any(|pair| pair[0] != pair[1]);
    if vary && effect.is_finite() { Ok(effect) } else { Err(undefined(metric, "the differences do not vary")) }
}

fn check(metric: &'static str, differences: &[f64], needed: usize) -> Result<(), Error> {
    if differences.iter().any(|difference| !difference.is_finite()) {
        return Err(undefined(metric, "a difference is not a finite number"));
    }
    if differences.len() < needed {
        return Err(undefined(metric, "there are too few differences"));
    }
    Ok(())
}

fn undefined(metric: &'static str, problem: &str) -> Error {
    Error::Undefined { metric, problem: problem.to_owned() }
}
