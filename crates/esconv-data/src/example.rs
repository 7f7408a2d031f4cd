//! Cutting a conversation into examples: a prefix that ends with the seeker, and the supporter turn that follows.
//!
//! The rule is that of the SRA data (arXiv 2402.10453): neighbouring utterances of one speaker are merged into turns; an opening
//! supporter turn is not counted; a conversation with `k ≥ 2` supporter turns gives `k − 2` examples when cutting begins at turn 1,
//! because the last turns are never targets.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::conversation::{Conversation, Speaker, short_hex};

/// A conversation prefix to be continued, with what the supporter really said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Conversation and turn, e.g. `1f0c…-3`; stable across files and runs.
    #[serde(default)]
    pub id: String,
    /// The conversation's id.
    #[serde(default)]
    pub conversation: String,
    /// The seeker's emotion.
    pub emotion_type: String,
    /// The seeker's problem.
    pub problem_type: String,
    /// The seeker's summary of what happened.
    pub situation: String,
    /// Merged turns before the target, not stripped.
    pub dialog_history: Vec<String>,
    /// Their speakers.
    pub prev_speakers: Vec<Speaker>,
    /// Their strategies; `[""]` for a seeker turn.
    pub prev_strategies: Vec<Vec<String>>,
    /// The target turn's strategies, each different from the one before it.
    pub strategy: Vec<String>,
    /// The target turn.
    pub response: String,
    /// Number of the target turn among the supporter's turns, an opening one not counted.
    pub turn: usize,
}

impl Example {
    /// Whether this example is cut from the same conversation as `earlier`, at a later turn.
    fn continues(&self, earlier: &Self) -> bool {
        let length = earlier.dialog_history.len();
        self.situation == earlier.situation
            && self.dialog_history.get(length) == Some(&earlier.response)
            && self.dialog_history[..length] == earlier.dialog_history
    }

    /// The key of the published splits: the first five turns, an opening supporter turn not counted. What is shorter says
    /// little (many conversations begin with `Hello`), so that the situation and the target take part.
    fn conversation_key(&self) -> String {
        let opening = usize::from(self.prev_speakers.first() == Some(&Speaker::Supporter));
        match self.dialog_history.get(opening..opening + 5) {
            Some(first) => short_hex(Sha256::new_with_prefix(first.join("_"))),
            None => {
                let mut hash = Sha256::new_with_prefix(self.dialog_history.join("_"));
                hash.update([0]);
                hash.update(&self.response);
                hash.update([0]);
                hash.update(&self.situation);
                short_hex(hash)
            }
        }
    }
}

/// Gives ids to the examples of a file that has none. Neighbours that continue one another are of one conversation; its key
/// is that of its longest example, the others being too short to have one.
pub(crate) fn ensure_ids(examples: &mut [Example]) {
    for group in
        examples.chunk_by_mut(|earlier, later| earlier.conversation == later.conversation && later.continues(earlier))
    {
        let key = group.last().map(Example::conversation_key).unwrap_or_default();
        for example in group {
            if example.conversation.is_empty() {
                example.conversation.clone_from(&key);
            }
            if example.id.is_empty() {
                example.id = format!("{}-{}", example.conversation, example.turn);
            }
        }
    }
}

/// A maximal run of utterances by one speaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedTurn {
    /// Who says it.
    pub speaker: Speaker,
    /// The utterances, joined by single blanks, not stripped.
    pub text: String,
    /// Their strategies, each different from the one before it; a missing one is the empty string.
    pub strategies: Vec<String>,
}

/// Merges neighbouring utterances of one speaker.
pub fn merge_turns(conversation: &Conversation) -> Vec<MergedTurn> {
    let mut turns: Vec<MergedTurn> = Vec::new();
    for utterance in &conversation.dialog {
        let strategy = utterance.strategy.clone().unwrap_or_default();
        match turns.last_mut().filter(|turn| turn.speaker == utterance.speaker) {
            Some(turn) => {
                turn.text.push(' ');
                turn.text.push_str(&utterance.content);
                if turn.strategies.last() != Some(&strategy) {
                    turn.strategies.push(strategy);
                }
            }
            None => turns.push(MergedTurn {
                speaker: utterance.speaker,
                text: utterance.content.clone(),
                strategies: vec![strategy],
            }),
        }
    }
    turns
}

/// Cuts a conversation before each of its supporter turns from `starting_turn` on, but the last.
pub fn cut(conversation: &Conversation, starting_turn: usize) -> Vec<Example> {
    let turns = merge_turns(conversation);
    let supporter_turns = turns.iter().filter(|turn| turn.speaker == Speaker::Supporter).count();
    let last = supporter_turns.saturating_sub(1);
    let id = conversation.id();
    let mut examples = Vec::new();
    let mut number = 0;
    for (at, target) in turns.iter().enumerate() {
        let is_supporter = target.speaker == Speaker::Supporter;
        if is_supporter && at > 0 {
            number += 1;
        }
        if number == last {
            break;
        }
        if is_supporter && number >= starting_turn {
            examples.push(example(conversation, &id, &turns[..at], target, number));
        }
    }
    examples
}

fn example(conversation: &Conversation, id: &str, history: &[MergedTurn], target: &MergedTurn, turn: usize) -> Example {
    Example {
        id: format!("{id}-{turn}"),
        conversation: id.to_owned(),
        emotion_type: conversation.emotion_type.clone(),
        problem_type: conversation.problem_type.clone(),
        situation: conversation.situation.clone(),
        dialog_history: history.iter().map(|turn| turn.text.clone()).collect(),
        prev_speakers: history.iter().map(|turn| turn.speaker).collect(),
        prev_strategies: history.iter().map(|turn| turn.strategies.clone()).collect(),
        strategy: target.strategies.clone(),
        response: target.text.clone(),
        turn,
    }
}
