//! Which phrases of a reference and a hypothesis may stand for each other.

use super::alignment::{Module, Phrase, PhraseMatch};
use super::paraphrase_index::{KnownWord, PhraseFinder};
use super::vocabulary::Vocabulary;
use super::{Meteor, MeteorVariant};

/// All matches of a pair, by the reference word they start at, in the order in which the modules find them.
///
/// Matches of single words depend on the words alone: they are stored once for each different reference word, so that texts that
/// repeat themselves don't take memory with the product of their lengths.
#[derive(Default)]
pub(super) struct Candidates {
    /// For each reference word its range in `hits`.
    word_hits: Vec<(u32, u32)>,
    hits: Vec<Hit>,
    /// Paraphrases, by reference word.
    phrases: Vec<PhraseMatch>,
    /// For each reference word where its paraphrases start; one more at the end.
    phrase_starts: Vec<u32>,
    /// How many matches cover each word.
    reference_cover: Vec<u32>,
    hypothesis_cover: Vec<u32>,
    /// For each word of the vocabulary its first position in the reference.
    first_positions: Vec<Option<u32>>,
    /// How often the word at a position occurs in the reference, where it occurs first.
    occurrences: Vec<u32>,
    hypothesis_table_words: Vec<Option<KnownWord>>,
    reference_table_words: Vec<Option<KnownWord>>,
    finder: PhraseFinder,
}

/// A word of the hypothesis that matches.
#[derive(Debug, Clone, Copy)]
struct Hit {
    module: Module,
    position: u32,
}

impl Candidates {
    /// Finds the matches of a pair.
    pub(super) fn find(&mut self, meteor: &Meteor, vocabulary: &Vocabulary, hypothesis: &[u32], reference: &[u32]) {
        let are_identical = hypothesis.len() == reference.len()
            && hypothesis.iter().zip(reference).all(|(word, other)| vocabulary.are_equal(*word, *other));
        let variant = if are_identical { MeteorVariant::Exact } else { meteor.variant };
        self.match_words(variant, vocabulary, hypothesis, reference);
        self.phrases.clear();
        if variant == MeteorVariant::Full {
            self.match_phrases(meteor, vocabulary, hypothesis, reference);
        }
        self.index_phrases(reference.len());
        self.count_cover(hypothesis.len());
    }

    /// The matches that start at a reference word.
    pub(super) fn at(&self, position: usize) -> impl Iterator<Item = PhraseMatch> {
        let reference = Phrase { start: position as u32, length: 1 };
        let words = self.hits_at(position).iter().map(move |hit| {
            let hypothesis = Phrase { start: hit.position, length: 1 };
            PhraseMatch { module: hit.module, reference, hypothesis }
        });
        words.chain(self.phrases_at(position).iter().copied())
    }

    /// The only match that starts at a reference word, if none of its words has another match.
    pub(super) fn undisputed(&self, position: usize) -> Option<PhraseMatch> {
        if self.hits_at(position).len() + self.phrases_at(position).len() != 1 {
            return None;
        }
        let found = self.at(position).next()?;
        let is_covered_once = |cover: &[u32], phrase: Phrase| {
            cover.get(phrase.range()).is_some_and(|cover| cover.iter().all(|matches| *matches == 1))
        };
        let undisputed = is_covered_once(&self.reference_cover, found.reference)
            && is_covered_once(&self.hypothesis_cover, found.hypothesis);
        undisputed.then_some(found)
    }

    fn match_words(&mut self, variant: MeteorVariant, vocabulary: &Vocabulary, hypothesis: &[u32], reference: &[u32]) {
        self.hits.clear();
        self.word_hits.clear();
        self.occurrences.clear();
        self.occurrences.resize(reference.len(), 0);
        self.first_positions.resize(vocabulary.len(), None);
        for (position, word) in (0..).zip(reference) {
            let seen = self.first_positions.get(*word as usize).copied().flatten();
            let hits = match seen.and_then(|first| self.word_hits.get(first as usize)) {
                Some(hits) => *hits,
                None => {
                    let start = self.hits.len() as u32;
                    self.match_word(variant, vocabulary, hypothesis, *word);
                    (start, self.hits.len() as u32)
                }
            };
            self.word_hits.push(hits);
            let first = seen.unwrap_or(position);
            if let Some(place) = self.first_positions.get_mut(*word as usize) {
                *place = Some(first);
            }
            if let Some(occurrences) = self.occurrences.get_mut(first as usize) {
                *occurrences += 1;
            }
        }
        for word in reference {
            if let Some(place) = self.first_positions.get_mut(*word as usize) {
                *place = None;
            }
        }
    }

    fn match_word(&mut self, variant: MeteorVariant, vocabulary: &Vocabulary, hypothesis: &[u32], word: u32) {
        let mut collect = |module, matches: &dyn Fn(u32) -> bool| {
            let positions = (0..).zip(hypothesis).filter(|(_, other)| matches(**other));
            self.hits.extend(positions.map(|(position, _)| Hit { module, position }));
        };
        collect(Module::Exact, &|other| vocabulary.are_equal(other, word));
        if variant >= MeteorVariant::ExactStem {
            collect(Module::Stem, &|other| {
                vocabulary.have_equal_stems(other, word) && !vocabulary.are_equal(other, word)
            });
        }
        if variant >= MeteorVariant::ExactStemSynonym {
            collect(Module::Synonym, &|other| {
                vocabulary.are_synonyms(other, word) && !vocabulary.are_equal(other, word)
            });
        }
    }

    /// Phrases of the reference that the hypothesis paraphrases, then phrases of the hypothesis that the reference does: the table
    /// has some pairs both ways, and then the match is listed twice, as in the original.
    fn match_phrases(&mut self, meteor: &Meteor, vocabulary: &Vocabulary, hypothesis: &[u32], reference: &[u32]) {
        let Some(paraphrases) = meteor.paraphrases() else { return };
        let table_word = |word: &u32| vocabulary.word(*word).table_word;
        self.hypothesis_table_words.clear();
        self.hypothesis_table_words.extend(hypothesis.iter().map(table_word));
        self.reference_table_words.clear();
        self.reference_table_words.extend(reference.iter().map(table_word));

        let (hypothesis, reference) = (&self.hypothesis_table_words, &self.reference_table_words);
        let module = Module::Paraphrase;
        self.finder.find(paraphrases, reference, hypothesis, |phrase, paraphrase| {
            self.phrases.push(PhraseMatch { module, reference: phrase, hypothesis: paraphrase });
        });
        self.finder.find(paraphrases, hypothesis, reference, |phrase, paraphrase| {
            self.phrases.push(PhraseMatch { module, reference: paraphrase, hypothesis: phrase });
        });
    }

    fn index_phrases(&mut self, reference_length: usize) {
        self.phrases.sort_by_key(|found| found.reference.start);
        self.phrase_starts.clear();
        let mut start = 0;
        for position in 0..=reference_length as u32 {
            let rest = self.phrases.get(start..).unwrap_or_default();
            start += rest.iter().take_while(|found| found.reference.start < position).count();
            self.phrase_starts.push(start as u32);
        }
    }

    fn count_cover(&mut self, hypothesis_length: usize) {
        self.reference_cover.clear();
        self.reference_cover.extend(self.word_hits.iter().map(|(start, end)| end - start));
        self.hypothesis_cover.clear();
        self.hypothesis_cover.resize(hypothesis_length, 0);
        let first = self.occurrences.iter().zip(&self.word_hits).filter(|(occurrences, _)| **occurrences > 0);
        for (occurrences, (start, end)) in first {
            for hit in self.hits.get(*start as usize..*end as usize).unwrap_or_default() {
                cover(&mut self.hypothesis_cover, Phrase { start: hit.position, length: 1 }, *occurrences);
            }
        }
        for found in &self.phrases {
            cover(&mut self.reference_cover, found.reference, 1);
            cover(&mut self.hypothesis_cover, found.hypothesis, 1);
        }
    }

    fn hits_at(&self, position: usize) -> &[Hit] {
        let range = self.word_hits.get(position).map(|(start, end)| *start as usize..*end as usize);
        range.and_then(|range| self.hits.get(range)).unwrap_or_default()
    }

    fn phrases_at(&self, position: usize) -> &[PhraseMatch] {
        let bounds = self.phrase_starts.get(position).zip(self.phrase_starts.get(position + 1));
        bounds.and_then(|(start, end)| self.phrases.get(*start as usize..*end as usize)).unwrap_or_default()
    }
}

fn cover(counts: &mut [u32], phrase: Phrase, times: u32) {
    for count in counts.get_mut(phrase.range()).unwrap_or_default() {
        *count = count.saturating_add(times);
    }
}
