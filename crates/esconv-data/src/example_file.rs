//! `conversations.jsonl`: examples, one JSON object a line.

use std::io::{BufRead, Write};
use std::path::Path;

use llm_runtime::{input_file, output_file};

use crate::conversation::Speaker;
use crate::error::Error;
use crate::example::{Example, ensure_ids};

/// Reads all examples of a file. Rows of the published form, which have no ids, get them.
///
/// # Errors
/// The file can't be read, or a line is no example; the error names the line.
pub fn read_examples(path: &Path) -> Result<Vec<Example>, Error> {
    let mut reader = input_file::open_lines(path).map_err(Error::io(path))?;
    let mut examples = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(Error::io(path))? == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        examples.push(parse_line(path, number, &line)?);
    }
    ensure_ids(&mut examples);
    Ok(examples)
}

fn parse_line(path: &Path, number: usize, line: &[u8]) -> Result<Example, Error> {
    let wrong = |problem: String| Error::format(path, format!("line {number}"), problem);
    let text = std::str::from_utf8(line).map_err(|_| wrong("not UTF-8 text".into()))?;
    let example: Example = serde_json::from_str(text)
        .map_err(|error| wrong(format!("not an example ({error}): expected a line that `sra prepare` wrote")))?;
    let turns = example.dialog_history.len();
    for (field, length) in
        [("prev_speakers", example.prev_speakers.len()), ("prev_strategies", example.prev_strategies.len())]
    {
        if length != turns {
            return Err(wrong(format!("`dialog_history` has {turns} turns but `{field}` {length}")));
        }
    }
    match example.prev_speakers.last() {
        Some(Speaker::Seeker) => Ok(example),
        Some(Speaker::Supporter) => Err(wrong("`prev_speakers` must end with seeker: a supporter turn follows".into())),
        None => Err(wrong("`dialog_history` is empty: expected at least the seeker's turn".into())),
    }
}

/// Writes examples; the file appears whole or not at all.
///
/// # Errors
/// The file can't be written.
pub fn write_examples(path: &Path, examples: &[Example]) -> Result<(), Error> {
    let written = output_file::fill(path, |writer| {
        for example in examples {
            serde_json::to_writer(&mut *writer, example)?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    });
    written.map_err(Error::io(path))
}
