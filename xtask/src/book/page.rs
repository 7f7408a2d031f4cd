//! Markdown files, and their lines within and outside of code.

use std::path::Path;

/// A Markdown file.
#[derive(Debug)]
pub(super) struct Page {
    /// Its path from the root, with `/`.
    pub(super) name: String,
    pub(super) text: String,
}

/// The folders that links are relative to, where it is not the file's own: what stands beside the book's folder is included into its pages.
const INCLUDED: [&str; 2] = ["docs/", "docs/src/"];

/// A fenced block of code.
#[derive(Debug, Default)]
pub(super) struct Block<'a> {
    /// What stands behind the opening fence.
    pub(super) language: &'a str,
    /// Its lines with their numbers in the file, from 1.
    pub(super) lines: Vec<(usize, &'a str)>,
}

/// The Markdown files of the root and of `docs`, by name.
pub(super) fn read_all(root: &Path) -> Result<Vec<Page>, String> {
    let mut pages = Vec::new();
    read_folder(root, "", false, &mut pages)?;
    read_folder(root, "docs/", true, &mut pages)?;
    pages.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(pages)
}

fn read_folder(root: &Path, prefix: &str, with_folders: bool, pages: &mut Vec<Page>) -> Result<(), String> {
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let folder = root.join(prefix);
    for entry in std::fs::read_dir(&folder).map_err(|error| at(&folder, error))? {
        let path = entry.map_err(|error| at(&folder, error))?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() && with_folders {
            read_folder(root, &format!("{name}/"), true, pages)?;
        } else if name.ends_with(".md") {
            let text = std::fs::read_to_string(&path).map_err(|error| at(&path, error))?;
            pages.push(Page { name, text });
        }
    }
    Ok(())
}

impl Page {
    /// The folder that the page's links are relative to, from the root, with `/` at its end; empty for the root.
    pub(super) fn folder(&self) -> &str {
        let [beside, book] = INCLUDED;
        let folder = &self.name[..self.name.rfind('/').map_or(0, |at| at + 1)];
        if folder == beside { book } else { folder }
    }

    /// The fenced blocks.
    pub(super) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for (number, line) in (1..).zip(self.text.lines()) {
            match (fence(line), &mut open) {
                (Some(language), None) => open = Some(Block { language, ..Block::default() }),
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.lines.push((number, line)),
                (None, None) => {}
            }
        }
        blocks.extend(open);
        blocks
    }

    /// The lines outside of fenced blocks, with their numbers from 1.
    pub(super) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let is_fence = fence(line).is_some();
            is_code ^= is_fence;
            !is_code && !is_fence
        })
    }
}

fn fence(line: &str) -> Option<&str> {
    line.trim().strip_prefix("```").filter(|language| !language.contains('`'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_prose_are_told_apart() {
        let text = "one\n```sh\ntwo\n```\n```inline``` three\n  ```\n  four\n  ```\nfive\n";
        let page = Page { name: "a.md".into(), text: text.into() };
        let blocks: Vec<_> = page.blocks().into_iter().map(|block| (block.language, block.lines)).collect();
        assert_eq!(blocks, [("sh", vec![(3, "two")]), ("", vec![(7, "  four")])]);
        assert_eq!(page.prose().collect::<Vec<_>>(), [(1, "one"), (5, "```inline``` three"), (9, "five")]);
    }
}
