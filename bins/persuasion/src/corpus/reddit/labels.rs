//! Which comments changed the view of the post's author, which did not, and of which nobody can tell.

use std::collections::{HashMap, HashSet};

use super::delta::has_delta;
use super::record::{Comment, Thread};
use crate::corpus::candidates::{Argument, Candidates};
use crate::corpus::funnel::Stage;

/// The bot that answers to deltas: it confirms or refuses them.
const DELTA_BOT: &str = "deltabot";

/// What the signs in a thread say about the comments that they answer to.
#[derive(Default)]
struct Deltas<'a> {
    /// Marked by the post's author.
    given: HashSet<&'a str>,
    /// Marked by the author, but the bot refused.
    refused: HashSet<&'a str>,
    /// Marked by somebody else.
    of_others: HashSet<&'a str>,
    /// The author replied to them, in whatever words.
    answered: HashSet<&'a str>,
}

/// The comments of a thread that did (delta 1) or did not (delta 0) change the author's view; the others are counted in `stage` with their reason.
///
/// Delta 1: the author replied with a sign that DeltaBot did not refuse. Delta 0: nobody gave it a delta, and the author replied to it or gave a delta
/// elsewhere in the thread, so that it was probably read. `bots` are names in small letters.
pub fn candidates_of(thread: &Thread, bots: &HashSet<String>, stage: &mut Stage) -> Candidates {
    let by_id: HashMap<&str, &Comment> = thread.comments.iter().map(|comment| (comment.id.as_str(), comment)).collect();
    let deltas = deltas(thread, bots);
    let mut arguments = Vec::new();
    for comment in &thread.comments {
        stage.read_one();
        match label(comment, thread, bots, &deltas) {
            Ok(is_persuasive) => arguments.push(Argument {
                id: comment.id.clone(),
                author: comment.author.clone(),
                text: comment.body.clone(),
                is_persuasive,
                depth: depth(comment, &by_id),
                score: comment.score,
            }),
            Err(reason) => stage.drop_one(reason),
        }
    }
    Candidates { place: thread.place, post: thread.post.clone(), arguments, ..Candidates::default() }
}

fn deltas<'a>(thread: &'a Thread, bots: &HashSet<String>) -> Deltas<'a> {
    let refused = refusals(thread);
    let mut deltas = Deltas::default();
    for comment in &thread.comments {
        let Some(parent) = comment.parent_comment() else { continue };
        let is_authors = is_author(comment, thread);
        if is_authors {
            deltas.answered.insert(parent);
        }
        if comment.author.is_empty() || is_bot(comment, bots) || !has_delta(&comment.body) {
            continue;
        }
        let marked = match (is_authors, refused.contains(comment.id.as_str())) {
            (true, false) => &mut deltas.given,
            (true, true) => &mut deltas.refused,
            (false, _) => &mut deltas.of_others,
        };
        marked.insert(parent);
    }
    deltas
}

/// Comments whose delta DeltaBot refused and never confirmed.
fn refusals(thread: &Thread) -> HashSet<&str> {
    let (mut refused, mut confirmed) = (HashSet::new(), HashSet::new());
    for reply in thread.comments.iter().filter(|comment| comment.author.to_lowercase() == DELTA_BOT) {
        let Some(parent) = reply.parent_comment() else { continue };
        let text = reply.body.to_lowercase();
        if text.contains("confirmed") {
            confirmed.insert(parent);
        } else if ["rejected", "refused", "cannot award", "can't award", "not been awarded"]
            .iter()
            .any(|sign| text.contains(sign))
        {
            refused.insert(parent);
        }
    }
    &refused - &confirmed
}

fn label(
    comment: &Comment,
    thread: &Thread,
    bots: &HashSet<String>,
    deltas: &Deltas<'_>,
) -> Result<bool, &'static str> {
    let id = comment.id.as_str();
    if comment.author.is_empty() {
        Err("its author is unknown")
    } else if is_author(comment, thread) {
        Err("by the post's author")
    } else if is_bot(comment, bots) {
        Err("by a bot")
    } else if deltas.given.contains(id) {
        Ok(true)
    } else if deltas.refused.contains(id) {
        Err("its delta was refused")
    } else if deltas.of_others.contains(id) {
        Err("its delta is not of the post's author")
    } else if deltas.answered.contains(id) || !deltas.given.is_empty() {
        Ok(false)
    } else {
        Err("the post's author took no notice")
    }
}

fn is_author(comment: &Comment, thread: &Thread) -> bool {
    !thread.post.author.is_empty() && comment.author == thread.post.author
}

fn is_bot(comment: &Comment, bots: &HashSet<String>) -> bool {
    bots.contains(&comment.author.to_lowercase())
}

/// How far down in the thread a comment stands; `None` where a comment above is missing, or where they go round in a circle.
fn depth(comment: &Comment, by_id: &HashMap<&str, &Comment>) -> Option<u32> {
    let mut at = comment;
    for depth in 1..=by_id.len() {
        match at.parent_comment() {
            None => return u32::try_from(depth).ok(),
            Some(parent) => at = by_id.get(parent)?,
        }
    }
    None
}
