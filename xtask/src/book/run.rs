//! Runs the commands of pages as they stand there, on less: what pages name is a small model or a built-in corpus, and what would take long gets options that make it
//! small. All that is other than on the page is data (`stand_ins.toml`).

mod stand_ins;
mod steps;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;

use self::stand_ins::{PageStandIns, StandIns};
use self::steps::{Kind, Step};
use super::page::{self, Page};
use crate::client::Connection;
use crate::inputs::Inputs;
use crate::programs::{Programs, make_folder, remove_folder, spawn, work_folder};
use crate::server_process::ServerProcess;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Run the commands that pages show, on small models and built-in data
#[derive(Debug, Parser)]
#[command(name = "xtask run-book", max_term_width = 100)]
pub(crate) struct Options {
    /// Only these pages, separated by commas, as `docs/src/start.md`
    #[arg(long, value_delimiter = ',', value_name = "PAGE")]
    only: Vec<String>,
    /// Print the commands as they would be run, run nothing
    #[arg(long)]
    list: bool,
    /// New folder for everything; it is kept [default: a temporary one, which is kept only if something is wrong]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
}

/// Runs them, and tells what was run and what was not.
///
/// # Errors
/// A command fails, or a page is unknown.
pub(crate) fn run(root: &Path, words: impl Iterator<Item = String>) -> Result<(), String> {
    let options = match Options::try_parse_from(words) {
        Ok(options) => options,
        Err(told) => told.exit(),
    };
    let stand_ins = StandIns::read()?;
    let pages = chosen(page::read_all(root)?, &options.only, &stand_ins)?;
    let (steps, problems) = steps::of_pages(&pages, &stand_ins);
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    if options.list {
        steps.iter().for_each(|step| println!("{}: {}", step.place, step.told()));
        return Ok(());
    }
    let (work, is_kept) = work_folder(options.work.as_deref(), "book")?;
    let outcome = run_steps(root, &work, &stand_ins, &steps);
    match outcome {
        Ok(()) if !is_kept => remove_folder(&work),
        Ok(()) => Ok(()),
        Err(problem) => Err(format!("{problem}\neverything is in {}", work.display())),
    }
}

fn chosen(mut pages: Vec<Page>, only: &[String], stand_ins: &StandIns) -> Result<Vec<Page>, String> {
    let is_there = |name: &&String| pages.iter().any(|page| page.name == **name);
    if let Some(gone) = stand_ins.pages.keys().chain(stand_ins.elsewhere.keys()).find(|name| !is_there(name)) {
        return Err(format!("stand_ins.toml: there is no page {gone}"));
    }
    if let Some(unknown) = only.iter().find(|name| !is_there(name)) {
        return Err(format!("--only {unknown}: there is no such page; name it from the root, as docs/src/start.md"));
    }
    pages.retain(|page| only.is_empty() || only.contains(&page.name));
    Ok(pages)
}

/// Runs all of them, whatever becomes of one: what is wrong is told in the end.
fn run_steps(root: &Path, work: &Path, stand_ins: &StandIns, steps: &[Step]) -> Result<(), String> {
    let programs = Programs::beside_this_one(2)?;
    let mut inputs = Inputs::new(root, work, &programs)?;
    let (mut ran, mut not_run, mut problems) = (0, 0, Vec::new());
    let none = PageStandIns::default();
    for steps in steps.chunk_by(|one, next| one.page == next.page) {
        let name = &steps[0].page;
        let settings = stand_ins.pages.get(name).unwrap_or(&none);
        let folder = work.join(name.replace('/', "-"));
        set_up(&folder, stand_ins, settings, &mut inputs)?;
        for (number, step) in steps.iter().enumerate() {
            let log = work.join(format!("{}-{number}.log", name.replace('/', "-")));
            match run_step(step, &folder, &log, &programs, &mut inputs) {
                Ok(true) => ran += 1,
                Ok(false) => not_run += 1,
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(settings.leaves.iter().filter_map(|left| is_left(&folder, left, name).err()));
    }
    println!("{ran} commands ran as they should, {not_run} are not run, {} problems", problems.len());
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Makes the folder of a page, with everything under the names that its commands use.
fn set_up(folder: &Path, stand_ins: &StandIns, settings: &PageStandIns, inputs: &mut Inputs<'_>) -> Result<(), String> {
    settings.needs.iter().try_for_each(|name| inputs.make(name))?;
    make_folder(folder)?;
    for (name, target) in stand_ins.links.iter().chain(&settings.links) {
        let (link, target) = (folder.join(name), inputs.fill(target)?);
        link.parent().map_or(Ok(()), make_folder)?;
        std::os::unix::fs::symlink(&target, &link).map_err(|error| format!("{}: {error}", link.display()))?;
        if !link.exists() {
            return Err(format!("stand_ins.toml: `{name}`: there is no {target}"));
        }
    }
    Ok(())
}

/// Runs a command and tells how long it took; `false` where it is one that is not run.
fn run_step(
    step: &Step,
    folder: &Path,
    log: &Path,
    programs: &Programs,
    inputs: &mut Inputs<'_>,
) -> Result<bool, String> {
    println!("{}: {}", step.place, step.told());
    let begun = Instant::now();
    match &step.kind {
        Kind::NotRun(_) => return Ok(false),
        Kind::Runs { answers } => {
            let line = inputs.fill(&step.line)?;
            let line = if answers.is_empty() { line } else { format!("{line} <<'ANSWERS'\n{answers}\nANSWERS") };
            let outcome = spawn(programs.shell(&line, folder)?, step.line.clone(), log)?.wait(PATIENCE)?;
            outcome.must_be_good(&step.place)?;
        }
        Kind::Serves { asks } => {
            let command = programs.shell(&format!("exec {}", inputs.fill(&step.line)?), folder)?;
            let server = ServerProcess::start(command, log)?;
            look(&server.address, asks).map_err(|problem| format!("{}: {asks}: {problem}", step.place))?;
        }
    }
    println!("    {:.1} s", begun.elapsed().as_secs_f64());
    Ok(true)
}

/// A page of a server is there.
fn look(address: &str, path: &str) -> Result<(), String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let asked = Connection::open(address).and_then(|mut connection| connection.ask(request.as_bytes()));
    match asked.map_err(|error| error.to_string())?.status {
        200 => Ok(()),
        other => Err(format!("status {other}, expected 200")),
    }
}

/// What a page says that its commands leave: a file or a folder; a `*` as the beginning of a file's name stands for anything.
fn is_left(folder: &Path, name: &str, page: &str) -> Result<(), String> {
    let is_there = match name.rsplit_once("/*") {
        None => folder.join(name).exists(),
        Some((inner, ending)) => std::fs::read_dir(folder.join(inner))
            .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(ending))),
    };
    is_there.then_some(()).ok_or_else(|| format!("{page}: there is no {name} in the end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("run")).unwrap();
        std::fs::write(folder.path().join("run/a.svg"), "").unwrap();
        for name in ["run", "run/a.svg", "run/*.svg"] {
            is_left(folder.path(), name, "page.md").unwrap();
        }
        for name in ["none", "run/*.png", "none/*.svg"] {
            assert_eq!(
                is_left(folder.path(), name, "page.md").unwrap_err(),
                format!("page.md: there is no {name} in the end")
            );
        }
    }
}
