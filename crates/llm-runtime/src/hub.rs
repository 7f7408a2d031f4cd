//! Models by hub id: downloads what a model needs from the Hugging Face hub, or from any server that speaks its protocol.
//!
//! Files go through `hf-hub` into the cache that the Python library uses as well (`HF_HOME`), so that a model downloaded
//! by either is there for both. Around it stand what a person at the keyboard needs: errors that say what to do, names and
//! sizes that are checked before they are believed, and another attempt after a dropped connection.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

const PUBLIC_ENDPOINT: &str = "https://huggingface.co";
/// Attempts per file, with growing pauses between them.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A progress report per this many bytes.
const REPORT_EVERY: u64 = 1 << 20;

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

/// An environment variable, if it is set.
fn variable(name: &'static str) -> Result<Option<String>, HubError> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(HubError::Variable { name }),
    }
}

/// One pass over a repository's files.
struct Session<'a> {
    source: &'a HubSource,
    endpoint: String,
    api: Api,
    cache: Cache,
    progress: &'a mut dyn FnMut(DownloadProgress),
    /// Whether anything had to come from the network.
    downloaded: bool,
    /// Folders of the files so far; more than one if the revision moved.
    folders: Vec<PathBuf>,
}

impl<'a> Session<'a> {
    fn open(source: &'a HubSource, progress: &'a mut dyn FnMut(DownloadProgress)) -> Result<Self, HubError> {
        let given = source.endpoint.clone().map_or_else(|| variable("HF_ENDPOINT"), |given| Ok(Some(given)))?;
        let endpoint = given.unwrap_or_else(|| PUBLIC_ENDPOINT.to_string()).trim_end_matches('/').to_string();
        let token = source.token.clone().map_or_else(|| variable("HF_TOKEN"), |given| Ok(Some(given)))?;
        // hf-hub panics where there is no home folder, for one.
        let built = guarded(|| {
            let cache = source.cache_dir.clone().map_or_else(Cache::from_env, Cache::new);
            let mut builder = ApiBuilder::from_env()
                .with_endpoint(endpoint.clone())
                .with_cache_dir(cache.path().clone())
                .with_progress(false)
                .with_retries(0);
            if let Some(token) = token.map(|token| token.trim().to_string()).filter(|token| !token.is_empty()) {
                builder = builder.with_token(Some(token));
            }
            Ok((builder.build()?, cache))
        });
        match built {
            Ok((api, cache)) => {
                Ok(Self { source, endpoint, api, cache, progress, downloaded: false, folders: Vec::new() })
            }
            Err(failure) => {
                let at = Box::new(hub_file(source, &endpoint, "any file"));
                Err(HubError::Cache { at, problem: failure.problem() })
            }
        }
    }

    /// All files of a Hugging Face folder, or nothing if the revision moved in between.
    fn folder(&mut self) -> Result<Option<PathBuf>, HubError> {
        self.required(
            "config.json",
            "check the spelling of id and revision; a repository with GGUF files only needs owner/name:file.gguf",
        )?;
        if self.optional("tokenizer.json")?.is_none() {
            self.required("tokenizer.model", "the repository has no tokenizer.json either: give one with --tokenizer")?;
        }
        match self.optional("model.safetensors.index.json")? {
            Some(index) => {
                for shard in self.shards(&index)? {
                    self.required(&shard, "the index names this shard, but the repository lacks it")?;
                }
            }
            None => {
                let advice = "the repository has no weights as safetensors: look for a converted one, or for owner/name:file.gguf";
                self.required("model.safetensors", advice)?;
            }
        }
        for file in
            ["generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"]
        {
            self.optional(file)?;
        }
        self.folders.dedup();
        Ok(if self.folders.len() == 1 { self.folders.pop() } else { None })
    }

    /// The shards that an index names, each once.
    fn shards(&self, path: &Path) -> Result<Vec<String>, HubError> {
        let refuse = |problem: String| HubError::Index { at: self.at("model.safetensors.index.json"), problem };
        let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        let index: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        let map = index.get("weight_map").and_then(|map| map.as_object());
        let map = map.ok_or_else(|| refuse("the object `weight_map` is missing".to_string()))?;
        let mut shards = Vec::new();
        for (tensor, shard) in map {
            match shard.as_str() {
                Some(name) if is_plain_name(name) && name.ends_with(".safetensors") => shards.push(name.to_string()),
                _ => {
                    return Err(refuse(format!(
                        "tensor `{tensor}` is in {shard}, which is not a plain .safetensors name"
                    )));
                }
            }
        }
        shards.sort_unstable();
        shards.dedup();
        if shards.is_empty() {
            return Err(refuse("`weight_map` is empty".to_string()));
        }
        Ok(shards)
    }

    fn required(&mut self, file: &str, advice: &str) -> Result<PathBuf, HubError> {
        match self.get(file)? {
            Some(path) => Ok(path),
            None => Err(HubError::NotFound { at: self.at(file), advice: advice.to_string() }),
        }
    }

    /// The file, or nothing where the repository lacks it. Without a network, too, a file that is not in the cache counts as
    /// lacking as long as everything else came from there.
    fn optional(&mut self, file: &str) -> Result<Option<PathBuf>, HubError> {
        match self.get(file) {
            Err(HubError::Connection { at, problem, .. }) if !self.downloaded && self.config_is_cached() => {
                tracing::warn!(file = %at, problem, "the hub is not reachable; going on with what is in the cache");
                Ok(None)
            }
            other => other,
        }
    }

    fn config_is_cached(&self) -> bool {
        self.cache.repo(self.repo()).get("config.json").is_some()
    }

    /// The file from the cache or the hub; nothing where the hub does not have it.
    fn get(&mut self, file: &str) -> Result<Option<PathBuf>, HubError> {
        let path = match self.cache.repo(self.repo()).get(file) {
            Some(path) => path,
            None => match self.download(file)? {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        self.folders.extend(path.parent().map(Path::to_path_buf));
        Ok(Some(path))
    }

    fn download(&mut self, file: &str) -> Result<Option<PathBuf>, HubError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(file) {
                Ok(path) => {
                    self.downloaded = true;
                    return Ok(Some(path));
                }
                Err(Failure::Status(404)) => return Ok(None),
                Err(failure) => failure,
            };
            if attempt == ATTEMPTS || !failure.may_pass() {
                return Err(self.explain(file, failure, attempt));
            }
            tracing::debug!(file, attempt, problem = failure.problem(), "the download failed; trying again");
            std::thread::sleep(pause);
            pause *= 2;
            attempt += 1;
        }
    }

    /// Asks for the file's size and name in the cache, checks them, and downloads it, from where an earlier attempt ended.
    fn attempt(&mut self, file: &str) -> Result<PathBuf, Failure> {
        let repo: ApiRepo = self.api.repo(self.repo());
        let metadata = guarded(|| self.api.metadata(&repo.url(file)))?;
        if !stays_inside(metadata.etag()) || !is_plain_name(metadata.commit_hash()) {
            return Err(Failure::Protocol("its ETag or X-Repo-Commit is not usable as a file name".to_string()));
        }
        let expected = metadata.size() as u64;
        let report = Report { progress: self.progress, file, total: expected, downloaded: 0, told: None };
        let outcome = guarded(|| repo.download_with_progress(file, report));
        let part = self.cache.repo(self.repo()).blob_path(metadata.etag()).with_extension("part");
        match outcome {
            Ok(path) => match std::fs::metadata(&path).map(|found| found.len()) {
                Ok(size) if size == expected => Ok(path),
                found => {
                    remove_download(&path);
                    let found = found.map_or_else(|error| error.to_string(), |size| format!("{size} came"));
                    Err(Failure::Dropped(format!("{expected} bytes were announced, but {found}")))
                }
            },
            Err(failure @ (Failure::Status(416) | Failure::UnusablePart)) => {
                // What an earlier attempt left can't be continued: it is complete already, or of another file.
                remove_quietly(&part);
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    fn explain(&self, file: &str, failure: Failure, attempts: u32) -> HubError {
        let at = self.at(file);
        match failure {
            Failure::Status(status @ (401 | 403)) => HubError::Refused { at, status },
            Failure::Status(status) => HubError::Status { at, status, attempts },
            Failure::Protocol(problem) => HubError::Protocol { at, problem },
            Failure::Disk(problem) => HubError::Cache { at, problem },
            Failure::Locked(lock) => HubError::Locked { at, lock },
            failure => HubError::Connection { at, attempts, problem: failure.problem() },
        }
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.source.repo.clone(), RepoType::Model, self.source.revision.clone())
    }

    fn at(&self, file: &str) -> Box<HubFile> {
        Box::new(hub_file(self.source, &self.endpoint, file))
    }
}

fn hub_file(source: &HubSource, endpoint: &str, file: &str) -> HubFile {
    HubFile {
        repo: source.repo.clone(),
        revision: source.revision.clone(),
        file: file.to_string(),
        endpoint: without_credentials(endpoint),
    }
}

/// What went wrong in one attempt.
#[derive(Debug)]
enum Failure {
    Status(u16),
    /// The connection or the answer ended early.
    Dropped(String),
    /// There is no connection to be had.
    Unreachable(String),
    /// What is left of an earlier attempt is larger than the file.
    UnusablePart,
    Protocol(String),
    Disk(String),
    Locked(PathBuf),
}

impl Failure {
    /// Whether another attempt could succeed.
    fn may_pass(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 408 | 416 | 429 | 500..=599),
            Self::Dropped(_) | Self::UnusablePart => true,
            Self::Unreachable(_) | Self::Protocol(_) | Self::Disk(_) | Self::Locked(_) => false,
        }
    }

    fn problem(&self) -> String {
        match self {
            Self::Status(status) => format!("status {status}"),
            Self::Dropped(problem) | Self::Unreachable(problem) | Self::Protocol(problem) | Self::Disk(problem) => {
                problem.clone()
            }
            Self::UnusablePart => "the part left by an earlier download can't be continued".to_string(),
            Self::Locked(lock) => format!("{} is locked", lock.display()),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::RequestError(request) => {
                // The HTTP client is hf-hub's own; its error can only be told apart by its text and its I/O cause.
                let text = request.to_string();
                if let Some(status) = text.strip_prefix("http status: ").and_then(|status| status.parse().ok()) {
                    return Self::Status(status);
                }
                if text.starts_with("bad uri") || text.starts_with("http: ") {
                    // The client's text would repeat the address with a password in it.
                    return Self::Protocol("the endpoint or the token is malformed".to_string());
                }
                match request.into_io().kind() {
                    std::io::ErrorKind::ConnectionRefused => Self::Unreachable(text),
                    _ if text == "host not found" => Self::Unreachable(text),
                    _ => Self::Dropped(text),
                }
            }
            ApiError::IoError(error) => {
                use std::io::ErrorKind as Kind;
                let network = matches!(
                    error.kind(),
                    Kind::ConnectionReset
                        | Kind::ConnectionAborted
                        | Kind::BrokenPipe
                        | Kind::TimedOut
                        | Kind::WouldBlock
                );
                // An error that the operating system did not number comes from the reader of the answer.
                match error.raw_os_error() {
                    Some(_) if !network => Self::Disk(error.to_string()),
                    _ => Self::Dropped(error.to_string()),
                }
            }
            ApiError::InvalidResume => Self::UnusablePart,
            ApiError::LockAcquisition(lock) => Self::Locked(lock),
            ApiError::TooManyRetries(error) => (*error).into(),
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// Runs a call into hf-hub, which panics on some answers (a redirect without a target, say).
fn guarded<T>(call: impl FnOnce() -> Result<T, ApiError>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(_) => Err(Failure::Protocol("the download library could not handle it".to_string())),
    }
}

/// Passes hf-hub's progress on, less often.
struct Report<'a> {
    progress: &'a mut dyn FnMut(DownloadProgress),
    file: &'a str,
    total: u64,
    downloaded: u64,
    told: Option<u64>,
}

impl Report<'_> {
    fn tell(&mut self) {
        if self.told != Some(self.downloaded) {
            self.told = Some(self.downloaded);
            (self.progress)(DownloadProgress {
                file: self.file.to_string(),
                downloaded: self.downloaded,
                total: self.total,
            });
        }
    }
}

impl Progress for Report<'_> {
    fn init(&mut self, size: usize, _filename: &str) {
        self.total = size as u64;
        self.downloaded = 0;
    }

    fn update(&mut self, size: usize) {
        self.downloaded += size as u64;
        if self.told.is_none_or(|told| self.downloaded - told.min(self.downloaded) >= REPORT_EVERY) {
            self.tell();
        }
    }

    fn finish(&mut self) {
        self.tell();
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

/// Removes a file of the cache together with what it points to.
fn remove_download(path: &Path) {
    if let Ok(blob) = path.canonicalize() {
        remove_quietly(&blob);
    }
    remove_quietly(path);
}

fn remove_quietly(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a damaged download could not be removed");
    }
}
