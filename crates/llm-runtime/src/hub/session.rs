//! One pass over a repository's files: what the cache lacks is downloaded, with another attempt after a dropped connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::error::{HubError, HubFile};
use super::failure::{Failure, guarded};
use super::{DownloadProgress, HubSource, is_plain_name, stays_inside, without_credentials};

const PUBLIC_ENDPOINT: &str = "https://huggingface.co";
/// Attempts per file, with growing pauses between them.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A progress report per this many bytes.
const REPORT_EVERY: u64 = 1 << 20;

/// An environment variable, if it is set.
fn variable(name: &'static str) -> Result<Option<String>, HubError> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(HubError::Variable { name }),
    }
}

/// One pass over a repository's files.
pub(super) struct Session<'a> {
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
    pub(super) fn open(source: &'a HubSource, progress: &'a mut dyn FnMut(DownloadProgress)) -> Result<Self, HubError> {
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
    pub(super) fn folder(&mut self) -> Result<Option<PathBuf>, HubError> {
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

    pub(super) fn required(&mut self, file: &str, advice: &str) -> Result<PathBuf, HubError> {
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
