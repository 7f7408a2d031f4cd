//! Unigram F1: words shared with the reference.

use std::sync::Arc;

use crate::metric::{ItemView, Metric, means};
use crate::rouge::overlap;
use crate::tokenize::{ParlaiWords, Tokenizer};

/// Which lineage's F1.
#[derive(Clone)]
enum Lineage {
    ThuCoai(Arc<dyn Tokenizer>),
    ParlAi,
}

/// F1 of the bags of words of hypothesis and reference, the best over references, 0 to 1; the mean over items.
#[derive(Clone)]
pub struct UnigramF1 {
    lineage: Lineage,
}

impl UnigramF1 {
    /// As the thu-coai line computes it: `f1|thu-coai`.
    pub fn thu_coai(tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { lineage: Lineage::ThuCoai(tokenizer) }
    }

    /// As ParlAI computes it, on words without articles and punctuation: `f1|parlai`. An item without such words scores 0.
    pub fn parlai() -> Self {
        Self { lineage: Lineage::ParlAi }
    }
}

impl Metric for UnigramF1 {
    fn signature(&self) -> String {
        match &self.lineage {
            Lineage::ThuCoai(tokenizer) => format!("f1|thu-coai|tok:{}", tokenizer.name()),
            Lineage::ParlAi => "f1|parlai|tok:parlai".into(),
        }
    }

    fn names(&self) -> Vec<String> {
        vec!["f1".into()]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(match &self.lineage {
            Lineage::ThuCoai(tokenizer) => tokenizer.clone(),
            Lineage::ParlAi => Arc::new(ParlaiWords),
        })
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        let scores = item.tokens.references.iter().map(|reference| overlap(&item.tokens.hypothesis, reference, 1).f1);
        vec![scores.fold(0.0, f64::max)]
    }

    fn values_of_sums(&self, sums: &[f64], items: usize) -> Vec<f64> {
        means(sums, items)
    }
}
