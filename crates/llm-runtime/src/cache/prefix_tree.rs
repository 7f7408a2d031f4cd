//! Which cache block holds which tokens, so that sequences with a common beginning share blocks.
//!
//! A tree node is one block: up to [`BLOCK_SIZE`] tokens that follow its parent's. A sequence holds the path of nodes
//! from the root to its end. Full nodes may be held by any number of sequences; the last, partly filled node of a sequence
//! belongs to it alone, and whoever wants its beginning copies it (copy on write). Nodes that nobody holds stay, as a
//! cache, until their block is needed: the least recently used leaf goes first.

use std::collections::BTreeSet;

use super::BLOCK_SIZE;

/// A node of the tree. Valid while the node is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

#[derive(Debug)]
struct Node {
    block: u32,
    tokens: Vec<u32>,
    parent: Option<NodeId>,
    children: Vec<NodeId>,
    holders: u32,
    last_used: u64,
}

/// What of a sequence is in the cache.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PrefixMatch {
    /// Full blocks that match wholly.
    pub(crate) nodes: Vec<NodeId>,
    /// A block that continues them for some tokens, and for how many.
    pub(crate) tail: Option<(NodeId, usize)>,
}

impl PrefixMatch {
    /// Number of matching tokens.
    pub(crate) fn tokens(&self) -> usize {
        self.nodes.len() * BLOCK_SIZE + self.tail.map_or(0, |(_, tokens)| tokens)
    }
}

#[derive(Debug)]
pub(crate) struct PrefixTree {
    nodes: Vec<Option<Node>>,
    free_nodes: Vec<u32>,
    roots: Vec<NodeId>,
    free_blocks: Vec<u32>,
    /// Leaves that nobody holds, least recently used first.
    evictable: BTreeSet<(u64, NodeId)>,
    /// Nodes that nobody holds, leaves or not: all of them could be evicted one after the other.
    idle: usize,
    clock: u64,
}

impl PrefixTree {
    pub(crate) fn new(blocks: usize) -> Self {
        Self {
            nodes: Vec::new(),
            free_nodes: Vec::new(),
            roots: Vec::new(),
            free_blocks: (0..blocks as u32).rev().collect(),
            evictable: BTreeSet::new(),
            idle: 0,
            clock: 0,
        }
    }

    /// Blocks that are free or could be freed.
    pub(crate) fn available(&self) -> usize {
        self.free_blocks.len() + self.idle
    }

    pub(crate) fn block(&self, id: NodeId) -> u32 {
        self.node(id).block
    }

    /// How many tokens of a node are computed.
    pub(crate) fn filled(&self, id: NodeId) -> usize {
        self.node(id).tokens.len()
    }

    /// The longest prefix of `tokens` that is in the cache.
    pub(crate) fn find(&self, tokens: &[u32]) -> PrefixMatch {
        let mut found = PrefixMatch::default();
        let mut children = &self.roots;
        loop {
            let rest = &tokens[found.nodes.len() * BLOCK_SIZE..];
            let best = children
                .iter()
                .map(|child| (common_prefix(&self.node(*child).tokens, rest), *child))
                .max_by_key(|(common, child)| (*common, std::cmp::Reverse(*child)));
            match best {
                Some((BLOCK_SIZE, child)) => {
                    found.nodes.push(child);
                    children = &self.node(child).children;
                }
                Some((common @ 1.., child)) => {
                    found.tail = Some((child, common));
                    return found;
                }
                _ => return found,
            }
        }
    }

    /// Holds a node, so that it is not evicted.
    pub(crate) fn hold(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.holders += 1;
        if node.holders == 1 {
            let key = (node.last_used, id);
            self.evictable.remove(&key);
            self.idle -= 1;
        }
    }

    /// Whether nobody holds the node.
    pub(crate) fn is_idle(&self, id: NodeId) -> bool {
        self.node(id).holders == 0
    }

    /// Ends a hold. A path is released from its end to its root.
    pub(crate) fn release(&mut self, id: NodeId) {
        self.clock += 1;
        let clock = self.clock;
        let node = self.node_mut(id);
        node.holders -= 1;
        node.last_used = clock;
        if node.holders > 0 {
            return;
        }
        let (leaf, empty) = (node.children.is_empty(), node.tokens.is_empty());
        self.idle += 1;
        if leaf {
            self.evictable.insert((clock, id));
            if empty {
                self.remove(id);
            }
        }
    }

    /// Adds an empty node after `parent`, held once; `None` when no block can be had.
    pub(crate) fn add(&mut self, parent: Option<NodeId>) -> Option<NodeId> {
        let block = self.take_block()?;
        let node = Node { block, tokens: Vec::new(), parent, children: Vec::new(), holders: 1, last_used: 0 };
        let id = match self.free_nodes.pop() {
            Some(index) => {
                self.nodes[index as usize] = Some(node);
                NodeId(index)
            }
            None => {
                self.nodes.push(Some(node));
                NodeId(self.nodes.len() as u32 - 1)
            }
        };
        match parent {
            Some(parent) => self.node_mut(parent).children.push(id),
            None => self.roots.push(id),
        }
        Some(id)
    }

    /// Tells that the keys and values of these tokens now stand in the node.
    pub(crate) fn fill(&mut self, id: NodeId, tokens: &[u32]) {
        let node = self.node_mut(id);
        node.tokens.extend_from_slice(tokens);
        debug_assert!(node.tokens.len() <= BLOCK_SIZE);
    }

    fn take_block(&mut self) -> Option<u32> {
        if self.free_blocks.is_empty() {
            let (_, oldest) = *self.evictable.first()?;
            self.remove(oldest);
        }
        self.free_blocks.pop()
    }

    /// Takes an idle leaf out of the tree.
    fn remove(&mut self, id: NodeId) {
        let Some(node) = self.nodes[id.0 as usize].take() else { return };
        self.free_nodes.push(id.0);
        self.free_blocks.push(node.block);
        self.evictable.remove(&(node.last_used, id));
        self.idle -= 1;
        let Some(parent) = node.parent else {
            self.roots.retain(|root| *root != id);
            return;
        };
        let above = self.node_mut(parent);
        above.children.retain(|child| *child != id);
        if above.holders == 0 && above.children.is_empty() {
            let key = (above.last_used, parent);
            self.evictable.insert(key);
        }
    }

    fn node(&self, id: NodeId) -> &Node {
        self.nodes[id.0 as usize].as_ref().expect("a node id outlived its node")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes[id.0 as usize].as_mut().expect("a node id outlived its node")
    }
}

/// How many tokens two sequences have in common at their beginning.
pub(crate) fn common_prefix(left: &[u32], right: &[u32]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts a whole sequence into the tree and lets go of it.
    fn insert(tree: &mut PrefixTree, tokens: &[u32]) -> Vec<NodeId> {
        let mut path = Vec::new();
        for block in tokens.chunks(BLOCK_SIZE) {
            let node = tree.add(path.last().copied()).unwrap();
            tree.fill(node, block);
            path.push(node);
        }
        path.iter().rev().for_each(|node| tree.release(*node));
        path
    }

    fn tokens(count: u32) -> Vec<u32> {
        (0..count).collect()
    }

    #[test]
    fn a_prefix_is_found_to_the_token() {
        let mut tree = PrefixTree::new(8);
        insert(&mut tree, &tokens(40));
        assert_eq!(tree.find(&tokens(40)).tokens(), 40);
        assert_eq!(tree.find(&tokens(37)).tokens(), 37);
        let mut other = tokens(40);
        other[20] = 99;
        let found = tree.find(&other);
        assert_eq!((found.nodes.len(), found.tokens()), (1, 20));
        assert_eq!(tree.find(&[7, 8]).tokens(), 0);
    }

    #[test]
    fn the_least_recently_used_leaf_is_evicted_first() {
        let mut tree = PrefixTree::new(4);
        insert(&mut tree, &tokens(32));
        let other: Vec<u32> = (100..132).collect();
        insert(&mut tree, &other);
        assert_eq!((tree.free_blocks.len(), tree.available()), (0, 4));
        tree.add(None).unwrap();
        assert_eq!(tree.find(&tokens(32)).tokens(), 16, "only the leaf of the older sequence went");
        assert_eq!(tree.find(&other).tokens(), 32);
    }

    #[test]
    fn held_nodes_are_never_evicted() {
        let mut tree = PrefixTree::new(2);
        let path = insert(&mut tree, &tokens(32));
        path.iter().for_each(|node| tree.hold(*node));
        assert_eq!(tree.available(), 0);
        assert!(tree.add(None).is_none());
        path.iter().rev().for_each(|node| tree.release(*node));
        assert!(tree.add(None).is_some());
    }

    #[test]
    fn an_empty_node_vanishes_when_released() {
        let mut tree = PrefixTree::new(1);
        let node = tree.add(None).unwrap();
        tree.release(node);
        assert_eq!(tree.free_blocks.len(), 1);
    }
}
