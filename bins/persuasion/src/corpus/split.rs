//! Which groups go to training, validation and test. No group stands in two parts.

use std::collections::HashMap;
use std::fmt;

use llm_runtime::seeded_stream;
use mersenne_twister::MersenneTwister;
use rand::seq::SliceRandom;
use serde::Serialize;

use super::error::CorpusError;
use super::pair_maker::Example;
use super::part::Part;

/// How groups are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum SplitRule {
    /// As the corpus says.
    Keep,
    /// Hundredths of the groups for training and validation; the others are for the test.
    Shares {
        /// For training.
        train: u8,
        /// For validation.
        validation: u8,
    },
}

/// Who shuffles the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitRng {
    /// A ChaCha stream of its own.
    Own,
    /// Python's `random.seed(seed); random.shuffle(groups)`: the published split.
    Python,
}

/// Every group with its part, in the order in which pairs are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    order: Vec<String>,
    parts: HashMap<String, Part>,
}

impl SplitRule {
    /// The published shares.
    pub const PUBLISHED: Self = Self::Shares { train: 60, validation: 20 };

    /// Reads `keep` or shares in hundredths, `60-20-20`.
    ///
    /// # Errors
    /// It is neither, or the shares don't add up to 100.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "keep" {
            return Ok(Self::Keep);
        }
        let shares: Option<Vec<u8>> = text.split('-').map(|share| share.parse().ok()).collect();
        match shares.as_deref() {
            Some([train, validation, test])
                if u32::from(*train) + u32::from(*validation) + u32::from(*test) == 100 && *train > 0 =>
            {
                Ok(Self::Shares { train: *train, validation: *validation })
            }
            _ => Err("expected keep, or three shares that add up to 100, such as 60-20-20".into()),
        }
    }

    /// Assigns groups, which come in the order in which they first occur: shuffled, the first `⌊train · G⌋` are for training, the next
    /// `⌊validation · G⌋` for validation, the others for the test. `None` if the corpus says it all.
    ///
    /// # Errors
    /// There are so few groups that a part that has a share gets none.
    pub fn assign(self, groups: Vec<String>, rng: SplitRng, seed: u64) -> Result<Option<Assignment>, CorpusError> {
        let Self::Shares { train, validation } = self else { return Ok(None) };
        let mut order = groups;
        match rng {
            SplitRng::Own => order.shuffle(&mut seeded_stream(seed, "split")),
            SplitRng::Python => MersenneTwister::from_python_seed(seed).shuffle(&mut order),
        }
        let count = |share: u8| (f64::from(share) / 100.0 * order.len() as f64) as usize;
        let (train_end, validation_end) = (count(train), count(train) + count(validation));
        let part = |place: usize| match place {
            _ if place < train_end => Part::Train,
            _ if place < validation_end => Part::Validation,
            _ => Part::Test,
        };
        let parts: HashMap<String, Part> =
            order.iter().enumerate().map(|(place, group)| (group.clone(), part(place))).collect();
        let wanted = [(Part::Train, train), (Part::Validation, validation), (Part::Test, 100 - train - validation)];
        for (part, share) in wanted {
            if share > 0 && !parts.values().any(|other| *other == part) {
                let problem = format!(
                    "{} groups leave none for {} at a split of {self}: more pairs are needed, or other shares",
                    order.len(),
                    part.name()
                );
                return Err(CorpusError::TooFew(problem));
            }
        }
        Ok(Some(Assignment { order, parts }))
    }
}

impl Assignment {
    /// The part of a group, if it was assigned one.
    pub fn part(&self, group: &str) -> Option<Part> {
        self.parts.get(group).copied()
    }

    /// Gives each example its group's part, and orders them group by group as the shuffle left these.
    pub fn apply(&self, examples: &mut [Example]) {
        let places: HashMap<&str, usize> =
            self.order.iter().enumerate().map(|(place, group)| (group.as_str(), place)).collect();
        examples.iter_mut().for_each(|example| example.part = self.part(&example.pair.group));
        examples.sort_by_key(|example| places.get(example.pair.group.as_str()).copied());
    }
}

impl SplitRng {
    /// Reads `own` or `python`.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "own" => Ok(Self::Own),
            "python" => Ok(Self::Python),
            _ => Err("expected own or python".into()),
        }
    }
}

impl fmt::Display for SplitRng {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if *self == Self::Own { "own" } else { "python" })
    }
}

impl fmt::Display for SplitRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => formatter.write_str("keep"),
            Self::Shares { train, validation } => {
                write!(formatter, "{train}-{validation}-{}", 100 - train - validation)
            }
        }
    }
}

impl From<SplitRule> for String {
    fn from(rule: SplitRule) -> Self {
        rule.to_string()
    }
}

/// Groups in the order in which they first occur.
pub(crate) fn groups_of(examples: &[Example]) -> Vec<String> {
    let mut known = std::collections::HashSet::new();
    examples.iter().map(|example| &example.pair.group).filter(|group| known.insert(*group)).cloned().collect()
}
