//! Packing: short examples beside one another in one sequence, so that less is padded.
//!
//! First fit decreasing: the longest example first, each into the first sequence with room for it; at most 11/9 of the
//! fewest possible sequences, plus one. Segment boundaries are kept, because what is packed together must not attend to
//! one another and counts its positions from zero; a trainer that can't do that must not pack.

use std::ops::Range;

use super::encode::SftExample;
use super::error::SftError;

/// Several examples in one sequence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackedExample {
    /// The ids of all segments, one after another.
    pub ids: Vec<u32>,
    /// For each id whether it is learned. Never the first id of a segment: what stands before it is another conversation.
    pub learned: Vec<bool>,
    /// The token range of each example.
    pub segments: Vec<Range<usize>>,
    /// For each segment the number of its example in what was packed.
    pub sources: Vec<usize>,
}

impl PackedExample {
    /// Each id's position in its own segment: 0, 1, 2, … from every boundary.
    pub fn positions(&self) -> Vec<u32> {
        self.segments.iter().flat_map(|segment| (0..).take(segment.len())).collect()
    }

    fn push(&mut self, source: usize, example: &SftExample) {
        let start = self.ids.len();
        self.ids.extend_from_slice(&example.ids);
        self.learned.extend_from_slice(&example.learned);
        if let Some(first) = self.learned.get_mut(start) {
            *first = false;
        }
        self.segments.push(start..self.ids.len());
        self.sources.push(source);
    }
}

/// Packs examples into sequences of at most `length` tokens. The same examples give the same sequences.
///
/// # Errors
/// An example is longer than `length`.
pub fn pack(examples: &[SftExample], length: usize) -> Result<Vec<PackedExample>, SftError> {
    if let Some((number, example)) = examples.iter().enumerate().find(|(_, example)| example.ids.len() > length) {
        return Err(SftError::Setting {
            setting: "pack length",
            problem: format!(
                "example {} has {} tokens, more than {length}: encode with a cutoff of at most {length}",
                number + 1,
                example.ids.len()
            ),
        });
    }
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|number| std::cmp::Reverse(examples[*number].ids.len()));
    let mut rooms = Rooms::new(examples.len(), length);
    let mut packed: Vec<PackedExample> = Vec::new();
    for source in order {
        let room = rooms.take(examples[source].ids.len());
        if room == packed.len() {
            packed.push(PackedExample::default());
        }
        packed[room].push(source, &examples[source]);
    }
    Ok(packed)
}

/// Room left in each sequence, in a tree whose nodes hold the most room below them: the first fit in logarithmic time.
struct Rooms {
    /// Node 1 is the root, 2n and 2n + 1 are the children of n, the leaves are the sequences.
    most: Vec<usize>,
    leaves: usize,
}

impl Rooms {
    fn new(sequences: usize, length: usize) -> Self {
        let leaves = sequences.next_power_of_two();
        Self { most: vec![length; 2 * leaves], leaves }
    }

    /// The first sequence with that much room, which it has no longer.
    fn take(&mut self, needed: usize) -> usize {
        let mut node = 1;
        while node < self.leaves {
            node = if self.most[2 * node] >= needed { 2 * node } else { 2 * node + 1 };
        }
        let sequence = node - self.leaves;
        self.most[node] = self.most[node].saturating_sub(needed);
        while node > 1 {
            node /= 2;
            self.most[node] = self.most[2 * node].max(self.most[2 * node + 1]);
        }
        sequence
    }
}
