//! What was inferred, row by row in a journal, and as the final lists hold it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use llm_runtime::sha256_of;
use serde::{Deserialize, Serialize};
use strategy_prompting::RowKind;

use crate::answer::ParsedAnswer;
use crate::strategy::Strategy;

/// Name of the journal of an inference.
pub const INFERENCE_JOURNAL: &str = "inferred.jsonl";

/// Which list of prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Prompts to train with.
    Train,
    /// Prompts to validate with.
    Valid,
    /// Prompts to test with.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        })
    }
}

/// A prompt whose strategy is to be inferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferenceItem {
    /// Its list.
    pub split: Split,
    /// Its place there, from 0.
    pub index: usize,
    /// What the model reads.
    pub prompt: String,
    /// Hex SHA-256 of the prompt.
    pub prompt_sha256: String,
}

impl InferenceItem {
    /// The prompts of a list, in its order.
    pub fn of_list(split: Split, prompts: Vec<String>) -> Vec<Self> {
        let item = |(index, prompt): (usize, String)| {
            let prompt_sha256 = sha256_of(&prompt);
            Self { split, index, prompt, prompt_sha256 }
        };
        prompts.into_iter().enumerate().map(item).collect()
    }

    /// What its row is known by: a changed prompt is another question.
    pub fn id(&self) -> String {
        row_id(self.split, self.index, &self.prompt_sha256)
    }
}

fn row_id(split: Split, index: usize, prompt_sha256: &str) -> String {
    format!("{split} {index} {prompt_sha256}")
}

/// Probabilities of the strategies; they add up to 1.
pub type Distribution = BTreeMap<Strategy, f64>;

/// An inferred strategy: an entry of `strategy_with_motivation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InferredAnswer {
    /// What the model wrote, read.
    #[serde(flatten)]
    pub answer: ParsedAnswer,
    /// How likely each strategy is, where that was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
}

/// An inferred strategy with its place: a line of `inferred.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InferredRow {
    /// The list.
    pub split: Split,
    /// Place in the list, from 0.
    pub index: usize,
    /// Hex SHA-256 of the prompt.
    pub prompt_sha256: String,
    /// What was inferred.
    #[serde(flatten)]
    pub inferred: InferredAnswer,
    /// How many of its oldest turns the prompt lost to fit the model.
    pub dropped_turns: usize,
    /// Model and settings that made it.
    pub model: String,
}

/// Rows of `inferred.jsonl`.
pub const INFERRED_ROWS: RowKind<InferredRow> = RowKind {
    name: "row of `magic infer-strategy`",
    beginning: r#"{"split":"#,
    id: |row| row_id(row.split, row.index, &row.prompt_sha256),
    made_by: |row| &row.model,
};

/// The rows of items, in their order; `None` where there is none yet. Rows about other prompts are passed over.
pub fn rows_of<'r>(items: &[InferenceItem], rows: &'r [InferredRow]) -> Vec<Option<&'r InferredRow>> {
    let by_id: HashMap<String, &InferredRow> = rows.iter().map(|row| ((INFERRED_ROWS.id)(row), row)).collect();
    items.iter().map(|item| by_id.get(&item.id()).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::ParseStatus;

    fn row(distribution: Option<Distribution>) -> InferredRow {
        let answer = ParsedAnswer {
            strategy: Strategy::Reflection,
            motivation: "m".into(),
            parse_status: ParseStatus::Bracket,
            raw: "r".into(),
        };
        let inferred = InferredAnswer { answer, distribution };
        InferredRow {
            split: Split::Test,
            index: 3,
            prompt_sha256: "ab".into(),
            inferred,
            dropped_turns: 2,
            model: "x".into(),
        }
    }

    #[test]
    fn a_row_is_a_line_with_its_list_first() {
        let distribution: Distribution = Strategy::ALL.into_iter().map(|strategy| (strategy, 0.125)).collect();
        for row in [row(None), row(Some(distribution))] {
            let line = serde_json::to_string(&row).unwrap();
            assert!(line.starts_with(INFERRED_ROWS.beginning), "{line}");
            assert_eq!(serde_json::from_str::<InferredRow>(&line).unwrap(), row);
        }
    }

    #[test]
    fn an_entry_names_the_strategies_in_their_order_and_is_an_inference() {
        let distribution: Distribution = Strategy::ALL.into_iter().rev().map(|strategy| (strategy, 0.125)).collect();
        let entry = serde_json::to_value(row(Some(distribution)).inferred).unwrap();
        let names: Vec<&str> = entry["distribution"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, Strategy::ALL.map(Strategy::name));
        assert_eq!(serde_json::from_value::<crate::Inference>(entry).unwrap().strategy, Strategy::Reflection);
    }

    #[test]
    fn rows_come_in_the_order_of_the_items_and_of_their_prompts_only() {
        let items = InferenceItem::of_list(Split::Test, ["a", "b"].map(str::to_owned).to_vec());
        let of = |item: &InferenceItem| InferredRow {
            index: item.index,
            prompt_sha256: item.prompt_sha256.clone(),
            ..row(None)
        };
        let rows = [of(&items[1]), InferredRow { split: Split::Valid, ..of(&items[0]) }];
        assert_eq!(rows_of(&items, &rows), [None, Some(&rows[0])]);
    }
}
