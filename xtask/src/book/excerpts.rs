//! The Rust of the crates' pages is an excerpt of what is compiled and run anyway: the crate's first doc test, or an example.

use std::path::Path;

use super::page::Page;
use crate::Member;

/// Blocks of Rust on the pages `docs/src/crates/NAME.md` that stand neither in the documentation of the package's `lib.rs` nor in its examples.
pub(super) fn problems(pages: &[Page], members: &[Member]) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for page in pages {
        let package = page.name.strip_prefix("docs/src/crates/").and_then(|name| name.strip_suffix(".md"));
        let Some(member) = members.iter().find(|member| Some(member.name.as_str()) == package) else { continue };
        let sources = sources(&member.folder)?;
        for block in page.blocks().into_iter().filter(|block| block.language.starts_with("rust")) {
            let lines: Vec<&str> =
                block.lines.iter().map(|(_, line)| line.trim()).filter(|line| !line.is_empty()).collect();
            if !lines.is_empty() && !sources.iter().any(|source| is_part(&lines, source)) {
                let first = block.lines[0].0;
                problems.push(format!(
                    "{}:{first}: this block is no part of {}'s lib.rs documentation or examples: copy it from there",
                    page.name, member.name
                ));
            }
        }
    }
    Ok(problems)
}

fn sources(package: &Path) -> Result<Vec<String>, String> {
    let mut paths = vec![package.join("src/lib.rs")];
    if let Ok(entries) = std::fs::read_dir(package.join("examples")) {
        paths.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()));
    }
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    paths.iter().map(read).collect()
}

/// Whether the lines follow each other in a source, apart from indentation, empty lines and lines that doc tests hide.
fn is_part(lines: &[&str], source: &str) -> bool {
    let source: Vec<&str> = source
        .lines()
        .map(|line| line.trim_start().strip_prefix("//!").unwrap_or(line).trim())
        .filter(|line| !line.is_empty() && *line != "#" && !line.starts_with("# "))
        .collect();
    source.windows(lines.len()).any(|window| window == lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_may_leave_out_what_is_hidden() {
        let source = "//! ```\n//! let a = 1;\n//! # hidden();\n//!\n//! for b in 0..a {\n//!     say(b);\n//! }\n";
        assert!(is_part(&["let a = 1;", "for b in 0..a {", "say(b);", "}"], source));
        assert!(!is_part(&["let a = 1;", "say(b);"], source), "lines in between are not left out");
        assert!(!is_part(&["let a = 2;"], source));
    }

    #[test]
    fn a_block_that_was_made_up_is_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("src")).unwrap();
        std::fs::create_dir_all(folder.path().join("examples")).unwrap();
        std::fs::write(folder.path().join("src/lib.rs"), "//! let a = 1;\n").unwrap();
        std::fs::write(folder.path().join("examples/b.rs"), "fn main() {\n    let b = 2;\n}\n").unwrap();
        let member = Member { name: "part".into(), folder: folder.path().to_owned() };
        let text =
            "```rust\nlet a = 1;\n```\n```rust,ignore\nlet b = 2;\n```\n\n```rust\nlet c = 3;\n```\n```sh\nls\n```\n";
        let page = Page { name: "docs/src/crates/part.md".into(), text: text.into() };
        let problems = problems(&[page], &[member]).unwrap();
        assert!(problems.len() == 1 && problems[0].starts_with("docs/src/crates/part.md:9: "), "{problems:?}");
    }
}
