//! Longest common subsequences.

use std::collections::HashMap;
use std::hash::Hash;

/// Length of the longest common subsequence, 64 positions of `left` at a time (Hyyrö, 2004).
pub(crate) fn length<T: Eq + Hash>(left: &[T], right: &[T]) -> usize {
    let words = left.len().div_ceil(64);
    let mut places: HashMap<&T, Vec<u64>> = HashMap::with_capacity(left.len());
    for (at, token) in left.iter().enumerate() {
        places.entry(token).or_insert_with(|| vec![0; words])[at / 64] |= 1 << (at % 64);
    }
    // A zero bit is a position of `left` where the best length grows.
    let mut state = vec![u64::MAX; words];
    for token in right {
        let Some(places) = places.get(token) else { continue };
        let mut carry = false;
        for (state, places) in state.iter_mut().zip(places) {
            let matched = *state & places;
            let (sum, first) = state.overflowing_add(matched);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            *state = sum | (*state & !places);
        }
    }
    let last = if left.len().is_multiple_of(64) { u64::MAX } else { (1 << (left.len() % 64)) - 1 };
    let used = |at: usize| if at + 1 < words { u64::MAX } else { last };
    state.iter().enumerate().map(|(at, state)| (!state & used(at)).count_ones() as usize).sum()
}

/// Positions of `left` that belong to a longest common subsequence with `right`, by the table of prefixes: the last of the best.
pub(crate) fn positions<T: Eq>(left: &[T], right: &[T]) -> Vec<usize> {
    let columns = right.len() + 1;
    let mut lengths = vec![0u32; (left.len() + 1) * columns];
    for (row, own) in left.iter().enumerate() {
        for (column, other) in right.iter().enumerate() {
            let at = (row + 1) * columns + column + 1;
            lengths[at] =
                if own == other { lengths[at - columns - 1] + 1 } else { lengths[at - columns].max(lengths[at - 1]) };
        }
    }
    let (mut row, mut column, mut found) = (left.len(), right.len(), Vec::new());
    while row > 0 && column > 0 {
        let at = row * columns + column;
        if left[row - 1] == right[column - 1] {
            found.push(row - 1);
            (row, column) = (row - 1, column - 1);
        } else if lengths[at - 1] > lengths[at - columns] {
            column -= 1;
        } else {
            row -= 1;
        }
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn subsequences_by_hand() {
        assert_eq!(length(&[1, 2, 3, 4], &[2, 4, 3]), 2);
        assert_eq!(length::<u8>(&[], &[1]), 0);
        let long: Vec<usize> = (0..200).collect();
        assert_eq!(length(&long, &long), 200);
        assert_eq!(length(&long, &long.iter().copied().step_by(3).collect::<Vec<_>>()), 67);
    }

    proptest! {
        #[test]
        fn bits_and_table_agree(left in prop::collection::vec(0u8..5, 0..150), right in prop::collection::vec(0u8..5, 0..150)) {
            prop_assert_eq!(length(&left, &right), positions(&left, &right).len());
        }
    }
}
