//! Average, extrema and greedy matching of two texts' word vectors.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::vectors::WordVectors;
use crate::Error;

/// How alike a response and its references are; cosines, -1 to 1. A vector of zeros has the cosine 0 with everything.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingScores {
    /// Cosine of the summed word vectors.
    pub average: f64,
    /// Cosine of the vectors of extremes: in each dimension the largest value if the smallest is positive; if the
    /// smallest is negative, the one farther from zero (the smallest if both are as far); 0 if the smallest is exactly
    /// 0, whatever the largest is.
    pub extrema: f64,
    /// Mean cosine of each word and its best match on the other side, averaged over the two directions.
    pub greedy: f64,
}

impl EmbeddingScores {
    fn largest(self, other: Self) -> Self {
        Self {
            average: self.average.max(other.average),
            extrema: self.extrema.max(other.extrema),
            greedy: self.greedy.max(other.greedy),
        }
    }
}

/// The scores of many responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingReport {
    /// Names of average, extrema and greedy in reports, with the vectors they come from.
    pub signatures: [String; 3],
    /// Mean over the items that have scores. `None` if none has.
    pub mean: Option<EmbeddingScores>,
    /// Item by item; `None` where the response or every reference has no tokens.
    pub items: Vec<Option<EmbeddingScores>>,
    /// How many have none. The published programs stop with an error there.
    pub skipped: usize,
}

impl WordVectors {
    /// The scores of one response against its references: the largest of each. `None` if the response has no tokens, or
    /// no reference has any.
    ///
    /// # Errors
    /// There are no references, or a token was not among those the vectors were read for.
    pub fn scores<S: AsRef<str>, R: AsRef<[S]>>(
        &self,
        hypothesis: &[S],
        references: &[R],
    ) -> Result<Option<EmbeddingScores>, Error> {
        if references.is_empty() {
            return Err(Error::NoReference(0));
        }
        let Some(hypothesis) = Text::new(self, hypothesis)? else {
            return Ok(None);
        };
        let mut best: Option<EmbeddingScores> = None;
        for reference in references {
            if let Some(reference) = Text::new(self, reference.as_ref())? {
                let scores = hypothesis.scores(&reference);
                best = Some(best.map_or(scores, |best| best.largest(scores)));
            }
        }
        Ok(best)
    }

    /// The scores of many responses, item by item and as means.
    ///
    /// # Errors
    /// Lengths differ, or those of [`scores`](Self::scores).
    pub fn report<S: AsRef<str>, H: AsRef<[S]> + Sync, R: AsRef<[S]>, L: AsRef<[R]> + Sync>(
        &self,
        hypotheses: &[H],
        references: &[L],
    ) -> Result<EmbeddingReport, Error> {
        if hypotheses.len() != references.len() {
            let (left, right) = (hypotheses.len(), references.len());
            return Err(Error::Lengths { what: "hypotheses and references", left, right });
        }
        let of_item = |(item, (hypothesis, references)): (usize, (&H, &L))| {
            let scores = self.scores(hypothesis.as_ref(), references.as_ref());
            scores
                .map_err(|error| if matches!(error, Error::NoReference(_)) { Error::NoReference(item) } else { error })
        };
        let items = hypotheses.par_iter().zip(references).enumerate().map(of_item);
        let items = items.collect::<Result<Vec<Option<EmbeddingScores>>, Error>>()?;
        let skipped = items.iter().filter(|scores| scores.is_none()).count();
        Ok(EmbeddingReport { signatures: self.signatures(), mean: mean(&items), items, skipped })
    }

    fn signatures(&self) -> [String; 3] {
        ["average", "extrema", "greedy"]
            .map(|metric| format!("embedding-{metric}|vectors:{}|dim:{}|unknown:mean", self.name(), self.dimensions()))
    }
}

fn mean(items: &[Option<EmbeddingScores>]) -> Option<EmbeddingScores> {
    let scored: Vec<&EmbeddingScores> = items.iter().flatten().collect();
    let of = |value: fn(&EmbeddingScores) -> f64| {
        scored.iter().map(|scores| value(scores)).sum::<f64>() / scored.len() as f64
    };
    (!scored.is_empty()).then(|| EmbeddingScores {
        average: of(|scores| scores.average),
        extrema: of(|scores| scores.extrema),
        greedy: of(|scores| scores.greedy),
    })
}

/// What one text's scores are computed from. All vectors have length 1, or 0 where they are zero.
struct Text {
    average: Vec<f64>,
    extrema: Vec<f64>,
    words: Vec<Vec<f64>>,
}

impl Text {
    /// `None` without tokens.
    fn new<S: AsRef<str>>(vectors: &WordVectors, tokens: &[S]) -> Result<Option<Self>, Error> {
        let words =
            tokens.iter().map(|token| vectors.vector(token.as_ref())).collect::<Result<Vec<&[f64]>, Error>>()?;
        if words.is_empty() {
            return Ok(None);
        }
        let mut sum = vec![0.0; vectors.dimensions()];
        let (mut smallest, mut largest) = (vec![f64::INFINITY; sum.len()], vec![f64::NEG_INFINITY; sum.len()]);
        for word in &words {
            for (dimension, value) in word.iter().enumerate() {
                sum[dimension] += value;
                smallest[dimension] = smallest[dimension].min(*value);
                largest[dimension] = largest[dimension].max(*value);
            }
        }
        let extrema = smallest.into_iter().zip(largest).map(|(smallest, largest)| extreme(smallest, largest)).collect();
        let words = words.into_iter().map(|word| normalised(word.to_vec())).collect();
        Ok(Some(Self { average: normalised(sum), extrema: normalised(extrema), words }))
    }

    fn scores(&self, reference: &Self) -> EmbeddingScores {
        EmbeddingScores {
            average: dot(&self.average, &reference.average),
            extrema: dot(&self.extrema, &reference.extrema),
            greedy: self.greedy(reference),
        }
    }

    fn greedy(&self, reference: &Self) -> f64 {
        let mut best_of_reference = vec![f64::NEG_INFINITY; reference.words.len()];
        let mut sum = 0.0;
        for word in &self.words {
            let mut best = f64::NEG_INFINITY;
            for (other, best_of_other) in reference.words.iter().zip(&mut best_of_reference) {
                let cosine = dot(word, other);
                best = best.max(cosine);
                *best_of_other = best_of_other.max(cosine);
            }
            sum += best;
        }
        let backwards = best_of_reference.iter().sum::<f64>() / reference.words.len() as f64;
        (sum / self.words.len() as f64 + backwards) / 2.0
    }
}

fn extreme(smallest: f64, largest: f64) -> f64 {
    if smallest > 0.0 || smallest < 0.0 && largest > -smallest { largest } else { smallest }
}

fn normalised(mut vector: Vec<f64>) -> Vec<f64> {
    normalise(&mut vector);
    vector
}

/// Scales a vector to length 1; a zero vector stays.
pub(crate) fn normalise(vector: &mut [f64]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

/// The scalar product of two vectors of the same length, summed in eight lanes, always in the same order.
pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
    let (left_lanes, right_lanes) = (left.chunks_exact(8), right.chunks_exact(8));
    let rest: f64 = left_lanes.remainder().iter().zip(right_lanes.remainder()).map(|(left, right)| left * right).sum();
    let mut lanes = [0.0; 8];
    for (left, right) in left_lanes.zip(right_lanes) {
        for (lane, (left, right)) in lanes.iter_mut().zip(left.iter().zip(right)) {
            *lane += left * right;
        }
    }
    lanes.iter().sum::<f64>() + rest
}
