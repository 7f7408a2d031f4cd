//! Safetensors files: a single one, or those of a Hugging Face folder, single or sharded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};

use crate::Error;

const SINGLE_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";

/// A tensor's type and shape.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
}

/// Mapped files and the table of their tensors in f32, f16 and bf16.
pub(crate) struct SafetensorsFiles {
    tensors: MmapedSafetensors,
    entries: BTreeMap<String, Entry>,
    files: Vec<PathBuf>,
}

impl SafetensorsFiles {
    /// Opens a file, or a folder's `model.safetensors` or the shards that `model.safetensors.index.json` names; reads headers only.
    ///
    /// # Errors
    /// A file is missing, can't be read, or is no whole safetensors file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let files = weight_files(path)?;
        for file in &files {
            std::fs::File::open(file).map_err(|source| Error::Io { path: file.clone(), source })?;
        }
        // SAFETY: the files are only read; as with any mapping, nobody may shorten them while the model loads.
        let tensors = unsafe { MmapedSafetensors::multi(&files) }.map_err(|error| damaged(path, &files, &error))?;
        let mut entries = BTreeMap::new();
        for (name, view) in tensors.tensors() {
            let dtype = match view.dtype() {
                safetensors::Dtype::F32 => DType::F32,
                safetensors::Dtype::F16 => DType::F16,
                safetensors::Dtype::BF16 => DType::BF16,
                // Rotary tables and masks of old checkpoints; a weight of such a type is reported as missing.
                _ => continue,
            };
            entries.insert(name, Entry { dtype, shape: view.shape().to_vec() });
        }
        Ok(Self { tensors, entries, files })
    }

    /// The files, in the order of their names.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The names of all tensors, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// A tensor's shape; `None` if there is no such tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entry(name).map(|entry| entry.shape.as_slice())
    }

    /// Reads a tensor in the type it is stored in.
    ///
    /// # Errors
    /// There is no such tensor, or the device fails.
    pub(crate) fn load(&self, name: &str, device: &Device) -> Result<Tensor, Error> {
        Ok(self.tensors.load(name, device)?)
    }
}

fn damaged(path: &Path, files: &[PathBuf], error: &candle_core::Error) -> Error {
    let path = match files {
        [single] => single.clone(),
        _ => path.to_path_buf(),
    };
    let text = error.to_string();
    let reason = text.lines().next().unwrap_or_default();
    Error::Format { path, problem: format!("not a whole safetensors file ({reason}): copy or download it again") }
}

/// Whether a folder has weights as safetensors.
pub(crate) fn has_safetensors(folder: &Path) -> bool {
    [SINGLE_FILE, INDEX_FILE].iter().any(|name| folder.join(name).is_file())
}

/// The files that a path means, in the order of their names.
pub(crate) fn weight_files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let single = path.join(SINGLE_FILE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = path.join(INDEX_FILE);
    if !index.is_file() {
        return Err(Error::Format {
            path: path.into(),
            problem: "no model.safetensors and no model.safetensors.index.json here: expected a Hugging Face model folder (pytorch .bin files must be converted first)".into(),
        });
    }
    sharded_files(path, &index)
}

fn sharded_files(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, Error> {
    let problem = |problem: String| Error::Format { path: index.into(), problem };
    let text = crate::input_file::read_text(index).map_err(|source| Error::Io { path: index.into(), source })?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| problem(format!("not a JSON file: {error}")))?;
    let map = json["weight_map"].as_object().ok_or_else(|| problem("the field `weight_map` is missing".into()))?;
    let mut names: Vec<&str> = map
        .values()
        .map(|name| name.as_str().filter(|name| !name.contains(['/', '\\']) && !name.starts_with('.')))
        .collect::<Option<_>>()
        .ok_or_else(|| problem("`weight_map` names something that is not a file of this folder".into()))?;
    names.sort_unstable();
    names.dedup();
    let files: Vec<PathBuf> = names.into_iter().map(|name| folder.join(name)).collect();
    match files.iter().find(|file| !file.is_file()) {
        Some(missing) => Err(problem(format!("the shard {} is missing: copy or download it again", missing.display()))),
        None => Ok(files),
    }
}
