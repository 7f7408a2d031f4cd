//! What may be asked of a remote model: limits, patience, prices, and which API its server speaks.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::RemoteAddress;
use crate::{Error, KeySource};

/// Settings of a [`crate::RemoteModel`].
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteOptions {
    /// Model and server.
    pub address: RemoteAddress,
    /// Where the key comes from. Default: `OPENAI_API_KEY`, if it is set; that one is not sent in the clear over a network.
    pub key: KeySource,
    /// Which API the server speaks; `None` tells it from the address.
    pub dialect: Option<Dialect>,
    /// Requests that are under way at a time. Default 8.
    pub concurrency: usize,
    /// When a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// How long a server is waited for.
    pub patience: Patience,
    /// Least time between the beginnings of two attempts. Default 0.
    pub minimum_delay: Duration,
    /// Largest answer that is read, in bytes. Default 64 MiB.
    pub largest_answer: u64,
    /// Whether text is told as it comes.
    pub streaming: bool,
    /// What tokens cost.
    pub prices: Option<Prices>,
    /// A file in which answers are kept, so that no request is paid for twice.
    pub journal: Option<PathBuf>,
}

/// Longer times make no sense, and clocks can't add them.
const LONGEST_TIME: Duration = Duration::from_secs(365 * 24 * 3600);

impl RemoteOptions {
    /// The defaults for a model.
    pub fn new(address: RemoteAddress) -> Self {
        Self {
            address,
            key: KeySource::default(),
            dialect: None,
            concurrency: 8,
            retry: RetryPolicy::default(),
            patience: Patience::default(),
            minimum_delay: Duration::ZERO,
            largest_answer: 64 << 20,
            streaming: false,
            prices: None,
            journal: None,
        }
    }

    /// The API that the server speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect.unwrap_or_else(|| Dialect::of(&self.address))
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// A number is out of range.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let times = [self.patience.connect, self.patience.request, self.patience.idle];
        let waits =
            [self.minimum_delay, self.retry.first_wait, self.retry.longest_wait, self.retry.longest_retry_after];
        let problem = if !(1..=1024).contains(&self.concurrency) {
            "the number of concurrent requests is not in 1..=1024"
        } else if times.iter().any(Duration::is_zero) {
            "a timeout of 0 lets no request succeed"
        } else if times.iter().chain(&waits).any(|time| *time > LONGEST_TIME) {
            "a time is longer than a year"
        } else if self.prices.is_some_and(|prices| !prices.are_valid()) {
            "a price is negative or not a number"
        } else {
            return Ok(());
        };
        Err(Error::Invalid(problem.into()))
    }
}

/// Which API a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// OpenAI's own parameters and no others: servers that refuse what they don't know.
    OpenAi,
    /// As vLLM: also `top_k`, `min_p`, `repetition_penalty`, `min_tokens` and `ignore_eos`, token ids in answers, prompts as token ids,
    /// and the scores of given texts. The server of this crate speaks it.
    Vllm,
}

impl Dialect {
    /// OpenAI's own servers speak OpenAI's API; those of others mostly know vLLM's extensions, or pass over them.
    fn of(address: &RemoteAddress) -> Self {
        let host = address.host();
        let belongs_to =
            |domain: &str| host.strip_suffix(domain).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
        match ["openai.com", "openai.azure.com"].into_iter().any(belongs_to) {
            true => Self::OpenAi,
            false => Self::Vllm,
        }
    }
}

/// When a failed attempt is repeated: after transport errors, the statuses 408, 409, 429 and 5xx, and answers that are none.
///
/// The wait before retry `n` (from 1) is `first_wait * 2^(n - 1)`, at most `longest_wait`, times a random factor in
/// `0.5..1`. A server's `Retry-After` lengthens it, and then holds for all requests of the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts after the first. Default 5.
    pub retries: u32,
    /// Default 1 s.
    pub first_wait: Duration,
    /// Default 60 s.
    pub longest_wait: Duration,
    /// A server that asks for more is not waited for: the request fails. Default 10 min.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            longest_retry_after: Duration::from_secs(600),
        }
    }
}

/// How long a server is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until a connection stands. Default 10 s.
    pub connect: Duration,
    /// A whole attempt, from its beginning to the last byte of the answer. Default 10 min.
    pub request: Duration,
    /// Longest silence within a streamed answer, headers included; an answer in one piece has to be there so long after its
    /// headers. Default 2 min.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), request: Duration::from_secs(600), idle: Duration::from_secs(120) }
    }
}

/// What a million tokens cost, in any currency.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Prices {
    /// A million prompt tokens.
    pub prompt: f64,
    /// A million new tokens.
    pub new: f64,
}

impl Prices {
    /// What so many tokens cost. Rebates on prompts that the server had cached are not known here.
    pub fn cost(&self, prompt_tokens: u64, new_tokens: u64) -> f64 {
        (self.prompt * prompt_tokens as f64 + self.new * new_tokens as f64) / 1e6
    }

    fn are_valid(&self) -> bool {
        [self.prompt, self.new].iter().all(|price| price.is_finite() && *price >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_follows_from_the_host() {
        let dialect = |url: &str| Dialect::of(&RemoteAddress::new("a", url).unwrap());
        assert_eq!(dialect("https://api.openai.com/v1"), Dialect::OpenAi);
        assert_eq!(dialect("https://mine.openai.azure.com/openai/v1"), Dialect::OpenAi);
        assert_eq!(dialect("http://localhost:8000/v1"), Dialect::Vllm);
        assert_eq!(dialect("https://notopenai.com/v1"), Dialect::Vllm);
    }

    #[test]
    fn a_million_tokens_cost_their_price() {
        let prices = Prices { prompt: 2.5, new: 10.0 };
        assert_eq!(prices.cost(1_000_000, 500_000), 7.5);
    }

    #[test]
    fn settings_that_let_nothing_succeed_are_refused() {
        let options = RemoteOptions::new(RemoteAddress::new("a", "http://localhost/v1").unwrap());
        assert!(options.validate().is_ok());
        assert!(RemoteOptions { concurrency: 0, ..options.clone() }.validate().is_err());
        let patience = Patience { idle: Duration::ZERO, ..Patience::default() };
        assert!(RemoteOptions { patience, ..options.clone() }.validate().is_err());
        let prices = Some(Prices { prompt: f64::NAN, new: 1.0 });
        assert!(RemoteOptions { prices, ..options }.validate().is_err());
    }
}
