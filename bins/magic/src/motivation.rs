//! Motivations: why the supporter chose a strategy, asked of a chat model and kept row by row.
//!
//! Every supporter turn that is a sample gives one prompt. Answers come in any order and are kept in a journal, each with its place and the
//! hash of its prompt, so that a restart asks only for what is missing and nothing shifts where an answer failed.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use llm_runtime::{
    Completion, Event, FinishReason, GenerationOptions, Message, ModelIdentity, Prompt, Request, RunStatistics,
    TextModel, sha256_of,
};
use serde::{Deserialize, Serialize};
use strategy_prompting::RowKind;

use crate::clip::{CollectionClip, collection_clips};
use crate::dialogue::Dialogue;
use crate::error::Error;
use crate::seeds::seed_of;
use crate::strategy::Strategy;
use crate::template::Template;

/// Name of the file of collected motivations, in order.
pub const MOTIVATIONS_FILE: &str = "motivations_4_LLaMA.json";
/// Name of the journal that they are collected in.
pub const MOTIVATION_JOURNAL: &str = "motivations.jsonl";

/// A motivation has at most so many words, as the prompt asks.
pub const MOST_WORDS: usize = 40;

/// A strategy that is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MotivationItem {
    /// Its place in the final list, from 0.
    pub index: usize,
    /// Number of the dialogue, from 0.
    pub dialogue: usize,
    /// Number of the turn within it, from 0.
    pub turn: usize,
    /// The strategy.
    pub strategy: Strategy,
    /// What the model is asked, as one user message.
    pub prompt: String,
    /// Hex SHA-256 of the prompt.
    pub prompt_sha256: String,
}

/// What is to be asked about dialogues, in their order.
pub fn motivation_items(dialogues: &[Dialogue], template: &Template) -> Vec<MotivationItem> {
    let item = |(index, clip): (usize, CollectionClip)| {
        let CollectionClip { dialogue, turn, strategy, text } = clip;
        let prompt = template.prompt(&text);
        let prompt_sha256 = sha256_of(&prompt);
        MotivationItem { index, dialogue, turn, strategy, prompt, prompt_sha256 }
    };
    collection_clips(dialogues).into_iter().enumerate().map(item).collect()
}

impl MotivationItem {
    /// What its row is known by: a changed prompt is another question.
    pub fn id(&self) -> String {
        row_id(self.index, &self.prompt_sha256)
    }

    fn seed(&self, base: u64) -> u64 {
        seed_of(base, &format!("{}\u{1f}{}", self.index, self.prompt_sha256))
    }

    fn row(&self, completion: Completion, made_by: &str) -> MotivationRow {
        MotivationRow {
            index: self.index,
            dialogue: self.dialogue,
            turn: self.turn,
            strategy: self.strategy,
            prompt_sha256: self.prompt_sha256.clone(),
            checks: MotivationChecks::of(&completion.text, self.strategy, completion.finish_reason),
            motivation: completion.text,
            model: made_by.to_owned(),
            attempts: completion.attempts,
        }
    }
}

/// A collected motivation: a line of `motivations.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MotivationRow {
    /// Place in the final list, from 0.
    pub index: usize,
    /// Number of the dialogue, from 0.
    pub dialogue: usize,
    /// Number of the turn within it, from 0.
    pub turn: usize,
    /// The strategy that is explained.
    pub strategy: Strategy,
    /// Hex SHA-256 of what was asked.
    pub prompt_sha256: String,
    /// The answer, as it came.
    pub motivation: String,
    /// Model and settings that made it.
    pub model: String,
    /// How often it was asked for.
    pub attempts: u32,
    /// What of the wish list it fulfils.
    pub checks: MotivationChecks,
}

/// Rows of `motivations.jsonl`.
pub const MOTIVATION_ROWS: RowKind<MotivationRow> = RowKind {
    name: "row of `magic collect-motivations`",
    beginning: r#"{"index":"#,
    id: |row| row_id(row.index, &row.prompt_sha256),
    made_by: |row| &row.model,
};

fn row_id(index: usize, prompt_sha256: &str) -> String {
    format!("{index} {prompt_sha256}")
}

/// What a motivation should be. None of it is a reason to throw an answer away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MotivationChecks {
    /// It names its strategy in square brackets, whatever the case.
    pub names_strategy: bool,
    /// It has at most [`MOST_WORDS`] words.
    pub is_short: bool,
    /// It is one line.
    pub is_one_line: bool,
    /// The model ended it by itself.
    pub is_whole: bool,
}

impl MotivationChecks {
    /// Checks an answer.
    pub fn of(motivation: &str, strategy: Strategy, finish: FinishReason) -> Self {
        let named = format!("[{}]", strategy.name()).to_lowercase();
        Self {
            names_strategy: motivation.to_lowercase().contains(&named),
            is_short: motivation.split_whitespace().count() <= MOST_WORDS,
            is_one_line: motivation.trim().lines().count() == 1,
            is_whole: finish != FinishReason::Length,
        }
    }
}

/// News of a collection.
#[derive(Debug)]
pub enum Collected {
    /// An answer, to be kept.
    Row(MotivationRow),
    /// An item that got none.
    Failed {
        /// Its place.
        index: usize,
        /// Why.
        reason: String,
    },
    /// Nothing yet; whoever wants the collection to end can say so.
    Waiting,
}

/// How rows name their maker: the model, and whatever else decides its answers.
pub fn made_by(model: &dyn TextModel, options: &GenerationOptions) -> String {
    let GenerationOptions { temperature, max_new_tokens, seed, .. } = options;
    let ModelIdentity { name, sha256, .. } = model.identity();
    // Of a server's model nothing but the name is known.
    let name = if sha256.is_empty() { name } else { format!("{name} {sha256}") };
    format!("{name} · temperature {temperature}, at most {max_new_tokens} tokens, seed {seed}")
}

/// Asks a model for the motivations of items, and hands out each as soon as it is there, until the sink breaks. An answer of white space only counts
/// as none.
///
/// # Errors
/// The model ends the whole run, or the sink fails.
pub fn collect_motivations(
    items: &[&MotivationItem],
    model: &mut dyn TextModel,
    options: &GenerationOptions,
    sink: &mut dyn FnMut(Collected) -> Result<ControlFlow<()>, Error>,
) -> Result<RunStatistics, Error> {
    let made_by = made_by(model, options);
    let by_index: HashMap<u64, &MotivationItem> = items.iter().map(|item| (item.index as u64, *item)).collect();
    let mut requests = items.iter().map(|item| {
        let options = GenerationOptions { seed: item.seed(options.seed), ..options.clone() };
        Request::new(item.index as u64, Prompt::Chat(vec![Message::user(&item.prompt)]), options)
    });
    let mut failure = None;
    let statistics = model.generate(&mut requests, &mut |event| {
        sink(collected(event, &by_index, &made_by)).unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(statistics?),
    }
}

fn collected(event: Event, items: &HashMap<u64, &MotivationItem>, made_by: &str) -> Collected {
    match event {
        Event::Finished(completion) if completion.finish_reason != FinishReason::Cancelled => {
            match items.get(&completion.key) {
                Some(item) if completion.text.trim().is_empty() => {
                    Collected::Failed { index: item.index, reason: "the model said nothing".into() }
                }
                Some(item) => Collected::Row(item.row(completion, made_by)),
                None => Collected::Waiting,
            }
        }
        Event::Failed { key, error } => match items.get(&key) {
            Some(item) => Collected::Failed { index: item.index, reason: error.to_string() },
            None => Collected::Waiting,
        },
        Event::Finished(_) | Event::Text { .. } => Collected::Waiting,
    }
}

/// The motivations in the order of the items; `None` where there is none yet. Rows about other prompts are passed over.
pub fn in_order(items: &[MotivationItem], rows: &[MotivationRow]) -> Vec<Option<String>> {
    let by_id: HashMap<String, &MotivationRow> = rows.iter().map(|row| ((MOTIVATION_ROWS.id)(row), row)).collect();
    items.iter().map(|item| by_id.get(&item.id()).map(|row| row.motivation.clone())).collect()
}

/// The rows that belong to the items, as [`in_order`] takes them.
pub fn of_items<'r>(items: &[MotivationItem], rows: &'r [MotivationRow]) -> Vec<&'r MotivationRow> {
    let ids: HashSet<String> = items.iter().map(MotivationItem::id).collect();
    rows.iter().filter(|row| ids.contains(&(MOTIVATION_ROWS.id)(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_say_what_is_missing() {
        let checks = |text: &str, finish| {
            let checks = MotivationChecks::of(text, Strategy::SelfDisclosure, finish);
            [checks.names_strategy, checks.is_short, checks.is_one_line, checks.is_whole]
        };
        let end = FinishReason::EndOfSequence;
        assert_eq!(checks("It is [self-Disclosure].\n", end), [true; 4]);
        assert_eq!(checks("It is self-disclosure.", end), [false, true, true, true]);
        assert_eq!(checks(&format!("[Self-disclosure]{}", " a".repeat(39)), end), [true; 4]);
        assert_eq!(checks(&format!("[Self-disclosure]{}", " a".repeat(40)), end), [true, false, true, true]);
        assert_eq!(checks("[Self-disclosure]\nb", FinishReason::Length), [true, true, false, false]);
        assert_eq!(checks("[Others]", end), [false, true, true, true]);
    }

    #[test]
    fn a_row_is_a_line_with_its_place_first() {
        let row = MotivationRow {
            index: 3,
            dialogue: 1,
            turn: 4,
            strategy: Strategy::Reflection,
            prompt_sha256: "ab".into(),
            motivation: "m".into(),
            model: "x".into(),
            attempts: 2,
            checks: MotivationChecks { names_strategy: true, is_short: true, is_one_line: true, is_whole: true },
        };
        let line = serde_json::to_string(&row).unwrap();
        assert!(line.starts_with(MOTIVATION_ROWS.beginning) && line.contains(r#""strategy":"Reflection of feelings""#));
        assert_eq!(serde_json::from_str::<MotivationRow>(&line).unwrap(), row);
    }
}
