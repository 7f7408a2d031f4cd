//! The sign by which somebody says that a view was changed.

use std::fmt;

use serde::Serialize;

use crate::corpus::cleaning::is_quoted;
use crate::corpus::entities::decode_entities;

/// What counts as a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeltaRule {
    /// `!delta`, `∆` or `Δ`, also as entities, but not in quoted lines and not in code.
    Ours,
    /// `!delta` or `&#8710;` anywhere in the text as it stands in the dump: the rule of the published threads.
    Reference,
}

impl DeltaRule {
    /// Reads `ours` or `reference`.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "ours" => Ok(Self::Ours),
            "reference" => Ok(Self::Reference),
            _ => Err("expected ours or reference".into()),
        }
    }

    /// Whether a comment as it stands in a dump gives a delta.
    pub fn finds(self, body: &str) -> bool {
        match self {
            Self::Ours => has_delta(body),
            Self::Reference => body.contains("!delta") || body.contains("&#8710;"),
        }
    }
}

impl fmt::Display for DeltaRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if *self == Self::Ours { "ours" } else { "reference" })
    }
}

/// Whether a comment gives a delta outside of quoted lines and of code.
///
/// ```
/// use persuasion::corpus::has_delta;
///
/// assert!(has_delta("You are right about trains.\n\n&#8710;") && has_delta("!Delta for that"));
/// assert!(!has_delta("&gt; !delta\n\nWhy would you write that?") && !has_delta("Write `!delta` to give one."));
/// ```
pub fn has_delta(body: &str) -> bool {
    let decoded = decode_entities(&decode_entities(body));
    let mut is_fenced = false;
    decoded.lines().any(|line| {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            return false;
        }
        let is_code = is_fenced || line.starts_with("    ") || line.starts_with('\t');
        !is_code && !is_quoted(line) && has_sign(&without_code(line))
    })
}

fn has_sign(line: &str) -> bool {
    line.contains(['\u{2206}', '\u{394}']) || line.to_ascii_lowercase().contains("!delta")
}

/// A line without what stands between backticks; a single backtick opens nothing.
fn without_code(line: &str) -> String {
    let pieces: Vec<&str> = line.split('`').collect();
    let is_closed = |place: usize| place + 1 < pieces.len();
    let outside = pieces.iter().enumerate().filter(|(place, _)| place % 2 == 0 || !is_closed(*place));
    outside.map(|(_, piece)| *piece).collect::<Vec<_>>().join(" ")
}
