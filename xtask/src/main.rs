//! Checks and generators of the workspace.
//!
//! `cargo xtask check-layers` fails when a crate imports upwards; `cargo xtask check-book` when a page shows a command that its program
//! does not take, or a dead link; `cargo xtask run-book` runs those commands on less; `cargo xtask make-tiny-model` writes the shipped model with random weights; `cargo xtask
//! train-demo-model` trains the demonstration model; `cargo xtask soak` kills every long command and resumes it; `cargo xtask load` puts
//! the servers under load.

mod book;
mod client;
mod demo_model;
mod inputs;
mod layers;
mod load;
mod programs;
mod server_process;
mod soak;
mod tiny_model;
mod vocabulary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask check-layers | check-book | run-book [OPTIONS] | make-tiny-model | train-demo-model FOLDER [STEPS] | soak [OPTIONS] | load [OPTIONS]";

fn main() -> ExitCode {
    let root = workspace_root();
    let task = std::env::args().nth(1).unwrap_or_default();
    let outcome = match task.as_str() {
        "check-layers" => check_layers(&root),
        "check-book" => check_book(&root),
        "run-book" => book::run(&root, std::env::args().skip(1)),
        "make-tiny-model" => tiny_model::make(&root.join("fixtures")),
        "train-demo-model" => train_demo_model(),
        "soak" => soak::run(&root, std::env::args().skip(1)),
        "load" => load::run(&root, std::env::args().skip(1)),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn train_demo_model() -> Result<(), String> {
    let mut words = std::env::args().skip(2);
    let folder = words.next().ok_or("name a folder to train in: cargo xtask train-demo-model FOLDER [STEPS]")?;
    let steps = words.next().map(|steps| steps.parse()).transpose().map_err(|_| "STEPS must be a number")?;
    demo_model::train(Path::new(&folder), steps.unwrap_or(demo_model::STEPS))
}

/// The folder above this package: its messages then name files from the root.
fn workspace_root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

fn check_layers(root: &Path) -> Result<(), String> {
    let workspace = manifest(root)?;
    let members = member_folders(root)?.iter().map(|folder| manifest(folder)).collect::<Result<Vec<_>, _>>()?;
    let problems = layers::problems(&workspace, &members);
    if problems.is_empty() {
        println!("{} packages, no arrow points up", members.len());
        return Ok(());
    }
    Err(problems.join("\n"))
}

/// A package of the workspace.
struct Member {
    name: String,
    folder: PathBuf,
}

/// Programs are looked for beside this one.
fn check_book(root: &Path) -> Result<(), String> {
    let members = member_folders(root)?.into_iter().map(member).collect::<Result<Vec<_>, _>>()?;
    let own = std::env::current_exe().map_err(|error| format!("the folder of the built programs: {error}"))?;
    println!("{}", book::check(root, &members, own.parent().unwrap_or(root))?);
    Ok(())
}

fn member(folder: PathBuf) -> Result<Member, String> {
    let manifest = manifest(&folder)?;
    let name = manifest.get("package").and_then(|package| package.get("name")?.as_str());
    let name = name.ok_or_else(|| format!("{}: no package name", folder.join("Cargo.toml").display()))?.to_owned();
    Ok(Member { name, folder })
}

fn manifest(folder: &Path) -> Result<toml::Table, String> {
    let path = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.parse().map_err(|error| format!("{}: {error}", path.display()))
}

/// The workspace's members, as its `members` lists them.
fn member_folders(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut folders = vec![root.join("benches"), root.join("fixtures/demo"), root.join("xtask")];
    for group in ["crates", "bins"] {
        let path = root.join(group);
        let entries = std::fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        folders.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
    }
    folders.retain(|folder| folder.join("Cargo.toml").is_file());
    folders.sort();
    Ok(folders)
}
