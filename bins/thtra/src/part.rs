//! The three parts of a corpus, and how conversations come into them.

use std::fmt;

use esconv_data::Split;
use mersenne_twister::MersenneTwister;
use serde::{Deserialize, Serialize};

/// The seed of the published split.
const SEED: u64 = 13;

/// A part of the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// To learn from.
    Train,
    /// To choose settings with.
    Valid,
    /// To report on.
    Test,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// `train`, `valid` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }

    /// Its file of dialogue lines: `train.txt`, `valid.txt` or `test.txt`.
    pub fn file(self) -> String {
        format!("{self}.txt")
    }

    /// Its conversations, in the order of its file.
    pub fn of(self, split: &Split) -> &[usize] {
        match self {
            Self::Train => &split.train,
            Self::Valid => &split.valid,
            Self::Test => &split.test,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How large the parts are. The conversations are shuffled as Python's `random.seed(13); random.shuffle(…)` does it; the first are for
/// validation, the next for the test, the rest to learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SplitRule {
    /// 70 % to learn from, as the published files.
    #[default]
    #[serde(rename = "70-15-15")]
    Published,
    /// 80 % to learn from, as the published program of today.
    #[serde(rename = "80-10-10")]
    Tenths,
}

impl SplitRule {
    /// `70-15-15` or `80-10-10`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "70-15-15",
            Self::Tenths => "80-10-10",
        }
    }

    /// Reads its name.
    ///
    /// # Errors
    /// It is neither; for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = [Self::Published, Self::Tenths].into_iter().find(|rule| rule.name() == text);
        found.ok_or_else(|| "expected 70-15-15 or 80-10-10".into())
    }

    /// The parts of a corpus of `count` conversations; the shares of validation and test are rounded down.
    pub fn split(self, count: usize) -> Split {
        let share = match self {
            Self::Published => 0.15,
            Self::Tenths => 0.1,
        };
        let held_out = (share * count as f64) as usize;
        let mut order: Vec<usize> = (0..count).collect();
        MersenneTwister::from_python_seed(SEED).shuffle(&mut order);
        let train = order.split_off(2 * held_out);
        let test = order.split_off(held_out);
        Split { train, valid: order, test }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down_and_all_conversations_are_in_one_part() {
        // 15 % of 19 are 2.85.
        for (rule, count, sizes) in [
            (SplitRule::Published, 19, [15, 2, 2]),
            (SplitRule::Tenths, 19, [17, 1, 1]),
            (SplitRule::Published, 6, [6, 0, 0]),
        ] {
            let split = rule.split(count);
            assert_eq!(Part::ALL.map(|part| part.of(&split).len()), sizes);
            let mut all = Part::ALL.map(|part| part.of(&split)).concat();
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn names_are_read() {
        assert_eq!(SplitRule::parse("80-10-10"), Ok(SplitRule::Tenths));
        assert!(SplitRule::parse("60-20-20").unwrap_err().contains("70-15-15"));
        assert_eq!(Part::Valid.file(), "valid.txt");
    }
}
