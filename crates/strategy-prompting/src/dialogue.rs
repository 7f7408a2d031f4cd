//! A dialogue as it is prompted: alternating turns that begin and end with the seeker.

use esconv_data::{Example, Speaker};
use llm_runtime::Role;

use crate::error::Error;

/// Merged turns of a dialogue up to a cut point: the seeker's (role `user`) and the supporter's (role `assistant`) in
/// turn, beginning and ending with the seeker; an opening supporter turn is dropped. So the length is odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    turns: Vec<Turn>,
}

/// One merged turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who says it: [`Role::User`] for the seeker, [`Role::Assistant`] for the supporter.
    pub role: Role,
    /// What is said, as in the corpus (not stripped).
    pub text: String,
}

impl Dialogue {
    /// The history of an example.
    ///
    /// # Errors
    /// As for [`Self::new`], or texts and speakers are not equally many.
    pub fn of(example: &Example) -> Result<Self, Error> {
        let id = example.id.to_string();
        if example.dialog_history.len() != example.prev_speakers.len() {
            return Err(Error::Dialogue {
                example: id,
                problem: format!(
                    "`dialog_history` has {} turns but `prev_speakers` has {}",
                    example.dialog_history.len(),
                    example.prev_speakers.len()
                ),
            });
        }
        let turns = example.prev_speakers.iter().zip(&example.dialog_history);
        Self::new(&id, turns.map(|(speaker, text)| Turn { role: role_of(*speaker), text: text.clone() }).collect())
    }

    /// Drops an opening supporter turn and checks the rest.
    ///
    /// # Errors
    /// No seeker turn is left, the first or the last turn is not the seeker's, two neighbouring turns have the same
    /// speaker, or a turn has a role that is neither seeker nor supporter. The error names `example`.
    pub fn new(example: &str, mut turns: Vec<Turn>) -> Result<Self, Error> {
        let refuse = |problem: String| Error::Dialogue { example: example.to_owned(), problem };
        if turns.first().is_some_and(|turn| turn.role == Role::Assistant) {
            turns.remove(0);
        }
        let (Some(first), Some(last)) = (turns.first(), turns.last()) else {
            return Err(refuse("the dialogue has no seeker turn".into()));
        };
        if first.role != Role::User {
            return Err(refuse(format!(
                "the first turn (after an opening supporter turn) must be the seeker's, not the {}'s",
                speaker_name(first.role)
            )));
        }
        if last.role != Role::User {
            return Err(refuse(format!("the last turn must be the seeker's, not the {}'s", speaker_name(last.role))));
        }
        if let Some(at) = turns.windows(2).position(|pair| pair[0].role == pair[1].role) {
            return Err(refuse(format!(
                "turns {} and {} are both the {}'s; merge neighbouring turns of one speaker",
                at + 1,
                at + 2,
                speaker_name(turns[at].role)
            )));
        }
        if let Some(turn) = turns.iter().find(|turn| turn.role == Role::System) {
            return Err(refuse(format!("a turn has the role `{}`; expected user or assistant", turn.role.as_str())));
        }
        Ok(Self { turns })
    }

    /// The turns; never empty.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// The texts, not stripped.
    pub fn texts(&self) -> Vec<String> {
        self.turns.iter().map(|turn| turn.text.clone()).collect()
    }

    /// The speakers, `seeker` or `supporter`.
    pub fn speakers(&self) -> Vec<String> {
        self.turns.iter().map(|turn| speaker_name(turn.role).to_owned()).collect()
    }

    /// Puts texts and speakers (`seeker`, `supporter`) together again.
    ///
    /// # Errors
    /// As for [`Self::new`], different lengths, or an unknown speaker.
    pub fn from_speakers(example: &str, speakers: &[String], texts: &[String]) -> Result<Self, Error> {
        let refuse = |problem: String| Error::Dialogue { example: example.to_owned(), problem };
        if speakers.len() != texts.len() {
            return Err(refuse(format!("{} speakers for {} turns", speakers.len(), texts.len())));
        }
        let turns = speakers.iter().zip(texts).map(|(speaker, text)| match role_named(speaker) {
            Some(role) => Ok(Turn { role, text: text.clone() }),
            None => Err(refuse(format!("unknown speaker `{speaker}` (known: seeker, supporter)"))),
        });
        Self::new(example, turns.collect::<Result<_, _>>()?)
    }
}

fn role_of(speaker: Speaker) -> Role {
    match speaker {
        Speaker::Seeker => Role::User,
        Speaker::Supporter => Role::Assistant,
    }
}

fn speaker_name(role: Role) -> &'static str {
    match role {
        Role::User => "seeker",
        Role::Assistant => "supporter",
        Role::System => "system",
    }
}

fn role_named(speaker: &str) -> Option<Role> {
    [Role::User, Role::Assistant].into_iter().find(|role| speaker_name(*role) == speaker)
}
