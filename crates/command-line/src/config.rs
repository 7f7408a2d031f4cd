//! `--config FILE.toml`: options from a file, below those of the command line.
//!
//! The file's keys are the long options; a table named after a subcommand holds for that subcommand only. Its options are
//! put in front of the command line's own words, so that there is one parser and one set of checks.
//!
//! ```toml
//! threads = 2
//! [continue]
//! model = "model.gguf"
//! layout = ["c1_hf", "standard"]
//! turns = "3..10"
//! [classifier.train]
//! size = "tiny"
//! ```

use std::ffi::OsString;
use std::path::Path;

use llm_runtime::input_file;
use toml::{Table, Value};

use crate::Failure;

/// Gives the command line with the options of its `--config` file, if it names one.
pub(crate) fn merge(words: Vec<OsString>, command: &clap::Command) -> Result<Vec<OsString>, Failure> {
    let Some(file) = config_file(&words) else { return Ok(words) };
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let at = words.iter().position(|word| names.iter().any(|name| word == name));
    let Some(at) = at else { return Ok(words) };
    let file = Path::new(&file);
    let table = read(file)?;
    let mut options = Vec::new();
    collect(file, &table, &names, &mut options)?;
    let at = collect_own(file, &table, &words, at, command, &mut options)?;
    options.retain(|(name, _)| !is_given(&words, name));
    let mut merged = words;
    merged.splice(at + 1..at + 1, in_words(options).map(OsString::from));
    Ok(merged)
}

/// The options of a table as words of a command line. `file` is where it stands, for the error.
///
/// # Errors
/// A value is no text, number, truth value or list of them.
pub fn option_words(file: &Path, table: &Table) -> Result<Vec<String>, Failure> {
    let mut options = Vec::new();
    collect(file, table, &[], &mut options)?;
    Ok(in_words(options).collect())
}

fn in_words(options: Options) -> impl Iterator<Item = String> {
    options.into_iter().flat_map(|(name, values)| {
        values.into_iter().map(move |value| match value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        })
    })
}

/// Adds what the file says for the subcommand at `at`, and for the one within it. Gives the place of the innermost.
fn collect_own(
    file: &Path,
    table: &Table,
    words: &[OsString],
    at: usize,
    command: &clap::Command,
    options: &mut Options,
) -> Result<usize, Failure> {
    let name = words[at].to_string_lossy();
    let inner = command.find_subcommand(name.as_ref());
    let names: Vec<&str> =
        inner.into_iter().flat_map(clap::Command::get_subcommands).map(clap::Command::get_name).collect();
    let own = table.get(name.as_ref()).and_then(Value::as_table);
    if let Some(own) = own {
        collect(file, own, &names, options)?;
    }
    let next = words.iter().enumerate().skip(at + 1).find(|(_, word)| names.iter().any(|name| *word == name));
    let (Some((next, _)), Some(inner)) = (next, inner) else { return Ok(at) };
    collect_own(file, own.unwrap_or(&Table::new()), words, next, inner, options)
}

fn config_file(words: &[OsString]) -> Option<OsString> {
    words.iter().enumerate().find_map(|(at, word)| {
        let word = word.to_str()?;
        match word.strip_prefix("--config") {
            Some("") => words.get(at + 1).cloned(),
            Some(rest) => rest.strip_prefix('=').map(OsString::from),
            None => None,
        }
    })
}

fn read(file: &Path) -> Result<Table, Failure> {
    let text =
        input_file::read_text(file).map_err(|error| Failure::wrong_use(format!("{}: {error}", file.display())))?;
    text.parse().map_err(|error| Failure::wrong_use(format!("{}: not a TOML file: {error}", file.display())))
}

/// An option and its values; `None` for a flag.
type Options = Vec<(String, Vec<Option<String>>)>;

fn collect(file: &Path, table: &Table, subcommands: &[&str], options: &mut Options) -> Result<(), Failure> {
    for (key, value) in table {
        let name = key.replace('_', "-");
        let values = match value {
            Value::Table(_) if subcommands.contains(&key.as_str()) => continue,
            Value::Boolean(false) => continue,
            Value::Boolean(true) => vec![None],
            Value::Array(values) => {
                values.iter().map(|value| scalar(file, key, value).map(Some)).collect::<Result<_, _>>()?
            }
            other => vec![Some(scalar(file, key, other)?)],
        };
        options.push((name, values));
    }
    Ok(())
}

fn scalar(file: &Path, key: &str, value: &Value) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        other => Err(Failure::wrong_use(format!(
            "{}: `{key}` is {}, expected a text, a number, true, false or a list of them",
            file.display(),
            other.type_str()
        ))),
    }
}

fn is_given(words: &[OsString], name: &str) -> bool {
    let option = format!("--{name}");
    words
        .iter()
        .filter_map(|word| word.to_str())
        .any(|word| word.strip_prefix(&option).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
}
