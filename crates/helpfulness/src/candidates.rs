//! Candidate responses in order of their helpfulness: what alignment learns from.

use training::{Dataset, TrainingError};

use crate::HelpfulnessError;

/// A context, the response that was really given, and others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RankedSample {
    /// What the model is given, tokens.
    pub context: Vec<u32>,
    /// The response of the corpus: tokens behind the model's start token, the one that ends the text included.
    pub gold: Vec<u32>,
    /// Other responses in the same form, the most helpful first. May be empty: then only the likelihood counts.
    pub candidates: Vec<Vec<u32>>,
}

/// A candidate with its score, not yet in order.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredCandidate {
    /// What it says. Candidates that say the same are one.
    pub text: String,
    /// Its tokens, as in [`RankedSample::gold`].
    pub tokens: Vec<u32>,
    /// Lower is better: [`crate::Score::unhelpfulness`].
    pub unhelpfulness: f64,
}

/// At most `most` candidates in order, the most helpful first. Of those with the same text one is left, where the first stood with the score of
/// the last; equal scores keep their order.
///
/// # Errors
/// A score is not a number.
pub fn ranked(candidates: Vec<ScoredCandidate>, most: usize) -> Result<Vec<ScoredCandidate>, HelpfulnessError> {
    let mut different: Vec<ScoredCandidate> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        if candidate.unhelpfulness.is_nan() {
            let problem = format!("the score of the candidate `{}` is not a number", candidate.text);
            return Err(HelpfulnessError::Invalid(problem));
        }
        match different.iter_mut().find(|other| other.text == candidate.text) {
            Some(same) => *same = candidate,
            None => different.push(candidate),
        }
    }
    different.sort_by(|one, other| one.unhelpfulness.total_cmp(&other.unhelpfulness));
    different.truncate(most);
    Ok(different)
}

/// Samples of a training loop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RankingDataset {
    samples: Vec<RankedSample>,
}

impl RankingDataset {
    /// No samples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// The gold response or a candidate has no token.
    pub fn push(&mut self, sample: RankedSample) -> Result<(), HelpfulnessError> {
        if sample.gold.is_empty() || sample.candidates.iter().any(Vec::is_empty) {
            let problem = "a sample with a response of no token: at least the token that ends it is needed";
            return Err(HelpfulnessError::Invalid(problem.into()));
        }
        self.samples.push(sample);
        Ok(())
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}

impl Dataset for RankingDataset {
    type Batch = Vec<RankedSample>;

    fn lengths(&self) -> Vec<usize> {
        let responses = |sample: &RankedSample| sample.candidates.iter().map(Vec::len).sum::<usize>();
        self.samples.iter().map(|sample| sample.context.len() + sample.gold.len() + responses(sample)).collect()
    }

    fn batch(&self, examples: &[usize]) -> Result<Vec<RankedSample>, TrainingError> {
        let sample = |number: &usize| {
            let sample = self.samples.get(*number).cloned();
            sample.ok_or_else(|| {
                HelpfulnessError::Invalid(format!("there is no sample {number} among {}", self.len())).into()
            })
        };
        examples.iter().map(sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str, unhelpfulness: f64) -> ScoredCandidate {
        ScoredCandidate { text: text.into(), tokens: vec![7], unhelpfulness }
    }

    #[test]
    fn the_most_helpful_candidate_comes_first() {
        let all = vec![candidate("a", 0.5), candidate("b", 0.1), candidate("a", 0.05), candidate("c", 0.1)];
        let texts = |most| -> Vec<String> {
            ranked(all.clone(), most).unwrap().into_iter().map(|candidate| candidate.text).collect()
        };
        assert_eq!(texts(10), ["a", "b", "c"]);
        assert_eq!(texts(2), ["a", "b"]);
        assert!(ranked(vec![candidate("a", f64::NAN)], 3).is_err());
    }

    #[test]
    fn samples_need_tokens() {
        let mut samples = RankingDataset::new();
        let sample = RankedSample { context: vec![4], gold: vec![5, 2], candidates: vec![vec![6, 7, 2]] };
        samples.push(sample.clone()).unwrap();
        assert_eq!((samples.len(), samples.lengths()), (1, vec![6]));
        assert_eq!(samples.batch(&[0]).unwrap(), vec![sample.clone()]);
        assert!(samples.push(RankedSample { gold: vec![], ..sample.clone() }).is_err());
        assert!(samples.push(RankedSample { candidates: vec![vec![]], ..sample }).is_err());
        assert!(samples.batch(&[1]).is_err());
    }
}
