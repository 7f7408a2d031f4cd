//! The eight support strategies of ESConv, in the order of their tokens.
//!
//! The order is part of every checkpoint: the strategy of index k is the k-th row behind the vocabulary (id 54944 + k with the published one).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A support strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// Asks for more about the problem.
    Question,
    /// Says again, in fewer words, what the seeker said.
    Restatement,
    /// Names what the seeker feels.
    Reflection,
    /// Tells of an experience of the supporter's own.
    SelfDisclosure,
    /// Confirms strengths and reassures.
    Affirmation,
    /// Suggests what to do.
    Suggestions,
    /// Gives facts and sources.
    Information,
    /// Greets, thanks, and anything else.
    Others,
}

impl Strategy {
    /// All of them; the index is the place among the strategy tokens.
    pub const ALL: [Self; 8] = [
        Self::Question,
        Self::Restatement,
        Self::Reflection,
        Self::SelfDisclosure,
        Self::Affirmation,
        Self::Suggestions,
        Self::Information,
        Self::Others,
    ];

    /// Place among the strategy tokens, 0 to 7.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name, as ESConv spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Question => "Question",
            Self::Restatement => "Restatement or Paraphrasing",
            Self::Reflection => "Reflection of feelings",
            Self::SelfDisclosure => "Self-disclosure",
            Self::Affirmation => "Affirmation and Reassurance",
            Self::Suggestions => "Providing Suggestions",
            Self::Information => "Information",
            Self::Others => "Others",
        }
    }

    /// The token: the name in square brackets.
    pub fn token(self) -> String {
        format!("[{}]", self.name())
    }

    /// The strategy that a text names, whatever its case, with or without blanks and square brackets around it.
    pub fn find(text: &str) -> Option<Self> {
        let name = text.trim_matches(|letter: char| letter.is_whitespace() || ['[', ']'].contains(&letter));
        Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// All names, for messages.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Strategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let unknown = || D::Error::custom(format!("the strategy `{text}` is unknown; known are: {}", Self::names()));
        Self::find(&text).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_order_are_those_of_esconv() {
        assert_eq!(Strategy::ALL.map(Strategy::name).to_vec(), esconv_data::LabelSet::Esconv.labels());
        assert!(Strategy::ALL.iter().enumerate().all(|(place, strategy)| strategy.index() == place));
    }

    #[test]
    fn names_are_found_as_files_write_them() {
        for text in ["Reflection of Feelings", " [reflection of feelings]\n", "[ REFLECTION OF FEELINGS ]"] {
            assert_eq!(Strategy::find(text), Some(Strategy::Reflection), "{text}");
        }
        for text in ["", "[]", "Quest", "Greeting"] {
            assert_eq!(Strategy::find(text), None, "{text}");
        }
        assert_eq!(Strategy::SelfDisclosure.token(), "[Self-disclosure]");
    }
}
