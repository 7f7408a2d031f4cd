//! What was read, what was left out and why: every item is counted once.

use std::collections::BTreeMap;

use serde::Serialize;

/// One kind of item on its way through the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Items that were looked at.
    pub read: u64,
    /// Items that were left out, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Items that are left.
    pub left: u64,
}

/// All stages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Funnel {
    /// Posts, topics or conversations; of pair files nothing is known of them.
    pub posts: Stage,
    /// Replies to them, as candidates.
    pub replies: Stage,
    /// Pairs of replies.
    pub pairs: Stage,
}

impl Stage {
    /// An item that stays, unless [`Self::drop_one`] says otherwise later.
    pub(crate) fn read_one(&mut self) {
        self.read += 1;
        self.left += 1;
    }

    /// An item that was read does not stay.
    pub(crate) fn drop_one(&mut self, reason: &str) {
        self.left = self.left.saturating_sub(1);
        *self.dropped.entry(reason.to_owned()).or_default() += 1;
    }

    /// Counts what another stage has counted as well.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.read += other.read;
        self.left += other.left;
        for (reason, count) in &other.dropped {
            *self.dropped.entry(reason.clone()).or_default() += count;
        }
    }

    /// So many items that were read do not stay.
    pub(crate) fn drop_many(&mut self, reason: &str, count: usize) {
        for _ in 0..count {
            self.drop_one(reason);
        }
    }
}

impl Funnel {
    /// The stages that anything came to, with their names.
    pub fn stages(&self) -> impl Iterator<Item = (&'static str, &Stage)> {
        let all = [("posts", &self.posts), ("replies", &self.replies), ("pairs", &self.pairs)];
        all.into_iter().filter(|(_, stage)| stage.read > 0)
    }
}
