//! Which replies are laid beside one that changed the view.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;

use llm_runtime::seeded_stream;
use rand::seq::SliceRandom;
use serde::Serialize;

use super::candidates::Argument;
use super::cleaning::{normalised, words};

/// Lengths within this share of the chosen reply's length count as equally near.
const LENGTH_STEP: f64 = 0.1;

/// Where rejected replies come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Negatives {
    /// The pairs that the corpus makes itself.
    Given,
    /// Drawn from the delta 0 replies to the same post.
    Random,
    /// The delta 0 replies to the same post that are nearest in length, in steps of a tenth; among those of one step, those that share most words.
    Matched,
    /// Delta 0 replies to the same post by the same author at the same depth.
    SameAuthorDepth,
    /// Drawn from delta 0 replies to other posts of the same part: easy to tell apart by what they are about.
    OtherPost,
}

impl Negatives {
    const ALL: [Self; 5] = [Self::Given, Self::Random, Self::Matched, Self::SameAuthorDepth, Self::OtherPost];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Random => "random",
            Self::Matched => "matched",
            Self::SameAuthorDepth => "same-author-depth",
            Self::OtherPost => "other-post",
        }
    }

    /// Reads that name.
    ///
    /// # Errors
    /// It is none of those that exist.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|negatives| negatives.name() == name);
        found.ok_or_else(|| format!("expected {}", Self::ALL.map(Self::name).join(", ")))
    }

    /// Up to `count` of the replies in `pool`, which are all delta 0 and to the same post (to others, for [`Self::OtherPost`]).
    ///
    /// What is drawn depends on the seed, the post and the chosen reply only, not on what was drawn before.
    pub(crate) fn pick<'a>(
        self,
        chosen: &Argument,
        pool: &[&'a Argument],
        count: usize,
        seed: u64,
        post: &str,
    ) -> Vec<&'a Argument> {
        let mut pool = pool.to_vec();
        match self {
            Self::Given => pool.clear(),
            Self::Random | Self::OtherPost => draw(&mut pool, chosen, seed, post),
            Self::Matched => {
                let theirs = word_set(chosen);
                pool.sort_by_cached_key(|other| {
                    (steps_apart(chosen, other), Reverse(shared_share(&theirs, other)), other.id.clone())
                });
            }
            Self::SameAuthorDepth => {
                pool.retain(|other| {
                    !chosen.author.is_empty()
                        && other.author == chosen.author
                        && chosen.depth.is_some()
                        && other.depth == chosen.depth
                });
                draw(&mut pool, chosen, seed, post);
            }
        }
        pool.truncate(count);
        pool
    }
}

impl fmt::Display for Negatives {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

fn draw(pool: &mut [&Argument], chosen: &Argument, seed: u64, post: &str) {
    pool.shuffle(&mut seeded_stream(seed, &format!("negatives of {post}/{}", chosen.id)));
}

fn steps_apart(chosen: &Argument, other: &Argument) -> u64 {
    let (own, theirs) = (words(&chosen.text) as f64, words(&other.text) as f64);
    ((own - theirs).abs() / (LENGTH_STEP * own.max(1.0))) as u64
}

fn word_set(argument: &Argument) -> HashSet<String> {
    normalised(&argument.text).split(' ').map(str::to_owned).collect()
}

/// Jaccard's share of common words, in millionths so that it has an order.
fn shared_share(theirs: &HashSet<String>, other: &Argument) -> u64 {
    let own = word_set(other);
    let common = own.intersection(theirs).count();
    let all = own.len() + theirs.len() - common;
    (common * 1_000_000 / all.max(1)) as u64
}
