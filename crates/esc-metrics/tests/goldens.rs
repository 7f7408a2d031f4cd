//! The golden family `metrics`: pairs of texts and what the reference libraries make of them.
#![allow(dead_code, reason = "modules use what they need")]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of a golden family: `$SOLACE_GOLDENS`, else `../shared/goldens`, else `fixtures/goldens`. An absent family
/// is skipped with a printed line.
pub(crate) fn family(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("SOLACE_GOLDENS").map(PathBuf::from);
    let places = given.into_iter().chain([root().join("../shared/goldens"), root().join("fixtures/goldens")]);
    let found = places.map(|place| place.join(name)).find(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped: the golden family `{name}` is not here");
    }
    found
}

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

/// Fails unless the value is the expected one to 1e-9 of it, or to 1e-12.
#[track_caller]
pub(crate) fn assert_close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: {expected} is not a number"));
    let tolerance = 1e-9 * expected.abs().max(1e-3);
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}
