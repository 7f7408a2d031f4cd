//! METEOR's paraphrase table as an index.
//!
//! The table is a text of five million entries of three lines: a probability, which the matcher doesn't use, a phrase and a
//! paraphrase. Here words are numbers of 16 bits, the phrases form a trie, and each phrase has its paraphrases in the order of the
//! file, front-coded: of a paraphrase only the words are stored by which it differs from the one before. The whole is about
//! 30 MB, and looking a text up touches only the phrases that occur in it.

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::ops::Range;

use super::alignment::Phrase;

/// A word's number in the table.
pub(super) type TableWord = u16;

/// Words of a paraphrase: its length is stored in four bits.
const LONGEST_PARAPHRASE: usize = 15;
/// Bytes of a line: far more than any phrase, so that a file of another kind is noticed before it fills the memory.
const LONGEST_LINE: u64 = 1 << 16;

const ROOT: u32 = 0;

/// The index. Nodes are numbered breadth first, so that the children of a node are neighbours, in the order of their words.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ParaphraseIndex {
    pub(super) words: HashMap<Box<str>, TableWord>,
    /// For each node the last word of the phrase that it stands for.
    pub(super) labels: Vec<TableWord>,
    /// For each node its first child; one more at the end.
    pub(super) first_child: Vec<u32>,
    /// For each node where its paraphrases start in `paraphrases`; one more at the end.
    pub(super) first_paraphrase: Vec<u32>,
    /// Each paraphrase is a byte with the number of words shared with the one before (upper half) and the number of words (lower
    /// half), and then the words that are not shared, two bytes each.
    pub(super) paraphrases: Vec<u8>,
}

impl ParaphraseIndex {
    /// Reads a table.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub(super) fn parse(mut table: impl BufRead) -> Result<Self, String> {
        let mut builder = Builder::default();
        let (mut probability, mut phrase, mut paraphrase) = (Vec::new(), Vec::new(), Vec::new());
        let mut line = 1;
        while read_line(&mut table, line, &mut probability)? {
            if !read_line(&mut table, line + 1, &mut phrase)? || !read_line(&mut table, line + 2, &mut paraphrase)? {
                return Err(format!("the table ends within the entry that starts in line {line}"));
            }
            if !probability.first().is_some_and(u8::is_ascii_digit) {
                return Err(format!("line {line} is not a probability, so this is not a paraphrase table"));
            }
            let problem = |problem| format!("entry in line {line}: {problem}");
            builder.push(&phrase, &paraphrase).map_err(problem)?;
            line += 3;
        }
        builder.finish()
    }

    /// A word's number, if the table has it.
    pub(super) fn word(&self, text: &str) -> Option<TableWord> {
        self.words.get(text).copied()
    }

    fn child(&self, node: u32, word: TableWord) -> Option<u32> {
        let children = range(&self.first_child, node)?;
        let labels = self.labels.get(children.clone())?;
        let found = labels.binary_search(&word).ok()?;
        Some((children.start + found) as u32)
    }

    /// Calls `each` with the paraphrases of a node whose first word is wanted, in the order of the table.
    fn for_each_paraphrase(
        &self,
        node: u32,
        is_wanted: impl Fn(TableWord) -> bool,
        mut each: impl FnMut(&[TableWord]),
    ) {
        let bytes = range(&self.first_paraphrase, node).and_then(|range| self.paraphrases.get(range));
        let mut bytes = bytes.unwrap_or_default();
        let mut words = [0; LONGEST_PARAPHRASE + 1];
        let mut has_wanted_start = false;
        while let [header, rest @ ..] = bytes {
            let (shared, length) = (usize::from(header >> 4), usize::from(header & 15));
            let Some((added, after)) = rest.split_at_checked(2 * length.saturating_sub(shared)) else { return };
            bytes = after;
            let mut added = added.chunks_exact(2).map(|word| TableWord::from_le_bytes([word[0], word[1]])).peekable();
            if shared == 0 {
                has_wanted_start = added.peek().is_some_and(|first| is_wanted(*first));
            }
            if has_wanted_start {
                words.iter_mut().skip(shared).zip(added).for_each(|(place, word)| *place = word);
                each(&words[..length]);
            }
        }
    }
}

/// Finds paraphrases in texts, with memory that is used again for the next pair.
#[derive(Debug, Default)]
pub(super) struct PhraseFinder {
    /// For each word of the table where the other text has it first.
    first: Vec<Option<u32>>,
    /// For each word of the other text where its word comes next.
    next: Vec<Option<u32>>,
}

impl PhraseFinder {
    /// Calls `found` for each phrase of a text of which another text has a paraphrase: by position in the text, shorter phrases
    /// first, paraphrases in the order of the table, then by position in the other text.
    pub(super) fn find(
        &mut self,
        index: &ParaphraseIndex,
        text: &[Option<TableWord>],
        other: &[Option<TableWord>],
        mut found: impl FnMut(Phrase, Phrase),
    ) {
        self.index_positions(other);
        for start in 0..text.len() {
            let mut node = ROOT;
            for (length, word) in (1..).zip(text.iter().skip(start)) {
                let Some(child) = word.and_then(|word| index.child(node, word)) else { break };
                node = child;
                let phrase = Phrase { start: start as u32, length };
                let is_wanted = |word| self.first_position(word).is_some();
                index.for_each_paraphrase(node, is_wanted, |paraphrase| {
                    self.occurrences(paraphrase, other).for_each(|occurrence| found(phrase, occurrence));
                });
            }
        }
        self.forget_positions(other);
    }

    fn index_positions(&mut self, other: &[Option<TableWord>]) {
        self.first.resize(1 << TableWord::BITS, None);
        self.next.clear();
        self.next.resize(other.len(), None);
        for (position, word) in other.iter().enumerate().rev() {
            if let Some(first) = word.and_then(|word| self.first.get_mut(usize::from(word)))
                && let Some(next) = self.next.get_mut(position)
            {
                *next = first.replace(position as u32);
            }
        }
    }

    fn forget_positions(&mut self, other: &[Option<TableWord>]) {
        for word in other.iter().flatten() {
            if let Some(first) = self.first.get_mut(usize::from(*word)) {
                *first = None;
            }
        }
    }

    fn first_position(&self, word: TableWord) -> Option<u32> {
        self.first.get(usize::from(word)).copied().flatten()
    }

    fn occurrences(&self, paraphrase: &[TableWord], other: &[Option<TableWord>]) -> impl Iterator<Item = Phrase> {
        let first = paraphrase.first().and_then(|word| self.first_position(*word));
        let positions = std::iter::successors(first, |at| self.next.get(*at as usize).copied().flatten());
        let occurs_at = |start: &u32| {
            let here = other.iter().skip(*start as usize).take(paraphrase.len());
            here.copied().eq(paraphrase.iter().copied().map(Some))
        };
        positions.filter(occurs_at).map(|start| Phrase { start, length: paraphrase.len() as u32 })
    }
}

/// An index in the making.
#[derive(Default)]
struct Builder {
    words: HashMap<Box<str>, TableWord>,
    /// Children by parent and word; nodes are numbered as they come.
    children: HashMap<(u32, TableWord), u32>,
    paraphrases: Vec<u8>,
    runs: Vec<Run>,
    /// The phrase of the last run.
    phrase: Vec<u8>,
    /// The paraphrase before.
    before: Vec<TableWord>,
    paraphrase: Vec<TableWord>,
}

/// Entries in a row with the same phrase.
struct Run {
    node: u32,
    paraphrases: Range<usize>,
}

impl Builder {
    fn push(&mut self, phrase: &[u8], paraphrase: &[u8]) -> Result<(), String> {
        if self.runs.is_empty() || self.phrase != phrase {
            self.start_run(phrase)?;
        }
        self.paraphrase.clear();
        for word in words_of(paraphrase)? {
            self.paraphrase.push(number(&mut self.words, word)?);
        }
        let length = self.paraphrase.len();
        if length > LONGEST_PARAPHRASE {
            return Err(format!("{length} words, but paraphrases have at most {LONGEST_PARAPHRASE}"));
        }
        let shared = self.before.iter().zip(&self.paraphrase).take_while(|(before, word)| before == word).count();
        self.paraphrases.push((shared << 4 | length) as u8);
        self.paraphrases.extend(self.paraphrase.iter().skip(shared).flat_map(|word| word.to_le_bytes()));
        if let Some(run) = self.runs.last_mut() {
            run.paraphrases.end = self.paraphrases.len();
        }
        std::mem::swap(&mut self.before, &mut self.paraphrase);
        Ok(())
    }

    fn start_run(&mut self, phrase: &[u8]) -> Result<(), String> {
        let mut node = ROOT;
        for word in words_of(phrase)? {
            let word = number(&mut self.words, word)?;
            let next = self.children.len() as u32 + 1;
            node = *self.children.entry((node, word)).or_insert(next);
        }
        self.phrase.clear();
        self.phrase.extend_from_slice(phrase);
        self.before.clear();
        self.runs.push(Run { node, paraphrases: self.paraphrases.len()..self.paraphrases.len() });
        Ok(())
    }

    /// Numbers the nodes breadth first and brings the paraphrases into the same order.
    fn finish(mut self) -> Result<ParaphraseIndex, String> {
        if u32::try_from(self.paraphrases.len()).is_err() {
            return Err("the table is too large".into());
        }
        let mut edges: Vec<_> =
            self.children.into_iter().map(|((parent, word), child)| (parent, word, child)).collect();
        edges.sort_unstable();

        let nodes = edges.len() + 1;
        let mut labels = vec![0];
        let mut first_child = Vec::with_capacity(nodes + 1);
        let mut order = vec![ROOT];
        for at in 0..nodes {
            first_child.push(order.len() as u32);
            let Some(node) = order.get(at).copied() else { break };
            let start = edges.partition_point(|(parent, ..)| *parent < node);
            for (_, word, child) in edges.iter().skip(start).take_while(|(parent, ..)| *parent == node) {
                labels.push(*word);
                order.push(*child);
            }
        }
        first_child.push(order.len() as u32);

        let mut place = vec![0; nodes];
        order.iter().enumerate().for_each(|(at, node)| place[*node as usize] = at);
        self.runs.sort_by_key(|run| place[run.node as usize]);
        let mut runs = self.runs.iter().peekable();
        let mut paraphrases = Vec::with_capacity(self.paraphrases.len());
        let mut first_paraphrase = Vec::with_capacity(nodes + 1);
        for at in 0..nodes {
            first_paraphrase.push(paraphrases.len() as u32);
            while let Some(run) = runs.next_if(|run| place[run.node as usize] == at) {
                paraphrases.extend_from_slice(self.paraphrases.get(run.paraphrases.clone()).unwrap_or_default());
            }
        }
        first_paraphrase.push(paraphrases.len() as u32);
        Ok(ParaphraseIndex { words: self.words, labels, first_child, first_paraphrase, paraphrases })
    }
}

/// Reads a line without its end. False at the end of the table.
fn read_line(table: &mut impl BufRead, number: usize, line: &mut Vec<u8>) -> Result<bool, String> {
    line.clear();
    let read = table.by_ref().take(LONGEST_LINE).read_until(b'\n', line);
    read.map_err(|problem| format!("line {number} can't be read: {problem}"))?;
    let is_whole = line.pop_if(|end| *end == b'\n').is_some();
    if !is_whole && line.len() as u64 == LONGEST_LINE {
        return Err(format!("line {number} is longer than {LONGEST_LINE} bytes, so this is not a paraphrase table"));
    }
    Ok(is_whole || !line.is_empty())
}

fn words_of(phrase: &[u8]) -> Result<impl Iterator<Item = &str>, String> {
    let text = std::str::from_utf8(phrase).map_err(|_| "not UTF-8".to_owned())?;
    Ok(text.split_ascii_whitespace())
}

fn number(words: &mut HashMap<Box<str>, TableWord>, word: &str) -> Result<TableWord, String> {
    if let Some(number) = words.get(word) {
        return Ok(*number);
    }
    let number = TableWord::try_from(words.len())
        .map_err(|_| format!("more than {} different words, which METEOR's English table doesn't have", words.len()))?;
    words.insert(word.into(), number);
    Ok(number)
}

fn range(starts: &[u32], node: u32) -> Option<Range<usize>> {
    let start = *starts.get(node as usize)?;
    let end = *starts.get(node as usize + 1)?;
    Some(start as usize..end as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "0.5\na lot\nmany\n0.1\na lot\na great deal\n0.1\na lot\na great many\n0.2\na\none\n0.3\nmany\na lot\n0.1\na\nan\n";

    fn matches(table: &str, text: &str, other: &str) -> Vec<(u32, u32, u32, u32)> {
        let index = ParaphraseIndex::parse(table.as_bytes()).unwrap();
        let words = |text: &str| text.split(' ').map(|word| index.word(word)).collect::<Vec<_>>();
        let mut matches = Vec::new();
        PhraseFinder::default().find(&index, &words(text), &words(other), |phrase, paraphrase| {
            matches.push((phrase.start, phrase.length, paraphrase.start, paraphrase.length));
        });
        matches
    }

    #[test]
    fn a_phrase_is_found_with_all_places_of_its_paraphrase() {
        assert_eq!(matches(TABLE, "thanks a lot", "many thanks many"), [(1, 2, 0, 1), (1, 2, 2, 1)]);
    }

    #[test]
    fn shorter_phrases_come_first_and_paraphrases_in_the_order_of_the_table() {
        let found = matches(TABLE, "a lot", "an a great many one many");
        assert_eq!(found, [(0, 1, 4, 1), (0, 1, 0, 1), (0, 2, 3, 1), (0, 2, 5, 1), (0, 2, 1, 3)]);
    }

    #[test]
    fn words_that_the_table_lacks_match_nothing() {
        assert_eq!(matches(TABLE, "quite a lot of", "rather many"), [(1, 2, 1, 1)]);
        assert_eq!(matches(TABLE, "", ""), []);
    }

    #[test]
    fn a_finder_forgets_the_text_before() {
        let index = ParaphraseIndex::parse(TABLE.as_bytes()).unwrap();
        let (many, a) = (index.word("many"), index.word("a"));
        let mut finder = PhraseFinder::default();
        finder.find(&index, &[many], &[a, index.word("lot")], |_, _| ());
        finder.find(&index, &[many], &[None], |_, _| panic!("there is no paraphrase"));
    }

    #[test]
    fn what_is_no_table_is_named_with_its_line() {
        let problems = [
            ("0.1\na\n", "starts in line 1"),
            ("0.1\na\nb\nword\nc\nd\n", "line 4 is not a probability"),
            ("0.1\na\nb b b b b b b b b b b b b b b b\n", "16 words"),
        ];
        for (table, expected) in problems {
            let problem = ParaphraseIndex::parse(table.as_bytes()).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        let problem = ParaphraseIndex::parse([b'0'; 1 << 17].as_slice()).unwrap_err();
        assert!(problem.contains("longer than"), "{problem}");
        let problem = ParaphraseIndex::parse(b"0.1\n\xff\nb\n".as_slice()).unwrap_err();
        assert!(problem.contains("UTF-8"), "{problem}");
    }
}
