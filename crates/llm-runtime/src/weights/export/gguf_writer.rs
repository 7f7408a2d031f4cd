//! GGUF version 3, little-endian: header, metadata, table of tensors, then their data in the same order.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use candle_core::Tensor;
use candle_core::quantized::{GgmlDType, QTensor};

use super::super::gguf::Value;
use super::super::{Source, gguf_llama};
use super::{ExportType, ModelExport, Replacement};
use crate::tokenizer::GgufVocabulary;
use crate::{Error, FloatType, LlamaConfig, Quantization, RopeScaling, output_file};

/// Data begin, and each tensor begins, at a multiple of this.
const ALIGNMENT: usize = 32;

type Metadata = Vec<(String, Value)>;

pub(super) fn write(
    export: &ModelExport<'_>,
    path: &Path,
    dtype: ExportType,
    replacement: Replacement<'_>,
) -> Result<(), Error> {
    let metadata = metadata(export, dtype)?;
    let io = |source| Error::Io { path: path.into(), source };
    output_file::place(path, io, |partial| {
        let mut writer = BufWriter::new(File::create(partial).map_err(io)?);
        write_all(export, &mut writer, path, &metadata, dtype, replacement)?;
        writer.flush().map_err(io)
    })
}

/// One row of the table of tensors.
struct Row {
    /// Hugging Face's name; empty for the table of rotary divisors.
    name: String,
    gguf_name: String,
    shape: Vec<usize>,
    dtype: GgmlDType,
}

impl Row {
    fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() / self.dtype.block_size() * self.dtype.type_size()
    }
}

fn write_all(
    export: &ModelExport<'_>,
    writer: &mut BufWriter<File>,
    path: &Path,
    metadata: &Metadata,
    dtype: ExportType,
    replacement: Replacement<'_>,
) -> Result<(), Error> {
    let io = |source| Error::Io { path: path.into(), source };
    let divisors = rotary_divisors(&export.weights.config);
    let rows = rows(export, dtype, divisors.as_deref())?;
    let header = header(metadata, &rows);
    writer.write_all(&header).map_err(io)?;
    for row in &rows {
        let values = match (&divisors, row.name.is_empty()) {
            (Some(divisors), true) => Tensor::new(divisors.as_slice(), &candle_core::Device::Cpu)?,
            _ => export.values(&row.name, &row.shape, replacement)?,
        };
        let values = in_llama_cpp_order(&row.name, &values, export.weights.config.head_dim)?;
        let quantised = QTensor::quantize(&values, row.dtype)?;
        let data = quantised.data()?;
        writer.write_all(&data).map_err(io)?;
        writer.write_all(&vec![0; padding(data.len())]).map_err(io)?;
    }
    Ok(())
}

fn rows(export: &ModelExport<'_>, dtype: ExportType, divisors: Option<&[f32]>) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for (name, shape) in export.tensors() {
        let gguf_name = gguf_llama::tensor_name(&name)
            .ok_or_else(|| Error::Invalid(format!("GGUF has no name for the tensor `{name}`")))?;
        rows.push(Row { dtype: dtype.of(&name, &shape), name, gguf_name, shape });
    }
    if let Some(divisors) = divisors {
        let (name, gguf_name) = (String::new(), "rope_freqs.weight".to_owned());
        rows.push(Row { name, gguf_name, shape: vec![divisors.len()], dtype: GgmlDType::F32 });
    }
    Ok(rows)
}

/// Llama-3's stretched frequencies go into a table of divisors.
fn rotary_divisors(config: &LlamaConfig) -> Option<Vec<f32>> {
    match &config.rope_scaling {
        RopeScaling::None | RopeScaling::Linear(_) => None,
        RopeScaling::Divisors(divisors) => Some(divisors.clone()),
        RopeScaling::Llama3 { .. } => {
            let plain = LlamaConfig { rope_scaling: RopeScaling::None, ..config.clone() };
            let frequencies = plain.rope_frequencies().into_iter().zip(config.rope_frequencies());
            Some(frequencies.map(|(plain, stretched)| plain / stretched).collect())
        }
    }
}

/// llama.cpp stores the rows of query and key matrices with the two halves of each head interleaved; see
/// [`gguf_llama::restore_rotary_rows`] for the way back.
fn in_llama_cpp_order(name: &str, values: &Tensor, head_dim: usize) -> Result<Tensor, Error> {
    if !name.contains("self_attn.q_proj") && !name.contains("self_attn.k_proj") {
        return Ok(values.clone());
    }
    let shape = values.dims().to_vec();
    let columns = shape.get(1).copied().unwrap_or(1);
    let heads = values.reshape((shape[0] / head_dim, 2, head_dim / 2, columns))?;
    Ok(heads.transpose(1, 2)?.contiguous()?.reshape(shape)?)
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT) - length
}

fn header(metadata: &Metadata, rows: &[Row]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((rows.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        put_text(&mut out, key);
        out.extend(type_number(value).to_le_bytes());
        put_value(&mut out, value);
    }
    let mut offset = 0u64;
    for row in rows {
        put_text(&mut out, &row.gguf_name);
        out.extend((row.shape.len() as u32).to_le_bytes());
        row.shape.iter().rev().for_each(|size| out.extend((*size as u64).to_le_bytes()));
        out.extend(ggml_number(row.dtype).to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += row.bytes().next_multiple_of(ALIGNMENT) as u64;
    }
    out.resize(out.len() + padding(out.len()), 0);
    out
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Whole numbers take 32 bits where they fit: llama.cpp asks for that width.
fn type_number(value: &Value) -> u32 {
    match value {
        Value::Unsigned(number) if u32::try_from(*number).is_ok() => 4,
        Value::Unsigned(_) => 10,
        Value::Signed(number) if i32::try_from(*number).is_ok() => 5,
        Value::Signed(_) => 11,
        Value::Float(_) => 6,
        Value::Bool(_) => 7,
        Value::Text(_) => 8,
        Value::Array(_) => 9,
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match (value, type_number(value)) {
        (Value::Unsigned(number), 4) => out.extend((*number as u32).to_le_bytes()),
        (Value::Unsigned(number), _) => out.extend(number.to_le_bytes()),
        (Value::Signed(number), 5) => out.extend((*number as i32).to_le_bytes()),
        (Value::Signed(number), _) => out.extend(number.to_le_bytes()),
        (Value::Float(number), _) => out.extend((*number as f32).to_le_bytes()),
        (Value::Bool(truth), _) => out.push(u8::from(*truth)),
        (Value::Text(text), _) => put_text(out, text),
        (Value::Array(values), _) => {
            // One type for all: the widest that occurs.
            let kind = values.iter().map(type_number).max().unwrap_or(4);
            out.extend(kind.to_le_bytes());
            out.extend((values.len() as u64).to_le_bytes());
            for value in values {
                match (value, kind) {
                    (Value::Unsigned(number), 10) => out.extend(number.to_le_bytes()),
                    (Value::Signed(number), 11) => out.extend(number.to_le_bytes()),
                    _ => put_value(out, value),
                }
            }
        }
    }
}

fn ggml_number(dtype: GgmlDType) -> u32 {
    match dtype {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::Q4_0 => 2,
        GgmlDType::Q4_1 => 3,
        GgmlDType::Q5_0 => 6,
        GgmlDType::Q5_1 => 7,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q8_1 => 9,
        GgmlDType::Q2K => 10,
        GgmlDType::Q3K => 11,
        GgmlDType::Q4K => 12,
        GgmlDType::Q5K => 13,
        GgmlDType::Q6K => 14,
        GgmlDType::Q8K => 15,
        GgmlDType::BF16 => 30,
    }
}

/// llama.cpp's number for the type of most tensors.
fn file_type(dtype: ExportType) -> u64 {
    match dtype {
        ExportType::Float(FloatType::F32) => 0,
        ExportType::Float(FloatType::F16) => 1,
        ExportType::Float(FloatType::Bf16) => 32,
        ExportType::Quantized(Quantization::Q8_0) => 7,
        ExportType::Quantized(Quantization::Q4K) => 15,
        ExportType::Quantized(Quantization::Q6K) => 18,
    }
}

fn metadata(export: &ModelExport<'_>, dtype: ExportType) -> Result<Metadata, Error> {
    let mut metadata = match &export.weights.source {
        Source::Gguf(file) => file.metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Source::Safetensors(_) => of_folder(export)?,
    };
    metadata.retain(|(key, _)| key != "general.alignment" && key != "general.file_type");
    metadata.push(("general.file_type".into(), Value::Unsigned(file_type(dtype))));
    if matches!(dtype, ExportType::Quantized(_))
        && !metadata.iter().any(|(key, _)| key == "general.quantization_version")
    {
        metadata.push(("general.quantization_version".into(), Value::Unsigned(2)));
    }
    Ok(metadata)
}

/// What a GGUF file says of a model that comes from a Hugging Face folder.
fn of_folder(export: &ModelExport<'_>) -> Result<Metadata, Error> {
    let mut metadata = of_config(&export.weights.config);
    let name = export.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    metadata.push(("general.name".into(), Value::Text(name)));
    metadata.extend(of_vocabulary(GgufVocabulary::of_folder(&export.path)?));
    if let Some(template) = crate::load::chat_template_of_folder(&export.path)? {
        metadata.push(("tokenizer.chat_template".into(), Value::Text(template)));
    }
    Ok(metadata)
}

fn of_config(config: &LlamaConfig) -> Metadata {
    let number = |key: &str, value: usize| (format!("llama.{key}"), Value::Unsigned(value as u64));
    let mut metadata = vec![
        ("general.architecture".to_owned(), Value::Text("llama".into())),
        number("block_count", config.layers),
        number("context_length", config.context_length),
        number("embedding_length", config.hidden_size),
        number("feed_forward_length", config.intermediate_size),
        number("attention.head_count", config.heads),
        number("attention.head_count_kv", config.key_value_heads),
        number("attention.key_length", config.head_dim),
        number("attention.value_length", config.head_dim),
        number("rope.dimension_count", config.head_dim),
        number("vocab_size", config.vocabulary_size),
        ("llama.rope.freq_base".to_owned(), Value::Float(f64::from(config.rope_theta))),
        ("llama.attention.layer_norm_rms_epsilon".to_owned(), Value::Float(f64::from(config.rms_norm_eps))),
    ];
    if let RopeScaling::Linear(factor) = config.rope_scaling {
        metadata.push(("llama.rope.scaling.type".into(), Value::Text("linear".into())));
        metadata.push(("llama.rope.scaling.factor".into(), Value::Float(f64::from(factor))));
    }
    if let Some(window) = config.sliding_window {
        metadata.push(number("attention.sliding_window", window));
    }
    metadata
}

fn of_vocabulary(vocabulary: GgufVocabulary) -> Metadata {
    let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::Text).collect());
    let id = |id: Option<u32>| id.map(|id| Value::Unsigned(id.into()));
    let types = vocabulary.token_types.iter().map(|kind| Value::Signed((*kind).into())).collect();
    let scores = vocabulary.scores.iter().map(|score| Value::Float((*score).into())).collect::<Vec<_>>();
    let entries = [
        ("model", Some(Value::Text(vocabulary.model))),
        ("pre", vocabulary.pre.map(Value::Text)),
        ("tokens", Some(texts(vocabulary.tokens))),
        ("token_type", Some(Value::Array(types))),
        ("scores", (!scores.is_empty()).then_some(Value::Array(scores))),
        ("merges", (!vocabulary.merges.is_empty()).then(|| texts(vocabulary.merges))),
        ("bos_token_id", id(vocabulary.bos)),
        ("eos_token_id", id(vocabulary.eos)),
        ("unknown_token_id", id(vocabulary.unk)),
        ("eot_token_id", id(vocabulary.extra_eos.first().copied())),
        ("add_bos_token", vocabulary.add_bos.map(Value::Bool)),
        ("add_space_prefix", vocabulary.add_space_prefix.map(Value::Bool)),
    ];
    let entries = entries.into_iter();
    entries.filter_map(|(key, value)| Some((format!("tokenizer.ggml.{key}"), value?))).collect()
}
