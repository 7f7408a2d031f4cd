//! What a helpfulness model reads before the answers that it scores.

use esconv_data::Speaker;
use serde::{Deserialize, Serialize};

use crate::dialogue::{Author, Dialogue, Turn};

/// Which turns before an answer are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScorerContext {
    /// What the seeker said in one go, last: what the model is trained on, see [`crate::rated_exchanges`].
    #[default]
    SeekerBlock,
    /// The last turn, whosever it is, as ThTra's published code has it.
    #[serde(rename = "last-1")]
    LastOne,
    /// The last three turns, as that of d-PM has it.
    #[serde(rename = "last-3")]
    LastThree,
}

/// A part of such a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextTurn {
    /// Who says it.
    pub speaker: Speaker,
    /// What is said. Of the published choices, a supporter's turn begins with the strategy in brackets.
    pub text: String,
}

impl ScorerContext {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SeekerBlock, Self::LastOne, Self::LastThree];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::SeekerBlock => "seeker-block",
            Self::LastOne => "last-1",
            Self::LastThree => "last-3",
        }
    }

    /// Reads its name.
    ///
    /// # Errors
    /// It is none; for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|context| context.name() == text);
        found.ok_or_else(|| format!("expected {}", Self::ALL.map(Self::name).join(", ")))
    }

    /// The context of an answer that stands in the place of turn number `turn`, oldest first. Empty where nothing was said before, and for
    /// [`Self::SeekerBlock`] where the seeker has not said anything yet.
    pub fn of(self, dialogue: &Dialogue, turn: usize) -> Vec<ContextTurn> {
        let before = &dialogue.turns[..turn.min(dialogue.turns.len())];
        let last = |count: usize| before[before.len().saturating_sub(count)..].iter().map(ContextTurn::of).collect();
        match self {
            Self::SeekerBlock => seeker_block(before).into_iter().collect(),
            Self::LastOne => last(1),
            Self::LastThree => last(3),
        }
    }
}

impl ContextTurn {
    fn of(turn: &Turn) -> Self {
        match turn.author {
            Author::Seeker => Self { speaker: Speaker::Seeker, text: turn.text.clone() },
            Author::Supporter(strategy) => {
                Self { speaker: Speaker::Supporter, text: format!("{} {}", strategy.token(), turn.text) }
            }
        }
    }
}

/// The seeker's last turns that nothing of the supporter's stands between.
fn seeker_block(turns: &[Turn]) -> Option<ContextTurn> {
    let is_seekers = |turn: &Turn| turn.author == Author::Seeker;
    let end = turns.iter().rposition(is_seekers)? + 1;
    let start = turns[..end].iter().rposition(|turn| !is_seekers(turn)).map_or(0, |supporters| supporters + 1);
    let texts: Vec<&str> = turns[start..end].iter().map(|turn| turn.text.as_str()).collect();
    Some(ContextTurn { speaker: Speaker::Seeker, text: texts.join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Strategy;

    /// `s` are the supporter's turns, `u` the seeker's.
    fn context(turns: &str, turn: usize, context: ScorerContext) -> Vec<String> {
        let turns = turns.chars().enumerate().map(|(place, letter)| Turn {
            text: format!("{letter}{place}"),
            author: if letter == 'u' { Author::Seeker } else { Author::Supporter(Strategy::Information) },
        });
        let dialogue = Dialogue {
            emotion_type: String::new(),
            problem_type: String::new(),
            situation: String::new(),
            turns: turns.collect(),
        };
        context.of(&dialogue, turn).into_iter().map(|turn| turn.text).collect()
    }

    #[test]
    fn the_seekers_last_words_in_one_go_are_read() {
        let block = |turns, turn| context(turns, turn, ScorerContext::SeekerBlock);
        assert_eq!(block("usuuss", 4), ["u2 u3"]);
        // The supporter goes on: what the seeker said before that still counts.
        assert_eq!(block("usuuss", 5), ["u2 u3"]);
        assert_eq!(block("uus", 2), ["u0 u1"]);
        assert!(block("sss", 2).is_empty() && block("us", 0).is_empty());
    }

    #[test]
    fn the_published_contexts_are_the_last_turns_with_strategies() {
        assert_eq!(context("usuuss", 5, ScorerContext::LastOne), ["[Information] s4"]);
        assert_eq!(context("usuuss", 4, ScorerContext::LastThree), ["[Information] s1", "u2", "u3"]);
        assert_eq!(context("us", 1, ScorerContext::LastThree), ["u0"]);
    }

    #[test]
    fn names_are_read_and_written() {
        for context in ScorerContext::ALL {
            assert_eq!(ScorerContext::parse(context.name()), Ok(context));
            assert_eq!(serde_json::to_value(context).unwrap(), context.name());
        }
        assert!(ScorerContext::parse("last-2").unwrap_err().contains("seeker-block, last-1, last-3"));
    }
}
