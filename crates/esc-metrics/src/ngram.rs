//! N-grams of token numbers, up to four tokens, as exact integers.

use crate::corpus::TokenId;

/// The longest n-gram that fits a number.
pub const MAX_ORDER: usize = 4;

/// An n-gram of up to [`MAX_ORDER`] token numbers. Those of different orders can be equal: never mix orders in one set.
pub type Ngram = u128;

/// The n-grams of `order` 1 to [`MAX_ORDER`], in the order of the text.
pub fn ngrams(tokens: &[TokenId], order: usize) -> impl Iterator<Item = Ngram> + '_ {
    debug_assert!((1..=MAX_ORDER).contains(&order));
    tokens.windows(order).map(|window| window.iter().fold(0, |gram, id| gram << 32 | Ngram::from(*id)))
}

/// Different n-grams with their counts, in ascending order.
pub fn counts(tokens: &[TokenId], order: usize) -> Vec<(Ngram, u32)> {
    let mut grams: Vec<Ngram> = ngrams(tokens, order).collect();
    grams.sort_unstable();
    let mut counted: Vec<(Ngram, u32)> = Vec::with_capacity(grams.len());
    for gram in grams {
        match counted.last_mut() {
            Some((last, count)) if *last == gram => *count += 1,
            _ => counted.push((gram, 1)),
        }
    }
    counted
}

/// Number of n-grams in a text of `length` tokens.
pub fn count_of(length: usize, order: usize) -> usize {
    (length + 1).saturating_sub(order)
}

/// The count or weight of an n-gram among those in ascending order; 0 where it is not among them.
pub(crate) fn value_in<T: Copy + Default>(valued: &[(Ngram, T)], gram: Ngram) -> T {
    valued.binary_search_by_key(&gram, |(gram, _)| *gram).map_or_else(|_| T::default(), |at| valued[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grams_are_counted_by_order() {
        assert_eq!(ngrams(&[1, 2, 1], 2).collect::<Vec<_>>(), [(1 << 32) | 2, (2 << 32) | 1]);
        assert_eq!(counts(&[7, 9, 7], 1), [(7, 2), (9, 1)]);
        assert_eq!(counts(&[7], 2), []);
        assert_eq!((count_of(3, 2), count_of(1, 2), count_of(0, 1), count_of(0, 4)), (2, 0, 0, 0));
        assert_eq!(value_in(&counts(&[7, 9, 7], 1), 7), 2);
    }
}
