//! Models by hub id: downloads what a model needs from the Hugging Face hub, or from any server that speaks its protocol.
//!
//! Files go through `hf-hub` into the cache that the Python library uses as well (`HF_HOME`), so that a model downloaded
//! by either is there for both. Around it stand what a person at the keyboard needs: errors that say what to do, names and
//! sizes that are checked before they are believed, and another attempt after a dropped connection.

mod error;
mod failure;
mod session;

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

pub use self::error::{HubError, HubFile};
use self::session::Session;

/// A model on a hub. Parsed from `owner/name`, `owner/name@revision`, or either followed by `:file.gguf`.
#[derive(Clone, PartialEq, Eq)]
pub struct HubSource {
    /// `owner/name`.
    pub repo: String,
    /// Branch, tag or commit; `main` unless given.
    pub revision: String,
    /// The one `.gguf` file that is wanted, relative to the repository; without it a whole Hugging Face folder is.
    pub file: Option<String>,
    /// The server instead of the one in `HF_ENDPOINT` or the public one.
    pub endpoint: Option<String>,
    /// The cache folder instead of the one under `HF_HOME`.
    pub cache_dir: Option<PathBuf>,
    /// The access token instead of the one in `HF_TOKEN` or in the token file of the cache. It never appears in messages.
    pub token: Option<String>,
}

/// How far the download of one file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadProgress {
    /// The file's name in the repository.
    pub file: String,
    /// Bytes that are here, those of an earlier attempt included.
    pub downloaded: u64,
    /// Bytes of the whole file.
    pub total: u64,
}

impl FromStr for HubSource {
    type Err = HubError;

    fn from_str(id: &str) -> Result<Self, HubError> {
        let (rest, file) = match id.split_once(':') {
            Some((rest, file)) => (rest, Some(file.to_string())),
            None => (id, None),
        };
        let (repo, revision) = rest.split_once('@').unwrap_or((rest, "main"));
        let source = Self {
            repo: repo.to_string(),
            revision: revision.to_string(),
            file,
            endpoint: None,
            cache_dir: None,
            token: None,
        };
        source.check().map(|()| source)
    }
}

impl fmt::Debug for HubSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSource")
            .field("repo", &self.repo)
            .field("revision", &self.revision)
            .field("file", &self.file)
            .field("endpoint", &self.endpoint.as_deref().map(without_credentials))
            .field("cache_dir", &self.cache_dir)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .finish()
    }
}

impl HubSource {
    /// Fetches what is not in the cache yet and returns the folder of the model, or the file for a `.gguf`. `progress` is told
    /// of each file at its start, every MiB, and at its end. A model that is complete in the cache needs no network.
    ///
    /// The folder has `config.json`, `tokenizer.json` or `tokenizer.model`, the weights (`model.safetensors`, or
    /// `model.safetensors.index.json` and its shards), and where the repository has them `generation_config.json`,
    /// `tokenizer_config.json`, `special_tokens_map.json` and `chat_template.jinja`.
    ///
    /// # Errors
    /// See [`HubError`].
    pub fn fetch(&self, progress: &mut dyn FnMut(DownloadProgress)) -> Result<PathBuf, HubError> {
        self.check()?;
        for _ in 0..3 {
            let mut session = Session::open(self, progress)?;
            let path = match &self.file {
                Some(file) => {
                    return session.required(file, "the repository has no such file: look at its list of files");
                }
                None => session.folder()?,
            };
            if let Some(folder) = path {
                return Ok(folder);
            }
        }
        Err(HubError::Moved { repo: self.repo.clone(), revision: self.revision.clone() })
    }

    /// The parts end up in URLs and paths, so that each must be plain.
    fn check(&self) -> Result<(), HubError> {
        let id = || format!("{}@{}", self.repo, self.revision);
        let refuse = |problem: &str| Err(HubError::InvalidId { id: id(), problem: problem.to_string() });
        match self.repo.split_once('/') {
            Some((owner, name)) if is_plain_name(owner) && is_plain_name(name) => {}
            _ => return refuse("owner and name are letters, digits, `-`, `_` and `.`, with one `/` between them"),
        }
        if !self.revision.split('/').all(is_plain_name) {
            return refuse("the revision is not a branch, tag or commit");
        }
        match &self.file {
            Some(file) if !file.ends_with(".gguf") || !file.split('/').all(is_plain_name) => {
                refuse("what follows `:` is not the plain name of a .gguf file")
            }
            _ => Ok(()),
        }
    }
}

/// Whether a name is safe as one component of a path and of a URL.
fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

/// Whether a relative path stays in the folder that it is joined to.
fn stays_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// `user:password@` is left out of an address.
fn without_credentials(endpoint: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
        }
        None => endpoint.to_string(),
    }
}
