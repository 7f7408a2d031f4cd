//! The `.attn` file: a safetensors file whose metadata holds the manifest as JSON.
//!
//! Rows grow by one position each; in the file they are padded with zeros to the last row's length, so that every array is
//! rectangular. In memory they stay ragged.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use half::f16;
use llm_runtime::{AttentionCapture, input_file, output_file};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::Error;
use crate::manifest::{Manifest, RecordInfo};

/// File name extension.
pub const EXTENSION: &str = "attn";
/// Key of the manifest in the file's metadata.
const MANIFEST: &str = "manifest";
/// Headers beyond this are refused before they are read: they hold names, counts and texts only.
const LARGEST_HEADER: u64 = 64 << 20;

/// How whole rows are stored. Sums are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Half precision: weights to three digits, half the size.
    #[default]
    F16,
    /// As computed.
    F32,
}

/// One generated text and its attention.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttentionRecord {
    /// What it is about.
    pub info: RecordInfo,
    /// Ids of prompt and new tokens.
    pub token_ids: Vec<u32>,
    /// How each of them is shown.
    pub token_texts: Vec<String>,
    /// The attention of the new tokens.
    pub capture: AttentionCapture,
}

/// What of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Sums only.
    Sums,
    /// Everything.
    All,
}

impl AttentionRecord {
    /// Writes the record to a file, which appears whole or not at all.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, path: &Path, precision: Precision) -> Result<(), Error> {
        let bytes = self.to_bytes(precision)?;
        output_file::write(path, bytes).map_err(|source| Error::Io { path: path.to_owned(), source })
    }

    /// The bytes of the record's file.
    ///
    /// # Errors
    /// The arrays do not fit together.
    pub fn to_bytes(&self, precision: Precision) -> Result<Vec<u8>, Error> {
        let manifest = Manifest::new(&self.info, &self.token_texts, &self.capture);
        let tensors = arrays(self, &manifest, precision);
        let views = tensors
            .iter()
            .map(|(name, array)| {
                let view = TensorView::new(array.dtype, array.shape.clone(), &array.bytes);
                Ok((*name, view.map_err(|error| Error::Format(format!("{name}: {error}")))?))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let json = serde_json::to_string(&manifest).map_err(|error| Error::Format(error.to_string()))?;
        let metadata = HashMap::from([(MANIFEST.to_owned(), json)]);
        safetensors::serialize(views, Some(metadata)).map_err(|error| Error::Format(error.to_string()))
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// The file can't be read or is no attention file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = input_file::read(path).map_err(Error::io(path))?;
        Self::from_bytes(&bytes).map_err(|error| error.in_file(path))
    }

    /// Reads a file without its whole rows, which are most of it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_sums(path: &Path) -> Result<Self, Error> {
        let bytes = input_file::read(path).map_err(Error::io(path))?;
        parse(&bytes, Part::Sums).map_err(|error| error.in_file(path))
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// They are no attention file, or one of a newer version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        parse(bytes, Part::All)
    }
}

/// Reads a file's manifest only, and looks whether the file is long enough for the arrays that its header names.
///
/// # Errors
/// The file can't be read or is no attention file.
pub fn read_manifest(path: &Path) -> Result<Manifest, Error> {
    let mut file = input_file::open(path).map_err(Error::io(path))?;
    let size = file.metadata().map_err(Error::io(path))?.len();
    let mut length = [0u8; 8];
    let too_short = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::File { path: path.to_owned(), problem: "it ends within its header".into() }
        }
        _ => Error::Io { path: path.to_owned(), source },
    };
    file.read_exact(&mut length).map_err(too_short)?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_HEADER {
        let problem = format!("its header would have {length} bytes");
        return Err(Error::File { path: path.to_owned(), problem });
    }
    let mut header = Vec::new();
    Read::by_ref(&mut file).take(length).read_to_end(&mut header).map_err(Error::io(path))?;
    header_manifest(&header, length, size).map_err(|error| error.in_file(path))
}

fn header_manifest(header: &[u8], length: u64, size: u64) -> Result<Manifest, Error> {
    if header.len() as u64 != length {
        return Err(Error::Format("it ends within its header".into()));
    }
    let json: serde_json::Value =
        serde_json::from_slice(header).map_err(|error| Error::Format(format!("its header is no JSON: {error}")))?;
    let ends = json.as_object().into_iter().flatten().filter_map(|(_, array)| array["data_offsets"][1].as_u64());
    let whole = ends.max().unwrap_or(0).saturating_add(8 + length);
    if size < whole {
        return Err(Error::Format(format!("it ends within its arrays: it has {size} of {whole} bytes")));
    }
    let manifest = json["__metadata__"][MANIFEST].as_str();
    Manifest::parse(manifest.ok_or_else(|| Error::Format("its metadata has no manifest".into()))?)
}

/// An array on its way into a file.
struct Array {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn f32(shape: Vec<usize>, values: &[f32]) -> Self {
        Self { dtype: Dtype::F32, shape, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }

    fn u32(shape: Vec<usize>, values: &[u32]) -> Self {
        Self { dtype: Dtype::U32, shape, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }

    fn rows(shape: Vec<usize>, values: &[f32], precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::f32(shape, values),
            Precision::F16 => {
                let bytes = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
                Self { dtype: Dtype::F16, shape, bytes }
            }
        }
    }
}

fn arrays(record: &AttentionRecord, manifest: &Manifest, precision: Precision) -> Vec<(&'static str, Array)> {
    let capture = &record.capture;
    let Manifest { layers, heads, rows, top, .. } = *manifest;
    let (columns, keys) = (manifest.columns(), manifest.keys());
    let mut arrays = vec![
        ("token_ids", Array::u32(vec![record.token_ids.len()], &record.token_ids)),
        ("span_sums", Array::f32(vec![rows, layers, columns], &capture.span_sums)),
        ("head_profile", Array::f32(vec![layers, heads, columns], &capture.head_profile)),
    ];
    if !capture.head_span_sums.is_empty() {
        arrays.push(("head_span_sums", Array::f32(vec![rows, layers, heads, columns], &capture.head_span_sums)));
    }
    if !capture.head_shares.is_empty() {
        arrays.push(("head_shares", Array::f32(vec![layers, heads, capture.spans.len()], &capture.head_shares)));
    }
    if !capture.layer_rows.is_empty() {
        let padded = padded(capture, &capture.layer_rows, layers, keys);
        arrays.push(("layer_rows", Array::rows(vec![rows, layers, keys], &padded, precision)));
    }
    if !capture.head_rows.is_empty() {
        let padded = padded(capture, &capture.head_rows, layers * heads, keys);
        arrays.push(("head_rows", Array::rows(vec![rows, layers, heads, keys], &padded, precision)));
    }
    if top > 0 {
        arrays.push(("top_positions", Array::u32(vec![rows, layers, heads, top], &capture.top_positions)));
        arrays.push(("top_values", Array::f32(vec![rows, layers, heads, top], &capture.top_values)));
    }
    arrays
}

/// Ragged rows of `width` vectors each, padded to `keys`.
fn padded(capture: &AttentionCapture, ragged: &[f32], width: usize, keys: usize) -> Vec<f32> {
    let mut padded = vec![0f32; capture.rows * width * keys];
    let mut vectors = padded.chunks_exact_mut(keys.max(1));
    let mut rest = ragged;
    for row in 0..capture.rows {
        for vector in vectors.by_ref().take(width) {
            let (values, after) = rest.split_at(capture.keys(row).min(rest.len()));
            vector[..values.len()].copy_from_slice(values);
            rest = after;
        }
    }
    padded
}

fn parse(bytes: &[u8], part: Part) -> Result<AttentionRecord, Error> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| Error::Format(error.to_string()))?;
    let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(MANIFEST));
    let manifest = Manifest::parse(text.ok_or_else(|| Error::Format("its metadata has no manifest".into()))?)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| Error::Format(error.to_string()))?;
    let source = Source { tensors };
    let Manifest { layers, heads, rows, top, .. } = manifest;
    let columns = manifest.columns();
    let mut capture = AttentionCapture {
        layers,
        heads,
        rows,
        first_position: manifest.first_position,
        sinks: manifest.sinks.clone(),
        spans: manifest.spans.clone(),
        span_sums: source.floats("span_sums", &[rows, layers, columns])?,
        head_profile: source.floats("head_profile", &[layers, heads, columns])?,
        head_shares: source.optional("head_shares", &[layers, heads, manifest.spans.len()])?,
        head_span_sums: source.optional("head_span_sums", &[rows, layers, heads, columns])?,
        top,
        ..AttentionCapture::default()
    };
    if part == Part::All {
        let keys = manifest.keys();
        capture.layer_rows = ragged(&capture, &source.optional("layer_rows", &[rows, layers, keys])?, layers, keys);
        let head_rows = source.optional("head_rows", &[rows, layers, heads, keys])?;
        capture.head_rows = ragged(&capture, &head_rows, layers * heads, keys);
        if top > 0 {
            capture.top_positions = source.integers("top_positions", &[rows, layers, heads, top])?;
            capture.top_values = source.floats("top_values", &[rows, layers, heads, top])?;
        }
    }
    let token_ids = source.integers("token_ids", &[manifest.token_texts.len()])?;
    Ok(AttentionRecord { info: manifest.record, token_ids, token_texts: manifest.token_texts, capture })
}

fn ragged(capture: &AttentionCapture, padded: &[f32], width: usize, keys: usize) -> Vec<f32> {
    if padded.is_empty() {
        return Vec::new();
    }
    let vectors = padded.chunks_exact(keys).enumerate();
    vectors.flat_map(|(at, vector)| &vector[..capture.keys(at / width)]).copied().collect()
}

/// The tensors of a file. Sizes were checked against the file's length when its header was read.
struct Source<'a> {
    tensors: SafeTensors<'a>,
}

impl Source<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorView<'_>, Error> {
        let tensor = self.tensors.tensor(name).map_err(|_| Error::Format(format!("the array `{name}` is missing")))?;
        if tensor.shape() != shape {
            return Err(Error::Format(format!("`{name}` has the shape {:?}, expected {shape:?}", tensor.shape())));
        }
        Ok(tensor)
    }

    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.tensor(name, shape)?;
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => tensor.data().as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            other => return Err(Error::Format(format!("`{name}` holds {other:?}, expected F32 or F16"))),
        };
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(Error::Format(format!("`{name}` holds a value that is not finite"))),
        }
    }

    fn optional(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        match self.tensors.names().contains(&name) {
            true => self.floats(name, shape),
            false => Ok(Vec::new()),
        }
    }

    fn integers(&self, name: &str, shape: &[usize]) -> Result<Vec<u32>, Error> {
        let tensor = self.tensor(name, shape)?;
        match tensor.dtype() {
            Dtype::U32 => Ok(tensor.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()),
            other => Err(Error::Format(format!("`{name}` holds {other:?}, expected U32"))),
        }
    }
}
