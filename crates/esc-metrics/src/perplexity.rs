//! Perplexity, by the conventions that are in use.
//!
//! Published programs average negative log-likelihoods in different orders and print different numbers for the same
//! model. An [`Nll`] collects what all of them need, and a [`Perplexity`] is one of them with the signature that
//! belongs beside its number:
//!
//! ```
//! use esc_metrics::perplexity::{Batches, Convention, Nll, Perplexity};
//!
//! let mut nll = Nll::default();
//! nll.push(20.0, 10)?;
//! nll.push(3.0, 1)?;
//! let ours = Perplexity::default();
//! assert_eq!((ours.signature().as_str(), ours.of(&nll)?), ("ppl|token", (23.0_f64 / 11.0).exp()));
//! let other = Perplexity::new(Convention::BatchMean, Some(Batches::new(1)?))?;
//! assert_eq!((other.signature().as_str(), other.of(&nll)?), ("ppl|batch-mean|batch:1", 2.5_f64.exp()));
//! # Ok::<(), esc_metrics::Error>(())
//! ```
//!
//! Perplexities of models with different vocabularies are not comparable; [`Nll::bits_per_byte`] is.

use std::f64::consts::LN_2;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Negative log-likelihoods of responses, in nats, in the order in which they were evaluated.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Nll {
    responses: Vec<ResponseNll>,
}

/// One response.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct ResponseNll {
    sum: f64,
    tokens: usize,
}

impl ResponseNll {
    fn mean(&self) -> f64 {
        self.sum / self.tokens as f64
    }
}

impl Nll {
    /// Adds a response: the sum over its target tokens, and how many they are. Special tokens count as in the model's
    /// loss.
    ///
    /// # Errors
    /// The sum is not a finite number, or there are no tokens.
    pub fn push(&mut self, sum: f64, tokens: usize) -> Result<(), Error> {
        let response = self.responses.len();
        if tokens == 0 {
            return Err(Error::Setting(format!("response {response} has no target tokens: leave it out")));
        }
        if !sum.is_finite() {
            return Err(Error::Setting(format!("the negative log-likelihood of response {response} is {sum}")));
        }
        self.responses.push(ResponseNll { sum, tokens });
        Ok(())
    }

    /// Adds the responses of another evaluation behind these.
    pub fn append(&mut self, other: &Self) {
        self.responses.extend_from_slice(&other.responses);
    }

    /// Responses.
    pub fn responses(&self) -> usize {
        self.responses.len()
    }

    /// Nats and target tokens of each response.
    pub fn of_each(&self) -> impl Iterator<Item = (f64, usize)> + '_ {
        self.responses.iter().map(|response| (response.sum, response.tokens))
    }

    /// Target tokens.
    pub fn tokens(&self) -> usize {
        tokens(&self.responses)
    }

    /// Nats over all tokens.
    pub fn sum(&self) -> f64 {
        sum(&self.responses)
    }

    /// Bits for each byte of the texts that the tokens stand for, `bytes` in all.
    ///
    /// # Errors
    /// There are no responses or no bytes.
    pub fn bits_per_byte(&self, bytes: usize) -> Result<f64, Error> {
        if self.responses.is_empty() || bytes == 0 {
            return Err(Error::Empty("no response has target tokens and text"));
        }
        Ok(self.sum() / LN_2 / bytes as f64)
    }
}

/// In which order negative log-likelihoods are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// exp(Σ nll / Σ tokens): perplexity proper. As the THU-CoAI line of programs prints it.
    #[default]
    Token,
    /// exp(mean over batches of the batch's nll per token).
    BatchMean,
    /// Mean over responses of exp(nll per token of the response's batch). As MultiESC prints it.
    MeanExpBatch,
    /// Mean over responses of exp(nll per token).
    ResponseMean,
    /// exp(mean over responses of the nll per token).
    ExpResponseMean,
    /// exp(Σ over batches of the batch's nll per token times its responses / Σ tokens), as MAGIC logs it. The units do
    /// not cancel and values come out near 1: it ranks checkpoints and is no perplexity.
    Magic,
}

impl Convention {
    fn name(self) -> &'static str {
        match self {
            Self::Token => "ppl|token",
            Self::BatchMean => "ppl|batch-mean",
            Self::MeanExpBatch => "ppl|mean-exp-batch",
            Self::ResponseMean => "ppl|response-mean",
            Self::ExpResponseMean => "ppl|exp-response-mean",
            Self::Magic => "ppl|magic",
        }
    }

    fn needs_batches(self) -> bool {
        matches!(self, Self::BatchMean | Self::MeanExpBatch | Self::Magic)
    }
}

/// Responses that were evaluated together: so many after one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Batches {
    size: NonZeroUsize,
    drop_last: bool,
}

impl Batches {
    /// Batches of `size` responses, the last one as large as it comes.
    ///
    /// # Errors
    /// `size` is 0.
    pub fn new(size: usize) -> Result<Self, Error> {
        let none = || Error::Setting("batches of 0 responses: at least one is needed".to_owned());
        Ok(Self { size: NonZeroUsize::new(size).ok_or_else(none)?, drop_last: false })
    }

    /// Leaves the last batch out where it is not full, as some programs do.
    pub fn dropping_last(self) -> Self {
        Self { drop_last: true, ..self }
    }
}

/// A perplexity by one convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub struct Perplexity {
    convention: Convention,
    batches: Option<Batches>,
}

impl Perplexity {
    /// A convention and, for those that go by batch or drop the last one, the batches.
    ///
    /// # Errors
    /// The convention goes by batch and none are given.
    pub fn new(convention: Convention, batches: Option<Batches>) -> Result<Self, Error> {
        if convention.needs_batches() && batches.is_none() {
            return Err(Error::Setting(format!("{} goes by batch: give the batches' size", convention.name())));
        }
        Ok(Self { convention, batches })
    }

    /// The variant's name: convention, batch size where it is of consequence, and whether the last batch was dropped,
    /// e.g. `ppl|batch-mean|batch:4|last:dropped`.
    pub fn signature(&self) -> String {
        let name = self.convention.name();
        match self.batches {
            Some(Batches { size, drop_last: true }) => format!("{name}|batch:{size}|last:dropped"),
            Some(Batches { size, .. }) if self.convention.needs_batches() => format!("{name}|batch:{size}"),
            _ => name.to_owned(),
        }
    }

    /// The value; infinite where the exponential is beyond f64.
    ///
    /// # Errors
    /// No response is left.
    pub fn of(&self, nll: &Nll) -> Result<f64, Error> {
        let responses = self.kept(&nll.responses);
        if responses.is_empty() {
            return Err(Error::Empty("no response is left for the perplexity"));
        }
        let size = self.batches.map_or(responses.len(), |batches| batches.size.get());
        let batches = || responses.chunks(size);
        let count = responses.len() as f64;
        Ok(match self.convention {
            Convention::Token => mean(responses).exp(),
            Convention::BatchMean => (batches().map(mean).sum::<f64>() / batches().len() as f64).exp(),
            Convention::MeanExpBatch => {
                batches().map(|batch| batch.len() as f64 * mean(batch).exp()).sum::<f64>() / count
            }
            Convention::ResponseMean => responses.iter().map(|response| response.mean().exp()).sum::<f64>() / count,
            Convention::ExpResponseMean => (responses.iter().map(ResponseNll::mean).sum::<f64>() / count).exp(),
            Convention::Magic => {
                let weighted = batches().map(|batch| batch.len() as f64 * mean(batch)).sum::<f64>();
                (weighted / tokens(responses) as f64).exp()
            }
        })
    }

    fn kept<'a>(&self, responses: &'a [ResponseNll]) -> &'a [ResponseNll] {
        match self.batches {
            Some(Batches { size, drop_last: true }) => &responses[..responses.len() - responses.len() % size],
            _ => responses,
        }
    }
}

/// Nats per token.
fn mean(responses: &[ResponseNll]) -> f64 {
    sum(responses) / tokens(responses) as f64
}

fn sum(responses: &[ResponseNll]) -> f64 {
    responses.iter().map(|response| response.sum).sum()
}

fn tokens(responses: &[ResponseNll]) -> usize {
    responses.iter().map(|response| response.tokens).sum()
}
