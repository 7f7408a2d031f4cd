//! Word-vector scores as a metric of a [`crate::Scorer`].

use std::sync::Arc;

use crate::embedding::{EmbeddingScores, WordVectors};
use crate::error::Error;
use crate::failure::Failure;
use crate::metric::{ItemView, Metric, Statistics};
use crate::tokenize::Tokenizer;

/// Embedding average, extrema and greedy matching: means over the items that have words on both sides, −1 to 1.
pub struct MeanEmbedding {
    vectors: Arc<WordVectors>,
    tokenizer: Arc<dyn Tokenizer>,
    failure: Failure,
}

impl MeanEmbedding {
    /// With these vectors and this tokenisation.
    pub fn new(vectors: Arc<WordVectors>, tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { vectors, tokenizer, failure: Failure::default() }
    }
}

impl Metric for MeanEmbedding {
    fn signature(&self) -> String {
        let (name, dimensions) = (self.vectors.name(), self.vectors.dimensions());
        format!("embedding|vectors:{name}|dim:{dimensions}|unknown:mean|tok:{}", self.tokenizer.name())
    }

    fn names(&self) -> Vec<String> {
        ["embedding-average", "embedding-extrema", "embedding-greedy"].map(str::to_owned).to_vec()
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(self.tokenizer.clone())
    }

    /// The three scores and whether there are any.
    fn measure(&self, view: ItemView<'_>) -> Vec<f64> {
        let words = |tokens: &[u32]| -> Vec<&str> { tokens.iter().map(|id| view.vocabulary.token(*id)).collect() };
        let references: Vec<Vec<&str>> = view.tokens.references.iter().map(|tokens| words(tokens)).collect();
        match self.vectors.scores(&words(&view.tokens.hypothesis), &references) {
            Ok(Some(EmbeddingScores { average, extrema, greedy })) => vec![average, extrema, greedy, 1.0],
            Ok(None) => vec![0.0; 4],
            Err(error) => {
                self.failure.keep(error);
                vec![f64::NAN; 4]
            }
        }
    }

    fn values_of_sums(&self, sums: &[f64], _items: usize) -> Vec<f64> {
        match sums {
            [scores @ .., counted] if *counted > 0.0 => scores.iter().map(|score| score / counted).collect(),
            _ => vec![f64::NAN; 3],
        }
    }

    fn complete(&self, _statistics: &mut Statistics) -> Result<(), Error> {
        self.failure.tell()
    }
}
