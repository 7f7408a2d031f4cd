//! Dialogues as MAGIC needs them: texts, speakers and checked strategies; and which of their turns are to be predicted.

use std::path::Path;

use esconv_data::{Conversation, Speaker, Utterance, read_multiesc_as_written};

use crate::error::Error;
use crate::strategy::Strategy;

/// Who says a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The one who looks for support.
    Seeker,
    /// The one who gives it, by a strategy.
    Supporter(Strategy),
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What is said, as in the file.
    pub text: String,
    /// Who says it.
    pub author: Author,
}

/// One dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// The seeker's summary of what happened.
    pub situation: String,
    /// What was said.
    pub turns: Vec<Turn>,
}

/// Which turns of a dialogue are to be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleRule {
    /// Every supporter turn but one that opens the dialogue.
    AllTurns,
    /// The last such turn only; samples then have no memory. The published test set is made so.
    LastTurn,
}

impl Dialogue {
    /// Reads `train.txt`, `valid.txt` or `test.txt` of MultiESC or MAGIC (line ends of either kind).
    ///
    /// # Errors
    /// The file can't be read, a line is no conversation, there is none at all, or a supporter's turn has no known strategy.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, Error> {
        let conversations = read_multiesc_as_written(path)?.conversations;
        if conversations.is_empty() {
            return Err(Error::format(path, "holds no conversation: expected one JSON object a line"));
        }
        let mut sample = 0;
        let dialogues = conversations.into_iter().enumerate();
        dialogues.map(|(number, conversation)| Self::new(path, number, conversation, &mut sample)).collect()
    }

    fn new(path: &Path, dialogue: usize, conversation: Conversation, sample: &mut usize) -> Result<Self, Error> {
        let turns = conversation.dialog.into_iter().enumerate().map(|(turn, utterance)| {
            let Utterance { speaker, content, strategy: label, .. } = utterance;
            if speaker == Speaker::Seeker {
                return Ok(Turn { text: content, author: Author::Seeker });
            }
            let Some(strategy) = label.as_deref().and_then(Strategy::find) else {
                return Err(Error::Label { path: path.to_owned(), dialogue, turn, sample: *sample, label });
            };
            *sample += usize::from(turn > 0);
            Ok(Turn { text: content, author: Author::Supporter(strategy) })
        });
        Ok(Self { situation: conversation.situation, turns: turns.collect::<Result<_, _>>()? })
    }

    /// The turns to be predicted, with their strategies. Empty where the supporter never answers.
    pub fn targets(&self, rule: SampleRule) -> Vec<(usize, Strategy)> {
        let mut targets: Vec<_> = self.supporter_turns().filter(|(turn, _)| *turn > 0).collect();
        if rule == SampleRule::LastTurn {
            targets.drain(..targets.len().saturating_sub(1));
        }
        targets
    }

    /// The supporter's turns and their strategies.
    pub fn supporter_turns(&self) -> impl Iterator<Item = (usize, Strategy)> {
        self.turns.iter().enumerate().filter_map(|(number, turn)| match turn.author {
            Author::Supporter(strategy) => Some((number, strategy)),
            Author::Seeker => None,
        })
    }
}

impl SampleRule {
    /// `last` or `all`.
    ///
    /// # Errors
    /// It is neither; for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::AllTurns),
            "last" => Ok(Self::LastTurn),
            _ => Err("expected last or all".into()),
        }
    }
}
