//! The eight support strategies in MAGIC's order, and how their names are read.
//!
//! The labels are MultiESC's re-annotation of ESConv, in an order of MAGIC's own: the place is class id and memory slot. Files hold names,
//! never ids, since MultiESC numbers the same names otherwise.

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
    /// Suggests what to do, or informs.
    Suggestions,
    /// Greets, thanks or says goodbye.
    Greeting,
    /// Anything else.
    Others,
}

impl Strategy {
    /// All of them; the index is the id.
    pub const ALL: [Self; 8] = [
        Self::Question,
        Self::Restatement,
        Self::Reflection,
        Self::SelfDisclosure,
        Self::Affirmation,
        Self::Suggestions,
        Self::Greeting,
        Self::Others,
    ];

    /// Class id and memory slot, 0 to 7.
    pub fn id(self) -> usize {
        self as usize
    }

    /// The name, as MultiESC's files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Question => "Question",
            Self::Restatement => "Restatement or Paraphrasing",
            Self::Reflection => "Reflection of feelings",
            Self::SelfDisclosure => "Self-disclosure",
            Self::Affirmation => "Affirmation and Reassurance",
            Self::Suggestions => "Providing Suggestions or Information",
            Self::Greeting => "Greeting",
            Self::Others => "Others",
        }
    }

    /// The strategy that a text names, whatever its case, with or without blanks and square brackets around it. `Greetings`, as
    /// MultiESC spells it in places, is [`Strategy::Greeting`].
    pub fn find(text: &str) -> Option<Self> {
        let name = text.trim_matches(|letter: char| letter.is_whitespace() || ['[', ']'].contains(&letter));
        match name.eq_ignore_ascii_case("greetings") {
            true => Some(Self::Greeting),
            false => Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name)),
        }
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
    fn names_are_found_as_files_write_them() {
        for text in [
            "Reflection of Feelings",
            "reflection of feelings",
            " [Reflection of feelings]\n",
            "[ REFLECTION OF FEELINGS ]",
        ] {
            assert_eq!(Strategy::find(text), Some(Strategy::Reflection), "{text}");
        }
        assert_eq!(Strategy::find("Greetings"), Some(Strategy::Greeting));
        for text in ["", "[]", "Quest", "Question Greeting"] {
            assert_eq!(Strategy::find(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_those_of_multiesc() {
        let labels = esconv_data::LabelSet::Multiesc.labels();
        assert!(Strategy::ALL.iter().all(|strategy| labels.contains(&strategy.name())) && labels.len() == 8);
    }

    #[test]
    fn the_id_is_the_place() {
        assert!(Strategy::ALL.iter().enumerate().all(|(place, strategy)| strategy.id() == place));
    }
}
