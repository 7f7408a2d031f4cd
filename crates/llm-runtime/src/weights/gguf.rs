//! Reads GGUF files (versions 2 and 3): metadata, the tensor table, and tensors one at a time.
//!
//! Format: llama.cpp's `gguf.md`. The reader is our own so that damaged or hostile bytes give an error that says where,
//! and never a panic or an allocation larger than the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};

use crate::Error;

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Array(Vec<Value>),
}

impl Value {
    pub(crate) fn as_usize(&self) -> Option<usize> {
        match self {
            Value::Unsigned(value) => usize::try_from(*value).ok(),
            Value::Signed(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(crate) fn as_f32(&self) -> Option<f32> {
        match self {
            Value::Float(value) => Some(*value as f32),
            Value::Unsigned(value) => Some(*value as f32),
            Value::Signed(value) => Some(*value as f32),
            _ => None,
        }
    }

    pub(crate) fn as_i32(&self) -> Option<i32> {
        match self {
            Value::Signed(value) => i32::try_from(*value).ok(),
            Value::Unsigned(value) => i32::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(value) = self { Some(*value) } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Value::Text(value) = self { Some(value) } else { None }
    }

    pub(crate) fn as_array(&self) -> Option<&[Value]> {
        if let Value::Array(values) = self { Some(values) } else { None }
    }
}

/// Where a tensor lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorEntry {
    pub(crate) dtype: GgmlDType,
    /// Outermost dimension first.
    pub(crate) shape: Vec<usize>,
    /// From the start of the file.
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
}

/// Where the bytes are.
#[derive(Debug)]
enum Source {
    File(File),
    /// A model that is part of the program.
    Memory(Cursor<&'static [u8]>),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Memory(bytes) => bytes.read(buffer),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Memory(bytes) => bytes.seek(to),
        }
    }
}

/// An open GGUF file.
#[derive(Debug)]
pub(crate) struct GgufFile {
    path: PathBuf,
    source: Mutex<Source>,
    pub(crate) metadata: BTreeMap<String, Value>,
    pub(crate) tensors: BTreeMap<String, TensorEntry>,
}

impl GgufFile {
    /// Reads the header. Nothing of the tensors is read yet.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.into(), source };
        let file = crate::input_file::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        Self::read(path, Source::File(file), length)
    }

    /// Reads the header of a file in memory; messages call it `name`.
    pub(crate) fn in_memory(name: &Path, bytes: &'static [u8]) -> Result<Self, Error> {
        Self::read(name, Source::Memory(Cursor::new(bytes)), bytes.len() as u64)
    }

    fn read(path: &Path, mut source: Source, length: u64) -> Result<Self, Error> {
        let mut header = Header { reader: std::io::BufReader::new(&mut source), path, length, at: 0 };
        header.magic_and_version()?;
        let tensor_count = header.count("tensors")?;
        let metadata_count = header.count("metadata entries")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..metadata_count {
            let key = header.text()?;
            let value = header.value()?;
            metadata.insert(key, value);
        }
        let mut infos = Vec::new();
        for _ in 0..tensor_count {
            infos.push(header.tensor_info()?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(value) => value
                .as_usize()
                .filter(|alignment| alignment.is_power_of_two())
                .ok_or_else(|| header.problem(format!("general.alignment is {value:?}, expected a power of two")))?
                as u64,
        };
        let data_start = header.at.next_multiple_of(alignment);
        let tensors = infos
            .into_iter()
            .map(|info| place_tensor(path, info, data_start, length))
            .collect::<Result<BTreeMap<_, _>, _>>()?;
        Ok(Self { path: path.into(), source: Mutex::new(source), metadata, tensors })
    }

    /// The raw bytes of a tensor.
    pub(crate) fn bytes(&self, entry: &TensorEntry) -> Result<Vec<u8>, Error> {
        let io = |source| Error::Io { path: self.path.clone(), source };
        let mut source = self.source.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        source.seek(SeekFrom::Start(entry.offset)).map_err(io)?;
        let mut bytes = vec![0; entry.bytes];
        source.read_exact(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    /// Makes a tensor of raw bytes in the entry's type and shape.
    pub(crate) fn tensor(entry: &TensorEntry, bytes: Vec<u8>, device: &Device) -> Result<QTensor, Error> {
        let storage = QStorage::from_data(bytes.into(), device, entry.dtype)?;
        Ok(QTensor::new(storage, entry.shape.as_slice())?)
    }
}

/// A tensor's table row as it stands in the header: name, shape, type, offset from the start of the data.
type TensorInfo = (String, Vec<usize>, GgmlDType, u64);

fn place_tensor(path: &Path, info: TensorInfo, data_start: u64, length: u64) -> Result<(String, TensorEntry), Error> {
    let (name, shape, dtype, offset) = info;
    let problem = |problem: String| Error::Format { path: path.into(), problem };
    let elements = shape
        .iter()
        .try_fold(1usize, |product, dim| product.checked_mul(*dim))
        .ok_or_else(|| problem(format!("tensor `{name}` of shape {shape:?} is too large")))?;
    let row = shape.last().copied().unwrap_or(0);
    if row == 0 || !row.is_multiple_of(dtype.block_size()) {
        return Err(problem(format!(
            "tensor `{name}` has rows of {row} values, not a multiple of the {} of a {dtype:?} block",
            dtype.block_size()
        )));
    }
    let bytes = elements / dtype.block_size() * dtype.type_size();
    let start = data_start.checked_add(offset);
    let end = start.and_then(|start| start.checked_add(bytes as u64));
    match (start, end) {
        (Some(start), Some(end)) if end <= length => Ok((name, TensorEntry { dtype, shape, offset: start, bytes })),
        _ => Err(problem(format!(
            "tensor `{name}` needs {bytes} bytes at {}, but the file ends at {length}: it is truncated, copy or download it again",
            data_start.saturating_add(offset)
        ))),
    }
}

/// Reads the header front to back and knows where it is.
struct Header<'a, R> {
    reader: R,
    path: &'a Path,
    length: u64,
    at: u64,
}

impl<R: Read> Header<'_, R> {
    fn problem(&self, problem: impl Into<String>) -> Error {
        Error::Format { path: self.path.into(), problem: problem.into() }
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                self.problem(format!("the header breaks off after {} bytes: the file is truncated", self.length))
            }
            _ => Error::Io { path: self.path.into(), source: error },
        })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.read()?))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.read()?))
    }

    fn magic_and_version(&mut self) -> Result<(), Error> {
        let magic: [u8; 4] = self.read()?;
        if &magic != b"GGUF" {
            return Err(self.problem(format!("not a GGUF file: it begins with {magic:02x?} instead of `GGUF`")));
        }
        match self.u32()? {
            2 | 3 => Ok(()),
            version => Err(self.problem(format!(
                "GGUF version {version} is not supported (supported: 2 and 3, little-endian): convert the model again"
            ))),
        }
    }

    /// A count of things that take at least a byte each, so that it can't exceed what is left of the file.
    fn count(&mut self, what: &str) -> Result<usize, Error> {
        let count = self.u64()?;
        if count > self.length.saturating_sub(self.at) {
            return Err(self.problem(format!(
                "the header at byte {} speaks of {count} {what}, more than the file can hold: it is damaged or truncated",
                self.at
            )));
        }
        Ok(count as usize)
    }

    fn text(&mut self) -> Result<String, Error> {
        let mut bytes = vec![0; self.count("bytes of text")?];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| self.problem(format!("the text before byte {} is not UTF-8", self.at)))
    }

    fn value(&mut self) -> Result<Value, Error> {
        let kind = self.u32()?;
        self.value_of_kind(kind)
    }

    fn value_of_kind(&mut self, kind: u32) -> Result<Value, Error> {
        Ok(match kind {
            0 => Value::Unsigned(self.read::<1>()?[0].into()),
            1 => Value::Signed((self.read::<1>()?[0] as i8).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.read()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.read()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.read()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.read()?).into()),
            7 => Value::Bool(self.read::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => Value::Array(self.array()?),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.read()?)),
            12 => Value::Float(f64::from_le_bytes(self.read()?)),
            _ => return Err(self.problem(format!("unknown metadata type {kind} before byte {}", self.at))),
        })
    }

    fn array(&mut self) -> Result<Vec<Value>, Error> {
        let kind = self.u32()?;
        // Arrays of arrays are allowed by the format but used by no model; refusing them bounds the recursion.
        if kind == 9 {
            return Err(self.problem(format!("nested metadata array before byte {}", self.at)));
        }
        let count = self.count("array elements")?;
        (0..count).map(|_| self.value_of_kind(kind)).collect()
    }

    fn tensor_info(&mut self) -> Result<TensorInfo, Error> {
        let name = self.text()?;
        let dimensions = self.u32()?;
        if dimensions > 4 {
            return Err(self.problem(format!("tensor `{name}` has {dimensions} dimensions, at most 4 are possible")));
        }
        let mut shape = (0..dimensions)
            .map(|_| self.u64().map(|dim| usize::try_from(dim).unwrap_or(usize::MAX)))
            .collect::<Result<Vec<_>, _>>()?;
        shape.reverse();
        let kind = self.u32()?;
        let dtype = ggml_dtype(kind).ok_or_else(|| {
            self.problem(format!(
                "tensor `{name}` has the type {kind}, which is not supported (supported: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q2_K to Q6_K, Q8_K): use another quantisation of the model"
            ))
        })?;
        let offset = self.u64()?;
        Ok((name, shape, dtype, offset))
    }
}

/// ggml's numbers of the types that can be computed with.
fn ggml_dtype(kind: u32) -> Option<GgmlDType> {
    Some(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        9 => GgmlDType::Q8_1,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        15 => GgmlDType::Q8K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}
