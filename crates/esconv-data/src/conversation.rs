//! A conversation between a seeker and a supporter, whatever file it came from.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Who says an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The person who looks for support.
    Seeker,
    /// The person who gives it.
    Supporter,
}

impl Speaker {
    /// `seeker` or `supporter`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seeker => "seeker",
            Self::Supporter => "supporter",
        }
    }
}

/// One utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utterance {
    /// Who says it.
    pub speaker: Speaker,
    /// What is said, as in the file (not stripped).
    pub content: String,
    /// The supporter's annotated strategy, as the file's own label set spells it (see [`crate::LabelSet`]).
    pub strategy: Option<String>,
    /// The seeker's rating of the support so far, 1 (bad) to 5 (good).
    pub feedback: Option<u8>,
}

/// Answers of the survey after a conversation, each 1 to 5; missing where the survey lacks them or says 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SurveyScores {
    /// Seeker: how strong the emotion was before.
    pub initial_emotion_intensity: Option<u8>,
    /// Seeker: how strong it was after.
    pub final_emotion_intensity: Option<u8>,
    /// Seeker: how well the supporter understood.
    pub empathy: Option<u8>,
    /// Seeker: how relevant the conversation was.
    pub relevance: Option<u8>,
    /// Supporter: how relevant the conversation was.
    pub supporter_relevance: Option<u8>,
}

/// Free-text answers of the same survey, two questions each; empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SurveyAnswers {
    /// The seeker's (`seeker_question1`, `seeker_question2`).
    pub seeker: [String; 2],
    /// The supporter's (`supporter_question1`, `supporter_question2`).
    pub supporter: [String; 2],
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// `Current Experience` or `Previous Experience`; empty where the file does not tell.
    pub experience_type: String,
    /// The seeker's emotion, e.g. `anxiety`.
    pub emotion_type: String,
    /// The seeker's problem, e.g. `job crisis`.
    pub problem_type: String,
    /// The seeker's summary of what happened.
    pub situation: String,
    /// The survey's scores.
    pub survey: SurveyScores,
    /// The survey's answers in words.
    pub answers: SurveyAnswers,
    /// What was said.
    pub dialog: Vec<Utterance>,
}

impl Conversation {
    /// 16 hex digits of a SHA-256 over situation, speakers and contents: the same in every file that holds it.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.situation.as_bytes());
        for utterance in &self.dialog {
            // Lengths keep "ab" + "c" apart from "a" + "bc".
            hash.update([utterance.speaker as u8]);
            hash.update((utterance.content.len() as u64).to_le_bytes());
            hash.update(utterance.content.as_bytes());
        }
        short_hex(hash)
    }
}

/// The first 16 hex digits of a digest.
pub(crate) fn short_hex(hash: Sha256) -> String {
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
