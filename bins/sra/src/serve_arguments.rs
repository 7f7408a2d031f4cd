//! The command line of being a server.

use std::net::SocketAddr;

use clap::Args;
use command_line::{Failure, Key, Runtime};
use llm_runtime::{ApiKey, KeySource};

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
