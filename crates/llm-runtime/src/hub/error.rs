//! Why a model could not be fetched.

use std::fmt;
use std::path::PathBuf;

/// A file on a hub, as errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// `owner/name`.
    pub repo: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The file's name.
    pub file: String,
    /// The server.
    pub endpoint: String,
}

impl fmt::Display for HubFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}: {} (from {})", self.repo, self.revision, self.file, self.endpoint)
    }
}

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The id or one of its parts is malformed.
    #[error("hub id `{id}`: {problem} (expected owner/name, owner/name@revision or owner/name:file.gguf)")]
    InvalidId {
        /// What was given.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The server has no such file, revision or repository.
    #[error("{at}: not found (status 404): {advice}")]
    NotFound {
        /// Which.
        at: Box<HubFile>,
        /// What to do.
        advice: String,
    },
    /// The server wants to know who asks, or does not let them.
    #[error(
        "{at}: access refused (status {status}): the id is misspelt (the hub answers so for unknown ids), or the model is private or gated: \
         accept its licence on its page and give a token that may read it (HF_TOKEN, or log in with the hub's own tool)"
    )]
    Refused {
        /// What was asked for.
        at: Box<HubFile>,
        /// 401 or 403.
        status: u16,
    },
    /// The server answered with another status.
    #[error(
        "{at}: the server answered with status {status}, after {attempts} attempt(s): try again later, or another endpoint (HF_ENDPOINT)"
    )]
    Status {
        /// What was asked for.
        at: Box<HubFile>,
        /// The status.
        status: u16,
        /// How often it was asked.
        attempts: u32,
    },
    /// The server could not be reached, or the connection dropped every time.
    #[error(
        "{at}: no complete answer after {attempts} attempt(s): {problem}: check the network, the proxy and the endpoint (HF_ENDPOINT); \
         what was downloaded is kept, and the next run continues there"
    )]
    Connection {
        /// What was asked for.
        at: Box<HubFile>,
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        problem: String,
    },
    /// The server's answer is not that of a hub.
    #[error("{at}: the answer is not that of a model hub: {problem}: check the endpoint (HF_ENDPOINT)")]
    Protocol {
        /// What was asked for.
        at: Box<HubFile>,
        /// What is missing or wrong.
        problem: String,
    },
    /// The index of the weights' shards can't be used.
    #[error(
        "{at}: damaged index: {problem}: the repository is broken, or delete the file from the cache to fetch it anew"
    )]
    Index {
        /// Which.
        at: Box<HubFile>,
        /// What is wrong.
        problem: String,
    },
    /// The cache folder can't be used.
    #[error(
        "{at}: the cache could not be written: {problem}: check space and permissions, or choose another folder (HF_HOME)"
    )]
    Cache {
        /// What was to be written.
        at: Box<HubFile>,
        /// The system's answer.
        problem: String,
    },
    /// Another process is downloading the same file.
    #[error("{at}: another process is downloading this file: wait for it, or remove {lock} if there is none")]
    Locked {
        /// Which.
        at: Box<HubFile>,
        /// The lock file.
        lock: PathBuf,
    },
    /// An environment variable holds something that is no text. It is not shown: it may be a secret.
    #[error("environment variable {name}: its value is not UTF-8 text: set it anew, or unset it")]
    Variable {
        /// Its name.
        name: &'static str,
    },
    /// The revision kept changing while its files were fetched.
    #[error(
        "{repo}@{revision}: the revision changed during the download: run again, or name a commit (owner/name@commit)"
    )]
    Moved {
        /// `owner/name`.
        repo: String,
        /// The branch.
        revision: String,
    },
}
