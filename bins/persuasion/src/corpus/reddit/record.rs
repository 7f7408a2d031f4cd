//! What is read of a post's and of a comment's line.

use serde::{Deserialize, Deserializer, Serialize};

use crate::corpus::candidates::Post;

/// Names that Reddit puts in the place of an author who is gone.
const NOBODY: [&str; 2] = ["[deleted]", "[removed]"];

/// A post's line.
#[derive(Debug, Deserialize)]
pub(super) struct PostLine {
    id: String,
    #[serde(default)]
    author: Option<String>,
    title: String,
    #[serde(default)]
    selftext: Option<String>,
}

/// A comment's line.
#[derive(Debug, Deserialize)]
pub(super) struct CommentLine {
    id: String,
    #[serde(default)]
    author: Option<String>,
    body: String,
    parent_id: String,
    pub(super) link_id: String,
    #[serde(deserialize_with = "seconds")]
    created_utc: i64,
    #[serde(default)]
    score: Option<i64>,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its id, without a prefix.
    pub id: String,
    /// Who wrote it; empty where unknown.
    pub author: String,
    /// Its text, as it was written.
    pub body: String,
    /// What it replies to: `t3_` and the post's id, or `t1_` and a comment's.
    pub parent: String,
    /// When it was written, in seconds since the beginning of 1970.
    pub created: i64,
    /// Votes for it less votes against it.
    pub score: Option<i64>,
}

/// A post and its comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thread {
    /// Place of the post among the posts, from 0.
    pub place: u64,
    /// The post.
    pub post: Post,
    /// Its comments, in the order of the dump.
    pub comments: Vec<Comment>,
}

impl PostLine {
    pub(super) fn into_post(self) -> Post {
        let Self { id, author, title, selftext } = self;
        Post { id: without_kind(&id).to_owned(), author: known(author), title, body: selftext.unwrap_or_default() }
    }
}

impl CommentLine {
    pub(super) fn into_comment(self) -> Comment {
        let Self { id, author, body, parent_id, created_utc, score, .. } = self;
        let author = known(author);
        Comment { id: without_kind(&id).to_owned(), author, body, parent: parent_id, created: created_utc, score }
    }
}

impl Comment {
    /// The id of the comment that it replies to; `None` if it replies to the post.
    pub fn parent_comment(&self) -> Option<&str> {
        (!self.parent.starts_with("t3_")).then(|| without_kind(&self.parent))
    }
}

/// An id without `t1_` (comments) or `t3_` (posts) before it.
pub(super) fn without_kind(id: &str) -> &str {
    id.strip_prefix("t1_").or_else(|| id.strip_prefix("t3_")).unwrap_or(id)
}

fn known(author: Option<String>) -> String {
    author.filter(|name| !NOBODY.contains(&name.as_str())).unwrap_or_default()
}

/// Old dumps write the time as a text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Whole(i64),
        Fraction(f64),
        Text(String),
    }
    match Seconds::deserialize(deserializer).map_err(|_| serde::de::Error::custom("`created_utc`: expected seconds"))? {
        Seconds::Whole(seconds) => Ok(seconds),
        Seconds::Fraction(seconds) => Ok(seconds as i64),
        Seconds::Text(text) => text
            .trim()
            .parse::<f64>()
            .map(|seconds| seconds as i64)
            .map_err(|_| serde::de::Error::custom(format!("`created_utc`: expected seconds, found \"{text}\""))),
    }
}
