//! The order in which examples are seen: seeded, and the same whenever an epoch is planned again.

use llm_runtime::seeded_stream;
use rand::seq::SliceRandom;

/// Batches whose lengths are sorted together.
const BATCHES_PER_POOL: usize = 50;

/// How an epoch is cut into micro-batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlan {
    /// Examples of a micro-batch.
    pub size: usize,
    /// Whether the examples of a micro-batch are of like lengths.
    pub by_length: bool,
    /// The run's seed.
    pub seed: u64,
}

impl BatchPlan {
    /// The micro-batches of an epoch (from 0), each a list of example numbers. Every example occurs once.
    pub fn epoch(&self, epoch: u64, lengths: &[usize]) -> Vec<Vec<usize>> {
        let mut generator = seeded_stream(self.seed, &format!("shuffle/{epoch}"));
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.shuffle(&mut generator);
        let size = self.size.max(1);
        if !self.by_length {
            return order.chunks(size).map(<[usize]>::to_vec).collect();
        }
        for pool in order.chunks_mut(size * BATCHES_PER_POOL) {
            // Stable, so that examples of one length keep their shuffled order.
            pool.sort_by_key(|example| std::cmp::Reverse(lengths[*example]));
        }
        let mut batches: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
        batches.shuffle(&mut generator);
        batches
    }

    /// Batches of an evaluation: in order, nothing shuffled.
    pub fn in_order(size: usize, examples: usize) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..examples).collect();
        all.chunks(size.max(1)).map(<[usize]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_epoch_sees_every_example_once(lengths in prop::collection::vec(1usize..90, 0..300), size in 1usize..9, by_length: bool, seed: u64) {
            let plan = BatchPlan { size, by_length, seed };
            let batches = plan.epoch(3, &lengths);
            prop_assert!(batches.iter().all(|batch| !batch.is_empty() && batch.len() <= size));
            prop_assert_eq!(batches.len(), lengths.len().div_ceil(size));
            let mut seen = batches.concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            prop_assert_eq!(plan.epoch(3, &lengths), batches);
        }
    }

    #[test]
    fn batches_by_length_waste_little() {
        let lengths: Vec<usize> = (0..1000).map(|i| (i * 37) % 211 + 1).collect();
        let spread = |by_length| {
            let batches = BatchPlan { size: 8, by_length, seed: 1 }.epoch(0, &lengths);
            let longest = |batch: &Vec<usize>| batch.iter().map(|i| lengths[*i]).max().unwrap_or(0) * batch.len();
            batches.iter().map(longest).sum::<usize>() - lengths.iter().sum::<usize>()
        };
        assert!(spread(true) * 10 < spread(false), "{} against {}", spread(true), spread(false));
    }
}
