//! Links within the repository: files that exist, headings that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::page::Page;

/// A link of a page to something in the repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The page that it stands on, and the folder that it is relative to.
    pub(super) page: String,
    folder: String,
    line: usize,
    /// As it is written.
    target: String,
}

impl Link {
    /// Where it leads, from the root; `..` is taken out of paths, so that a file has one name.
    pub(super) fn file(&self) -> String {
        let path = self.target.split('#').next().unwrap_or_default();
        if path.is_empty() {
            return self.page.clone();
        }
        let mut parts: Vec<&str> = self.folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in path.split('/') {
            match part {
                "." | "" => {}
                ".." if parts.pop().is_none() => parts.push(".."),
                ".." => {}
                part => parts.push(part),
            }
        }
        parts.join("/")
    }

    fn heading(&self) -> Option<&str> {
        self.target.split_once('#').map(|(_, heading)| heading)
    }

    /// The link and its place, for messages.
    pub(super) fn told(&self) -> String {
        format!("{}:{}: `{}`", self.page, self.line, self.target)
    }
}

/// The links of a page, those to other sites left out; files that are included count.
pub(super) fn of_page(page: &Page) -> Vec<Link> {
    let link = |line: usize, target: &str| Link {
        page: page.name.clone(),
        folder: page.folder().to_owned(),
        line,
        target: target.to_owned(),
    };
    let is_ours = |target: &&str| !target.contains("://") && !target.starts_with("mailto:");
    page.prose()
        .flat_map(|(number, line)| {
            targets(&without_code(line))
                .into_iter()
                .filter(is_ours)
                .map(|target| link(number, target))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What stands in `](…)`, behind a definition `[name]: ` and in `{{#include …}}`.
fn targets(line: &str) -> Vec<&str> {
    let in_brackets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let included = line.split("{{#include ").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(target, _)| target);
    let defined = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    // Behind a blank stands a title.
    in_brackets.chain(included).chain(defined).filter_map(|target| target.split_whitespace().next()).collect()
}

/// The line without what stands between back quotes.
fn without_code(line: &str) -> String {
    if line.matches('`').count() % 2 == 1 {
        return line.to_owned();
    }
    line.split('`').step_by(2).collect()
}

/// Links that lead nowhere.
pub(super) fn problems(links: &[Link], root: &Path) -> Result<Vec<String>, String> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut problems = Vec::new();
    for link in links {
        let file = link.file();
        let path = root.join(&file);
        if !path.exists() {
            problems.push(format!("{}: there is no {file}", link.told()));
            continue;
        }
        let Some(heading) = link.heading() else { continue };
        if !known.contains_key(&file) {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            known.insert(file.clone(), headings(&Page { name: file.clone(), text }));
        }
        if !known[&file].contains(heading) {
            problems.push(format!("{}: {file} has no heading `#{heading}`", link.told()));
        }
    }
    Ok(problems)
}

/// The names under which headings are linked to: small letters, blanks as hyphens, signs left out, repeated ones numbered.
fn headings(page: &Page) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    page.prose()
        .filter(|(_, line)| line.starts_with('#') && line.trim_start_matches('#').starts_with(' '))
        .map(|(_, line)| {
            let name = anchor(line.trim_start_matches('#').trim());
            let count = counts.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { format!("{name}-{}", *count - 1) }
        })
        .collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(name: &str, text: &str) -> Vec<Link> {
        of_page(&Page { name: name.into(), text: text.into() })
    }

    #[test]
    fn links_are_found_in_prose_only() {
        let text = "[a](a.md) and ![b](images/b.svg \"title\"), `[no](code.md)`, [c](https://c.org)\n\
                    ```text\n[no](block.md)\n```\n[d]: ../d.md#e\n{{#include ../f.md}}\n";
        let found: Vec<_> = links("docs/src/page.md", text).into_iter().map(|link| (link.line, link.file())).collect();
        let expected = [(1, "docs/src/a.md"), (1, "docs/src/images/b.svg"), (5, "docs/d.md"), (6, "docs/f.md")];
        assert_eq!(found, expected.map(|(line, file)| (line, file.to_owned())));
        let included = links("docs/part.md", "[a](a.md) [b](#own)");
        assert_eq!(included.iter().map(Link::file).collect::<Vec<_>>(), ["docs/src/a.md", "docs/part.md"]);
    }

    #[test]
    fn headings_have_the_names_that_the_book_gives_them() {
        let text = "# SRA: *what* it costs\n## `--judge`, A / B\n```sh\n# no heading\n```\n## Twice\n## Twice\n#no\n";
        let found = headings(&Page { name: "a.md".into(), text: text.into() });
        let expected = ["sra-what-it-costs", "--judge-a--b", "twice", "twice-1"];
        assert_eq!(found, expected.map(str::to_owned).into());
    }

    #[test]
    fn dead_links_are_told_with_their_place() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("there.md"), "# A heading\n").unwrap();
        let text =
            "[1](there.md) [2](there.md#a-heading) [3](#own) [4](there.md#none)\n[5](gone.md) [6](../outside.md)\n";
        std::fs::write(root.path().join("page.md"), text).unwrap();
        let problems = problems(&links("page.md", text), root.path()).unwrap();
        assert_eq!(
            problems,
            [
                "page.md:1: `#own`: page.md has no heading `#own`",
                "page.md:1: `there.md#none`: there.md has no heading `#none`",
                "page.md:2: `gone.md`: there is no gone.md",
                "page.md:2: `../outside.md`: there is no ../outside.md",
            ]
        );
    }
}
