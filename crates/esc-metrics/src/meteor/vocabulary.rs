//! Words as numbers, each with what the matchers need to know of it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

use super::paraphrase_index::KnownWord;
use super::{Meteor, MeteorVariant};

/// The words seen so far. Stems and synonyms are looked up once for each.
pub(super) struct Vocabulary<'m> {
    meteor: &'m Meteor,
    stemmer: Stemmer,
    numbers: HashMap<Box<str>, u32>,
    words: Vec<Word>,
    /// Synsets of all words, one after the other.
    synsets: Vec<u32>,
}

/// What is known of a word.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    pub(super) is_function_word: bool,
    /// The word as METEOR compares it.
    key: u32,
    /// Its stem as METEOR compares it; 0 if stems are not used.
    stem: u32,
    /// Its synsets, ascending, in [`Vocabulary::synsets`].
    synsets: Range<usize>,
    /// A bit for each synset, so that most pairs of words without a common one are told apart at once.
    synset_bits: [u64; 4],
    /// What it is in the paraphrase table.
    pub(super) table_word: Option<KnownWord>,
}

impl<'m> Vocabulary<'m> {
    pub(super) fn new(meteor: &'m Meteor) -> Self {
        Self {
            meteor,
            stemmer: Stemmer::create(Algorithm::English),
            numbers: HashMap::new(),
            words: Vec::new(),
            synsets: Vec::new(),
        }
    }

    /// Number of different words.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// The number of a word.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.words.len() as u32;
        let word = self.look_up(text);
        self.words.push(word);
        self.numbers.insert(text.into(), number);
        number
    }

    pub(super) fn word(&self, number: u32) -> &Word {
        static UNKNOWN: LazyLock<Word> = LazyLock::new(Word::default);
        self.words.get(number as usize).unwrap_or(&UNKNOWN)
    }

    pub(super) fn are_equal(&self, left: u32, right: u32) -> bool {
        self.word(left).key == self.word(right).key
    }

    pub(super) fn have_equal_stems(&self, left: u32, right: u32) -> bool {
        self.word(left).stem == self.word(right).stem
    }

    pub(super) fn are_synonyms(&self, left: u32, right: u32) -> bool {
        let (left, right) = (self.word(left), self.word(right));
        let may_have_common = left.synset_bits.iter().zip(&right.synset_bits).any(|(left, right)| left & right != 0);
        may_have_common && have_common(self.synsets_of(left), self.synsets_of(right))
    }

    fn synsets_of(&self, word: &Word) -> &[u32] {
        self.synsets.get(word.synsets.clone()).unwrap_or_default()
    }

    fn look_up(&mut self, text: &str) -> Word {
        let is_function_word = is_function_word(text);
        let key = java_hash(text);
        let stem = if self.meteor.variant == MeteorVariant::Exact { 0 } else { java_hash(&self.stemmer.stem(text)) };
        let first = self.synsets.len();
        if let Some(synonyms) = self.meteor.synonyms() {
            synonyms.synsets(text, &mut self.synsets);
        }
        let synsets = first..self.synsets.len();
        let mut synset_bits = [0; 4];
        for synset in self.synsets.iter().skip(first) {
            synset_bits[(synset / 64 % 4) as usize] |= 1 << (synset % 64);
        }
        let table_word = self.meteor.paraphrases().and_then(|paraphrases| paraphrases.word(text));
        Word { is_function_word, key, stem, synsets, synset_bits, table_word }
    }
}

/// METEOR's list of words that carry little meaning.
static FUNCTION_WORDS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("../../data/meteor/function_words.txt").lines().collect());

fn is_function_word(text: &str) -> bool {
    FUNCTION_WORDS.contains(text.to_lowercase().as_str())
}

/// Java's hash code of a string.
///
/// METEOR compares words and stems by it, so that a few different words are equal: `will` and `win.`.
fn java_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

/// Whether two ascending lists have a number in common.
fn have_common(mut left: &[u32], mut right: &[u32]) -> bool {
    while let ([first, rest @ ..], [other, others @ ..]) = (left, right) {
        match first.cmp(other) {
            std::cmp::Ordering::Less => left = rest,
            std::cmp::Ordering::Greater => right = others,
            std::cmp::Ordering::Equal => return true,
        }
    }
    false
}
