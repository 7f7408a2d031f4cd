//! What a pair has to be like.

use std::fmt;

use serde::Serialize;

use super::candidates::{Argument, Post};
use super::cleaning::{Cleaning, is_deleted, words};
use super::error::CorpusError;
use super::negatives::Negatives;

/// How prompts are made, texts cleaned, replies sorted out and pairs chosen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairRules {
    /// What is taken out of texts.
    pub cleaning: Cleaning,
    /// The prompt, with `{title}` and `{body}`.
    pub prompt_template: String,
    /// The fewest words of a reply.
    pub min_words: usize,
    /// The most words of a reply.
    pub max_words: Option<usize>,
    /// The most words of a prompt.
    pub max_prompt_words: Option<usize>,
    /// The least score of a reply; one whose score is unknown passes.
    pub min_score: Option<i64>,
    /// How deep in the thread a reply may stand.
    pub depth: Depth,
    /// Where rejected replies come from.
    pub negatives: Negatives,
    /// Rejected replies for each chosen one, at most.
    pub per_chosen: usize,
    /// What is drawn at random is drawn by it.
    pub seed: u64,
}

/// How deep in the thread a reply may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Depth {
    /// Anywhere.
    Any,
    /// At most so deep; 1 = replies to the post itself. One whose depth is unknown does not pass.
    UpTo(u32),
}

impl Depth {
    /// Reads `any`, `top` or a number from 1.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "top" => Ok(Self::UpTo(1)),
            _ => text
                .parse()
                .ok()
                .filter(|depth| *depth > 0)
                .map(Self::UpTo)
                .ok_or_else(|| "expected any, top or a number from 1".into()),
        }
    }

    fn admits(self, depth: Option<u32>) -> bool {
        match self {
            Self::Any => true,
            Self::UpTo(most) => depth.is_some_and(|depth| depth <= most),
        }
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("any"),
            Self::UpTo(1) => formatter.write_str("top"),
            Self::UpTo(depth) => write!(formatter, "{depth}"),
        }
    }
}

impl From<Depth> for String {
    fn from(depth: Depth) -> Self {
        depth.to_string()
    }
}

impl PairRules {
    /// Checks what can be wrong with them.
    ///
    /// # Errors
    /// The template has no slot or an unknown one, or no length is allowed.
    pub fn check(&self) -> Result<(), CorpusError> {
        let template = &self.prompt_template;
        if !template.contains("{title}") && !template.contains("{body}") {
            return Err(CorpusError::Setting(format!(
                "the prompt template `{template}` has neither {{title}} nor {{body}}: all prompts would be the same"
            )));
        }
        if self.max_words.is_some_and(|most| most < self.min_words) {
            return Err(CorpusError::Setting(format!(
                "no reply has {} words at least and {} at most",
                self.min_words,
                self.max_words.unwrap_or(0)
            )));
        }
        if self.per_chosen == 0 {
            return Err(CorpusError::Setting("0 rejected replies for each chosen one make no pairs".into()));
        }
        Ok(())
    }

    /// The prompt of a post, cleaned, or why there is none.
    pub(crate) fn prompt(&self, post: &Post) -> Result<String, &'static str> {
        let (title, body) = (self.cleaning.clean(&post.title), self.cleaning.clean(&post.body));
        if is_deleted(&body) || is_deleted(&title) {
            return Err("deleted or removed");
        }
        if body.trim().is_empty() {
            return Err("without text");
        }
        // In one go: a title may hold the name of a slot.
        let pieces = self.prompt_template.split("{title}").map(|piece| piece.replace("{body}", &body));
        let prompt = pieces.collect::<Vec<_>>().join(&title);
        self.check_prompt(&prompt)?;
        Ok(prompt.trim().to_owned())
    }

    pub(crate) fn check_prompt(&self, prompt: &str) -> Result<(), &'static str> {
        if self.max_prompt_words.is_some_and(|most| words(prompt) > most) {
            Err("the prompt is too long")
        } else {
            Ok(())
        }
    }

    /// A reply's text, cleaned, or why it is left out.
    pub(crate) fn reply(&self, argument: &Argument) -> Result<String, &'static str> {
        let text = self.cleaning.clean(&argument.text);
        if is_deleted(&text) {
            return Err("deleted or removed");
        }
        if !self.depth.admits(argument.depth) {
            return Err("too deep in the thread");
        }
        if self.min_score.is_some_and(|least| argument.score.is_some_and(|score| score < least)) {
            return Err("its score is too low");
        }
        self.check_reply(&text)?;
        Ok(text)
    }

    pub(crate) fn check_reply(&self, text: &str) -> Result<(), &'static str> {
        let count = words(text);
        if text.trim().is_empty() {
            Err("empty")
        } else if count < self.min_words {
            Err("too short")
        } else if self.max_words.is_some_and(|most| count > most) {
            Err("too long")
        } else {
            Ok(())
        }
    }
}
