//! The command line of models behind servers, and of being such a server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use llm_runtime::{ApiKey, Dialect, KeySource, Patience, Prices, RemoteAddress, RemoteOptions, RetryPolicy};

use crate::arguments::Runtime;
use crate::failure::Failure;

/// Where a key comes from. There is no option for the key itself: other users of the machine could read it.
#[derive(Debug, Default, Args)]
pub(crate) struct Key {
    /// Environment variable that holds the API key
    #[arg(long, value_name = "NAME")]
    pub(crate) api_key_env: Option<String>,
    /// File that holds the API key and nothing else
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_env")]
    pub(crate) api_key_file: Option<PathBuf>,
}

impl Key {
    fn named(&self) -> Option<KeySource> {
        let variable = self.api_key_env.clone().map(KeySource::Variable);
        variable.or_else(|| self.api_key_file.clone().map(KeySource::File))
    }
}

/// A model behind a server.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Model behind a server (--model openai:NAME@URL; key: OPENAI_API_KEY unless named)")]
pub(crate) struct Server {
    #[command(flatten)]
    pub(crate) key: Key,
    /// Which API the server speaks: openai, or vllm, which knows more parameters [default: openai for OpenAI's hosts, else
    /// vllm]
    #[arg(long, value_parser = dialect, value_name = "openai|vllm")]
    pub(crate) api: Option<Dialect>,
    /// Requests under way at a time [default: 8]
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
    /// Attempts after a first one that failed [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// Longest time for one attempt [default: 600]
    #[arg(long, value_parser = seconds, value_name = "SECONDS")]
    pub(crate) request_timeout: Option<Duration>,
    /// Least time between two attempts [default: 0]
    #[arg(long, value_parser = seconds, value_name = "SECONDS")]
    pub(crate) min_delay: Option<Duration>,
    /// What a million prompt tokens cost
    #[arg(long, value_name = "PRICE")]
    pub(crate) price_in: Option<f64>,
    /// What a million new tokens cost
    #[arg(long, value_name = "PRICE")]
    pub(crate) price_out: Option<f64>,
    /// Keep every answer in this file, and ask nothing that it answers
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
}

impl Server {
    /// What the options mean for a server.
    pub(crate) fn options(&self, address: RemoteAddress) -> RemoteOptions {
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
    pub(crate) fn first_given(&self) -> Option<&'static str> {
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

/// Serve a model to clients of OpenAI's API
///
/// Answers /v1/chat/completions, /v1/completions and /v1/models, for one model, to any number of clients; their requests are computed in
/// one batch. Listens on this machine only, unless --address says otherwise. Ctrl-C ends it.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// demo, a .gguf file, a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub(crate) address: SocketAddr,
    /// The model's name for clients [default: the last part of --model]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Also answer to this host name; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,
    #[command(flatten)]
    pub(crate) key: Key,
    /// Answers that are made or waited for at a time, over all clients; further requests are refused
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub(crate) queue: usize,
    /// Largest request, e.g. 4M
    #[arg(long, default_value = "4M", value_parser = llm_runtime::parse_bytes, value_name = "SIZE")]
    pub(crate) largest_request: u64,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
}

impl Serve {
    /// The key that clients have to send; without an option for it, none.
    pub(crate) fn key(&self) -> Result<Option<ApiKey>, Failure> {
        Ok(self.key.named().unwrap_or(KeySource::Nowhere).read()?)
    }

    /// The model's name for clients.
    pub(crate) fn name(&self) -> String {
        let last = self.model.trim_end_matches('/').rsplit('/').next().unwrap_or(&self.model);
        self.name.clone().unwrap_or_else(|| last.to_owned())
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
