//! Files of pairs: JSON (an array), JSON Lines and CSV.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use dpo::{PairText, PreferencePair};
use llm_runtime::Message;
use serde_json::{Map, Value, json};
use strategy_prompting::write_atomically;

use super::error::CorpusError;
use super::line_source::{LineSource, extension, read_json};

/// The three fields of a pair, and under which names they stand in a file.
pub type Columns = HashMap<String, String>;

/// Reads every pair of a file, or what is wrong with the record in its place.
pub(crate) fn read_pairs(
    path: &Path,
    columns: &Columns,
) -> Result<Vec<Result<PreferencePair, CorpusError>>, CorpusError> {
    let records = records(path)?.into_iter().enumerate();
    let read = records.map(|(place, (at, record))| {
        pair(record?, place, columns).map_err(|problem| CorpusError::record(path, at, problem))
    });
    Ok(read.collect())
}

/// Writes pairs as JSON Lines; the file appears whole or not at all.
pub(crate) fn write_pairs(path: &Path, pairs: &[&PreferencePair]) -> Result<(), CorpusError> {
    let lines = pairs.iter().map(|pair| line(pair)).collect::<String>();
    let write = |source| strategy_prompting::Error::Io { path: path.to_owned(), source };
    Ok(write_atomically(path, |file| file.write_all(lines.as_bytes()).map_err(write))?)
}

type Records = Vec<(String, Result<Map<String, Value>, CorpusError>)>;

fn records(path: &Path) -> Result<Records, CorpusError> {
    match extension(path).as_str() {
        "csv" => csv_records(path),
        "json" if is_array(path)? => {
            let records: Vec<Value> = read_json(path)?;
            let object = |(place, record)| {
                let at = format!("record {place} (from 0)");
                let problem = || CorpusError::record(path, &at, "expected an object");
                let read = if let Value::Object(fields) = record { Ok(fields) } else { Err(problem()) };
                (at, read)
            };
            Ok(records.into_iter().enumerate().map(object).collect())
        }
        _ => {
            let mut lines = LineSource::open(path)?;
            let mut records = Vec::new();
            while let Some(line) = lines.next_line()? {
                records.push((format!("line {}", line.number), lines.parse(&line)));
            }
            Ok(records)
        }
    }
}

fn is_array(path: &Path) -> Result<bool, CorpusError> {
    let bytes = std::fs::read(path).map_err(CorpusError::io(path))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    Ok(bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'['))
}

fn csv_records(path: &Path) -> Result<Records, CorpusError> {
    let broken = |error: csv::Error| CorpusError::format(path, error.to_string());
    let mut reader = csv::Reader::from_path(path).map_err(broken)?;
    let header = reader.headers().map_err(broken)?.clone();
    let mut records = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(broken)? {
        let at = format!("line {}", record.position().map_or(0, csv::Position::line));
        let text = |field: &[u8]| String::from_utf8(field.to_vec()).map_err(|error| format!("is not UTF-8: {error}"));
        let cells =
            header.iter().zip(record.iter()).map(|(name, field)| Ok((name.to_owned(), Value::String(text(field)?))));
        let read = cells.collect::<Result<_, String>>().map_err(|problem| CorpusError::record(path, &at, problem));
        records.push((at, read));
    }
    Ok(records)
}

fn pair(mut record: Map<String, Value>, place: usize, columns: &Columns) -> Result<PreferencePair, String> {
    let mut take = |name: &str| {
        let column = columns.get(name).map_or(name, String::as_str);
        record.shift_remove(column).ok_or_else(|| format!("missing field `{column}`"))
    };
    let prompt = match take("prompt")? {
        Value::String(text) => PairText::Plain(text),
        turns => {
            PairText::Chat(messages(turns).ok_or("`prompt`: expected a text or messages of `role` and `content`")?)
        }
    };
    let [chosen, rejected] = ["chosen", "rejected"].map(|name| match take(name)? {
        Value::String(text) => Ok(text),
        turns => match messages(turns).as_deref() {
            Some([only]) => Ok(only.content.clone()),
            _ => Err(format!("`{name}`: expected a text or one message of `role` and `content`")),
        },
    });
    let mut name = |field: &str| match record.shift_remove(field) {
        Some(Value::String(text)) => Some(text),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    let id = name("id").unwrap_or_else(|| place.to_string());
    let group = name("group").unwrap_or_else(|| text_of(&prompt));
    Ok(PreferencePair { id, group, prompt, chosen: chosen?, rejected: rejected?, other: record })
}

fn messages(turns: Value) -> Option<Vec<Message>> {
    serde_json::from_value(turns).ok()
}

/// A prompt as one text.
pub(crate) fn text_of(prompt: &PairText) -> String {
    match prompt {
        PairText::Plain(text) => text.clone(),
        PairText::Chat(messages) => {
            messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n\n")
        }
    }
}

fn line(pair: &PreferencePair) -> String {
    let PreferencePair { id, group, prompt, chosen, rejected, other } = pair;
    let prompt = match prompt {
        PairText::Plain(text) => json!(text),
        PairText::Chat(messages) => json!(messages),
    };
    let mut fields = Map::new();
    for (name, value) in [
        ("id", json!(id)),
        ("group", json!(group)),
        ("prompt", prompt),
        ("chosen", json!(chosen)),
        ("rejected", json!(rejected)),
    ] {
        fields.insert(name.to_owned(), value);
    }
    fields.extend(other.clone());
    format!("{}\n", Value::Object(fields))
}
