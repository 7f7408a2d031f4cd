//! The book: every command that a page shows is one that its program takes, every link leads somewhere, every page is in the
//! table of contents, and the Rust of the crates' pages is compiled elsewhere, as a doc test or an example.

mod commands;
mod excerpts;
mod links;
mod page;
mod run;

use std::collections::BTreeSet;
use std::path::Path;

use page::Page;
pub(crate) use run::run;

use crate::Member;

/// Where the book is.
const BOOK: &str = "docs/src";
const CONTENTS: &str = "docs/src/SUMMARY.md";

/// Checks the pages at the root and the book, and tells what was checked.
///
/// `built` is the folder of the built programs.
///
/// # Errors
/// All that is wrong, a line each, with file and line.
pub(crate) fn check(root: &Path, members: &[Member], built: &Path) -> Result<String, String> {
    let pages = page::read_all(root)?;
    let programs = commands::programs(members, built)?;
    let shown: Vec<commands::Shown> = pages.iter().flat_map(commands::shown).collect();
    let (tried, mut problems) = commands::problems(&shown, &programs, members)?;
    let links: Vec<links::Link> = pages.iter().flat_map(links::of_page).collect();
    problems.extend(links::problems(&links, root)?);
    problems.extend(unlisted(&pages, &links));
    problems.extend(excerpts::problems(&pages, members)?);
    if problems.is_empty() {
        return Ok(format!("{tried} commands are taken, {} links lead somewhere, {} pages", links.len(), pages.len()));
    }
    Err(problems.join("\n"))
}

/// Pages of the book that its table of contents does not lead to, and those that it lists twice.
fn unlisted(pages: &[Page], links: &[links::Link]) -> Vec<String> {
    let mut listed = BTreeSet::new();
    let twice =
        links.iter().filter(|link| link.page == CONTENTS && !listed.insert(link.file())).map(|link| link.told());
    let mut problems: Vec<String> = twice.map(|place| format!("{place} is listed before")).collect();
    let pages = pages.iter().map(|page| page.name.as_str()).filter(|name| name.starts_with(BOOK) && *name != CONTENTS);
    problems.extend(
        pages.filter(|name| !listed.contains(*name)).map(|name| format!("{name}: no line of {CONTENTS} leads here")),
    );
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_listed_once() {
        let page = |name: &str, text: &str| Page { name: name.into(), text: text.into() };
        let contents = page(CONTENTS, "# Book\n\n- [A](a.md)\n- [A again](a.md)\n");
        let pages = [contents, page("docs/src/a.md", "[b](b.md)"), page("docs/src/b.md", ""), page("README.md", "")];
        let links: Vec<links::Link> = pages.iter().flat_map(links::of_page).collect();
        let problems = unlisted(&pages, &links);
        assert_eq!(
            problems,
            [
                "docs/src/SUMMARY.md:4: `a.md` is listed before",
                "docs/src/b.md: no line of docs/src/SUMMARY.md leads here"
            ]
        );
    }
}
