//! State dicts: named tensors as PyTorch and Hugging Face store them, from a folder, a file or memory.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::all_finite;
use super::safetensors::{SafetensorsFiles, has_safetensors, weight_files};
use crate::{Error, sha256_of_files};

/// PyTorch's own file of a state dict in a Hugging Face folder.
const PICKLE_FILE: &str = "pytorch_model.bin";

/// The tensors of a model by name, for loaders that know what the names mean.
pub struct StateDict {
    path: PathBuf,
    tensors: Tensors,
}

enum Tensors {
    /// Mapped; read when they are asked for.
    Files(SafetensorsFiles),
    Read(BTreeMap<String, Tensor>),
}

impl StateDict {
    /// Opens a folder with `model.safetensors`, its shards or `pytorch_model.bin` (in this order), or one file: `.safetensors`, or a state
    /// dict of PyTorch under any other name (`.bin`, `.pth`, `.pt`).
    ///
    /// # Errors
    /// There is no file of weights, or it can't be read or is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let tensors = match pickle(path) {
            Some(file) => Tensors::Read(read_pickle(&file)?),
            None => Tensors::Files(SafetensorsFiles::open(path)?),
        };
        Ok(Self { path: path.into(), tensors })
    }

    /// Of tensors that are read already. `path` is the file that they are of, for messages.
    pub fn of_tensors(tensors: HashMap<String, Tensor>, path: &Path) -> Self {
        Self { path: path.into(), tensors: Tensors::Read(tensors.into_iter().collect()) }
    }

    /// The file or folder that the tensors are of.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors, in order. A safetensors file's tensors of other types than f32, f16 and bf16 are left out: no weights
    /// are stored in them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (files, read) = match &self.tensors {
            Tensors::Files(files) => (Some(files.names()), None),
            Tensors::Read(tensors) => (None, Some(tensors.keys().map(String::as_str))),
        };
        files.into_iter().flatten().chain(read.into_iter().flatten())
    }

    /// A tensor's shape; `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        match &self.tensors {
            Tensors::Files(files) => files.shape(name),
            Tensors::Read(tensors) => tensors.get(name).map(Tensor::dims),
        }
    }

    /// A tensor's values in its own shape, f32 and contiguous.
    ///
    /// # Errors
    /// There is no such tensor, a value is not finite, or the device fails.
    pub fn value(&self, name: &str, device: &Device) -> Result<Tensor, Error> {
        let missing = || self.problem(format!("the tensor `{name}` is missing"));
        let stored = match &self.tensors {
            Tensors::Files(files) if files.shape(name).is_none() => return Err(missing()),
            Tensors::Files(files) => files.load(name, &Device::Cpu)?,
            Tensors::Read(tensors) => tensors.get(name).ok_or_else(missing)?.to_device(&Device::Cpu)?,
        };
        let value = stored.to_dtype(DType::F32)?.contiguous()?;
        if !all_finite(&value) {
            return Err(self.problem(format!("`{name}` holds values that are not finite: the file is damaged")));
        }
        Ok(value.to_device(device)?)
    }

    /// As [`Self::value`], of this shape.
    ///
    /// # Errors
    /// As [`Self::value`], or the shape is another.
    pub fn value_of_shape(&self, name: &str, shape: &[usize], device: &Device) -> Result<Tensor, Error> {
        match self.shape(name) {
            Some(found) if found != shape => {
                Err(self.problem(format!("`{name}` has the shape {found:?}, expected {shape:?}")))
            }
            _ => self.value(name, device),
        }
    }

    /// An error that names the file or folder.
    pub fn problem(&self, problem: impl Into<String>) -> Error {
        Error::Format { path: self.path.clone(), problem: problem.into() }
    }
}

/// Hex SHA-256 over the files that [`StateDict::open`] would read, one after the other: says which weights something was made with.
///
/// # Errors
/// There is no file of weights, or it can't be read.
pub fn weights_sha256(path: &Path) -> Result<String, Error> {
    match pickle(path) {
        Some(file) => sha256_of_files(&[file]),
        None => sha256_of_files(&weight_files(path)?),
    }
}

/// The file of PyTorch's own format, where that is what a path means.
fn pickle(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        let file = path.join(PICKLE_FILE);
        return (file.is_file() && !has_safetensors(path)).then_some(file);
    }
    let is_safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
    (!is_safetensors).then(|| path.to_owned())
}

fn read_pickle(path: &Path) -> Result<BTreeMap<String, Tensor>, Error> {
    std::fs::File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let damaged = |error: candle_core::Error| {
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default();
        let problem = format!("not a readable PyTorch state dict ({reason}): convert it to safetensors");
        Error::Format { path: path.into(), problem }
    };
    Ok(candle_core::pickle::read_all(path).map_err(damaged)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(value: f32) -> HashMap<String, Tensor> {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        [("b".to_owned(), tensor(&[1.0, 2.0])), ("a".to_owned(), tensor(&[value]))].into()
    }

    fn says(error: Result<Tensor, Error>) -> String {
        error.err().unwrap().to_string()
    }

    fn check(state: &StateDict) {
        assert_eq!(state.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((state.shape("b"), state.shape("c")), (Some(&[2][..]), None));
        assert_eq!(state.value("b", &Device::Cpu).unwrap().to_vec1::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(
            says(state.value("c", &Device::Cpu)),
            format!("{}: the tensor `c` is missing", state.path().display())
        );
        assert!(
            says(state.value("a", &Device::Cpu)).ends_with("`a` holds values that are not finite: the file is damaged")
        );
        assert!(says(state.value_of_shape("b", &[3], &Device::Cpu)).ends_with("`b` has the shape [2], expected [3]"));
    }

    #[test]
    fn memory_files_and_folders_give_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        candle_core::safetensors::save(&tensors(f32::NAN), &file).unwrap();
        check(&StateDict::of_tensors(tensors(f32::NAN), Path::new("nowhere")));
        check(&StateDict::open(&file).unwrap());
        check(&StateDict::open(folder.path()).unwrap());
        assert_eq!(weights_sha256(&file).unwrap(), weights_sha256(folder.path()).unwrap());
    }

    /// The rest of the storage that a view is of is not the view's.
    #[test]
    fn a_view_is_judged_by_its_own_values() {
        let all = Tensor::new(&[1f32, f32::INFINITY, 3.0], &Device::Cpu).unwrap();
        let views = [("whole", all.narrow(0, 2, 1)), ("broken", all.narrow(0, 1, 2))];
        let views = views.into_iter().map(|(name, view)| (name.to_owned(), view.unwrap())).collect();
        let state = StateDict::of_tensors(views, Path::new("nowhere"));
        assert_eq!(state.value("whole", &Device::Cpu).unwrap().to_vec1::<f32>().unwrap(), [3.0]);
        assert!(state.value("broken", &Device::Cpu).is_err());
    }

    #[test]
    fn other_files_are_taken_for_pytorchs_and_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(PICKLE_FILE);
        std::fs::write(&file, "no pickle").unwrap();
        for path in [folder.path(), &file] {
            let error = StateDict::open(path).err().unwrap().to_string();
            assert!(error.contains("pytorch_model.bin: not a readable PyTorch state dict"), "{error}");
        }
        assert_eq!(weights_sha256(folder.path()).unwrap(), weights_sha256(&file).unwrap());
        for name in ["absent.pth", "absent.safetensors"] {
            let path = folder.path().join(name);
            assert!(matches!(StateDict::open(&path), Err(Error::Io { path: found, .. }) if found == path));
        }
    }
}
