//! How the strategy of an answer comes about.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::strategy::Strategy;

/// What a name is preceded by that gives a strategy.
const GIVEN: &str = "given:";

/// Who chooses the strategy of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StrategyMode {
    /// The model: its most likely strategy. For evaluations.
    #[default]
    Argmax,
    /// The model: a draw from its most likely strategies, up to a probability of 0.9. For chatting.
    Sample,
    /// Whoever annotated the sample: an oracle, which no system has that answers somebody.
    Gold,
    /// Whoever asks.
    Given(Strategy),
}

impl StrategyMode {
    /// `argmax`, `sample`, `gold`, or `given:Question`, for command lines and records.
    pub fn name(self) -> String {
        match self {
            Self::Argmax => "argmax".into(),
            Self::Sample => "sample".into(),
            Self::Gold => "gold".into(),
            Self::Given(strategy) => format!("{GIVEN}{}", strategy.name()),
        }
    }

    /// Reads its name; the strategy's in any case, with or without brackets.
    ///
    /// # Errors
    /// It is none; for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "argmax" => Ok(Self::Argmax),
            "sample" => Ok(Self::Sample),
            "gold" => Ok(Self::Gold),
            _ => {
                let name = text.strip_prefix(GIVEN).ok_or_else(|| {
                    format!("expected argmax, sample, gold or {GIVEN}NAME, with NAME one of {}", Strategy::names())
                })?;
                let unknown = || format!("there is no strategy `{name}`; known are: {}", Strategy::names());
                Strategy::find(name).map(Self::Given).ok_or_else(unknown)
            }
        }
    }

    /// Whether the choice says nothing about the model, because somebody else makes it who knows what was really done.
    pub fn is_oracle(self) -> bool {
        self == Self::Gold
    }
}

impl fmt::Display for StrategyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Serialize for StrategyMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for StrategyMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let given = StrategyMode::Given(Strategy::SelfDisclosure);
        for mode in [StrategyMode::Argmax, StrategyMode::Sample, StrategyMode::Gold, given] {
            assert_eq!(StrategyMode::parse(&mode.name()), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
            assert_eq!(serde_json::from_value::<StrategyMode>(mode.name().into()).unwrap(), mode);
        }
        assert_eq!(
            StrategyMode::parse("given:[providing suggestions]"),
            Ok(StrategyMode::Given(Strategy::Suggestions))
        );
        assert!(
            StrategyMode::parse("given:Hypnosis").unwrap_err().contains("no strategy `Hypnosis`; known are: Question,")
        );
        assert!(StrategyMode::parse("best").unwrap_err().contains("argmax, sample, gold or given:NAME"));
    }
}
