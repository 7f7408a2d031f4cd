//! What two runs left, file by file: byte for byte, unless a rule says what else is the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// How files are compared whose names match. Names are paths from the run's folder; a `*` at the beginning or the end stands for anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) files: &'static str,
    pub(super) same: Same,
}

/// When two files are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Same {
    /// Byte for byte.
    Bytes,
    /// The same lines in any order: rows of a batch are written as they are finished.
    Lines,
    /// The same steps and values, and the same end; when they happened and how fast is not compared, nor what each start and each end in between wrote down.
    Events,
    /// The same JSON without fields of these names, wherever they stand: times and rates.
    JsonWithout(&'static [&'static str]),
    /// As many files with the same bytes, whatever folders they are in.
    Anywhere,
    /// The same complete trials with the same values of the same parameters, in any order: a trial that is tried again after a kill has another number.
    Trials,
    /// Not compared, for this reason.
    Never(&'static str),
}

impl Same {
    pub(super) fn description(self) -> String {
        match self {
            Self::Bytes => "byte for byte".into(),
            Self::Lines => "the same lines in any order".into(),
            Self::Events => "the same steps and values, without times and rates".into(),
            Self::JsonWithout(fields) => format!("the same JSON without {}", fields.join(", ")),
            Self::Anywhere => "byte for byte, whatever the folder is called".into(),
            Self::Trials => "the same complete trials, in any order".into(),
            Self::Never(why) => format!("not compared: {why}"),
        }
    }
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// Files that are the same, byte for byte.
    pub(super) bytes: usize,
    /// Files that are the same by another rule.
    pub(super) by_rule: usize,
    /// Files that nobody compared.
    pub(super) not_compared: usize,
    /// Unfinished files that a kill left, which nobody reads.
    pub(super) leftovers: Vec<String>,
    /// All that is different.
    pub(super) differences: Vec<String>,
}

/// Compares the files of a killed run with those of the undisturbed one.
///
/// # Errors
/// A file can't be read.
pub(super) fn compare(whole: &Path, killed: &Path, rules: &[Rule]) -> Result<Compared, String> {
    let (mut expected, mut found) = (files(whole)?, files(killed)?);
    let mut compared = Compared::default();
    for rule in rules.iter().filter(|rule| rule.same == Same::Anywhere) {
        let [whole, killed] = [&mut expected, &mut found].map(|files| take_contents(files, rule.files));
        let (whole, killed) = (whole?, killed?);
        match whole == killed {
            true => compared.bytes += whole.len(),
            false => compared.differences.push(format!(
                "{}: {} files, expected {}, or other bytes",
                rule.files,
                killed.len(),
                whole.len()
            )),
        }
    }
    for (name, path) in found {
        let same = rules.iter().find(|rule| matches(rule.files, &name)).map_or(Same::Bytes, |rule| rule.same);
        match (expected.remove(&name), same) {
            (_, Same::Never(_)) => compared.not_compared += 1,
            (None, _) if name.ends_with(".partial") => compared.leftovers.push(name),
            (None, _) => compared.differences.push(format!("{name}: the undisturbed run has no such file")),
            (Some(expected), same) => match difference(&read(&expected)?, &read(&path)?, same) {
                None if same == Same::Bytes => compared.bytes += 1,
                None => compared.by_rule += 1,
                Some(difference) => compared.differences.push(format!("{name}: {difference}")),
            },
        }
    }
    let is_never =
        |name: &str| rules.iter().any(|rule| matches!(rule.same, Same::Never(_)) && matches(rule.files, name));
    compared
        .differences
        .extend(expected.into_keys().filter(|name| !is_never(name)).map(|name| format!("{name}: is missing")));
    Ok(compared)
}

/// All files below a folder by their paths from it.
fn files(folder: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        let entries = std::fs::read_dir(&inner).map_err(|error| format!("{}: {error}", inner.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", inner.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                found.insert(name, path);
            }
        }
    }
    Ok(found)
}

/// Takes out what files of these names hold, sorted.
fn take_contents(files: &mut BTreeMap<String, PathBuf>, pattern: &str) -> Result<Vec<Vec<u8>>, String> {
    let taken: Vec<PathBuf> = files.extract_if(.., |name, _| matches(pattern, name)).map(|(_, path)| path).collect();
    let mut contents = taken.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    contents.sort_unstable();
    Ok(contents)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(beginning)) => name.starts_with(beginning),
        (None, None) => pattern == name,
    }
}

/// What is different, if anything is.
fn difference(expected: &[u8], found: &[u8], same: Same) -> Option<String> {
    match same {
        Same::Never(_) | Same::Anywhere => None,
        Same::Trials => json_difference(&trials(expected), &trials(found)),
        Same::Bytes => {
            let at = expected.iter().zip(found).position(|(expected, found)| expected != found);
            match (at, expected.len() == found.len()) {
                (None, true) => None,
                (at, _) => Some(format!(
                    "{} bytes, expected {}; they differ from byte {} on",
                    found.len(),
                    expected.len(),
                    at.unwrap_or(expected.len().min(found.len()))
                )),
            }
        }
        Same::Lines => {
            let (expected, found) = (sorted_lines(expected), sorted_lines(found));
            let odd = found.iter().find(|line| !expected.contains(line));
            (expected != found).then(|| {
                let odd =
                    odd.map(|line| format!("; one that is not expected: {}", shortened(line))).unwrap_or_default();
                format!("{} lines, expected {}{odd}", found.len(), expected.len())
            })
        }
        Same::Events => json_difference(&events(expected), &events(found)),
        Same::JsonWithout(fields) => json_difference(&json_without(expected, fields), &json_without(found, fields)),
    }
}

fn sorted_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

fn shortened(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().take(160).collect()
}

fn json_difference(expected: &Result<Vec<Value>, String>, found: &Result<Vec<Value>, String>) -> Option<String> {
    match (expected, found) {
        (Err(problem), _) => Some(format!("the undisturbed run's: {problem}")),
        (_, Err(problem)) => Some(problem.clone()),
        (Ok(expected), Ok(found)) => {
            if let Some((at, (expected, found))) =
                expected.iter().zip(found).enumerate().find(|(_, (one, other))| one != other)
            {
                let [expected, found] = [expected, found].map(|value| shortened(value.to_string().as_bytes()));
                return Some(format!("value {}: {found}, expected {expected}", at + 1));
            }
            (expected.len() != found.len()).then(|| format!("{} values, expected {}", found.len(), expected.len()))
        }
    }
}

/// The values of a JSON file, or of a file with one on each line, without some fields.
fn json_without(bytes: &[u8], fields: &[&str]) -> Result<Vec<Value>, String> {
    let values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let values = values.collect::<Result<Vec<_>, _>>().map_err(|error| format!("no JSON: {error}"))?;
    Ok(values.into_iter().map(|value| without(value, &|name| fields.contains(&name))).collect())
}

/// The rows of `events.jsonl` without times and rates, and without the settings, which each start writes down.
fn events(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let is_time = |name: &str| name == "t" || name.ends_with("_runtime") || name.ends_with("_per_second");
    let rows = json_without(bytes, &[])?.into_iter().map(|row| without(row, &is_time));
    Ok(rows.filter(|row| row["kind"] != "config").collect())
}

/// Of the results of a study, what complete trials are worth.
fn trials(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let results: Value = serde_json::from_slice(bytes).map_err(|error| format!("no JSON: {error}"))?;
    let all = results["all_trials"].as_array().ok_or("no trials")?;
    let of = |trial: &Value| {
        json!([trial["params"], trial["value"], without(trial["attributes"].clone(), &|name| name == "run")])
    };
    let mut complete: Vec<Value> = all.iter().filter(|trial| trial["state"] == "complete").map(of).collect();
    complete.sort_by_key(Value::to_string);
    Ok(complete)
}

fn without(value: Value, is_left_out: &impl Fn(&str) -> bool) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, _)| !is_left_out(name));
            Value::Object(kept.map(|(name, value)| (name, without(value, is_left_out))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(|value| without(value, is_left_out)).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(files: &[(&str, &str)]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        place
    }

    fn differences(whole: &[(&str, &str)], killed: &[(&str, &str)], rules: &[Rule]) -> Vec<String> {
        compare(place(whole).path(), place(killed).path(), rules).unwrap().differences
    }

    const LINES: &[Rule] = &[Rule { files: "*.jsonl", same: Same::Lines }];

    #[test]
    fn every_file_has_to_be_there_with_the_same_bytes() {
        let whole = [("out/a", "one"), ("out/b", "two")];
        assert!(differences(&whole, &whole, &[]).is_empty());
        assert_eq!(differences(&whole, &[("out/a", "one")], &[]), ["out/b: is missing"]);
        let more = [("out/a", "one"), ("out/b", "two"), ("c", "")];
        assert_eq!(differences(&whole, &more, &[]), ["c: the undisturbed run has no such file"]);
        let other = [("out/a", "one"), ("out/b", "tWo")];
        assert_eq!(differences(&whole, &other, &[]), ["out/b: 3 bytes, expected 3; they differ from byte 1 on"]);
    }

    #[test]
    fn a_rule_says_what_else_is_the_same() {
        let (one, other) = ([("rows.jsonl", "a\nb\n")], [("rows.jsonl", "b\na\n")]);
        assert!(differences(&one, &other, LINES).is_empty());
        assert_eq!(differences(&one, &other, &[]).len(), 1);
        let twice = differences(&one, &[("rows.jsonl", "b\na\na\n")], LINES);
        assert_eq!(twice, ["rows.jsonl: 3 lines, expected 2"]);
        let torn = differences(&one, &[("rows.jsonl", "a\nb")], LINES);
        assert!(torn.is_empty(), "the same lines");
        let never = [Rule { files: "times/*", same: Same::Never("times") }];
        assert!(differences(&[("times/1", "x")], &[("times/2", "y")], &never).is_empty());
    }

    #[test]
    fn events_are_compared_without_their_times() {
        let row = |t: u32, loss: f64, rate: u32| {
            format!(
                "{{\"t\":{t},\"step\":1,\"kind\":\"scalar\",\"data\":{{\"loss\":{loss},\"tokens_per_second\":{rate}}}}}\n"
            )
        };
        let rules = [Rule { files: "*events.jsonl", same: Same::Events }];
        let compared =
            |one: &str, other: &str| differences(&[("events.jsonl", one)], &[("events.jsonl", other)], &rules);
        assert!(compared(&row(1, 0.5, 7), &row(2, 0.5, 9)).is_empty());
        assert_eq!(compared(&row(1, 0.5, 7), &row(1, 0.6, 7)).len(), 1);
        assert_eq!(
            compared(&row(1, 0.5, 7), &(row(1, 0.5, 7) + &row(1, 0.5, 7))),
            ["events.jsonl: 2 values, expected 1"]
        );
    }

    #[test]
    fn files_that_stand_in_other_folders_are_compared_too() {
        let rules = [Rule { files: "*/adapter", same: Same::Anywhere }];
        let whole = [("trials/0/adapter", "a"), ("trials/1/adapter", "b")];
        assert!(differences(&whole, &[("trials/0/adapter", "b"), ("trials/2/adapter", "a")], &rules).is_empty());
        assert_eq!(differences(&whole, &[("trials/0/adapter", "b"), ("trials/2/adapter", "b")], &rules).len(), 1);
        assert_eq!(differences(&whole, &[("trials/0/adapter", "a")], &rules).len(), 1);
    }

    #[test]
    fn complete_trials_are_compared_whatever_their_numbers() {
        let trial = |number: u32, rate: f64, state: &str| json!({"number": number, "value": rate, "params": {"rate": rate}, "state": state, "attributes": {"run": format!("{number}"), "margin": rate}});
        let results = |trials: &[Value]| json!({"all_trials": trials}).to_string();
        let rules = [Rule { files: "results.json", same: Same::Trials }];
        let compared =
            |one: &str, other: &str| differences(&[("results.json", one)], &[("results.json", other)], &rules);
        let whole = results(&[trial(0, 1.0, "complete"), trial(1, 2.0, "complete")]);
        let killed = results(&[trial(0, 1.0, "failed"), trial(1, 2.0, "complete"), trial(2, 1.0, "complete")]);
        assert!(compared(&whole, &killed).is_empty());
        assert_eq!(compared(&whole, &results(&[trial(0, 1.0, "complete")])).len(), 1);
    }

    #[test]
    fn what_a_kill_left_unfinished_is_told_apart() {
        let (whole, killed) = (place(&[("a", "")]), place(&[("a", ""), (".b.partial", "x")]));
        let found = compare(whole.path(), killed.path(), &[]).unwrap();
        assert_eq!((found.leftovers, found.differences.len(), found.bytes), (vec![".b.partial".to_owned()], 0, 1));
    }
}
