//! Dialogues as ThTra needs them: texts without superfluous blanks, speakers and checked strategies; and their files.

use std::path::Path;

use esconv_data::{Conversation, Speaker, Utterance, read_thtra, write_python_lines};
use serde::Serialize;

use crate::error::Error;
use crate::strategy::Strategy;
use crate::white_space::normalised;

/// Who says a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The one who looks for support.
    Seeker,
    /// The one who gives it, by a strategy.
    Supporter(Strategy),
}

/// One turn. Turns of one speaker that follow each other are not merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What is said, [normalised].
    pub text: String,
    /// Who says it.
    pub author: Author,
}

/// One dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// The seeker's emotion, e.g. `anxiety`.
    pub emotion_type: String,
    /// The seeker's problem, e.g. `job crisis`.
    pub problem_type: String,
    /// The seeker's summary of what happened, as in the corpus.
    pub situation: String,
    /// What was said.
    pub turns: Vec<Turn>,
}

impl Dialogue {
    /// Checks the conversations of a corpus. `path` is where they come from, for the error.
    ///
    /// # Errors
    /// A supporter's turn has no strategy, or one that nobody knows; or a turn has no text.
    pub fn of_corpus(path: &Path, conversations: &[Conversation]) -> Result<Vec<Self>, Error> {
        let numbered = conversations.iter().enumerate();
        numbered.map(|(dialogue, conversation)| Self::of(path, dialogue, conversation)).collect()
    }

    /// Reads `train.txt`, `valid.txt` or `test.txt`: ours, or published ones.
    ///
    /// # Errors
    /// The file can't be read, a line is no dialogue, or there is none at all; or as [`Self::of_corpus`].
    pub fn read_all(path: &Path) -> Result<Vec<Self>, Error> {
        let conversations = read_thtra(path)?.conversations;
        if conversations.is_empty() {
            return Err(Error::format(
                path,
                "holds no dialogue: expected one JSON object a line (see `thtra process`)",
            ));
        }
        Self::of_corpus(path, &conversations)
    }

    /// Writes dialogues as [`Self::read_all`] reads them, byte for byte as the published files.
    ///
    /// # Errors
    /// The file can't be written; an older one then stays.
    pub fn write_all<'a>(path: &Path, dialogues: impl IntoIterator<Item = &'a Self>) -> Result<(), Error> {
        Ok(write_python_lines(path, dialogues.into_iter().map(Line::of))?)
    }

    /// The supporter's turns that are to be predicted, with their strategies: all but one that opens the dialogue.
    pub fn targets(&self) -> impl Iterator<Item = (usize, Strategy)> {
        self.turns.iter().enumerate().skip(1).filter_map(|(number, turn)| match turn.author {
            Author::Supporter(strategy) => Some((number, strategy)),
            Author::Seeker => None,
        })
    }

    fn of(path: &Path, dialogue: usize, conversation: &Conversation) -> Result<Self, Error> {
        let turns = conversation.dialog.iter().enumerate().map(|(turn, utterance)| {
            let wrong = |problem| Error::Turn { path: path.to_owned(), dialogue, turn, problem };
            Turn::of(utterance).map_err(wrong)
        });
        Ok(Self {
            turns: turns.collect::<Result<_, _>>()?,
            emotion_type: conversation.emotion_type.clone(),
            problem_type: conversation.problem_type.clone(),
            situation: conversation.situation.clone(),
        })
    }
}

impl Turn {
    fn of(utterance: &Utterance) -> Result<Self, String> {
        let text = normalised(&utterance.content);
        if text.is_empty() {
            return Err("it has no text".into());
        }
        let author = match (utterance.speaker, utterance.strategy.as_deref()) {
            (Speaker::Seeker, _) => Author::Seeker,
            (Speaker::Supporter, Some(label)) => Author::Supporter(
                Strategy::find(label)
                    .ok_or_else(|| format!("the strategy `{label}` is unknown; known are: {}", Strategy::names()))?,
            ),
            (Speaker::Supporter, None) => {
                return Err(format!("the supporter's turn has no strategy; known are: {}", Strategy::names()));
            }
        };
        Ok(Self { text, author })
    }
}

/// A line of the files; the order of the fields is theirs.
#[derive(Serialize)]
struct Line<'a> {
    emotion_type: &'a str,
    problem_type: &'a str,
    situation: &'a str,
    dialog: Vec<LineTurn<'a>>,
}

#[derive(Serialize)]
struct LineTurn<'a> {
    text: &'a str,
    speaker: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<Strategy>,
}

impl<'a> Line<'a> {
    fn of(dialogue: &'a Dialogue) -> Self {
        Self {
            emotion_type: &dialogue.emotion_type,
            problem_type: &dialogue.problem_type,
            situation: &dialogue.situation,
            dialog: dialogue.turns.iter().map(LineTurn::of).collect(),
        }
    }
}

impl<'a> LineTurn<'a> {
    fn of(turn: &'a Turn) -> Self {
        let (speaker, strategy) = match turn.author {
            Author::Seeker => ("usr", None),
            Author::Supporter(strategy) => ("sys", Some(strategy)),
        };
        Self { text: &turn.text, speaker, strategy }
    }
}
