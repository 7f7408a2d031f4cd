//! A sequence of tokens and its place in the cache.

use crate::Error;
use crate::cache::{BLOCK_SIZE, KvCache, NodeId, PrefixTree};

/// Prompt and new tokens of one sequence, and how much of it is in the cache.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) tokens: Vec<u32>,
    /// Tokens whose keys and values are in the cache.
    computed: usize,
    path: Vec<NodeId>,
    /// From this position on keys and values are this request's own, and are not offered to others.
    private_from: usize,
    /// Logits after the last token, once it is computed.
    pub(super) logits: Option<Vec<f32>>,
}

impl Sequence {
    pub(super) fn new(tokens: Vec<u32>, private_from: Option<usize>) -> Self {
        let private_from = private_from.unwrap_or(usize::MAX);
        Self { tokens, computed: 0, path: Vec::new(), private_from, logits: None }
    }

    pub(super) fn computed(&self) -> usize {
        self.computed
    }

    /// Tokens still to be computed.
    pub(super) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Takes what the cache has of the first `limit` tokens and gives their number.
    pub(super) fn attach(&mut self, tree: &mut PrefixTree, cache: &KvCache, limit: usize) -> Result<usize, Error> {
        let found = tree.find(&self.tokens[..limit.min(self.private_from)]);
        found.nodes.iter().for_each(|node| tree.hold(*node));
        self.path = found.nodes;
        self.computed = self.path.len() * BLOCK_SIZE;
        if let Some((source, rows)) = found.tail {
            self.attach_tail(tree, cache, source, rows)?;
        }
        Ok(self.computed)
    }

    /// Takes the beginning of a block: the block itself if nobody else needs the rest of it, else a copy.
    fn attach_tail(
        &mut self,
        tree: &mut PrefixTree,
        cache: &KvCache,
        source: NodeId,
        rows: usize,
    ) -> Result<(), Error> {
        if tree.is_idle(source) && tree.filled(source) == rows && rows < BLOCK_SIZE {
            tree.hold(source);
            self.path.push(source);
            self.computed += rows;
            return Ok(());
        }
        tree.hold(source);
        let copy = tree.add(self.path.last().copied());
        if let Some(copy) = copy {
            cache.copy_block(tree.block(source), tree.block(copy))?;
            tree.fill(copy, &self.tokens[self.computed..self.computed + rows]);
            self.path.push(copy);
            self.computed += rows;
        }
        tree.release(source);
        Ok(())
    }

    /// Makes room for the next `count` tokens; false if there are no blocks left.
    pub(super) fn reserve(&mut self, tree: &mut PrefixTree, count: usize) -> bool {
        while self.path.len() * BLOCK_SIZE < self.computed + count {
            match tree.add(self.path.last().copied()) {
                Some(node) => self.path.push(node),
                None => return false,
            }
        }
        true
    }

    /// The cache blocks of the sequence in order.
    pub(super) fn blocks(&self, tree: &PrefixTree) -> Vec<u32> {
        self.path.iter().map(|node| tree.block(*node)).collect()
    }

    /// Tells that the next `count` tokens are now in the cache.
    pub(super) fn commit(&mut self, tree: &mut PrefixTree, count: usize) {
        let end = self.computed + count;
        while self.computed < end {
            let node = self.path[self.computed / BLOCK_SIZE];
            let block_end = (self.computed / BLOCK_SIZE + 1) * BLOCK_SIZE;
            let upto = end.min(block_end);
            let shared = upto.min(self.private_from.max(self.computed));
            tree.fill(node, &self.tokens[self.computed..shared]);
            self.computed = upto;
        }
    }

    /// How many of its first `count` tokens others may use.
    pub(super) fn offered(&self, count: usize) -> usize {
        count.min(self.private_from)
    }

    /// A second sequence with the same tokens (of a request without edits). Full blocks are shared, the last one is copied; if no block is left for
    /// the copy, its few tokens will be computed again.
    pub(super) fn fork(&self, tree: &mut PrefixTree, cache: &KvCache) -> Result<Self, Error> {
        let full = self.computed / BLOCK_SIZE;
        let mut fork = Self::new(self.tokens.clone(), None);
        fork.path = self.path[..full].to_vec();
        fork.path.iter().for_each(|node| tree.hold(*node));
        fork.computed = full * BLOCK_SIZE;
        let rows = self.computed % BLOCK_SIZE;
        if rows > 0
            && let Some(copy) = tree.add(fork.path.last().copied())
        {
            cache.copy_block(tree.block(self.path[full]), tree.block(copy))?;
            tree.fill(copy, &self.tokens[fork.computed..self.computed]);
            fork.path.push(copy);
            fork.computed = self.computed;
        }
        Ok(fork)
    }

    /// Lets go of the cache; what was computed stays there until it is evicted.
    pub(super) fn detach(&mut self, tree: &mut PrefixTree) {
        self.path.drain(..).rev().for_each(|node| tree.release(node));
        self.computed = 0;
        self.logits = None;
    }
}
