//! Pairs of arguments as the winning-arguments corpus was first published: a record with the two sides, each a run of comments.

use serde_json::Value;

use super::candidates::{Argument, Candidates, Match};

/// The names under which the two sides of a pair stand.
const SIDES: [(&str, &str); 2] = [("positive", "negative"), ("chosen", "rejected")];

/// Adds a pair to its post's candidates.
///
/// # Errors
/// What it lacks.
pub(crate) fn add_pair(candidates: &mut Candidates, id: &str, record: &Value) -> Result<(), String> {
    let find = |(chosen, rejected): &(&str, &str)| Some((record.get(chosen)?, record.get(rejected)?));
    let (chosen, rejected) =
        SIDES.iter().find_map(find).ok_or("missing field `positive` or `negative`: a pair needs both")?;
    let chosen = argument(chosen, true, &format!("{id}+"))
        .ok_or("`positive`: expected `comments` with a `body` each, or a text")?;
    let rejected = argument(rejected, false, &format!("{id}-"))
        .ok_or("`negative`: expected `comments` with a `body` each, or a text")?;
    let (chosen, rejected) = (candidates.place_of(chosen), candidates.place_of(rejected));
    candidates.matches.push(Match { id: id.to_owned(), chosen, rejected });
    Ok(())
}

/// A text, an object with a text, or an object with a run of comments.
fn argument(side: &Value, is_persuasive: bool, fallback_id: &str) -> Option<Argument> {
    let comments = side.get("comments").and_then(Value::as_array);
    let first = comments.and_then(|comments| comments.first()).unwrap_or(side);
    let text = match comments {
        Some(comments) => comments.iter().map(body).collect::<Option<Vec<_>>>()?.join("\n\n"),
        None => body(side)?.to_owned(),
    };
    let name =
        |value: &Value, names: &[&str]| names.iter().find_map(|name| value.get(name)?.as_str()).map(str::to_owned);
    let id = name(first, &["id", "name"]).or_else(|| name(side, &["id"]));
    let author = name(side, &["author", "user"]).or_else(|| name(first, &["author", "user"]));
    Some(Argument {
        id: id.unwrap_or_else(|| fallback_id.to_owned()),
        author: author.filter(|name| name != "[deleted]").unwrap_or_default(),
        text,
        is_persuasive,
        depth: None,
        score: first.get("score").and_then(Value::as_i64),
    })
}

fn body(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| ["body", "text"].iter().find_map(|name| value.get(name)?.as_str()))
}
