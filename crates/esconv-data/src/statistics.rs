//! What a corpus holds, in numbers.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::Serialize;

use crate::conversation::{Conversation, Speaker};
use crate::example::{Example, cut, merge_turns};

/// Counts and means over conversations. Fields that only a raw corpus can tell are 0 or empty for prepared examples.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Statistics {
    /// Conversations.
    pub conversations: usize,
    /// Conversations whose first turn is the supporter's.
    pub opened_by_supporter: usize,
    /// Utterances.
    pub utterances: usize,
    /// Turns after merging neighbouring utterances of one speaker.
    pub merged_turns: usize,
    /// Mean words of a seeker's utterance, split at white space.
    pub seeker_words: f64,
    /// Mean words of a supporter's utterance.
    pub supporter_words: f64,
    /// Examples cut from turn 1 on.
    pub examples: usize,
    /// Examples per turn.
    pub examples_per_turn: BTreeMap<usize, usize>,
    /// Mean number of turns in an example's history, an opening supporter turn not counted.
    pub mean_dialog_length: f64,
    /// Supporter utterances (of examples: target turns) per strategy, most frequent first.
    pub strategies: Vec<(String, usize)>,
    /// Conversations (of examples: examples) per problem, most frequent first.
    pub problems: Vec<(String, usize)>,
    /// The same per emotion.
    pub emotions: Vec<(String, usize)>,
    /// Seeker ratings, 1 to 5.
    pub feedback: BTreeMap<u8, usize>,
}

impl Statistics {
    /// Counts a raw corpus.
    pub fn of_conversations(conversations: &[Conversation]) -> Self {
        let examples: Vec<Example> = conversations.iter().flat_map(|conversation| cut(conversation, 1)).collect();
        let mut statistics = Self::of_examples(&examples);
        let utterances = || conversations.iter().flat_map(|conversation| &conversation.dialog);
        let words = |speaker| {
            mean(utterances().filter(|one| one.speaker == speaker).map(|one| one.content.split_whitespace().count()))
        };
        statistics.conversations = conversations.len();
        statistics.opened_by_supporter = conversations
            .iter()
            .filter(|conversation| conversation.dialog.first().is_some_and(|one| one.speaker == Speaker::Supporter))
            .count();
        statistics.utterances = utterances().count();
        statistics.merged_turns = conversations.iter().map(|conversation| merge_turns(conversation).len()).sum();
        statistics.seeker_words = words(Speaker::Seeker);
        statistics.supporter_words = words(Speaker::Supporter);
        statistics.strategies = counted(utterances().filter_map(|one| one.strategy.as_deref()));
        statistics.problems = counted(conversations.iter().map(|conversation| conversation.problem_type.as_str()));
        statistics.emotions = counted(conversations.iter().map(|conversation| conversation.emotion_type.as_str()));
        for rating in utterances().filter_map(|one| one.feedback) {
            *statistics.feedback.entry(rating).or_default() += 1;
        }
        statistics
    }

    /// Counts prepared examples.
    pub fn of_examples(examples: &[Example]) -> Self {
        let conversations: HashSet<&str> = examples.iter().map(|example| example.conversation.as_str()).collect();
        let mut examples_per_turn = BTreeMap::new();
        for example in examples {
            *examples_per_turn.entry(example.turn).or_default() += 1;
        }
        Self {
            conversations: conversations.len(),
            examples: examples.len(),
            examples_per_turn,
            mean_dialog_length: mean(examples.iter().map(dialog_length)),
            strategies: counted(examples.iter().flat_map(|example| &example.strategy).map(String::as_str)),
            problems: counted(examples.iter().map(|example| example.problem_type.as_str())),
            emotions: counted(examples.iter().map(|example| example.emotion_type.as_str())),
            ..Self::default()
        }
    }
}

/// Turns of the history without an opening supporter turn.
fn dialog_length(example: &Example) -> usize {
    let opening = usize::from(example.prev_speakers.first() == Some(&Speaker::Supporter));
    example.dialog_history.len() - opening.min(example.dialog_history.len())
}

fn mean(values: impl Iterator<Item = usize>) -> f64 {
    let (sum, count) = values.fold((0, 0usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

fn counted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names.filter(|name| !name.is_empty()) {
        *counts.entry(name).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// Turns and names beyond these are summed up in one line.
const SHOWN: usize = 15;

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "conversations            {:>8}", self.conversations)?;
        if self.utterances > 0 {
            writeln!(f, "  opened by supporter    {:>8}", self.opened_by_supporter)?;
            writeln!(f, "utterances               {:>8}", self.utterances)?;
            writeln!(f, "  words, seeker          {:>8.1}", self.seeker_words)?;
            writeln!(f, "  words, supporter       {:>8.1}", self.supporter_words)?;
            writeln!(f, "merged turns             {:>8}", self.merged_turns)?;
        }
        writeln!(f, "examples                 {:>8}", self.examples)?;
        writeln!(f, "  mean dialog length     {:>8.3}", self.mean_dialog_length)?;
        let turns: Vec<(String, usize)> =
            self.examples_per_turn.iter().map(|(turn, count)| (turn.to_string(), *count)).collect();
        table(f, "examples per turn", &turns)?;
        table(f, "strategies", &self.strategies)?;
        table(f, "problems", &self.problems)?;
        table(f, "emotions", &self.emotions)?;
        let ratings: Vec<(String, usize)> =
            self.feedback.iter().map(|(rating, count)| (rating.to_string(), *count)).collect();
        table(f, "seeker ratings", &ratings)
    }
}

fn table(f: &mut fmt::Formatter<'_>, title: &str, rows: &[(String, usize)]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let total: usize = rows.iter().map(|(_, count)| count).sum();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(8);
    writeln!(f, "\n{title}")?;
    let line = |f: &mut fmt::Formatter<'_>, name: &str, count: usize| {
        writeln!(f, "  {name:<width$}  {count:>7}  {:>5.1} %", 100.0 * count as f64 / total as f64)
    };
    for (name, count) in rows.iter().take(SHOWN) {
        line(f, name, *count)?;
    }
    match rows.get(SHOWN..) {
        Some(rest) if !rest.is_empty() => line(f, "others", rest.iter().map(|(_, count)| count).sum()),
        _ => Ok(()),
    }
}
