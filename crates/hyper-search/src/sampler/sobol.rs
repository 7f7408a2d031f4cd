//! Sobol's sequence (1967): points that cover a space more evenly than random ones.
//!
//! Each parameter is a dimension of the sequence, in the order in which parameters first appear in the study, and the trial's number is the
//! place in the sequence. Owen's scrambling (1995), seeded by the parameter's name, makes the points random without making them less even.

use std::collections::BTreeMap;

use super::Sampler;
use super::draws::{Draws, Generator, hash_of};
use crate::{Distribution, History, SearchError};

/// Digits of a point.
const BITS: u32 = 32;

/// Inner coefficients of the primitive polynomial and the first direction numbers, for the second dimension and those after it
/// (Joe & Kuo 2008).
const DIMENSIONS: &[(u32, &[u32])] = &[
    (0, &[1]),
    (1, &[1, 3]),
    (1, &[1, 3, 1]),
    (2, &[1, 1, 1]),
    (1, &[1, 1, 3, 3]),
    (4, &[1, 3, 5, 13]),
    (2, &[1, 1, 5, 5, 17]),
    (4, &[1, 1, 5, 5, 5]),
    (7, &[1, 1, 7, 11, 19]),
    (11, &[1, 1, 5, 1, 1]),
    (13, &[1, 1, 1, 3, 11]),
    (14, &[1, 3, 5, 5, 31]),
    (1, &[1, 3, 3, 9, 7, 49]),
    (13, &[1, 1, 1, 15, 21, 21]),
    (16, &[1, 3, 1, 13, 27, 49]),
    (19, &[1, 1, 1, 15, 7, 5]),
    (22, &[1, 3, 1, 15, 13, 25]),
    (25, &[1, 1, 5, 5, 19, 61]),
    (1, &[1, 3, 7, 11, 23, 15, 103]),
    (4, &[1, 3, 7, 13, 13, 15, 69]),
];

/// Spreads trials evenly; the 22nd parameter and those after it are drawn at random.
///
/// ```
/// use hyper_search::{Direction, Distribution, History, Sampler, SobolSampler};
///
/// let history = History { study: "even", direction: Direction::Minimize, trials: &[] };
/// let mut sampler = SobolSampler::new(7);
/// let mut quarters = [0; 4];
/// for number in 0..8 {
///     let value = sampler.sample(&history, number, "x", &Distribution::float(0.0, 4.0))?;
///     quarters[value as usize] += 1;
/// }
/// assert_eq!(quarters, [2; 4]);
/// # Ok::<(), hyper_search::SearchError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SobolSampler {
    seed: u64,
}

impl SobolSampler {
    /// A sampler whose points depend on the seed, the trial's number and the parameters' names.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    fn fraction(&self, dimension: usize, number: u64, name: &str) -> f64 {
        match point(dimension, number as u32) {
            Some(point) => (f64::from(scrambled(point, self.seed ^ hash_of([name]))) + 0.5) / f64::from(BITS).exp2(),
            None => Draws::new(Generator::PerTrial { seed: self.seed }).of(number, [name]).fraction(),
        }
    }
}

impl Sampler for SobolSampler {
    fn sample_jointly(&mut self, _: &History<'_>, _: u64) -> Result<BTreeMap<String, f64>, SearchError> {
        Ok(BTreeMap::new())
    }

    fn sample(
        &mut self,
        history: &History<'_>,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, SearchError> {
        Ok(distribution.at_fraction(self.fraction(dimension_of(name, history), number, name)))
    }
}

/// How many other parameters appeared in the study before this one.
fn dimension_of(name: &str, history: &History<'_>) -> usize {
    let mut before: Vec<&str> = Vec::new();
    for (other, _) in history.trials.iter().flat_map(|trial| &trial.parameters) {
        if other == name {
            break;
        }
        if !before.contains(&other.as_str()) {
            before.push(other);
        }
    }
    before.len()
}

/// The point's digits in one dimension, `None` beyond the last.
fn point(dimension: usize, index: u32) -> Option<u32> {
    let directions: Vec<u32> = match dimension.checked_sub(1) {
        None => (0..BITS).map(|digit| 1 << (BITS - 1 - digit)).collect(),
        Some(place) => directions(*DIMENSIONS.get(place)?),
    };
    let digits = directions.iter().enumerate().filter(|(digit, _)| index >> digit & 1 == 1);
    Some(digits.fold(0, |point, (_, direction)| point ^ direction))
}

/// Direction numbers by the polynomial's recurrence, the leading digit in the highest bit.
fn directions((polynomial, first): (u32, &[u32])) -> Vec<u32> {
    let degree = first.len();
    let mut numbers: Vec<u32> = first.iter().zip(1..).map(|(number, digit)| number << (BITS - digit)).collect();
    for digit in degree..BITS as usize {
        let oldest = numbers[digit - degree];
        let inner = (1..degree).filter(|back| polynomial >> (degree - 1 - back) & 1 == 1);
        numbers.push(inner.fold(oldest ^ (oldest >> degree), |sum, back| sum ^ numbers[digit - back]));
    }
    numbers
}

/// Flips each digit or not, at random but alike for all points that have the same digits before it.
fn scrambled(point: u32, seed: u64) -> u32 {
    let flipped = |digit: u32| {
        let before = u64::from(point) >> (BITS - digit);
        let key = seed ^ (u64::from(digit) << BITS) ^ before;
        ((mixed(key) & 1) as u32) << (BITS - 1 - digit)
    };
    (0..BITS).fold(point, |result, digit| result ^ flipped(digit))
}

/// SplitMix64's mixing of a number's bits.
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.qmc.Sobol(21, scramble=False, bits=32).random(256)`, whose points come in the order of Gray's code, times 256.
    #[test]
    fn points_are_those_of_scipy() {
        let point_of = |place: u32| -> Vec<u32> {
            (0..=DIMENSIONS.len()).map(|dimension| point(dimension, place ^ (place >> 1)).unwrap() >> 24).collect()
        };
        let of_77 = [214, 214, 2, 198, 214, 130, 58, 166, 46, 110, 34, 202, 126, 86, 254, 18, 210, 226, 202, 2, 38];
        let of_200 = [53, 99, 105, 151, 209, 143, 7, 249, 85, 159, 255, 151, 79, 151, 25, 177, 163, 217, 191, 45, 93];
        assert_eq!(point_of(77), of_77);
        assert_eq!(point_of(200), of_200);
        assert_eq!(point(DIMENSIONS.len() + 1, 5), None);
    }

    #[test]
    fn scrambled_points_are_as_even() {
        for (dimension, seed) in (0..=DIMENSIONS.len()).zip(1000..) {
            let points = (0..64).map(|index| scrambled(point(dimension, index).unwrap(), seed) >> 26);
            let mut cells: Vec<u32> = points.collect();
            cells.sort_unstable();
            assert_eq!(cells, (0..64).collect::<Vec<u32>>(), "dimension {dimension}");
        }
    }
}
