//! Longest common subsequences, 64 positions at a time (Hyyrö, 2004).
//!
//! A column of the usual table is a row of bits, one for each position of the first sequence: 0 where the best length grows. One addition
//! makes the next column of 64 positions. Memory grows with the length of a text, never with its square.

use std::collections::HashMap;
use std::hash::Hash;

/// Length of the longest common subsequence.
pub(crate) fn length<T: Eq + Hash>(left: &[T], right: &[T]) -> usize {
    let alike = equal_end(left, right);
    let (left, right) = (&left[..left.len() - alike], &right[..right.len() - alike]);
    let places = Places::of(left);
    let mut column = places.first_column();
    right.iter().for_each(|token| places.advance(&mut column, token));
    alike + (0..left.len()).filter(|position| grows(&column, *position)).count()
}

/// How many tokens at the end are the same: all of them belong to a longest common subsequence.
fn equal_end<T: Eq>(left: &[T], right: &[T]) -> usize {
    left.iter().rev().zip(right.iter().rev()).take_while(|(left, right)| left == right).count()
}

/// Positions of `left` that belong to a longest common subsequence with `right`, by the table of prefixes: the last of the best.
pub(crate) fn positions<T: Eq + Hash>(left: &[T], right: &[T]) -> Vec<usize> {
    let alike = equal_end(left, right);
    let mut found: Vec<usize> = (left.len() - alike..left.len()).rev().collect();
    let (left, right) = (&left[..left.len() - alike], &right[..right.len() - alike]);
    let places = Places::of(left);
    // Only the columns of one block are kept at a time, and made again from its first.
    let block = right.len().isqrt().max(1);
    let mut column = places.first_column();
    let mut firsts = Vec::with_capacity(right.len().div_ceil(block));
    for tokens in right.chunks(block) {
        firsts.push(column.clone());
        tokens.iter().for_each(|token| places.advance(&mut column, token));
    }
    let mut row = left.len();
    for (tokens, first) in right.chunks(block).zip(firsts).rev() {
        let columns = places.columns(first, tokens);
        let mut at = tokens.len();
        while row > 0 && at > 0 {
            if left[row - 1] == tokens[at - 1] {
                found.push(row - 1);
                (row, at) = (row - 1, at - 1);
            } else if grows(&columns[at - 1], row - 1) {
                at -= 1;
            } else {
                row -= 1;
            }
        }
    }
    found.reverse();
    found
}

/// Whether the best length grows at a position.
fn grows(column: &[u64], position: usize) -> bool {
    column[position / 64] >> (position % 64) & 1 == 0
}

/// Where each token stands in a sequence: bits by 64 positions, those without any left out.
struct Places<'a, T> {
    of: HashMap<&'a T, Vec<(usize, u64)>>,
    words: usize,
}

impl<'a, T: Eq + Hash> Places<'a, T> {
    fn of(tokens: &'a [T]) -> Self {
        let mut of: HashMap<&T, Vec<(usize, u64)>> = HashMap::with_capacity(tokens.len());
        for (position, token) in tokens.iter().enumerate() {
            let (word, bit) = (position / 64, 1 << (position % 64));
            let places = of.entry(token).or_default();
            match places.last_mut() {
                Some((last, bits)) if *last == word => *bits |= bit,
                _ => places.push((word, bit)),
            }
        }
        Self { of, words: tokens.len().div_ceil(64) }
    }

    fn first_column(&self) -> Vec<u64> {
        vec![u64::MAX; self.words]
    }

    /// The columns behind each of these tokens.
    fn columns(&self, first: Vec<u64>, tokens: &[T]) -> Vec<Vec<u64>> {
        let mut column = first;
        let next = |token| {
            self.advance(&mut column, token);
            column.clone()
        };
        tokens.iter().map(next).collect()
    }

    /// Makes the next column: column + (column & places), with the carry, and what was outside the places stays.
    fn advance(&self, column: &mut [u64], token: &T) {
        let Some(places) = self.of.get(token) else { return };
        let (mut carry, mut next) = (false, 0);
        for (word, bits) in places {
            (carry, next) = carried(column, carry, next, *word);
            let old = column[*word];
            let (sum, first) = old.overflowing_add(old & bits);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            column[*word] = sum | (old & !bits);
            (carry, next) = (first || second, next.max(word + 1));
        }
        carried(column, carry, next, column.len());
    }
}

/// Moves a carry on from word `next` to word `end`, through words without places.
fn carried(column: &mut [u64], mut carry: bool, mut next: usize, end: usize) -> (bool, usize) {
    while carry && next < end {
        let (sum, over) = column[next].overflowing_add(1);
        column[next] |= sum;
        (carry, next) = (over, next + 1);
    }
    (carry, next)
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

    /// By the whole table.
    fn by_table(left: &[u8], right: &[u8]) -> Vec<usize> {
        let mut lengths = vec![vec![0; right.len() + 1]; left.len() + 1];
        for (row, own) in left.iter().enumerate() {
            for (column, other) in right.iter().enumerate() {
                lengths[row + 1][column + 1] = match own == other {
                    true => lengths[row][column] + 1,
                    false => lengths[row][column + 1].max(lengths[row + 1][column]),
                };
            }
        }
        let (mut row, mut column, mut found) = (left.len(), right.len(), Vec::new());
        while row > 0 && column > 0 {
            if left[row - 1] == right[column - 1] {
                found.insert(0, row - 1);
                (row, column) = (row - 1, column - 1);
            } else if lengths[row][column - 1] > lengths[row - 1][column] {
                column -= 1;
            } else {
                row -= 1;
            }
        }
        found
    }

    #[test]
    fn long_sequences_need_little_memory() {
        let (left, right): (Vec<u32>, Vec<u32>) = ((0..100_000).collect(), (0..100_000).map(|at| at + 10).collect());
        assert_eq!(length(&left, &right), 99_990);
        assert_eq!(positions(&left, &right), (10..100_000).collect::<Vec<usize>>());
    }

    proptest! {
        #[test]
        fn bits_and_table_agree(
            left in prop::collection::vec(0u8..5, 0..300),
            right in prop::collection::vec(0u8..5, 0..150),
        ) {
            let expected = by_table(&left, &right);
            prop_assert_eq!(length(&left, &right), expected.len());
            prop_assert_eq!(positions(&left, &right), expected);
        }

        #[test]
        fn rare_tokens_carry_over_words_without_them(
            left in prop::collection::vec(0u8..100, 0..400),
            right in prop::collection::vec(0u8..100, 0..100),
        ) {
            let expected = by_table(&left, &right);
            prop_assert_eq!(length(&left, &right), expected.len());
            prop_assert_eq!(positions(&left, &right), expected);
        }
    }
}
