//! What the programs say to `--version`, and what they write into the records of runs about themselves.

/// Which commit the program is built from: its first 12 hexadecimal digits, with `-dirty` if files were changed since. `unknown` where there was no checkout, as in a source
/// archive, unless the variable `SOLACE_COMMIT` named it. A debug build says `-debug` in place of looking for changes.
pub const COMMIT: &str = env!("SOLACE_BUILT_FROM");

/// What `--version` says behind the program's name; `-V` gives the first line alone. All programs of the workspace have the version of this crate.
pub const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("SOLACE_BUILT_FROM"),
    "\nfeatures: ",
    env!("SOLACE_FEATURES")
);

/// What a program is in a line, for records: `sra 0.1.0, commit 0123456789ab, features: none`.
pub fn program_version(name: &str) -> String {
    format!("{name} {}, commit {COMMIT}, features: {}", env!("CARGO_PKG_VERSION"), env!("SOLACE_FEATURES"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests stand in the checkout or in an archive of it; elsewhere there is no git to ask.
    #[test]
    fn the_commit_is_that_of_the_checkout() {
        let asked = std::process::Command::new("git")
            .args(["rev-parse", "HEAD"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output();
        let head =
            asked.ok().filter(|output| output.status.success()).map(|output| String::from_utf8(output.stdout).unwrap());
        let Some(head) = head.filter(|_| COMMIT != "unknown") else { return println!("skipped: no checkout") };
        let (commit, remark) = COMMIT.split_once('-').unwrap_or((COMMIT, ""));
        assert!(commit.len() >= 12 && head.starts_with(commit), "{COMMIT} but {head}");
        assert!(["", "dirty", "debug"].contains(&remark), "{COMMIT}");
    }

    #[test]
    fn the_first_line_is_the_version() {
        let lines: Vec<&str> = LONG_VERSION.lines().collect();
        assert_eq!(lines[0], env!("CARGO_PKG_VERSION"));
        assert_eq!(lines[1].strip_prefix("commit: "), Some(COMMIT));
        let features = if cfg!(feature = "cuda") { "features: cuda" } else { "features: none" };
        assert_eq!(lines[2..], [features]);
    }
}
