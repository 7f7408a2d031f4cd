//! METEOR's search for the best alignment.
//!
//! A match that nothing competes with is taken for good. For the rest a beam search goes over the reference from left to right and
//! takes or skips the matches that start at each word. The original counts matched words in integers to which it adds half a word
//! for what is not an exact match: a stem, synonym or paraphrase of one word adds nothing, and such a match is taken only when it
//! saves a chunk or comes for free. It also adds the distance of a match to the state it was copied from, not to the copy. Both
//! decide which alignment wins, so both are kept. Reference: `Aligner` in `meteor-1.5.jar`.

use std::cmp::Reverse;
use std::ops::Range;

use super::matchers::Candidates;

/// States that are followed up at each word.
const BEAM_WIDTH: usize = 40;

/// What makes two phrases match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Module {
    Exact,
    Stem,
    Synonym,
    Paraphrase,
}

impl Module {
    pub(super) const ALL: [Self; 4] = [Self::Exact, Self::Stem, Self::Synonym, Self::Paraphrase];

    /// Its weight in the score.
    pub(super) fn weight(self) -> f64 {
        match self {
            Self::Exact => 1.0,
            Self::Stem => 0.6,
            Self::Synonym => 0.8,
            Self::Paraphrase => 0.6,
        }
    }

    /// What the search counts for a phrase: whole words if they are equal, otherwise half of them, rounded down.
    fn points(self, length: u32) -> u32 {
        if self == Self::Exact { length } else { length / 2 }
    }
}

/// Words in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Phrase {
    pub(super) start: u32,
    pub(super) length: u32,
}

impl Phrase {
    pub(super) fn end(self) -> u32 {
        self.start + self.length
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end() as usize
    }
}

/// A phrase of the reference and one of the hypothesis that may stand for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PhraseMatch {
    pub(super) module: Module,
    pub(super) reference: Phrase,
    pub(super) hypothesis: Phrase,
}

impl PhraseMatch {
    fn distance(&self) -> u64 {
        u64::from(self.reference.start.abs_diff(self.hypothesis.start))
    }
}

/// The search, with memory that is used again for the next pair.
#[derive(Default)]
pub(super) struct Aligner {
    /// For each reference word the match that is taken for good and starts there.
    fixed: Vec<Option<PhraseMatch>>,
    /// Reference words within such matches.
    is_fixed: Vec<bool>,
    /// States of the beam, best first.
    states: Vec<State>,
    /// For each state the hypothesis words that its matches use, a bit each.
    used: Vec<u64>,
    next_used: Vec<u64>,
    successors: Vec<Successor>,
    /// Matches that states have taken, each with the one taken before it.
    taken: Vec<(PhraseMatch, Option<u32>)>,
    alignment: Vec<PhraseMatch>,
}

/// A partial alignment.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    hypothesis_points: u32,
    reference_points: u32,
    chunks: u32,
    distance: u64,
    /// The next reference word that is not decided.
    next: u32,
    /// Where the last match ends in the hypothesis, while its chunk is open.
    open_end: Option<u32>,
    /// Its last match in [`Aligner::taken`].
    last_taken: Option<u32>,
}

/// What a state becomes at a word.
#[derive(Debug, Clone, Copy)]
struct Successor {
    state: State,
    parent: usize,
    added: Option<PhraseMatch>,
    order: usize,
}

impl Aligner {
    /// The matches of the best alignment, in the reference's order.
    pub(super) fn align(
        &mut self,
        candidates: &Candidates,
        hypothesis_length: usize,
        reference_length: usize,
    ) -> &[PhraseMatch] {
        self.fix_undisputed(candidates, reference_length);
        self.start(hypothesis_length);
        for position in 0..=reference_length {
            self.collect_successors(candidates, position, hypothesis_length, reference_length);
            self.keep_best(hypothesis_length);
        }
        self.trace_back()
    }

    /// What the search finds for two equal texts: each word stands for itself. That has all words, one chunk and no distance at
    /// every step, so nothing ever ranks before it; but where words repeat, the search would take long to see it.
    pub(super) fn align_identical(&mut self, length: usize) -> &[PhraseMatch] {
        let phrases = (0..length as u32).map(|start| Phrase { start, length: 1 });
        let found = phrases.map(|phrase| PhraseMatch { module: Module::Exact, reference: phrase, hypothesis: phrase });
        self.alignment.clear();
        self.alignment.extend(found);
        &self.alignment
    }

    /// Takes the matches of words that nothing else could match.
    fn fix_undisputed(&mut self, candidates: &Candidates, reference_length: usize) {
        self.fixed.clear();
        self.is_fixed.clear();
        self.is_fixed.resize(reference_length, false);
        for position in 0..reference_length {
            let undisputed = candidates.undisputed(position);
            self.fixed.push(undisputed);
            if let Some(words) = undisputed.and_then(|found| self.is_fixed.get_mut(found.reference.range())) {
                words.fill(true);
            }
        }
    }

    fn start(&mut self, hypothesis_length: usize) {
        self.taken.clear();
        self.states.clear();
        self.states.push(State::default());
        self.used.clear();
        self.used.resize(blocks(hypothesis_length), 0);
        self.fixed.iter().flatten().for_each(|found| mark(&mut self.used, found.hypothesis));
    }

    fn collect_successors(
        &mut self,
        candidates: &Candidates,
        position: usize,
        hypothesis_length: usize,
        reference_length: usize,
    ) {
        self.successors.clear();
        let blocks = blocks(hypothesis_length);
        for (parent, mut state) in self.states.iter().copied().enumerate() {
            let mut push = |state, added| {
                let order = self.successors.len();
                self.successors.push(Successor { state, parent, added, order });
            };
            if position == reference_length {
                state.close_chunk();
                push(state, None);
            } else if position < state.next as usize {
                push(state, None);
            } else if self.is_fixed.get(position) == Some(&true) {
                // What is undisputed overlaps with nothing, so it starts here.
                let found = self.fixed.get(position).copied().flatten();
                if let Some(found) = found {
                    state.add(&found);
                    state.distance += found.distance();
                }
                push(state, found);
            } else {
                let used = self.used.get(parent * blocks..(parent + 1) * blocks).unwrap_or_default();
                for found in candidates.at(position) {
                    if is_free(used, found.hypothesis) && is_undecided(&self.is_fixed, found.reference) {
                        let mut copy = state;
                        copy.add(&found);
                        push(copy, Some(found));
                        state.distance += found.distance();
                    }
                }
                state.close_chunk();
                state.next += 1;
                push(state, None);
            }
        }
    }

    /// Makes the best successors the states, best first and the earlier ones first among equals.
    fn keep_best(&mut self, hypothesis_length: usize) {
        if self.successors.len() > BEAM_WIDTH {
            self.successors.select_nth_unstable_by_key(BEAM_WIDTH, Successor::rank);
            self.successors.truncate(BEAM_WIDTH);
        }
        self.successors.sort_unstable_by_key(Successor::rank);

        let blocks = blocks(hypothesis_length);
        self.states.clear();
        self.next_used.clear();
        for successor in &self.successors {
            let mut state = successor.state;
            let start = self.next_used.len();
            let parent = successor.parent * blocks..(successor.parent + 1) * blocks;
            self.next_used.extend_from_slice(self.used.get(parent).unwrap_or_default());
            if let Some(added) = successor.added {
                mark(self.next_used.get_mut(start..).unwrap_or_default(), added.hypothesis);
                self.taken.push((added, state.last_taken));
                state.last_taken = Some(self.taken.len() as u32 - 1);
            }
            self.states.push(state);
        }
        std::mem::swap(&mut self.used, &mut self.next_used);
    }

    fn trace_back(&mut self) -> &[PhraseMatch] {
        self.alignment.clear();
        let mut last = self.states.first().and_then(|state| state.last_taken);
        while let Some((found, before)) = last.and_then(|at| self.taken.get(at as usize)) {
            self.alignment.push(*found);
            last = *before;
        }
        self.alignment.reverse();
        &self.alignment
    }
}

impl State {
    fn add(&mut self, found: &PhraseMatch) {
        self.hypothesis_points += found.module.points(found.hypothesis.length);
        self.reference_points += found.module.points(found.reference.length);
        if self.open_end.is_some_and(|end| end != found.hypothesis.start) {
            self.chunks += 1;
        }
        self.next = found.reference.end();
        self.open_end = Some(found.hypothesis.end());
    }

    fn close_chunk(&mut self) {
        if self.open_end.take().is_some() {
            self.chunks += 1;
        }
    }
}

impl Successor {
    /// Smaller is better: more points, then fewer chunks, then the smaller distance.
    fn rank(&self) -> (Reverse<u32>, u32, u64, usize) {
        let points = self.state.hypothesis_points + self.state.reference_points;
        (Reverse(points), self.state.chunks, self.state.distance, self.order)
    }
}

fn is_undecided(is_fixed: &[bool], reference: Phrase) -> bool {
    is_fixed.get(reference.range()).is_some_and(|words| !words.contains(&true))
}

/// Numbers of 64 bits for that many words.
fn blocks(words: usize) -> usize {
    words.div_ceil(64)
}

fn mark(used: &mut [u64], phrase: Phrase) {
    for word in phrase.range() {
        if let Some(block) = used.get_mut(word / 64) {
            *block |= 1 << (word % 64);
        }
    }
}

fn is_free(used: &[u64], phrase: Phrase) -> bool {
    phrase.range().all(|word| used.get(word / 64).is_some_and(|block| block >> (word % 64) & 1 == 0))
}
