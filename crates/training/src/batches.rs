//! The order in which examples are seen: seeded, and the same whenever an epoch is planned again.

use llm_runtime::seeded_stream;
use rand::seq::SliceRandom;

/// Batches whose lengths are sorted together, unless told otherwise.
pub(crate) const BATCHES_PER_POOL: usize = 50;

/// How an epoch is cut into micro-batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlan {
    /// Examples of a micro-batch.
    pub size: usize,
    /// Whether the examples of a micro-batch are of like lengths.
    pub by_length: bool,
    /// With `by_length`, micro-batches whose examples are sorted together.
    pub batches_per_pool: usize,
    /// Whether examples that do not fill a micro-batch are left out.
    pub drop_incomplete: bool,
    /// The run's seed.
    pub seed: u64,
}

impl BatchPlan {
    /// The micro-batches of an epoch (from 0), each a list of example numbers. Every example occurs once, or with
    /// `drop_incomplete` at most once.
    pub fn epoch(&self, epoch: u64, lengths: &[usize]) -> Vec<Vec<usize>> {
        let mut generator = seeded_stream(self.seed, &format!("shuffle/{epoch}"));
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.shuffle(&mut generator);
        let size = self.size.max(1);
        if !self.by_length {
            return self.cut(&order);
        }
        for pool in order.chunks_mut(size * self.batches_per_pool.max(1)) {
            // Stable, so that examples of one length keep their shuffled order.
            pool.sort_by_key(|example| std::cmp::Reverse(lengths[*example]));
        }
        let mut batches = self.cut(&order);
        batches.shuffle(&mut generator);
        batches
    }

    /// The micro-batches of an order. Only the last can be incomplete: pools are whole micro-batches.
    fn cut(&self, order: &[usize]) -> Vec<Vec<usize>> {
        let size = self.size.max(1);
        let is_kept = |batch: &&[usize]| !self.drop_incomplete || batch.len() == size;
        order.chunks(size).filter(is_kept).map(<[usize]>::to_vec).collect()
    }

    /// The micro-batches of an epoch whose examples come as they stand in the data.
    pub(crate) fn unshuffled(&self, examples: usize) -> Vec<Vec<usize>> {
        self.cut(&(0..examples).collect::<Vec<_>>())
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

    const USUAL: BatchPlan =
        BatchPlan { size: 1, by_length: false, batches_per_pool: BATCHES_PER_POOL, drop_incomplete: false, seed: 1 };

    proptest! {
        #[test]
        fn an_epoch_sees_every_example_once(lengths in prop::collection::vec(1usize..90, 0..300), size in 1usize..9, by_length: bool, seed: u64) {
            let plan = BatchPlan { size, by_length, seed, ..USUAL };
            let batches = plan.epoch(3, &lengths);
            prop_assert!(batches.iter().all(|batch| !batch.is_empty() && batch.len() <= size));
            prop_assert_eq!(batches.len(), lengths.len().div_ceil(size));
            let mut seen = batches.concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            prop_assert_eq!(plan.epoch(3, &lengths), batches);
        }

        #[test]
        fn full_batches_leave_out_less_than_one(lengths in prop::collection::vec(1usize..90, 0..300), size in 1usize..9, by_length: bool, batches_per_pool in 1usize..9, seed: u64) {
            let plan = BatchPlan { size, by_length, batches_per_pool, drop_incomplete: true, seed };
            let batches = plan.epoch(3, &lengths);
            prop_assert!(batches.iter().chain(&plan.unshuffled(lengths.len())).all(|batch| batch.len() == size));
            prop_assert_eq!((batches.len(), plan.unshuffled(lengths.len()).len()), (lengths.len() / size, lengths.len() / size));
            let mut seen = batches.concat();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), lengths.len() / size * size);
            prop_assert_eq!(plan.epoch(3, &lengths), batches);
        }
    }

    #[test]
    fn batches_by_length_waste_little() {
        let lengths: Vec<usize> = (0..1000).map(|i| (i * 37) % 211 + 1).collect();
        let spread = |by_length| {
            let batches = BatchPlan { size: 8, by_length, ..USUAL }.epoch(0, &lengths);
            let longest = |batch: &Vec<usize>| batch.iter().map(|i| lengths[*i]).max().unwrap_or(0) * batch.len();
            batches.iter().map(longest).sum::<usize>() - lengths.iter().sum::<usize>()
        };
        assert!(spread(true) * 10 < spread(false), "{} against {}", spread(true), spread(false));
    }
}
