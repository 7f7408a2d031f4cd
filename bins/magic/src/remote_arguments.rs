//! The command line of a model behind a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use llm_runtime::{Dialect, KeySource, Patience, Prices, RemoteAddress, RemoteOptions, RetryPolicy};

/// A model behind a server. There is no option for the key itself: other users of the machine could read it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model behind a server (key: OPENAI_API_KEY unless named)")]
pub(crate) struct Server {
    /// Environment variable that holds the API key
    #[arg(long, value_name = "NAME")]
    pub(crate) api_key_env: Option<String>,
    /// File that holds the API key and nothing else
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_env")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Known from the published code, and refused: it would show the key to everybody on the machine
    #[arg(long, hide = true, value_name = "KEY")]
    pub(crate) openai_api_key: Option<String>,
    /// Which API the server speaks: openai, or vllm, which knows more parameters [default: openai for OpenAI's hosts, else
    /// vllm]
    #[arg(long, value_parser = dialect, value_name = "openai|vllm")]
    pub(crate) api: Option<Dialect>,
    /// Requests under way at a time
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub(crate) concurrency: usize,
    /// Attempts after a first one that failed
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) retries: u32,
    /// Longest time for one attempt
    #[arg(long, default_value = "600", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) request_timeout: Duration,
    /// Least time between two attempts
    #[arg(long, default_value = "3", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) min_delay: Duration,
    /// What a million prompt tokens cost
    #[arg(long, value_name = "PRICE")]
    pub(crate) price_in: Option<f64>,
    /// What a million new tokens cost
    #[arg(long, value_name = "PRICE")]
    pub(crate) price_out: Option<f64>,
}

impl Server {
    /// What the options mean for a server.
    pub(crate) fn options(&self, address: RemoteAddress) -> RemoteOptions {
        let defaults = RemoteOptions::new(address);
        let (request, usual) = (self.request_timeout, defaults.patience);
        RemoteOptions {
            key: self.key(),
            dialect: self.api,
            concurrency: self.concurrency,
            retry: RetryPolicy { retries: self.retries, ..defaults.retry },
            patience: Patience { request, connect: usual.connect.min(request), idle: usual.idle.min(request) },
            minimum_delay: self.min_delay,
            prices: (self.price_in.is_some() || self.price_out.is_some())
                .then(|| Prices { prompt: self.price_in.unwrap_or(0.0), new: self.price_out.unwrap_or(0.0) }),
            ..defaults
        }
    }

    fn key(&self) -> KeySource {
        match (&self.api_key_env, &self.api_key_file) {
            (Some(name), _) => KeySource::Variable(name.clone()),
            (None, Some(path)) => KeySource::File(path.clone()),
            (None, None) => KeySource::Usual,
        }
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
