//! Writing a file of pairs.

use std::io::{self, Write};
use std::path::Path;

use llm_runtime::{Message, Role, output_file};
use serde_json::{Map, Value};

use super::columns::FIELDS;
use crate::{DpoError, PairText, PreferencePair};

/// Writes pairs by the path's ending: `.jsonl`, `.json` (an array) or `.csv`. The file appears whole or not at all. Reading it gives the pairs
/// again; in CSV all further fields are texts then, and every pair has all of them.
///
/// A further field that has the name of one of a pair's own is written as `other_NAME`.
///
/// # Errors
/// The ending is another, the file can't be written, or a CSV file would have to hold turns of a chat.
pub fn write_pairs(path: &Path, pairs: &[PreferencePair]) -> Result<(), DpoError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let records = || pairs.iter().map(record).collect::<Vec<_>>();
    let written = match ending.as_str() {
        "jsonl" => output_file::fill(path, |file| write_lines(file, &records())),
        "json" => output_file::fill(path, |file| write_array(file, &records())),
        "csv" => {
            check_plain(path, pairs)?;
            output_file::fill(path, |file| write_csv(file, &records()))
        }
        _ => {
            return Err(DpoError::invalid(format!("{}: pairs are written as .jsonl, .json or .csv", path.display())));
        }
    };
    written.map_err(DpoError::io(path))
}

/// Replies to a chat are turns too, as TRL wants them.
fn record(pair: &PreferencePair) -> Map<String, Value> {
    let reply = |text: &str| match &pair.prompt {
        PairText::Plain(_) => Value::from(text),
        PairText::Chat(_) => Value::Array(vec![turn(&Message::new(Role::Assistant, text))]),
    };
    let prompt = match &pair.prompt {
        PairText::Plain(text) => text.as_str().into(),
        PairText::Chat(turns) => turns.iter().map(turn).collect(),
    };
    let own = [pair.id.as_str().into(), pair.group.as_str().into(), prompt, reply(&pair.chosen), reply(&pair.rejected)];
    let own = FIELDS.into_iter().map(str::to_owned).zip(own);
    own.chain(pair.other.iter().map(|(name, value)| (further_name(name), value.clone()))).collect()
}

fn turn(message: &Message) -> Value {
    serde_json::json!({ "role": message.role.as_str(), "content": message.content })
}

fn further_name(name: &str) -> String {
    if FIELDS.contains(&name) { format!("other_{name}") } else { name.to_owned() }
}

fn check_plain(path: &Path, pairs: &[PreferencePair]) -> Result<(), DpoError> {
    match pairs.iter().find(|pair| matches!(pair.prompt, PairText::Chat(_))) {
        None => Ok(()),
        Some(pair) => {
            let path = path.display();
            Err(DpoError::invalid(format!(
                "{path}: the prompt of pair {} has turns, which CSV has no form for: write .jsonl",
                pair.id
            )))
        }
    }
}

fn write_lines(file: &mut impl Write, records: &[Map<String, Value>]) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut *file, record)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// A record in each line of the array.
fn write_array(file: &mut impl Write, records: &[Map<String, Value>]) -> io::Result<()> {
    file.write_all(b"[")?;
    for (place, record) in records.iter().enumerate() {
        file.write_all(if place == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *file, record)?;
    }
    file.write_all(b"\n]\n")
}

fn write_csv(file: &mut impl Write, records: &[Map<String, Value>]) -> io::Result<()> {
    let mut names: Vec<&str> = FIELDS.to_vec();
    for name in records.iter().flat_map(Map::keys) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(&names)?;
    for record in records {
        writer.write_record(names.iter().map(|name| record.get(*name).map_or_else(String::new, cell)))?;
    }
    writer.flush()
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
