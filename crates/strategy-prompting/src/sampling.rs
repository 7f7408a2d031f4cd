//! Which (example, strategy) pairs are continued.
//!
//! By default all of them. Seeded sampling decides each pair by a generator of its own, keyed by seed, example id and
//! strategy, so that the outcome depends neither on order nor on threads nor on restarts. The published code instead
//! draws examples with replacement from one Mersenne Twister (one pass leaves out 36.8 % of the examples);
//! [`PairSampling::PythonCompat`] re-creates its selections.

use std::fmt;
use std::str::FromStr;

use mersenne_twister::MersenneTwister;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::digest::digest;
use crate::error::Error;

/// Seed of the published selections.
pub const PYTHON_COMPAT_SEED: u64 = 11_335_577;

/// How pairs are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum PairSampling {
    /// Every strategy for every example.
    #[default]
    Exhaustive,
    /// Every pair with the same probability, each by its own generator.
    Probability {
        /// Chance of a pair to be taken, in `0..=1`.
        p: f64,
    },
    /// The published code's draws: examples with replacement, as many draws as there are examples (or the limit), then
    /// each strategy with a fixed probability; an example that is drawn again keeps its first strategies.
    PythonCompat {
        /// Chance of a strategy to be taken, in `0..=1`; 0.3 in the published runs.
        sample_prob: f64,
    },
}

impl PairSampling {
    /// Checks the probability.
    ///
    /// # Errors
    /// It is not in `0..=1`.
    pub fn validate(&self) -> Result<(), Error> {
        let (Self::Probability { p } | Self::PythonCompat { sample_prob: p }) = self else {
            return Ok(());
        };
        if (0.0..=1.0).contains(p) {
            return Ok(());
        }
        Err(Error::Setting { setting: "sample probability", problem: format!("{p} is not in 0..=1") })
    }
}

/// Supporter turns to be continued, both ends included; written `3..10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TurnRange {
    first: usize,
    last: usize,
}

impl TurnRange {
    /// Turns `first` to `last`, both included.
    ///
    /// # Errors
    /// `first` is above `last`.
    pub fn new(first: usize, last: usize) -> Result<Self, Error> {
        if first > last {
            return Err(Error::Setting { setting: "turns", problem: format!("{first}..{last} holds no turn") });
        }
        Ok(Self { first, last })
    }

    /// Whether a turn is among them.
    pub fn contains(&self, turn: usize) -> bool {
        (self.first..=self.last).contains(&turn)
    }
}

impl Default for TurnRange {
    /// Turns 3 to 10.
    fn default() -> Self {
        Self { first: 3, last: 10 }
    }
}

impl fmt::Display for TurnRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..{}", self.first, self.last)
    }
}

impl FromStr for TurnRange {
    type Err = Error;
    /// Reads `3..10` (both included), `3..=10` or a single turn `3`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let number = |digits: &str| {
            digits.trim().parse().map_err(|_| Error::Setting {
                setting: "turns",
                problem: format!("`{text}` is not a range of turns; expected e.g. 3..10"),
            })
        };
        Self::new(number(first)?, number(last.strip_prefix('=').unwrap_or(last))?)
    }
}

impl TryFrom<String> for TurnRange {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<TurnRange> for String {
    fn from(turns: TurnRange) -> Self {
        turns.to_string()
    }
}

/// One of several equal shares of the examples, so that machines can divide a run; written `0/4` … `3/4`.
///
/// Share `index` of `count` holds the examples whose position in the filtered list leaves the rest `index` when it is
/// divided by `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Share `index` (from 0) of `count`.
    ///
    /// # Errors
    /// `index` is not below `count`.
    pub fn new(index: usize, count: usize) -> Result<Self, Error> {
        if index >= count {
            return Err(Error::Setting {
                setting: "shard",
                problem: format!("{index}/{count}: the index counts from 0 and must be below the number of shards"),
            });
        }
        Ok(Self { index, count })
    }

    /// Whether the example at this position belongs to the share.
    pub fn contains(&self, position: usize) -> bool {
        position % self.count == self.index
    }
}

impl Default for Shard {
    /// Everything.
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) => Self::new(index, count),
            None => Err(Error::Setting {
                setting: "shard",
                problem: format!("`{text}` is not a shard; expected INDEX/COUNT with the index from 0, e.g. 0/4"),
            }),
        }
    }
}

impl TryFrom<String> for Shard {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

/// A chosen pair, by the positions of example and strategy in their lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// Position of the example.
    pub example: usize,
    /// Position of the strategy.
    pub strategy: usize,
}

/// Chooses pairs, in the order of examples, then strategies.
///
/// `limit` keeps the first examples (for [`PairSampling::PythonCompat`]: makes so many draws). [`PairSampling::Probability`]
/// draws with `seed`; [`PairSampling::PythonCompat`] always with [`PYTHON_COMPAT_SEED`].
///
/// # Errors
/// A probability outside `0..=1`.
pub fn sample_pairs(
    sampling: PairSampling,
    seed: u64,
    example_ids: &[&str],
    strategies: &[&str],
    limit: Option<usize>,
) -> Result<Vec<Pair>, Error> {
    sampling.validate()?;
    let kept = &example_ids[..limit.unwrap_or(usize::MAX).min(example_ids.len())];
    let mut pairs: Vec<Pair> = match sampling {
        PairSampling::Exhaustive => all_pairs(kept.len(), strategies.len()).collect(),
        PairSampling::Probability { p } => all_pairs(kept.len(), strategies.len())
            .filter(|pair| fraction(seed, kept[pair.example], strategies[pair.strategy]) < p)
            .collect(),
        PairSampling::PythonCompat { sample_prob } => {
            python_compat_draws(example_ids.len(), strategies.len(), limit, sample_prob)
                .into_iter()
                .flat_map(|draw| {
                    let example = draw.example;
                    draw.strategies.into_iter().map(move |strategy| Pair { example, strategy })
                })
                .collect()
        }
    };
    // Draws come in random order; the answer is in one order for all kinds.
    pairs.sort_unstable();
    Ok(pairs)
}

fn all_pairs(examples: usize, strategies: usize) -> impl Iterator<Item = Pair> {
    (0..examples).flat_map(move |example| (0..strategies).map(move |strategy| Pair { example, strategy }))
}

/// A number in `[0, 1)` that belongs to seed, example and strategy.
fn fraction(seed: u64, example_id: &str, strategy: &str) -> f64 {
    let key = digest("pair-sampling", &[&seed.to_le_bytes(), example_id.as_bytes(), strategy.as_bytes()]);
    let bits = ChaCha8Rng::from_seed(key).next_u64() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// An example as the published code draws it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonDraw {
    /// Position of the example in the filtered list (its id there).
    pub example: usize,
    /// Positions of its strategies, ascending; may be empty.
    pub strategies: Vec<usize>,
}

/// The published code's draws, in the order of first drawing, each example once.
///
/// `draws` defaults to the number of examples and never exceeds it. An example that was drawn before counts as a draw,
/// but no strategies are drawn for it.
pub fn python_compat_draws(
    examples: usize,
    strategies: usize,
    draws: Option<usize>,
    sample_prob: f64,
) -> Vec<PythonDraw> {
    let mut generator = MersenneTwister::from_python_seed(PYTHON_COMPAT_SEED);
    let mut seen = vec![false; examples];
    let mut drawn = Vec::new();
    let count = u32::try_from(examples).unwrap_or(u32::MAX);
    for _ in 0..draws.unwrap_or(examples).min(examples) {
        let example = generator.below(count) as usize;
        if std::mem::replace(&mut seen[example], true) {
            continue;
        }
        let strategies = (0..strategies).filter(|_| generator.random() <= sample_prob).collect();
        drawn.push(PythonDraw { example, strategies });
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_shards_are_read_and_written() {
        assert_eq!("3..10".parse::<TurnRange>().unwrap().to_string(), "3..10");
        assert_eq!("3..=10".parse::<TurnRange>().unwrap(), TurnRange::default());
        assert!("4".parse::<TurnRange>().unwrap().contains(4));
        assert!("5..4".parse::<TurnRange>().is_err());
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
        assert!("3/3".parse::<Shard>().is_err());
        assert!("0/0".parse::<Shard>().is_err());
        assert!("half".parse::<Shard>().is_err());
    }
}
