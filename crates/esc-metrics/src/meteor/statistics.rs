//! What METEOR counts in a segment, and the score of such counts.

use super::alignment::{Module, Phrase, PhraseMatch};

/// Weight of precision against recall in the mean.
const ALPHA: f64 = 0.85;
/// Exponent of fragmentation.
const BETA: f64 = 0.20;
/// Weight of fragmentation.
const GAMMA: f64 = 0.60;
/// Weight of content words against function words.
const DELTA: f64 = 0.75;

/// Words that one module has matched, on both sides and by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModuleMatches {
    /// Content words of the hypothesis.
    pub hypothesis_content: u64,
    /// Content words of the reference.
    pub reference_content: u64,
    /// Function words of the hypothesis.
    pub hypothesis_function: u64,
    /// Function words of the reference.
    pub reference_function: u64,
}

/// What METEOR counts in one hypothesis and the best of its references.
///
/// Lengths and matches are numbers of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentStatistics {
    /// Length of the hypothesis.
    pub hypothesis_length: u64,
    /// Length of the reference.
    pub reference_length: u64,
    /// Function words in the hypothesis.
    pub hypothesis_function_words: u64,
    /// Function words in the reference.
    pub reference_function_words: u64,
    /// Matches of the modules exact, stem, synonym, paraphrase.
    pub matches: [ModuleMatches; 4],
    /// Runs of matches that are adjacent and in the same order on both sides.
    pub chunks: u64,
    /// Matched words of the hypothesis.
    pub hypothesis_matches: u64,
    /// Matched words of the reference.
    pub reference_matches: u64,
}

impl SegmentStatistics {
    /// Counts an alignment, given for each word whether it is a function word.
    pub(super) fn of(hypothesis_functions: &[bool], reference_functions: &[bool], matches: &[PhraseMatch]) -> Self {
        let mut statistics = Self {
            hypothesis_length: hypothesis_functions.len() as u64,
            reference_length: reference_functions.len() as u64,
            hypothesis_function_words: count(hypothesis_functions, true),
            reference_function_words: count(reference_functions, true),
            chunks: chunks(matches),
            ..Self::default()
        };
        for found in matches {
            let hypothesis = within(hypothesis_functions, found.hypothesis);
            let reference = within(reference_functions, found.reference);
            let module = &mut statistics.matches[found.module as usize];
            module.hypothesis_content += count(hypothesis, false);
            module.reference_content += count(reference, false);
            module.hypothesis_function += count(hypothesis, true);
            module.reference_function += count(reference, true);
            statistics.hypothesis_matches += hypothesis.len() as u64;
            statistics.reference_matches += reference.len() as u64;
        }
        statistics
    }

    /// The 23 numbers in the order in which METEOR prints them (`-ssOut`, `SCORE`).
    pub fn to_array(&self) -> [f64; 23] {
        let mut array = [0.0; 23];
        let lengths = [
            self.hypothesis_length,
            self.reference_length,
            self.hypothesis_function_words,
            self.reference_function_words,
        ];
        let modules = self.matches.iter().flat_map(|module| {
            [module.hypothesis_content, module.reference_content, module.hypothesis_function, module.reference_function]
        });
        let totals = [self.chunks, self.hypothesis_matches, self.reference_matches];
        for (place, number) in array.iter_mut().zip(lengths.into_iter().chain(modules).chain(totals)) {
            *place = number as f64;
        }
        array
    }

    /// Takes the numbers of [`Self::to_array`] or sums of them; what is missing is 0.
    pub fn from_array(array: &[f64]) -> Self {
        let at = |place: usize| array.get(place).map_or(0, |number| *number as u64);
        let module = |number: usize| ModuleMatches {
            hypothesis_content: at(4 + 4 * number),
            reference_content: at(5 + 4 * number),
            hypothesis_function: at(6 + 4 * number),
            reference_function: at(7 + 4 * number),
        };
        Self {
            hypothesis_length: at(0),
            reference_length: at(1),
            hypothesis_function_words: at(2),
            reference_function_words: at(3),
            matches: std::array::from_fn(module),
            chunks: at(20),
            hypothesis_matches: at(21),
            reference_matches: at(22),
        }
    }

    /// The segment as it counts in a corpus: the chunk of one that is matched as a whole does not.
    pub fn in_corpus(self) -> Self {
        Self { chunks: if self.is_one_chunk() { 0 } else { self.chunks }, ..self }
    }

    /// The score, from 0 to 1.
    ///
    /// With the parameters for English (task "rank"): precision `P` and recall `R` over words, where module `m` weighs `w_m`,
    /// content words `δ` and function words `1 - δ`; `F = 1 / ((1 - α) / P + α / R)`; fragmentation is chunks over the mean number
    /// of matched words, and 0 when both sides are matched as one chunk; the score is `F (1 - γ fragmentation^β)`. Nothing
    /// matched, or nothing to match, scores 0.
    pub fn score(&self) -> f64 {
        let hypothesis = self.matches.map(|module| (module.hypothesis_content, module.hypothesis_function));
        let reference = self.matches.map(|module| (module.reference_content, module.reference_function));
        let precision = weighted_share(hypothesis, self.hypothesis_length, self.hypothesis_function_words);
        let recall = weighted_share(reference, self.reference_length, self.reference_function_words);
        let mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
        let score = mean * (1.0 - GAMMA * self.fragmentation().powf(BETA));
        if score.is_nan() { 0.0 } else { score.max(0.0) }
    }

    fn fragmentation(&self) -> f64 {
        if self.is_one_chunk() {
            return 0.0;
        }
        self.chunks as f64 / ((self.hypothesis_matches + self.reference_matches) as f64 / 2.0)
    }

    /// Whether all of both sides is matched, in order.
    fn is_one_chunk(&self) -> bool {
        self.chunks == 1
            && self.hypothesis_matches == self.hypothesis_length
            && self.reference_matches == self.reference_length
    }
}

/// Sums of the statistics of segments, and METEOR's score of a corpus.
///
/// The score of a corpus is the score of the sums. It is not the mean of the segments' scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CorpusStatistics(SegmentStatistics);

impl CorpusStatistics {
    /// Adds a segment. The chunk of a segment that is matched as a whole doesn't count.
    pub fn add(&mut self, segment: &SegmentStatistics) {
        let sums = &mut self.0;
        sums.hypothesis_length += segment.hypothesis_length;
        sums.reference_length += segment.reference_length;
        sums.hypothesis_function_words += segment.hypothesis_function_words;
        sums.reference_function_words += segment.reference_function_words;
        for (sum, module) in sums.matches.iter_mut().zip(&segment.matches) {
            sum.hypothesis_content += module.hypothesis_content;
            sum.reference_content += module.reference_content;
            sum.hypothesis_function += module.hypothesis_function;
            sum.reference_function += module.reference_function;
        }
        sums.chunks += segment.in_corpus().chunks;
        sums.hypothesis_matches += segment.hypothesis_matches;
        sums.reference_matches += segment.reference_matches;
    }

    /// The sums as the 23 numbers of [`SegmentStatistics::to_array`].
    pub fn to_array(&self) -> [f64; 23] {
        self.0.to_array()
    }

    /// The corpus's score, from 0 to 1, as [`SegmentStatistics::score`] of the sums.
    pub fn score(&self) -> f64 {
        self.0.score()
    }
}

impl<'s> FromIterator<&'s SegmentStatistics> for CorpusStatistics {
    fn from_iter<I: IntoIterator<Item = &'s SegmentStatistics>>(segments: I) -> Self {
        let mut sums = Self::default();
        segments.into_iter().for_each(|segment| sums.add(segment));
        sums
    }
}

/// Weight of matched content and function words over the weight of all words.
fn weighted_share(matched: [(u64, u64); 4], length: u64, function_words: u64) -> f64 {
    let weigh = |content: u64, function: u64| DELTA * content as f64 + (1.0 - DELTA) * function as f64;
    let matched: f64 = Module::ALL
        .iter()
        .zip(matched)
        .map(|(module, (content, function))| module.weight() * weigh(content, function))
        .sum();
    matched / weigh(length.saturating_sub(function_words), function_words)
}

/// Runs of matches, which are in the reference's order.
fn chunks(matches: &[PhraseMatch]) -> u64 {
    let mut ends = None;
    let mut chunks = 0;
    for found in matches {
        if ends != Some((found.reference.start, found.hypothesis.start)) {
            chunks += 1;
        }
        ends = Some((found.reference.end(), found.hypothesis.end()));
    }
    chunks
}

fn within(functions: &[bool], phrase: Phrase) -> &[bool] {
    functions.get(phrase.range()).unwrap_or_default()
}

fn count(functions: &[bool], kind: bool) -> u64 {
    functions.iter().filter(|function| **function == kind).count() as u64
}
