//! Splitting conversations into train, validation and test, by seed or by a file of indices.

use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, read_text};

/// Indices (from 0) of conversations, so that examples of one conversation never land on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// To learn from.
    pub train: Vec<usize>,
    /// To choose settings with.
    pub valid: Vec<usize>,
    /// To report on.
    pub test: Vec<usize>,
}

impl Split {
    /// Shuffles `count` conversations with a seed, takes the given numbers for validation and test, and the rest for
    /// training. Each list keeps the shuffled order.
    ///
    /// # Errors
    /// Validation and test together take more than there are.
    pub fn seeded(count: usize, valid: usize, test: usize, seed: u64) -> Result<Self, Error> {
        if valid.checked_add(test).is_none_or(|taken| taken > count) {
            return Err(Error::Setting(format!(
                "{valid} conversations for validation and {test} for test are more than the {count} there are"
            )));
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let train = order.split_off(valid + test);
        let test = order.split_off(valid);
        Ok(Self { train, valid: order, test })
    }

    /// As [`Self::seeded`], with fractions of `count` (0 to 1), rounded down.
    ///
    /// # Errors
    /// A fraction is outside 0 to 1, or they add up to more than 1.
    pub fn seeded_fractions(count: usize, valid: f64, test: f64, seed: u64) -> Result<Self, Error> {
        for fraction in [valid, test] {
            if !(0.0..=1.0).contains(&fraction) {
                return Err(Error::Setting(format!("a split's fraction must be from 0 to 1, not {fraction}")));
            }
        }
        let taken = |fraction: f64| (count as f64 * fraction).floor() as usize;
        Self::seeded(count, taken(valid), taken(test), seed)
    }

    /// Reads a JSON object with the index lists `train`, `valid` and `test`.
    ///
    /// # Errors
    /// The file can't be read, is not of this form, names a conversation beyond `count`, or names one twice.
    pub fn read(path: &Path, count: usize) -> Result<Self, Error> {
        let split: Self = serde_json::from_str(&read_text(path)?).map_err(|error| {
            Error::format(
                path,
                format!("line {}", error.line()),
                format!("not a split ({error}): expected train, valid and test"),
            )
        })?;
        let mut seen = vec![false; count];
        for (name, list) in [("train", &split.train), ("valid", &split.valid), ("test", &split.test)] {
            for index in list {
                let wrong = |problem: String| Err(Error::format(path, format!("list `{name}`"), problem));
                match seen.get_mut(*index) {
                    None => return wrong(format!("conversation {index} does not exist (there are {count})")),
                    Some(true) => return wrong(format!("conversation {index} occurs twice")),
                    Some(free) => *free = true,
                }
            }
        }
        Ok(split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_the_same_for_the_same_seed_and_holds_everything_once() {
        let split = Split::seeded(100, 15, 20, 3).unwrap();
        assert_eq!(split, Split::seeded(100, 15, 20, 3).unwrap());
        assert_ne!(split, Split::seeded(100, 15, 20, 4).unwrap());
        assert_eq!((split.train.len(), split.valid.len(), split.test.len()), (65, 15, 20));
        let mut all = [split.train, split.valid, split.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn fractions_are_those_of_the_published_split_sizes() {
        let split = Split::seeded_fractions(1300, 0.15, 0.15, 0).unwrap();
        assert_eq!((split.train.len(), split.valid.len(), split.test.len()), (910, 195, 195));
    }

    #[test]
    fn too_much_is_refused() {
        assert!(Split::seeded(10, 6, 5, 0).is_err());
        assert!(Split::seeded(10, usize::MAX, 1, 0).is_err());
        assert!(Split::seeded_fractions(10, 0.6, 0.6, 0).is_err());
        assert!(Split::seeded_fractions(10, f64::NAN, 0.1, 0).is_err());
        assert!(Split::seeded_fractions(10, -0.1, 0.1, 0).is_err());
    }
}
