//! METEOR's two implementations as metrics of a [`crate::Scorer`].

use std::sync::Arc;

use crate::meteor::{Meteor, NltkMeteor, SegmentStatistics};
use crate::metric::{ItemView, Metric, means};
use crate::tokenize::Tokenizer;

/// METEOR 1.5 over a corpus, 0 to 1: the score of the summed statistics, not the mean of segments.
#[derive(Clone)]
pub struct CorpusMeteor {
    meteor: Meteor,
    /// What texts go through before METEOR's own normaliser sees them.
    before: Option<Arc<dyn Tokenizer>>,
}

impl CorpusMeteor {
    /// Of texts as they are.
    pub fn new(meteor: Meteor) -> Self {
        Self { meteor, before: None }
    }

    /// Of tokens joined by a space, as nlg-eval hands texts on.
    pub fn after(self, tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { before: Some(tokenizer), ..self }
    }

    /// The texts that METEOR sees.
    fn texts(&self, view: &ItemView<'_>) -> (String, Vec<String>) {
        match self.before {
            None => (view.item.hypothesis.clone(), view.item.references.clone()),
            Some(_) => (view.joined_hypothesis(), view.joined_references()),
        }
    }
}

impl Metric for CorpusMeteor {
    fn signature(&self) -> String {
        match &self.before {
            None => self.meteor.name(),
            Some(tokenizer) => format!("{}|on:{}", self.meteor.name(), tokenizer.name()),
        }
    }

    /// The variant: only the full one is what papers call METEOR.
    fn names(&self) -> Vec<String> {
        vec![self.meteor.variant().name().into()]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        self.before.clone()
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        let (hypothesis, references) = self.texts(&item);
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        row(&self.meteor.segment(&hypothesis, &references))
    }

    /// Stems and synonyms of a word are looked up once for many items.
    fn measure_all(&self, items: &[ItemView<'_>]) -> Vec<Vec<f64>> {
        let (hypotheses, references): (Vec<_>, Vec<_>) = items.iter().map(|item| self.texts(item)).unzip();
        match self.meteor.segments(&hypotheses, &references) {
            Ok(segments) => segments.iter().map(row).collect(),
            // Only an item without references is refused, and the scorer took none.
            Err(_) => items.iter().map(|item| self.measure(*item)).collect(),
        }
    }

    fn values_of_sums(&self, sums: &[f64], _items: usize) -> Vec<f64> {
        vec![SegmentStatistics::from_array(sums).score()]
    }
}

/// A segment as it counts in a corpus: the chunk of one that is matched as a whole does not.
fn row(segment: &SegmentStatistics) -> Vec<f64> {
    segment.in_corpus().to_array().to_vec()
}

/// NLTK's `meteor_score`, the mean over items, 0 to 1.
#[derive(Clone)]
pub struct MeanNltkMeteor {
    meteor: NltkMeteor,
    tokenizer: Arc<dyn Tokenizer>,
}

impl MeanNltkMeteor {
    /// With this tokenisation.
    pub fn new(meteor: NltkMeteor, tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { meteor, tokenizer }
    }
}

impl Metric for MeanNltkMeteor {
    fn signature(&self) -> String {
        format!("{}|tok:{}", self.meteor.name(), self.tokenizer.name())
    }

    fn names(&self) -> Vec<String> {
        vec![self.meteor.name().into()]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(self.tokenizer.clone())
    }

    fn measure(&self, view: ItemView<'_>) -> Vec<f64> {
        let words =
            |tokens: &[u32]| -> Vec<String> { tokens.iter().map(|id| view.vocabulary.token(*id).to_owned()).collect() };
        let references: Vec<Vec<String>> = view.tokens.references.iter().map(|tokens| words(tokens)).collect();
        vec![self.meteor.score(&words(&view.tokens.hypothesis), &references)]
    }

    fn values_of_sums(&self, sums: &[f64], items: usize) -> Vec<f64> {
        means(sums, items)
    }
}
