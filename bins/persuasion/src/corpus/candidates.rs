//! A post and the replies to it that may become chosen and rejected.

use super::part::Part;

/// A post that asks to have a view changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Post {
    /// Its id; pairs of one post form a group.
    pub id: String,
    /// Who wrote it; empty where unknown.
    pub author: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
}

/// A reply, or a run of replies by one author, that did or did not change the view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Argument {
    /// Its id, or that of its first reply.
    pub id: String,
    /// Who wrote it; empty where unknown.
    pub author: String,
    /// Its text.
    pub text: String,
    /// Whether it changed the view.
    pub is_persuasive: bool,
    /// 1 = a reply to the post, 2 = a reply to that; unknown where the reply before is missing.
    pub depth: Option<u32>,
    /// Votes for it less votes against it.
    pub score: Option<i64>,
}

/// A pair that the corpus itself makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The corpus' name for it.
    pub id: String,
    /// Place of the persuasive one among the arguments.
    pub chosen: usize,
    /// Place of the other.
    pub rejected: usize,
}

/// A post with the arguments that were made to its author.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Its place in the corpus: pairs come out in this order.
    pub place: u64,
    /// The post.
    pub post: Post,
    /// The part that the corpus puts it in, if it does.
    pub part: Option<Part>,
    /// The arguments, in the corpus' order.
    pub arguments: Vec<Argument>,
    /// The corpus' own pairs.
    pub matches: Vec<Match>,
}

impl Candidates {
    /// Takes over the arguments and pairs of another record about the same post.
    pub(crate) fn join(&mut self, other: Self) {
        let places: Vec<usize> = other.arguments.into_iter().map(|argument| self.place_of(argument)).collect();
        let moved = |place: usize| places.get(place).copied().unwrap_or(place);
        let matches = other.matches.into_iter();
        self.matches.extend(matches.map(|one| Match {
            chosen: moved(one.chosen),
            rejected: moved(one.rejected),
            ..one
        }));
    }

    /// The place of an argument among the others; one with this id and these authors that is there already is not added again.
    pub(crate) fn place_of(&mut self, argument: Argument) -> usize {
        let known = self.arguments.iter().position(|other| *other == argument);
        known.unwrap_or_else(|| {
            self.arguments.push(argument);
            self.arguments.len() - 1
        })
    }
}
