//! The memory of a checkpoint of the published code: a pickled list of tensors.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use candle_core::pickle::{Object, Stack, TensorInfo};
use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use crate::bank::List;
use crate::{BankOptions, BankRow, MemoryError, Place, StrategyBank};

/// What stands for the dialogue of a row of which the published file tells nothing but its vector.
const UNKNOWN: &str = "unknown";

type Archive = ZipArchive<BufReader<File>>;

impl StrategyBank {
    /// Reads `memory_bank.pth` of the published code: a list of one tensor `[rows, width]` for each strategy, wherever it was computed. It tells no
    /// texts and no places, so rows are numbered, and belong to no dialogue that could ask.
    ///
    /// # Errors
    /// The file can't be read, is no such list, has more rows than `options` have room for, or widths differ.
    pub fn open_published(path: &Path, options: BankOptions, device: &Device) -> Result<Self, MemoryError> {
        let mut archive = open(path)?;
        let infos = tensor_list(&mut archive, path)?;
        let tensors = infos.iter().enumerate().map(|(number, info)| {
            let tensor = tensor(&mut archive, info, device);
            tensor.map_err(|problem| MemoryError::file(path, format!("tensor {number} of the list: {problem}")))
        });
        let tensors = tensors.collect::<Result<Vec<Tensor>, _>>()?;
        let width = tensors.first().and_then(|tensor| tensor.dims().get(1).copied()).unwrap_or(0);
        let empty = Self::new(tensors.len(), width, options.clone(), device);
        empty.map_err(|error| MemoryError::file(path, error))?;
        let lists = tensors.into_iter().enumerate().map(|(strategy, vectors)| {
            let rows = match vectors.dims() {
                [rows, found] if *found == width && *rows <= options.capacity => *rows,
                dims => {
                    let most = options.capacity;
                    let problem = format!("tensor {strategy} of the list has the shape {dims:?}, expected at most {most} rows of width {width}");
                    return Err(MemoryError::file(path, problem));
                }
            };
            let row = |turn: usize| BankRow {
                text: format!("row {turn} of strategy {strategy}, whose text is not known"),
                place: Place { dialogue: UNKNOWN.into(), turn },
                written_at: 0,
                feedback: None,
            };
            Ok(List { vectors: (rows > 0).then_some(vectors), rows: (0..rows).map(row).collect() })
        });
        Ok(Self::of_lists(lists.collect::<Result<_, _>>()?, width, options, 0, device))
    }
}

fn open(path: &Path) -> Result<Archive, MemoryError> {
    let file = File::open(path).map_err(MemoryError::io(path))?;
    ZipArchive::new(BufReader::new(file))
        .map_err(|error| MemoryError::file(path, format!("not a file of torch.save: {error}")))
}

/// Where the tensors of the pickled list are.
fn tensor_list(archive: &mut Archive, path: &Path) -> Result<Vec<TensorInfo>, MemoryError> {
    let damaged = |error: &dyn std::fmt::Display| MemoryError::file(path, format!("not a file of torch.save: {error}"));
    let names: Vec<String> = archive
        .file_names()
        .map(|name| Ok(name?.into_owned()))
        .collect::<zip::result::ZipResult<_>>()
        .map_err(|error| damaged(&error))?;
    let Some(name) = names.into_iter().find(|name| name.ends_with("data.pkl")) else {
        return Err(damaged(&"it holds no data.pkl"));
    };
    let folder = PathBuf::from(name.trim_end_matches(".pkl"));
    let mut stack = Stack::empty();
    let mut pickle = BufReader::new(archive.by_name(&name).map_err(|error| damaged(&error))?);
    stack.read_loop(&mut pickle).map_err(|error| damaged(&error))?;
    let Object::List(objects) = stack.finalize().map_err(|error| damaged(&error))? else {
        return Err(MemoryError::file(path, "expected a list of tensors, as the published code saves its memory"));
    };
    let info = |(number, object): (usize, Object)| {
        let name = Object::Unicode(number.to_string());
        let found = object.into_tensor_info(name, &folder).map_err(|error| damaged(&error))?;
        found.ok_or_else(|| MemoryError::file(path, format!("entry {number} of the list is no tensor")))
    };
    objects.into_iter().enumerate().map(info).collect()
}

/// The values of a tensor, f32.
fn tensor(archive: &mut Archive, info: &TensorInfo, device: &Device) -> Result<Tensor, String> {
    if !info.layout.is_contiguous() {
        return Err("its values do not lie one after the other: save a contiguous copy".to_owned());
    }
    let size = info.dtype.size_in_bytes();
    let (start, length) = (info.layout.start_offset(), info.layout.shape().elem_count() * size);
    let mut bytes = Vec::new();
    if length > 0 {
        let mut file = archive.by_name(&info.path).map_err(|error| error.to_string())?;
        file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    }
    let Some(own) = bytes.get(start..start + length) else {
        return Err(format!("{} bytes, expected {}", bytes.len(), start + length));
    };
    let tensor = Tensor::from_raw_buffer(own, info.dtype, info.layout.dims(), device);
    tensor.and_then(|tensor| tensor.to_dtype(DType::F32)).map_err(|error| error.to_string())
}
