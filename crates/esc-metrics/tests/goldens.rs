//! The golden family `metrics`: pairs of texts and what the reference libraries make of them.
#![allow(dead_code, reason = "modules use what they need")]

use std::path::Path;

use esc_metrics::Item;
pub(crate) use golden_files::{family, root};
use serde_json::Value;

/// One line of a file of pairs.
pub(crate) struct Pair {
    pub(crate) id: String,
    pub(crate) hypothesis: String,
    pub(crate) references: Vec<String>,
    pub(crate) expected: Value,
}

/// The pairs of `pairs_single.jsonl` or `pairs_multi.jsonl`.
pub(crate) fn pairs(folder: &Path, file: &str) -> Vec<Pair> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    text.lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            let string = |value: &Value| value.as_str().unwrap().to_owned();
            Pair {
                id: string(&row["id"]),
                hypothesis: string(&row["hyp"]),
                references: row["refs"].as_array().unwrap().iter().map(string).collect(),
                expected: row["expected"].take(),
            }
        })
        .collect()
}

/// `expected.json`.
pub(crate) fn expected(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

/// The whole family.
pub(crate) struct Golden {
    single: Vec<Pair>,
    multi: Vec<Pair>,
    pub(crate) expected: Value,
}

/// Pairs that were scored together.
pub(crate) struct Set<'a> {
    pub(crate) name: String,
    pub(crate) pairs: Vec<&'a Pair>,
    /// Corpus values.
    pub(crate) corpus: &'a Value,
    /// The pairs belong to a larger set, which their own values were computed in.
    pub(crate) is_subset: bool,
}

impl Golden {
    pub(crate) fn load() -> Option<Self> {
        let folder = family("metrics")?;
        Some(Self {
            single: pairs(&folder, "pairs_single.jsonl"),
            multi: pairs(&folder, "pairs_multi.jsonl"),
            expected: expected(&folder),
        })
    }

    /// The pairs with one reference, those with several, and a small subset of the first.
    pub(crate) fn sets(&self) -> Vec<Set<'_>> {
        let whole =
            |name: &str, pairs| Set { name: name.into(), pairs, corpus: &self.expected[name], is_subset: false };
        let subset = &self.expected["tiny_subset"];
        let ids: Vec<&str> = subset["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let chosen = ids.iter().map(|id| self.single.iter().find(|pair| pair.id == *id).unwrap()).collect();
        vec![
            whole("single", self.single.iter().collect()),
            whole("multi", self.multi.iter().collect()),
            Set { name: "tiny_subset".into(), pairs: chosen, corpus: &subset["expected"], is_subset: true },
        ]
    }
}

impl Set<'_> {
    /// The texts.
    pub(crate) fn items(&self) -> Vec<Item> {
        let item = |pair: &&Pair| Item { hypothesis: pair.hypothesis.clone(), references: pair.references.clone() };
        self.pairs.iter().map(item).collect()
    }

    /// The tokens of a reference tokenizer, joined by a space.
    pub(crate) fn tokenised(&self, tokenizer: &str) -> Vec<Item> {
        let item = |pair: &&Pair| {
            let mut texts: Vec<String> = pair.expected["tok"][tokenizer]
                .as_array()
                .unwrap()
                .iter()
                .map(|text| text.as_str().unwrap().to_owned())
                .collect();
            Item { hypothesis: texts.remove(0), references: texts }
        };
        self.pairs.iter().map(item).collect()
    }
}

/// Fails unless the value is the expected one to 1e-9 relative; the expected values carry 13 digits.
#[track_caller]
pub(crate) fn assert_close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: {expected} is not a number"));
    let tolerance = 1e-9 * expected.abs() + 1e-15;
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}

/// [`assert_close`] for lists.
#[track_caller]
pub(crate) fn assert_all_close(found: &[f64], expected: &Value, what: &str) {
    let expected = expected.as_array().unwrap_or_else(|| panic!("{what}: {expected} is not a list"));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_close(*found, expected, &format!("{what} [{at}]"));
    }
}
