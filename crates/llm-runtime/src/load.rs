//! From what a user names (`--model`) to an [`Engine`].

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;

use crate::engine::IdentityParts;
use crate::hub::HubSource;
use crate::memory::{available_memory, format_bytes};
use crate::sha256::{sha256_of, sha256_of_files};
use crate::weights::{LoadProgress, WeightOptions, Weights};
use crate::{
    ChatTemplate, DeviceChoice, Engine, EngineOptions, Error, LinearLoader, Llama, LlamaConfig, ModelIdentity,
    Tokenizer, input_file,
};

/// What to load and how.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// A `.gguf` file, a Hugging Face folder, or a hub id (`owner/name`, `owner/name@revision`, `owner/name:file.gguf`).
    pub model: String,
    /// A model that is part of the program. It is loaded where `model` is its name; a folder of that name is written `./name`.
    pub embedded: Option<EmbeddedModel>,
    /// A tokenizer instead of the model's own: `tokenizer.json`, `tokenizer.model` or a folder with one of them.
    pub tokenizer: Option<PathBuf>,
    /// A chat template instead of the model's own: a built-in's name or a Jinja file.
    pub chat_template: Option<String>,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Types of the weights in memory.
    pub weights: WeightOptions,
    /// Limits of the engine.
    pub engine: EngineOptions,
    /// The hub to ask instead of the one in `HF_ENDPOINT` or the public one.
    pub hub_endpoint: Option<String>,
    /// Where downloads are kept instead of `HF_HOME`.
    pub hub_cache: Option<PathBuf>,
}

/// A GGUF file that was compiled into the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedModel {
    /// What messages and records call it.
    pub name: &'static str,
    /// The file.
    pub gguf: &'static [u8],
}

impl std::fmt::Debug for EmbeddedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmbeddedModel({}, {} bytes)", self.name, self.gguf.len())
    }
}

impl LoadOptions {
    /// Loads `model` with defaults for everything else.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), ..Self::default() }
    }

    /// Where `model` is on this machine: a path as it is, a hub id after a download.
    ///
    /// # Errors
    /// There is no such path and no such id, or the download fails.
    pub fn resolve(&self, progress: &dyn Fn(LoadEvent)) -> Result<PathBuf, Error> {
        resolve(self, progress)
    }

    /// The model that is part of the program, if it is the one that is asked for.
    pub(crate) fn embedded_model(&self) -> Option<EmbeddedModel> {
        self.embedded.filter(|embedded| self.model == embedded.name)
    }
}

/// What loading is busy with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEvent {
    /// A file comes from the hub.
    Download(crate::hub::DownloadProgress),
    /// Tensors are read.
    Weights(LoadProgress),
}

/// A loaded model with what belongs to it, before it is put to work: for training, or for an [`Engine`].
pub struct PretrainedModel {
    /// The model.
    pub llama: Arc<Llama>,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its chat template, if it has one.
    pub template: Option<ChatTemplate>,
    eos: Vec<u32>,
    identity: IdentityParts,
}

/// Builds the model from its parameters; the place where a caller puts adapters between loader and model.
pub type BuildLlama<'a> = &'a dyn Fn(&dyn LinearLoader, LlamaConfig, &Device) -> Result<Llama, Error>;

impl PretrainedModel {
    /// Loads a model, its tokenizer and its chat template.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load(options: &LoadOptions, progress: &dyn Fn(LoadEvent)) -> Result<Self, Error> {
        Self::load_through(options, progress, &|loader, config, device| Llama::load(loader, config, device))
    }

    /// As [`Self::load`], with the model built by `build`.
    ///
    /// # Errors
    /// As [`Engine::load`], and those of `build`.
    pub fn load_through(
        options: &LoadOptions,
        progress: &dyn Fn(LoadEvent),
        build: BuildLlama<'_>,
    ) -> Result<Self, Error> {
        let device = options.device.open()?;
        let weights_progress = |at| progress(LoadEvent::Weights(at));
        let (path, weights) = match options.embedded_model() {
            Some(model) => {
                let weights = Weights::open_embedded(model, options.weights, &device, &weights_progress)?;
                (PathBuf::from(model.name), weights)
            }
            None => {
                let path = resolve(options, progress)?;
                let weights = Weights::open(&path, options.weights, &device, &weights_progress)?;
                (path, weights)
            }
        };
        if device.is_cpu() {
            check_memory(&path, weights.memory(), options.engine.kv_memory)?;
        }
        let tokenizer = match &options.tokenizer {
            Some(path) => Tokenizer::open(path)?,
            None => weights.tokenizer()?,
        };
        let template = template(options, &weights, &tokenizer)?;
        let eos = end_of_sequence(&path, &tokenizer)?;
        let identity = match options.embedded_model() {
            Some(model) => IdentityParts {
                name: model.name.to_owned(),
                dtype: weights.type_name(),
                files: Vec::new(),
                sha256: OnceCell::from(sha256_of(model.gguf)),
            },
            None => IdentityParts {
                name: options.model.clone(),
                dtype: weights.type_name(),
                files: weights.files(),
                sha256: OnceCell::new(),
            },
        };
        let llama = Arc::new(build(&weights, weights.config.clone(), &device)?);
        Ok(Self { llama, tokenizer, template, eos, identity })
    }

    /// Which model this is.
    pub fn identity(&self) -> ModelIdentity {
        self.identity.identity(self.template.as_ref())
    }

    /// Which model this is in an engine of these options, as [`Self::into_engine`] makes it.
    pub fn identity_in(&self, options: &EngineOptions) -> ModelIdentity {
        let identity = self.identity();
        ModelIdentity { dtype: options.kv_type.noted(identity.dtype), ..identity }
    }

    /// Gives the model another name, and adds files (of an adapter) to those that make up its identity.
    pub fn rename(&mut self, name: String, files: &[PathBuf]) {
        self.identity.name = name;
        let own = self.identity.sha256.take();
        self.identity.files.extend_from_slice(files);
        if let (Some(own), true) = (own, self.identity.files.len() == files.len()) {
            // Of a model without files of its own: the hash of both hashes.
            let both = format!("{own}{}", sha256_of_files(files).unwrap_or_default());
            self.identity.sha256 = OnceCell::from(sha256_of(both.as_bytes()));
        }
    }

    /// Tokens that end a sequence.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// Puts the model to work.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn into_engine(self, options: &EngineOptions) -> Result<Engine, Error> {
        let Self { llama, tokenizer, template, eos, mut identity } = self;
        identity.dtype = options.kv_type.noted(identity.dtype);
        Ok(Engine::sharing(llama, tokenizer, template, options)?.with_origin(identity, eos))
    }
}

impl Engine {
    /// Loads a model, its tokenizer and its chat template.
    ///
    /// # Errors
    /// Something is missing, damaged, of an unknown architecture, or does not fit into memory.
    pub fn load(options: &LoadOptions, progress: &dyn Fn(LoadEvent)) -> Result<Self, Error> {
        PretrainedModel::load(options, progress)?.into_engine(&options.engine)
    }
}

impl Llama {
    /// Loads only the weights of a `.gguf` file or a Hugging Face folder.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn open(path: &Path, options: WeightOptions, device: &Device) -> Result<Self, Error> {
        Self::open_through(path, options, device, &|loader, config, device| Llama::load(loader, config, device))
    }

    /// As [`Self::open`], with the model built by `build`.
    ///
    /// # Errors
    /// As [`Engine::load`], and those of `build`.
    pub fn open_through(
        path: &Path,
        options: WeightOptions,
        device: &Device,
        build: BuildLlama<'_>,
    ) -> Result<Self, Error> {
        let weights = Weights::open(path, options, device, &|_| ())?;
        build(&weights, weights.config.clone(), device)
    }
}

/// Finds the model on disk, or fetches it.
pub(crate) fn resolve(options: &LoadOptions, progress: &dyn Fn(LoadEvent)) -> Result<PathBuf, Error> {
    let path = PathBuf::from(&options.model);
    match path.metadata() {
        Ok(_) => return Ok(path),
        // Whoever has made a link of this name does not mean a hub.
        Err(error) if path.is_symlink() => {
            let problem = format!("this link leads to nothing that can be read ({error})");
            return Err(Error::Format { path, problem });
        }
        Err(_) => {}
    }
    let looks_like_path =
        options.model.starts_with(['.', '/', '~']) || options.model.ends_with(".gguf") && !options.model.contains(':');
    if looks_like_path || !options.model.contains('/') {
        return Err(Error::Invalid(format!(
            "there is no model at `{}`: expected a .gguf file, a Hugging Face folder or a hub id like owner/name",
            options.model
        )));
    }
    let mut source: HubSource = options.model.parse()?;
    source.endpoint = options.hub_endpoint.clone();
    source.cache_dir = options.hub_cache.clone();
    Ok(source.fetch(&mut |at| progress(LoadEvent::Download(at)))?)
}

fn check_memory(path: &Path, weights: u64, kv_memory: u64) -> Result<(), Error> {
    crate::allocator::release_freed_memory();
    let Some(available) = available_memory() else { return Ok(()) };
    // Activations, logits and the tokenizer: small beside weights of any size that matters.
    let needed = weights + kv_memory + (64 << 20);
    if needed <= available {
        return Ok(());
    }
    Err(Error::Memory {
        what: format!("{} with {} of key/value memory", path.display(), format_bytes(kv_memory)),
        needed: format_bytes(needed),
        available: format_bytes(available),
        advice: "choose a smaller quantisation (--quantize q4_k), lower --kv-memory, or use a larger machine".into(),
    })
}

fn template(
    options: &LoadOptions,
    weights: &Weights<'_>,
    tokenizer: &Tokenizer,
) -> Result<Option<ChatTemplate>, Error> {
    let (name, source) = match &options.chat_template {
        Some(name) => {
            if let Some(template) = ChatTemplate::built_in_by_name(name) {
                return Ok(Some(template));
            }
            let path = PathBuf::from(name);
            let source = match input_file::read_template(&path) {
                // It would render every chat as nothing.
                Ok(source) if source.trim().is_empty() => {
                    return Err(Error::Format {
                        path,
                        problem: "nothing is in it: expected a chat template in Jinja".into(),
                    });
                }
                read => read.map_err(|source| Error::Io { path, source })?,
            };
            (name.clone(), source)
        }
        None => match weights.chat_template()? {
            Some(source) => (options.model.clone(), source),
            None => return Ok(None),
        },
    };
    Ok(Some(ChatTemplate::from_source(&name, &source, tokenizer.bos_token(), tokenizer.eos_token())?))
}

/// Ends of sequence of the tokenizer and of the model's `generation_config.json` and `config.json`.
fn end_of_sequence(path: &Path, tokenizer: &Tokenizer) -> Result<Vec<u32>, Error> {
    let mut eos = tokenizer.eos().to_vec();
    for file in ["generation_config.json", "config.json"] {
        let file = path.join(file);
        if !file.is_file() {
            continue;
        }
        let ids = match &read_json(&file)?["eos_token_id"] {
            serde_json::Value::Array(ids) => ids.clone(),
            id => vec![id.clone()],
        };
        eos.extend(ids.iter().filter_map(serde_json::Value::as_u64).filter_map(|id| u32::try_from(id).ok()));
    }
    eos.sort_unstable();
    eos.dedup();
    Ok(eos)
}

impl Tokenizer {
    /// Reads a tokenizer file (`tokenizer.json`, or SentencePiece's `tokenizer.model`), or the one in a Hugging Face folder.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.is_dir() {
            return tokenizer_of_folder(path);
        }
        let bytes = input_file::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let named = |error| name_file(path, error);
        if path.extension().is_some_and(|extension| extension == "json") {
            let config = path.parent().map(|folder| folder.join("tokenizer_config.json")).filter(|file| file.is_file());
            let text = |path: PathBuf| input_file::read_text(&path).map_err(|source| Error::Io { path, source });
            let config = config.map(text).transpose()?;
            return Self::from_tokenizer_json(&bytes, config.as_deref()).map_err(named);
        }
        Self::from_sentencepiece(&bytes).map_err(named)
    }
}

fn name_file(path: &Path, error: crate::TokenizerError) -> Error {
    Error::Format { path: path.into(), problem: error.to_string() }
}

/// The tokenizer of a Hugging Face folder.
pub(crate) fn tokenizer_of_folder(folder: &Path) -> Result<Tokenizer, Error> {
    for name in ["tokenizer.json", "tokenizer.model"] {
        let file = folder.join(name);
        if file.is_file() {
            return Tokenizer::open(&file);
        }
    }
    Err(Error::Format {
        path: folder.into(),
        problem: "neither tokenizer.json nor tokenizer.model is here: give a tokenizer with --tokenizer".into(),
    })
}

/// The chat template of a Hugging Face folder: `chat_template.jinja`, else the one in `tokenizer_config.json`.
pub(crate) fn chat_template_of_folder(folder: &Path) -> Result<Option<String>, Error> {
    let file = folder.join("chat_template.jinja");
    if file.is_file() {
        return input_file::read_template(&file).map(Some).map_err(|source| Error::Io { path: file, source });
    }
    let file = folder.join("tokenizer_config.json");
    if !file.is_file() {
        return Ok(None);
    }
    let json = read_json(&file)?;
    let template = &json["chat_template"];
    // Several named templates may be given; the one for chatting is called `default`.
    let default = template.as_array().and_then(|named| named.iter().find(|entry| entry["name"] == "default"));
    Ok(default.map_or(template, |entry| &entry["template"]).as_str().map(str::to_owned))
}

fn read_json(path: &Path) -> Result<serde_json::Value, Error> {
    let text = input_file::read_text(path).map_err(|source| Error::Io { path: path.into(), source })?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Format { path: path.into(), problem: format!("not a JSON file: {error}") })
}
