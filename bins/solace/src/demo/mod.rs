//! `solace demo`: from nothing to a scoreboard of all systems, on built-in dialogues.

mod commands;
mod corpus;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use command_line::{Common, Failure, Format, interrupt};

use self::commands::commands;
use self::corpus::Counts;
use crate::arguments::Demo;
use crate::steps::step;

/// The systems of the scoreboard: those of the papers, and compositions of them.
const SYSTEMS: &str = include_str!("systems.toml");
/// Steps of each of ThTra's trainings and of MAGIC's generator, places that give candidates, and places that are answered for the scoreboard.
const COUNTS: [(&str, f64); 4] = [("{thtra}", 500.0), ("{magic}", 600.0), ("{candidates}", 100.0), ("{board}", 80.0)];
/// Of any of these. So many places are of three conversations: pairs to learn from, to validate with and to test with.
const LEAST: usize = 12;

pub(crate) fn run(options: &Demo, common: &Common) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    interrupt::listen();
    let scratch = tempfile::tempdir().map_err(Failure::work)?;
    let folder = match &options.out {
        Some(out) => new_folder(out)?,
        None => scratch.path().to_owned(),
    };
    write(&folder, options.size)?;
    let known = values(&folder, options, common);
    for command in commands() {
        let words: Vec<String> = command.split_whitespace().map(|word| filled(word, &known)).collect();
        if !step(&words.iter().map(String::as_str).collect::<Vec<_>>(), common)? {
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        }
    }
    eprintln!("\n{:.0} s", begun.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// A demonstration is shown from its beginning: what is there stays as it is.
fn new_folder(out: &Path) -> Result<PathBuf, Failure> {
    let is_new = std::fs::read_dir(out).map_or(true, |mut entries| entries.next().is_none());
    if !is_new {
        return Err(Failure::wrong_use(format!("--out {}: the folder is not empty; name another one", out.display())));
    }
    std::fs::create_dir_all(out).map_err(Failure::at(out))?;
    Ok(out.to_owned())
}

/// Dialogues and systems.
fn write(folder: &Path, size: f64) -> Result<(), Failure> {
    corpus::write(folder, &Counts::of(size))?;
    let path = folder.join("systems.toml");
    // A string of TOML takes the escapes of JSON.
    let quoted = serde_json::to_string(&folder.display().to_string())?;
    let inside = &quoted[1..quoted.len() - 1];
    std::fs::write(&path, SYSTEMS.replace("{folder}", inside)).map_err(Failure::at(&path))
}

/// What stands for the names in the commands.
fn values(folder: &Path, options: &Demo, common: &Common) -> Vec<(&'static str, String)> {
    let format = if common.format == Format::Json { "json" } else { "text" };
    let count = |whole: f64| ((whole * options.size).round() as usize).max(LEAST).to_string();
    let counts = COUNTS.into_iter().map(|(name, whole)| (name, count(whole)));
    let others = [
        ("{folder}", folder.display().to_string()),
        ("{device}", options.machine.device.to_string()),
        ("{format}", format.to_owned()),
    ];
    counts.chain(others).collect()
}

fn filled(word: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value))
}
