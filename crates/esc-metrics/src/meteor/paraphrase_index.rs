//! METEOR's paraphrase table as an index.
//!
//! The table is a text of five million entries of three lines: a probability, which the matcher doesn't use, a phrase and a
//! paraphrase. Here words are numbers of 16 bits, the phrases form a trie, and each phrase has its paraphrases in the order of the
//! file. Those in a row that start with the same word are a group, which is passed over in one step if the other text doesn't have
//! the word; within it they are front-coded: only the words are stored by which one differs from the one before. The whole takes
//! less than 40 MB, and looking a text up touches only the phrases that occur in it.

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::num::NonZeroU32;
use std::ops::Range;

use super::alignment::Phrase;
use super::sorted_lines::SortedLines;

/// A word's number in the table.
pub(super) type TableWord = u16;

/// Words of a paraphrase: its length is stored in four bits.
const LONGEST_PARAPHRASE: usize = 15;
/// Bytes of a paraphrase in a group.
const LONGEST_ENTRY: usize = 1 + 2 * LONGEST_PARAPHRASE;
/// Bytes of a line: far more than any phrase, so that a file of another kind is noticed before it fills the memory.
const LONGEST_LINE: u64 = 1 << 16;

const ROOT: u32 = 0;

/// The index. Nodes are numbered breadth first, so that the children of a node are neighbours, in the order of their words.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ParaphraseIndex {
    pub(super) words: SortedLines,
    /// For each of the words, in their order, its number.
    pub(super) numbers: Vec<TableWord>,
    /// For each node the last word of the phrase that it stands for.
    pub(super) labels: Vec<TableWord>,
    /// One more than there are nodes: each ends where the next one starts.
    pub(super) nodes: Vec<Node>,
    /// A group is the first word, the number of bytes that follow, and the paraphrases. A paraphrase is a byte with the number of
    /// words shared with the one before, one at least (upper half), and the number of words (lower half), and then the words that
    /// are not shared. Words and numbers have two bytes.
    pub(super) paraphrases: Vec<u8>,
}

/// Where what belongs to a node starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Node {
    /// The first of its children.
    pub(super) child: u32,
    /// The first byte of its paraphrases.
    pub(super) paraphrase: u32,
}

/// A word of the table: its number and the node of the phrase that it is by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct KnownWord {
    number: TableWord,
    node: Option<u32>,
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
        if builder.runs.is_empty() {
            return Err("the table is empty".into());
        }
        builder.finish()
    }

    /// A word, if the table has it.
    pub(super) fn word(&self, text: &str) -> Option<KnownWord> {
        let number = *self.numbers.get(self.words.find(text)?)?;
        Some(KnownWord { number, node: self.child(ROOT, number) })
    }

    fn child(&self, node: u32, word: TableWord) -> Option<u32> {
        let (start, end) = self.extent(node)?;
        let labels = self.labels.get(start.child as usize..end.child as usize)?;
        let found = labels.binary_search(&word).ok()?;
        Some(start.child + found as u32)
    }

    fn extent(&self, node: u32) -> Option<(Node, Node)> {
        match self.nodes.get(node as usize..)? {
            [start, end, ..] => Some((*start, *end)),
            _ => None,
        }
    }

    /// Calls `each` with the paraphrases of a node whose first word is wanted, in the order of the table.
    fn for_each_paraphrase(
        &self,
        node: u32,
        is_wanted: impl Fn(TableWord) -> bool,
        mut each: impl FnMut(&[TableWord]),
    ) {
        let groups = self
            .extent(node)
            .and_then(|(start, end)| self.paraphrases.get(start.paraphrase as usize..end.paraphrase as usize));
        let mut groups = groups.unwrap_or_default();
        while let [a, b, c, d, rest @ ..] = groups {
            let (first, length) = (TableWord::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
            let Some((group, after)) = rest.split_at_checked(usize::from(length)) else { return };
            groups = after;
            if is_wanted(first) {
                for_each_in_group(first, group, &mut each);
            }
        }
    }
}

fn for_each_in_group(first: TableWord, mut group: &[u8], each: &mut impl FnMut(&[TableWord])) {
    let mut words = [first; LONGEST_PARAPHRASE + 1];
    while let [header, rest @ ..] = group {
        let (shared, length) = (usize::from(header >> 4), usize::from(header & 15));
        let Some((added, after)) = rest.split_at_checked(2 * length.saturating_sub(shared)) else { return };
        group = after;
        let (added, _) = added.as_chunks();
        words.iter_mut().skip(shared).zip(added).for_each(|(place, word)| *place = TableWord::from_le_bytes(*word));
        each(&words[..length]);
    }
}

/// Finds paraphrases in texts, with memory that is used again for the next pair.
///
/// Positions are counted from 1 here, so that the table of all words starts as zeros, which cost nothing before they are used.
#[derive(Debug, Default)]
pub(super) struct PhraseFinder {
    /// For each word of the table where the other text has it first.
    first: Vec<Option<NonZeroU32>>,
    /// For each word of the other text where the same word comes next.
    next: Vec<Option<NonZeroU32>>,
}

impl PhraseFinder {
    /// Calls `found` for each phrase of a text of which another text has a paraphrase: by position in the text, shorter phrases
    /// first, paraphrases in the order of the table, then by position in the other text.
    pub(super) fn find(
        &mut self,
        index: &ParaphraseIndex,
        text: &[Option<KnownWord>],
        other: &[Option<KnownWord>],
        mut found: impl FnMut(Phrase, Phrase),
    ) {
        self.index_positions(other);
        for start in 0..text.len() {
            let mut node = ROOT;
            for (length, word) in (1..).zip(text.iter().skip(start)) {
                let child = word.and_then(|word| if length == 1 { word.node } else { index.child(node, word.number) });
                let Some(child) = child else { break };
                node = child;
                let phrase = Phrase { start: start as u32, length };
                index.for_each_paraphrase(
                    node,
                    |word| self.has_word(word),
                    |paraphrase| {
                        self.occurrences(paraphrase, other).for_each(|occurrence| found(phrase, occurrence));
                    },
                );
            }
        }
        self.forget_positions(other);
    }

    fn index_positions(&mut self, other: &[Option<KnownWord>]) {
        if self.first.is_empty() {
            self.first = vec![None; 1 << TableWord::BITS];
        }
        self.next.clear();
        self.next.resize(other.len(), None);
        for (at, word) in other.iter().enumerate().rev() {
            if let Some(first) = word.and_then(|word| self.first.get_mut(usize::from(word.number)))
                && let Some(next) = self.next.get_mut(at)
            {
                *next = std::mem::replace(first, NonZeroU32::new(at as u32 + 1));
            }
        }
    }

    fn forget_positions(&mut self, other: &[Option<KnownWord>]) {
        for word in other.iter().flatten() {
            if let Some(first) = self.first.get_mut(usize::from(word.number)) {
                *first = None;
            }
        }
    }

    fn has_word(&self, word: TableWord) -> bool {
        self.first.get(usize::from(word)).is_some_and(Option::is_some)
    }

    fn occurrences(&self, paraphrase: &[TableWord], other: &[Option<KnownWord>]) -> impl Iterator<Item = Phrase> {
        let first = paraphrase.first().and_then(|word| self.first.get(usize::from(*word)).copied().flatten());
        let next = |position: &NonZeroU32| self.next.get(position.get() as usize - 1).copied().flatten();
        let starts = std::iter::successors(first, next).map(|position| position.get() - 1);
        let occurs_at = |start: &u32| {
            let here = other.iter().skip(*start as usize).take(paraphrase.len());
            here.map(|word| word.map(|word| word.number)).eq(paraphrase.iter().copied().map(Some))
        };
        starts.filter(occurs_at).map(|start| Phrase { start, length: paraphrase.len() as u32 })
    }
}

/// An index in the making.
#[derive(Default)]
struct Builder {
    words: HashMap<Box<str>, TableWord>,
    /// Children by parent and word; nodes are numbered as they come.
    children: HashMap<(u32, TableWord), u32>,
    paraphrases: Vec<u8>,
    /// Where the paraphrases of the last group start.
    group: usize,
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
        if shared == 0 || self.paraphrases.len() - self.group + LONGEST_ENTRY > usize::from(u16::MAX) {
            self.start_group();
        }
        let shared = shared.max(1);
        self.paraphrases.push((shared << 4 | length) as u8);
        self.paraphrases.extend(self.paraphrase.iter().skip(shared).flat_map(|word| word.to_le_bytes()));
        self.end_group();
        std::mem::swap(&mut self.before, &mut self.paraphrase);
        Ok(())
    }

    fn start_group(&mut self) {
        self.paraphrases.extend(self.paraphrase.iter().take(1).flat_map(|word| word.to_le_bytes()));
        self.paraphrases.extend([0, 0]);
        self.group = self.paraphrases.len();
    }

    /// Sets the lengths of the group and of the run to what they are now.
    fn end_group(&mut self) {
        let length = (self.paraphrases.len() - self.group) as u16;
        if let Some(place) = self.paraphrases.get_mut(self.group - 2..self.group) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        if let Some(run) = self.runs.last_mut() {
            run.paraphrases.end = self.paraphrases.len();
        }
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

        let count = edges.len() + 1;
        let mut labels = vec![0];
        let mut nodes = Vec::with_capacity(count + 1);
        let mut order = vec![ROOT];
        for at in 0..count {
            nodes.push(Node { child: order.len() as u32, paraphrase: 0 });
            let Some(node) = order.get(at).copied() else { break };
            let start = edges.partition_point(|(parent, ..)| *parent < node);
            for (_, word, child) in edges.iter().skip(start).take_while(|(parent, ..)| *parent == node) {
                labels.push(*word);
                order.push(*child);
            }
        }

        let mut place = vec![0; count];
        order.iter().enumerate().for_each(|(at, node)| place[*node as usize] = at);
        self.runs.sort_by_key(|run| place[run.node as usize]);
        let mut runs = self.runs.iter().peekable();
        let mut paraphrases = Vec::with_capacity(self.paraphrases.len());
        for (at, node) in nodes.iter_mut().enumerate() {
            node.paraphrase = paraphrases.len() as u32;
            while let Some(run) = runs.next_if(|run| place[run.node as usize] == at) {
                paraphrases.extend_from_slice(self.paraphrases.get(run.paraphrases.clone()).unwrap_or_default());
            }
        }
        nodes.push(Node { child: order.len() as u32, paraphrase: paraphrases.len() as u32 });

        let mut words: Vec<_> = self.words.into_iter().collect();
        words.sort_unstable();
        let numbers = words.iter().map(|(_, number)| *number).collect();
        let words: Vec<_> = words.iter().map(|(word, _)| &**word).collect();
        let words = SortedLines::every(1, words.join("\n"));
        Ok(ParaphraseIndex { words, numbers, labels, nodes, paraphrases })
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
    let mut words = text.split_ascii_whitespace().peekable();
    if words.peek().is_none() { Err("an empty phrase".into()) } else { Ok(words) }
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
    fn a_group_that_gets_too_long_is_divided() {
        let entries = (0..30_000).map(|number| format!("0.1\na\nb {number}\n"));
        let table: String = entries.chain(["0.1\na\nc\n".to_owned()]).collect();
        assert_eq!(matches(&table, "a", "b 29999 b 0 c"), [(0, 1, 2, 2), (0, 1, 0, 2), (0, 1, 4, 1)]);
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
            ("", "empty"),
            ("0.1\na\n", "starts in line 1"),
            ("0.1\na\nb\nword\nc\nd\n", "line 4 is not a probability"),
            ("0.1\na\n \n", "empty phrase"),
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
