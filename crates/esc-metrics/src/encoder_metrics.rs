//! Scores by an encoder of texts as metrics of a [`crate::Scorer`]: BERTScore, and the similarity of sentence vectors.
//!
//! The encoder itself is somebody else's (the crate `text-encoder` has one for BERT and RoBERTa): here is only what is asked of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;

use crate::bertscore::{BertScore, Idf, TokenEmbeddings};
use crate::embedding::dot;
use crate::error::Error;
use crate::failure::Failure;
use crate::metric::{ItemView, Metric, Statistics, means};
use crate::tokenize::Tokenizer;

/// An encoder of texts.
pub trait Encoder: Send + Sync {
    /// The model, for signatures.
    fn name(&self) -> String;

    /// The layer whose states are the tokens' embeddings; 0 is the first embedding.
    fn layer(&self) -> usize;

    /// The tokens of each text and their embeddings. Tokens that frame a text weigh 0.
    ///
    /// # Errors
    /// A text can't be encoded.
    fn embed_tokens(&self, texts: &[&str]) -> Result<Vec<EncodedText>, Error>;

    /// A vector of each text.
    ///
    /// # Errors
    /// A text can't be encoded.
    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error>;
}

/// A text's tokens with their embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedText {
    /// Token ids, those that frame the text included.
    pub tokens: Vec<u32>,
    /// One embedding each.
    pub embeddings: TokenEmbeddings,
}

/// BERTScore: means over items of precision, recall and F1, each the best over the references, −1 to 1.
pub struct MeanBertScore {
    encoder: Arc<dyn Encoder>,
    idf: Option<Idf>,
    failure: Failure,
}

impl MeanBertScore {
    /// All tokens but the framing ones weigh the same.
    pub fn new(encoder: Arc<dyn Encoder>) -> Self {
        Self { encoder, idf: None, failure: Failure::default() }
    }

    /// Tokens weigh by how few of these references hold them.
    ///
    /// # Errors
    /// A reference can't be encoded.
    pub fn with_idf_of(self, references: &[&str]) -> Result<Self, Error> {
        let mut tokens: Vec<Vec<u32>> = Vec::with_capacity(references.len());
        let mut framing = BTreeSet::new();
        for slice in references.chunks(Failure::SLICE) {
            for text in self.encoder.embed_tokens(slice)? {
                framing.extend(text.embeddings.weightless().filter_map(|place| text.tokens.get(place)));
                tokens.push(text.tokens);
            }
        }
        let framing: Vec<u32> = framing.into_iter().collect();
        Ok(Self { idf: Some(Idf::of_references(&tokens, &framing)), ..self })
    }

    fn weighed(&self, text: EncodedText) -> Result<TokenEmbeddings, Error> {
        match &self.idf {
            Some(idf) => text.embeddings.with_weights(idf.weights(&text.tokens)),
            None => Ok(text.embeddings),
        }
    }

    fn rows(&self, items: &[ItemView<'_>]) -> Result<Vec<Vec<f64>>, Error> {
        let texts = texts_of(items);
        let embedded = self.encoder.embed_tokens(&texts)?;
        let embedded = embedded.into_iter().map(|text| self.weighed(text)).collect::<Result<Vec<_>, Error>>()?;
        let row = |embeddings: &[TokenEmbeddings]| -> Result<Vec<f64>, Error> {
            let best = match embeddings {
                [hypothesis, references @ ..] => BertScore::best_of(hypothesis, references)?,
                [] => None,
            };
            let BertScore { precision, recall, f1 } = best.ok_or(Error::Empty("a response has no reference"))?;
            Ok(vec![precision, recall, f1])
        };
        parts_of(items, &embedded)?.into_par_iter().map(row).collect()
    }
}

impl Metric for MeanBertScore {
    fn signature(&self) -> String {
        let idf = if self.idf.is_some() { "references" } else { "none" };
        format!("bertscore|encoder:{}|layer:{}|idf:{idf}|rescaled:no", self.encoder.name(), self.encoder.layer())
    }

    fn names(&self) -> Vec<String> {
        ["bertscore-precision", "bertscore-recall", "bertscore-f1"].map(str::to_owned).to_vec()
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        None
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        self.measure_all(&[item]).pop().unwrap_or_else(|| vec![f64::NAN; 3])
    }

    fn measure_all(&self, items: &[ItemView<'_>]) -> Vec<Vec<f64>> {
        self.failure.rows_or_kept(items, 3, |slice| self.rows(slice))
    }

    fn values_of_sums(&self, sums: &[f64], items: usize) -> Vec<f64> {
        means(sums, items)
    }

    fn complete(&self, _statistics: &mut Statistics) -> Result<(), Error> {
        self.failure.tell()
    }
}

/// The cosine of the response's and the reference's sentence vectors, the best over references; mean over items, −1 to 1.
pub struct SentenceSimilarity {
    encoder: Arc<dyn Encoder>,
    failure: Failure,
}

impl SentenceSimilarity {
    /// By the vectors of this encoder.
    pub fn new(encoder: Arc<dyn Encoder>) -> Self {
        Self { encoder, failure: Failure::default() }
    }

    fn rows(&self, items: &[ItemView<'_>]) -> Result<Vec<Vec<f64>>, Error> {
        let vectors = self.encoder.embed_texts(&texts_of(items))?;
        let vectors: Vec<Vec<f64>> = vectors.into_iter().map(|one| one.into_iter().map(f64::from).collect()).collect();
        let row = |vectors: &[Vec<f64>]| match vectors {
            [hypothesis, references @ ..] => {
                let cosines = references.iter().map(|reference| cosine(hypothesis, reference));
                Ok(vec![cosines.fold(f64::NEG_INFINITY, f64::max)])
            }
            [] => Err(Error::Empty("a response has no reference")),
        };
        parts_of(items, &vectors)?.into_iter().map(row).collect()
    }
}

impl Metric for SentenceSimilarity {
    fn signature(&self) -> String {
        format!("sentence-similarity|encoder:{}", self.encoder.name())
    }

    fn names(&self) -> Vec<String> {
        vec!["sentence-similarity".to_owned()]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        None
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        self.measure_all(&[item]).pop().unwrap_or_else(|| vec![f64::NAN])
    }

    fn measure_all(&self, items: &[ItemView<'_>]) -> Vec<Vec<f64>> {
        self.failure.rows_or_kept(items, 1, |slice| self.rows(slice))
    }

    fn values_of_sums(&self, sums: &[f64], items: usize) -> Vec<f64> {
        means(sums, items)
    }

    fn complete(&self, _statistics: &mut Statistics) -> Result<(), Error> {
        self.failure.tell()
    }
}

/// Each item's hypothesis and then its references, item after item.
fn texts_of<'a>(items: &[ItemView<'a>]) -> Vec<&'a str> {
    let of = |view: &ItemView<'a>| {
        let references = view.item.references.iter().map(String::as_str);
        std::iter::once(view.item.hypothesis.as_str()).chain(references)
    };
    items.iter().flat_map(of).collect()
}

/// What was made of [`texts_of`], item by item.
fn parts_of<'a, T>(items: &[ItemView<'_>], mut made: &'a [T]) -> Result<Vec<&'a [T]>, Error> {
    let texts: usize = items.iter().map(|view| 1 + view.item.references.len()).sum();
    if texts != made.len() {
        return Err(Error::Lengths { what: "texts and what the encoder made of them", left: texts, right: made.len() });
    }
    let part = |view: &ItemView<'_>| {
        let (part, rest) = made.split_at(1 + view.item.references.len());
        made = rest;
        part
    };
    Ok(items.iter().map(part).collect())
}

/// 0 where a vector is 0.
fn cosine(left: &[f64], right: &[f64]) -> f64 {
    let lengths = (dot(left, left) * dot(right, right)).sqrt();
    if lengths > 0.0 { dot(left, right) / lengths } else { 0.0 }
}
