//! A page with everything in it: the frame of all reports.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use charts::escaped;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::markup::{embedded, filled};

const FRAME: &str = include_str!("page/frame.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 5] = [
    include_str!("page/element.js"),
    include_str!("page/sorting.js"),
    include_str!("page/words.js"),
    include_str!("page/samples.js"),
    include_str!("page/generations.js"),
];

/// A page that is being made: a head, and sections that a list at its beginning leads to.
pub(super) struct Page {
    title: String,
    head: String,
    links: String,
    sections: String,
    data: Value,
}

impl Page {
    /// `head` is markup that stands below the title.
    pub(super) fn new(title: impl Into<String>, head: String) -> Self {
        Self { title: title.into(), head, links: String::new(), sections: String::new(), data: Value::Null }
    }

    /// What the scripts show.
    pub(super) fn data(self, data: Value) -> Self {
        Self { data, ..self }
    }

    /// Adds a section; one without content is left out.
    pub(super) fn section(mut self, id: &str, title: &str, content: &str) -> Self {
        if !content.is_empty() {
            self.links += &format!("<li><a href=\"#{id}\">{title}</a></li>\n");
            self.sections += &format!(
                "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n{content}\n</section>\n"
            );
        }
        self
    }

    pub(super) fn html(&self) -> String {
        let script = SCRIPTS.concat();
        let digest = STANDARD.encode(Sha256::digest(script.as_bytes()));
        let title = escaped(&self.title);
        filled(
            FRAME,
            &[
                ("title", title.as_str()),
                ("digest", &digest),
                ("style", STYLE),
                ("script", &script),
                ("head", &self.head),
                ("links", &self.links),
                ("sections", &self.sections),
                ("data", &embedded(&self.data)),
            ],
        )
    }
}

/// A table of texts whose first column names the row. What can be read as numbers can be sorted as such in the page.
pub(super) fn table<R: AsRef<[String]>>(heads: &[String], rows: &[R], is_sortable: bool) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", escaped(head))).collect();
    let mut body = String::new();
    for row in rows {
        let mut cells = row.as_ref().iter();
        let first = cells.next().map(|cell| format!("<th scope=\"row\">{}</th>", escaped(cell))).unwrap_or_default();
        let cells: String = cells.map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        body += &format!("<tr>{first}{cells}</tr>\n");
    }
    let class = if is_sortable { "plain sortable" } else { "plain" };
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"{class}\"><thead><tr>{heads}</tr></thead><tbody>\n{body}</tbody></table></div>"
    )
}

/// A sentence about what is not there.
pub(super) fn absent(text: &str) -> String {
    format!("<p class=\"absent\">{}</p>", escaped(text))
}
