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

/// One of the page's texts; empty if it is not there.
pub(crate) fn text(path: &str) -> String {
    file(path).map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
