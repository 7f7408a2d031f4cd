//! The page's files, which are part of the program.

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/"]
struct Web;

/// Bytes and media type of one of the page's files.
pub(crate) fn file(path: &str) -> Option<(Vec<u8>, &'static str)> {
    let kind = match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    };
    Some((Web::get(path)?.data.into_owned(), kind))
}

/// The page as the server gives it. Its style is part of it and its scripts are one file, [`scripts`]: every request takes time
/// before the first paint.
pub(crate) fn index() -> String {
    let mut page = String::new();
    let mut has_scripts = false;
    for line in text("index.html").lines() {
        match asset_of(line) {
            Some(Asset::Style(path)) => page += &format!("<style>\n{}</style>\n", text(path)),
            Some(Asset::Script(_)) if has_scripts => {}
            Some(Asset::Script(_)) => {
                page += &format!("<script src=\"{SCRIPTS}\"></script>\n");
                has_scripts = true;
            }
            None => page += &format!("{line}\n"),
        }
    }
    page
}

/// Where the server has all scripts.
pub(crate) const SCRIPTS: &str = "page.js";

/// All scripts of the page in their order.
pub(crate) fn scripts() -> String {
    let page = text("index.html");
    let scripts = page.lines().filter_map(|line| match asset_of(line) {
        Some(Asset::Script(path)) => Some(text(path)),
        _ => None,
    });
    scripts.collect::<Vec<_>>().join("\n")
}

/// A line of the page that names one of its files.
pub(crate) enum Asset<'a> {
    Style(&'a str),
    Script(&'a str),
}

pub(crate) fn asset_of(line: &str) -> Option<Asset<'_>> {
    let line = line.trim();
    let named = |attribute: &str| Some(line.split_once(attribute)?.1.split_once('"')?.0);
    if line.starts_with("<link rel=\"stylesheet\"") {
        return named("href=\"").map(Asset::Style);
    }
    if line.starts_with("<script ") { named("src=\"").map(Asset::Script) } else { None }
}

/// One of the page's texts; empty if it is not there.
pub(crate) fn text(path: &str) -> String {
    file(path).map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
