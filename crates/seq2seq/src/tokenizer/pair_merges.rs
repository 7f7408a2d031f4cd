//! Byte-pair encoding as its inventors wrote it: over characters, with a mark at the end of a word.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use llm_runtime::tokenizer::Merge;

/// What the last character of a word carries, so that `er` at the end is not `er` in the middle.
pub(super) const END_OF_WORD: &str = "</w>";

/// Pairs of symbols that become one symbol. A symbol need not be in the vocabulary.
#[derive(Clone, Default)]
pub(super) struct PairMerges {
    symbols: HashMap<String, u32>,
    names: Vec<String>,
    /// For a pair its rank, where less comes first, and the symbol that it becomes.
    products: HashMap<(u32, u32), (usize, u32)>,
    /// The pairs by rank.
    pairs: Vec<(u32, u32)>,
}

impl PairMerges {
    /// Takes the merges in their order.
    pub(super) fn new(merges: &[Merge<'_>]) -> Self {
        let mut all = Self::default();
        for (rank, Merge { left, right, .. }) in merges.iter().enumerate() {
            let pair = (all.symbol(left), all.symbol(right));
            let product = all.symbol(&format!("{left}{right}"));
            all.products.insert(pair, (rank, product));
            all.pairs.push(pair);
        }
        all
    }

    /// Cuts a word into the pieces that no merge joins. In each round the pair of the lowest rank is joined wherever it stands, from
    /// the left; rounds matter, since a pair that a merge makes possible may have a lower rank than the pair just joined.
    pub(super) fn split<'a>(&self, word: &'a str) -> Vec<&'a str> {
        let mut parts = self.characters(word);
        let mut queue = BinaryHeap::new();
        for at in 0..parts.all.len() {
            queue.extend(self.rank(&parts, at).map(|rank| Reverse((rank, at))));
        }
        while let Some(Reverse((rank, _))) = queue.peek().copied() {
            let mut joined = Vec::new();
            while let Some(Reverse((_, at))) = queue.peek().copied().filter(|Reverse((next, _))| *next == rank) {
                queue.pop();
                if let Some((_, product)) = self.product(&parts, at).filter(|(now, _)| *now == rank) {
                    parts.join(at, product);
                    joined.push(at);
                }
            }
            for at in joined.into_iter().flat_map(|at| [parts.all[at].before, Some(at)]).flatten() {
                queue.extend(self.rank(&parts, at).map(|rank| Reverse((rank, at))));
            }
        }
        parts.all.iter().filter(|part| !part.is_taken).map(|part| &word[part.start..part.end]).collect()
    }

    /// The merges, most important first, as lines of `merges.txt`.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.pairs.iter().map(|(left, right)| {
            let name = |symbol: &u32| self.names[*symbol as usize].as_str();
            format!("{} {}", name(left), name(right))
        })
    }

    fn symbol(&mut self, name: &str) -> u32 {
        if let Some(symbol) = self.symbols.get(name) {
            return *symbol;
        }
        let symbol = self.names.len() as u32;
        self.symbols.insert(name.to_owned(), symbol);
        self.names.push(name.to_owned());
        symbol
    }

    fn characters(&self, word: &str) -> Parts {
        let mut all: Vec<Part> = Vec::with_capacity(word.len());
        for (start, character) in word.char_indices() {
            let end = start + character.len_utf8();
            let symbol = match end == word.len() {
                true => self.symbols.get(&format!("{character}{END_OF_WORD}")),
                false => self.symbols.get(character.encode_utf8(&mut [0; 4]) as &str),
            };
            let index = all.len();
            let behind = (end < word.len()).then_some(index + 1);
            all.push(Part {
                start,
                end,
                symbol: symbol.copied(),
                before: index.checked_sub(1),
                behind,
                is_taken: false,
            });
        }
        Parts { all }
    }

    fn rank(&self, parts: &Parts, at: usize) -> Option<usize> {
        self.product(parts, at).map(|(rank, _)| rank)
    }

    /// What a part and the one behind it become.
    fn product(&self, parts: &Parts, at: usize) -> Option<(usize, u32)> {
        let part = parts.all.get(at).filter(|part| !part.is_taken)?;
        let behind = parts.all.get(part.behind?)?;
        self.products.get(&(part.symbol?, behind.symbol?)).copied()
    }
}

/// A piece of a word on its way, linked to its neighbours.
struct Part {
    start: usize,
    end: usize,
    /// `None` if no merge knows it.
    symbol: Option<u32>,
    before: Option<usize>,
    behind: Option<usize>,
    /// It has become a part of the one before it.
    is_taken: bool,
}

struct Parts {
    all: Vec<Part>,
}

impl Parts {
    /// Joins a part with the one behind it.
    fn join(&mut self, at: usize, product: u32) {
        let Some(taken) = self.all[at].behind else { return };
        self.all[taken].is_taken = true;
        let (end, behind) = (self.all[taken].end, self.all[taken].behind);
        if let Some(behind) = behind {
            self.all[behind].before = Some(at);
        }
        let part = &mut self.all[at];
        (part.end, part.behind, part.symbol) = (end, behind, Some(product));
    }
}

#[cfg(test)]
mod tests {
    use llm_runtime::tokenizer::read_merges;

    use super::*;

    fn split(merges: &str, word: &str) -> Vec<String> {
        PairMerges::new(&read_merges(merges).unwrap()).split(word).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn the_most_important_pair_is_joined_first_and_from_the_left() {
        assert_eq!(split("b c\na b", "abcd"), ["a", "bc", "d"]);
        assert_eq!(split("a a\naa a", "aaaab"), ["aa", "aa", "b"]);
        assert_eq!(split("a a\naa a", "aaab"), ["aaa", "b"]);
    }

    #[test]
    fn the_end_of_a_word_is_another_symbol() {
        assert_eq!(split("e r", "er"), ["e", "r"]);
        assert_eq!(split("e r</w>", "erer"), ["e", "r", "er"]);
        assert_eq!(split("e r</w>", "e"), ["e"]);
    }

    /// `a b` makes `ab c` possible, which has a lower rank; still the second `a b` is joined before.
    #[test]
    fn a_round_is_finished_before_the_next_begins() {
        assert_eq!(split("ab a\na b\nab ab", "ababx"), ["abab", "x"]);
    }
}
