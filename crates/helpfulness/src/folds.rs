//! Which records are learned from and which are held out. Conversations are never divided: their records know of one another.

use std::collections::HashSet;
use std::path::Path;

use esconv_data::read_text;
use llm_runtime::seeded_stream;
use rand::seq::SliceRandom;
use serde_json::Value;

use crate::{HelpfulnessError, HelpfulnessRecord};

/// Numbers of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Those that are learned from.
    pub training: Vec<usize>,
    /// Those that are held out.
    pub validation: Vec<usize>,
}

/// Folds of equal numbers of conversations (to one), each held out once; who goes where is drawn from `seed`.
///
/// # Errors
/// There are fewer than two folds, or fewer conversations than folds.
pub fn folds_by_conversation(
    records: &[HelpfulnessRecord],
    folds: usize,
    seed: u64,
) -> Result<Vec<Fold>, HelpfulnessError> {
    let mut seen = HashSet::new();
    let mut conversations: Vec<String> =
        records.iter().map(HelpfulnessRecord::conversation_name).filter(|name| seen.insert(name.clone())).collect();
    if folds < 2 || conversations.len() < folds {
        let problem = format!("{folds} folds of {} conversations: at least 2, each with one", conversations.len());
        return Err(HelpfulnessError::Invalid(problem));
    }
    conversations.shuffle(&mut seeded_stream(seed, "folds"));
    let fold = |number: usize| {
        let held_out: HashSet<&str> = conversations.iter().skip(number).step_by(folds).map(String::as_str).collect();
        divide(records, |record| held_out.contains(record.conversation_name().as_str()))
    };
    Ok((0..folds).map(fold).collect())
}

/// The fold that holds out the conversations of these names or situations. Where two conversations have the same situation, it holds out both.
///
/// # Errors
/// All records are held out, or none is: then the names are not those of the records.
pub fn fold_of(records: &[HelpfulnessRecord], held_out: &[String]) -> Result<Fold, HelpfulnessError> {
    let listed: HashSet<&str> = held_out.iter().map(String::as_str).collect();
    let is_listed = |record: &HelpfulnessRecord| {
        listed.contains(record.situation.as_str()) || listed.contains(record.conversation_name().as_str())
    };
    let fold = divide(records, is_listed);
    if fold.training.is_empty() || fold.validation.is_empty() {
        let (training, validation) = (fold.training.len(), fold.validation.len());
        let problem = format!(
            "{} conversations to be held out leave {training} records to learn from and {validation} to validate with: \
             are they named as in the records?",
            held_out.len()
        );
        return Err(HelpfulnessError::Invalid(problem));
    }
    Ok(fold)
}

fn divide(records: &[HelpfulnessRecord], is_held_out: impl Fn(&HelpfulnessRecord) -> bool) -> Fold {
    let (validation, training) = (0..records.len()).partition(|number| is_held_out(&records[*number]));
    Fold { training, validation }
}

/// Reads lists of conversations to be held out, one list for each fold: a JSON array of arrays of names (`dev_index.json`), or one name on
/// each line, which is a single list.
///
/// # Errors
/// The file can't be read, or is neither.
pub fn read_held_out(path: &Path) -> Result<Vec<Vec<String>>, HelpfulnessError> {
    let text = read_text(path)?;
    let value = match serde_json::from_str::<Value>(&text) {
        Ok(Value::String(name)) => return Ok(vec![vec![name]]),
        Ok(value) => value,
        Err(_) => return Ok(vec![names_by_line(&text)]),
    };
    let problem = || HelpfulnessError::file(path, "expected an array of arrays of names, or a name on each line");
    let names = |list: &Value| -> Option<Vec<String>> {
        list.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let lists = value.as_array().ok_or_else(problem)?;
    match names(&value) {
        Some(single) => Ok(vec![single]),
        None => lists.iter().map(names).collect::<Option<_>>().ok_or_else(problem),
    }
}

/// A line may be a JSON string.
fn names_by_line(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| line.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConversationId;

    fn records(conversations: &[&str]) -> Vec<HelpfulnessRecord> {
        let record = |name: &&str| HelpfulnessRecord {
            conversation: Some(ConversationId::Name((*name).to_owned())),
            situation: format!("situation of {name}"),
            ..HelpfulnessRecord::default()
        };
        conversations.iter().map(record).collect()
    }

    #[test]
    fn each_conversation_is_held_out_once_and_whole() {
        let names = ["a", "b", "a", "c", "d", "d", "e", "a"];
        let folds = folds_by_conversation(&records(&names), 3, 7).unwrap();
        let mut held_out: Vec<usize> = folds.iter().flat_map(|fold| fold.validation.clone()).collect();
        held_out.sort_unstable();
        assert_eq!(held_out, (0..names.len()).collect::<Vec<_>>());
        for fold in &folds {
            assert_eq!(fold.training.len() + fold.validation.len(), names.len());
            let held: HashSet<&str> = fold.validation.iter().map(|number| names[*number]).collect();
            assert!(fold.training.iter().all(|number| !held.contains(names[*number])));
        }
        assert_eq!(folds, folds_by_conversation(&records(&names), 3, 7).unwrap());
        assert!(folds_by_conversation(&records(&names), 6, 7).is_err());
        assert!(folds_by_conversation(&records(&names), 1, 7).is_err());
    }

    #[test]
    fn lists_hold_out_their_conversations() {
        let fold = fold_of(&records(&["a", "b", "a"]), &["a".to_owned()]).unwrap();
        assert_eq!(fold, Fold { training: vec![1], validation: vec![0, 2] });
        assert_eq!(fold_of(&records(&["a", "b", "a"]), &["situation of a".to_owned()]).unwrap(), fold);
        let error = fold_of(&records(&["a", "b"]), &["z".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("leave 2 records to learn from and 0 to validate with"), "{error}");
    }

    #[test]
    fn lists_are_read_in_both_forms() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let path = folder.path().join("dev_index.json");
            std::fs::write(&path, text).unwrap();
            read_held_out(&path)
        };
        assert_eq!(read(r#"[["a", "b"], ["c"]]"#).unwrap(), [vec!["a", "b"], vec!["c"]]);
        assert_eq!(read(r#"["a", "b"]"#).unwrap(), [["a", "b"]]);
        assert_eq!(read("I lost it.\n\n\"b\"\n").unwrap(), [["I lost it.", "b"]]);
        assert_eq!(read("\"a b\"\n").unwrap(), [["a b"]]);
        assert!(read(r#"[["a"], 3]"#).is_err());
        assert!(read(r#"{"a": 3}"#).is_err());
    }
}
