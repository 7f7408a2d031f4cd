//! The options of a model behind a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use llm_runtime::{Dialect, KeySource, Patience, Prices, RemoteAddress, RemoteOptions, RetryPolicy};

/// Where a key comes from. There is no option for the key itself: other users of the machine could read it.
#[derive(Debug, Clone, Default, Args)]
pub struct Key {
    /// Environment variable that holds the API key
    #[arg(long, value_name = "NAME")]
    pub api_key_env: Option<String>,
    /// File that holds the API key and nothing else
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_env")]
    pub api_key_file: Option<PathBuf>,
}

impl Key {
    /// Where the key is, if the options say so.
    pub fn named(&self) -> Option<KeySource> {
        let variable = self.api_key_env.clone().map(KeySource::Variable);
        variable.or_else(|| self.api_key_file.clone().map(KeySource::File))
    }
}

/// A model behind a server.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model behind a server (--model openai:NAME@URL; key: OPENAI_API_KEY unless named)")]
pub struct Server {
    /// Where its key comes from
    #[command(flatten)]
    pub key: Key,
    /// Which API the server speaks: openai, or vllm, which knows more parameters [default: openai for OpenAI's hosts, else
    /// vllm]
    #[arg(long, value_parser = dialect, value_name = "openai|vllm")]
    pub api: Option<Dialect>,
    /// Requests under way at a time [default: 8]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<usize>,
    /// Attempts after a first one that failed [default: 5]
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// Longest time for one attempt [default: 600]
    #[arg(long, value_parser = seconds, value_name = "SECONDS")]
    pub request_timeout: Option<Duration>,
    /// Least time between two attempts [default: 0]
    #[arg(long, value_parser = seconds, value_name = "SECONDS")]
    pub min_delay: Option<Duration>,
    /// What a million prompt tokens cost
    #[arg(long, value_name = "PRICE")]
    pub price_in: Option<f64>,
    /// What a million new tokens cost
    #[arg(long, value_name = "PRICE")]
    pub price_out: Option<f64>,
    /// Keep every answer in this file, and ask nothing that it answers
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
}

impl Server {
    /// What the options mean for a server.
    pub fn options(&self, address: RemoteAddress) -> RemoteOptions {
        let defaults = RemoteOptions::new(address);
        RemoteOptions {
            key: self.key.named().unwrap_or_default(),
            dialect: self.api,
            concurrency: self.concurrency.unwrap_or(defaults.concurrency),
            retry: RetryPolicy { retries: self.retries.unwrap_or(defaults.retry.retries), ..defaults.retry },
            patience: self.request_timeout.map_or(defaults.patience, |request| Patience {
                request,
                connect: defaults.patience.connect.min(request),
                idle: defaults.patience.idle.min(request),
            }),
            minimum_delay: self.min_delay.unwrap_or(defaults.minimum_delay),
            prices: (self.price_in.is_some() || self.price_out.is_some())
                .then(|| Prices { prompt: self.price_in.unwrap_or(0.0), new: self.price_out.unwrap_or(0.0) }),
            journal: self.journal.clone(),
            ..defaults
        }
    }

    /// The first of these options that was given: a local model has no use for it.
    pub fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("--api-key-env", self.key.api_key_env.is_some()),
            ("--api-key-file", self.key.api_key_file.is_some()),
            ("--api", self.api.is_some()),
            ("--concurrency", self.concurrency.is_some()),
            ("--retries", self.retries.is_some()),
            ("--request-timeout", self.request_timeout.is_some()),
            ("--min-delay", self.min_delay.is_some()),
            ("--price-in", self.price_in.is_some()),
            ("--price-out", self.price_out.is_some()),
            ("--journal", self.journal.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }
}

fn dialect(text: &str) -> Result<Dialect, String> {
    match text {
        "openai" => Ok(Dialect::OpenAi),
        "vllm" => Ok(Dialect::Vllm),
        _ => Err("expected openai or vllm".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("`{text}` is not a number of seconds from 0 on"))
}
