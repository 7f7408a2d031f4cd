//! METEOR 1.5, and NLTK's METEOR.
//!
//! The two share a name and an idea (Banerjee and Lavie, 2005), not their numbers. Papers on emotional support that print "METEOR"
//! mostly ran the Java program `meteor-1.5.jar` (Denkowski and Lavie, "Meteor Universal", 2014) through `nlg-eval` or
//! `pycocoevalcap`: that is [`Meteor`]. Some newer ones called NLTK's `meteor_score`, which has other parameters, another matcher and
//! another mean: that is [`NltkMeteor`].
//!
//! METEOR aligns the words of a hypothesis with those of a reference, through modules that find more and more: equal words, equal
//! stems, synonyms, paraphrases. The first two work anywhere; the others need tables that come with METEOR
//! ([`MeteorResources`]), and only with them is the number the one that papers call METEOR. On a set of 199 pairs of supporters'
//! turns the corpus scores were 0.2666 with equal words, 0.2699 with stems, 0.2755 with synonyms and 0.2780 with all.

mod alignment;
mod matchers;
mod nltk;
mod paraphrase_cache;
mod paraphrase_index;
mod resources;
mod sorted_lines;
mod statistics;
mod synonyms;
mod vocabulary;
mod wordnet;

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use self::alignment::Aligner;
use self::matchers::Candidates;
use self::paraphrase_index::ParaphraseIndex;
use self::synonyms::Synonyms;
use self::vocabulary::Vocabulary;
use crate::Error;
use crate::tokenize::{MeteorNorm, Tokenizer};

pub use self::nltk::NltkMeteor;
pub use self::resources::MeteorResources;
pub use self::statistics::{CorpusStatistics, ModuleMatches, SegmentStatistics};
pub use self::wordnet::WordNet;

/// Pairs that are scored with one vocabulary at least: looking words up is most of the work for the first ones.
const FEWEST_PAIRS_PER_TASK: usize = 256;

/// The modules that METEOR matches with. Each has all the modules of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MeteorVariant {
    /// Equal words: `meteor15-exact`.
    Exact,
    /// And equal stems (Snowball's English stemmer): `meteor15-exact-stem`.
    ExactStem,
    /// And synonyms; needs METEOR's tables: `meteor15-exact-stem-synonym`.
    ExactStemSynonym,
    /// And paraphrases; needs METEOR's tables: `meteor15`, METEOR as published.
    Full,
}

impl MeteorVariant {
    /// All of them, from the fewest modules to the most.
    pub const ALL: [Self; 4] = [Self::Exact, Self::ExactStem, Self::ExactStemSynonym, Self::Full];

    /// Its name in signatures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "meteor15-exact",
            Self::ExactStem => "meteor15-exact-stem",
            Self::ExactStemSynonym => "meteor15-exact-stem-synonym",
            Self::Full => "meteor15",
        }
    }

    /// Whether it needs METEOR's tables.
    pub fn needs_resources(self) -> bool {
        self >= Self::ExactStemSynonym
    }
}

/// METEOR 1.5 for English, with the parameters it has by default (task "rank").
#[derive(Clone)]
pub struct Meteor {
    variant: MeteorVariant,
    resources: Option<Arc<MeteorResources>>,
    tokenizer: Arc<dyn Tokenizer>,
}

impl Meteor {
    /// METEOR with its own normaliser (`-norm`).
    ///
    /// # Errors
    /// The variant needs METEOR's tables and there are none.
    pub fn new(variant: MeteorVariant, resources: Option<Arc<MeteorResources>>) -> Result<Self, Error> {
        if variant.needs_resources() && resources.is_none() {
            return Err(Error::Setting(format!(
                "{} needs the tables of METEOR 1.5: name its folder in SOLACE_METEOR, or use {}",
                variant.name(),
                MeteorVariant::ExactStem.name()
            )));
        }
        Ok(Self { variant, resources, tokenizer: Arc::new(MeteorNorm::WithPunctuation) })
    }

    /// The same with another tokenisation: [`MeteorNorm::WithoutPunctuation`] is METEOR's `-noPunct`;
    /// [`WhiteSpace`](crate::tokenize::WhiteSpace), which keeps the case, is METEOR without options, and
    /// [`WhiteSpaceLower`](crate::tokenize::WhiteSpaceLower) its `-lower`.
    pub fn with_tokenizer(self, tokenizer: impl Tokenizer + 'static) -> Self {
        Self { tokenizer: Arc::new(tokenizer), ..self }
    }

    /// Which modules match words.
    pub fn variant(&self) -> MeteorVariant {
        self.variant
    }

    /// Its signature, e.g. `meteor15-exact-stem|tok:meteor-norm`.
    pub fn name(&self) -> String {
        format!("{}|tok:{}", self.variant.name(), self.tokenizer.name())
    }

    /// The statistics of one hypothesis and the reference with which it scores highest, the first of them if several do.
    ///
    /// Without a reference it is compared with an empty text. `|||` is deleted from all texts, since METEOR's callers do so. Time
    /// and memory grow with the product of the lengths if both texts are long and repeat the same words. For many pairs
    /// [`Self::segments`] is faster.
    pub fn segment(&self, hypothesis: &str, references: &[&str]) -> SegmentStatistics {
        Scorer::new(self).segment(hypothesis, references)
    }

    /// The statistics of many hypotheses, each with its references, computed in parallel.
    ///
    /// # Errors
    /// There are not as many lists of references as hypotheses, or an item has no reference.
    pub fn segments<H, R, T>(&self, hypotheses: &[H], references: &[R]) -> Result<Vec<SegmentStatistics>, Error>
    where
        H: AsRef<str> + Sync,
        R: AsRef<[T]> + Sync,
        T: AsRef<str> + Sync,
    {
        if hypotheses.len() != references.len() {
            let what = "hypotheses and lists of references";
            return Err(Error::Lengths { what, left: hypotheses.len(), right: references.len() });
        }
        if let Some(item) = references.iter().position(|references| references.as_ref().is_empty()) {
            return Err(Error::NoReference(item));
        }
        let per_task = hypotheses.len().div_ceil(2 * rayon::current_num_threads()).max(FEWEST_PAIRS_PER_TASK);
        let tasks = hypotheses.par_chunks(per_task).zip(references.par_chunks(per_task));
        let segments = tasks.flat_map_iter(|(hypotheses, references)| {
            let mut scorer = Scorer::new(self);
            let pairs = hypotheses.iter().zip(references);
            pairs.map(move |(hypothesis, references)| scorer.segment(hypothesis.as_ref(), references.as_ref()))
        });
        Ok(segments.collect())
    }

    fn synonyms(&self) -> Option<&Synonyms> {
        let is_used = self.variant >= MeteorVariant::ExactStemSynonym;
        self.resources.as_deref().filter(|_| is_used).map(|resources| &resources.synonyms)
    }

    fn paraphrases(&self) -> Option<&ParaphraseIndex> {
        let is_used = self.variant == MeteorVariant::Full;
        self.resources.as_deref().filter(|_| is_used).map(|resources| &resources.paraphrases)
    }
}

impl fmt::Debug for Meteor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Meteor").field(&self.name()).finish()
    }
}

/// Scores one pair after the other with one vocabulary and one set of buffers.
struct Scorer<'m> {
    meteor: &'m Meteor,
    vocabulary: Vocabulary<'m>,
    candidates: Candidates,
    aligner: Aligner,
    hypothesis: Text,
    reference: Text,
}

/// A text as numbers of words, and for each whether it is a function word.
#[derive(Default)]
struct Text {
    words: Vec<u32>,
    functions: Vec<bool>,
}

impl<'m> Scorer<'m> {
    fn new(meteor: &'m Meteor) -> Self {
        Self {
            meteor,
            vocabulary: Vocabulary::new(meteor),
            candidates: Candidates::default(),
            aligner: Aligner::default(),
            hypothesis: Text::default(),
            reference: Text::default(),
        }
    }

    fn segment(&mut self, hypothesis: &str, references: &[impl AsRef<str>]) -> SegmentStatistics {
        self.hypothesis.read(hypothesis, self.meteor, &mut self.vocabulary);
        let mut references = references.iter().map(AsRef::as_ref);
        let mut best = self.against(references.next().unwrap_or_default());
        let mut best_score = best.score();
        for reference in references {
            let statistics = self.against(reference);
            let score = statistics.score();
            if score > best_score {
                (best, best_score) = (statistics, score);
            }
        }
        best
    }

    fn against(&mut self, reference: &str) -> SegmentStatistics {
        self.reference.read(reference, self.meteor, &mut self.vocabulary);
        let (hypothesis, reference) = (&self.hypothesis, &self.reference);
        if hypothesis.words == reference.words {
            let matches = self.aligner.align_identical(reference.words.len());
            return SegmentStatistics::of(&hypothesis.functions, &reference.functions, matches);
        }
        self.candidates.find(self.meteor, &self.vocabulary, &hypothesis.words, &reference.words);
        let matches = self.aligner.align(&self.candidates, hypothesis.words.len(), reference.words.len());
        SegmentStatistics::of(&hypothesis.functions, &reference.functions, matches)
    }
}

impl Text {
    fn read(&mut self, text: &str, meteor: &Meteor, vocabulary: &mut Vocabulary) {
        self.words.clear();
        self.functions.clear();
        meteor.tokenizer.tokenize(&text.replace("|||", ""), &mut |token| {
            let number = vocabulary.number(token);
            self.words.push(number);
            self.functions.push(vocabulary.word(number).is_function_word);
        });
    }
}
