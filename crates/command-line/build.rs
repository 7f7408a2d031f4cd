//! Finds out what the crate is built from, for `--version` (see `src/version.rs`).

use std::path::Path;
use std::process::Command;

/// Where this package stands in a checkout.
const PLACE: &str = "crates/command-line/";

/// What programs are made of: a change there is a change of the program.
const SOURCES: [&str; 6] = ["Cargo.lock", "Cargo.toml", ".cargo", "bins", "crates", "fixtures/demo"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOLACE_COMMIT");
    // For images and packages, which are made without the checkout.
    let told = std::env::var("SOLACE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = told.or_else(commit_of_checkout).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=SOLACE_BUILT_FROM={commit}");
    println!("cargo::rustc-env=SOLACE_FEATURES={}", features());
}

/// The commit, with `-dirty` where files differ from it. A package within another project's checkout has that project's commits around it: they tell nothing.
fn commit_of_checkout() -> Option<String> {
    if git(&["rev-parse", "--show-prefix"])? != PLACE {
        return None;
    }
    let commit = git(&["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty"])?;
    watch_commit();
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        watch_sources();
        return Some(commit);
    }
    // Were all sources watched, each change of one would build every program anew, which working on them can't bear. So the build says that it did not look.
    Some(if commit.ends_with("-dirty") { commit } else { format!("{commit}-debug") })
}

/// Another commit or branch: the build is stale. Only what exists is named, since cargo takes a missing file for a changed one.
fn watch_commit() {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]).and_then(|branch| git_path(&branch));
    let files = match branch {
        Some(file) if Path::new(&file).exists() => vec![Some(file)],
        // A branch without a file of its own is among the packed ones, until a commit gives it one.
        Some(_) => vec![git_path("packed-refs"), git_path("refs/heads")],
        None => Vec::new(),
    };
    for file in files.into_iter().chain([git_path("HEAD")]).flatten().filter(|file| Path::new(file).exists()) {
        println!("cargo::rerun-if-changed={file}");
    }
}

fn watch_sources() {
    let listed = git(&[
        &["ls-files", "--full-name", "--"],
        &SOURCES.map(|place| format!("../../{place}")).each_ref().map(String::as_str)[..],
    ]
    .concat());
    for file in listed.iter().flat_map(|files| files.lines()) {
        println!("cargo::rerun-if-changed=../../{file}");
    }
}

fn git_path(name: &str) -> Option<String> {
    git(&["rev-parse", "--git-path", name])
}

/// What git says in this package's folder, if there is a git and it says something.
fn git(words: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // A hook's variables speak of the repository that it belongs to, and not of the current folder.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    let output = command.args(words).env("GIT_OPTIONAL_LOCKS", "0").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Features of this package, which are those that its programs hand on.
fn features() -> String {
    let variables = std::env::vars().filter_map(|(name, _)| Some(name.strip_prefix("CARGO_FEATURE_")?.to_lowercase()));
    let mut features: Vec<String> = variables.collect();
    features.sort();
    if features.is_empty() { "none".to_owned() } else { features.join(", ") }
}
