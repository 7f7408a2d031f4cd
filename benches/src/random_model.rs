//! A GGUF file of a given shape with random weights: as fast and as large as the real one, and saying nothing.
//!
//! Weights are quantised for real, but only a strip of rows of each width is: a matrix repeats it. Speed does not depend on the values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::str::FromStr;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Result, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::shape::Shape;

/// Rows that are quantised; matrices repeat them.
const STRIP: usize = 32;
/// Control tokens and the tokens of single bytes.
const SPECIAL: usize = 3 + 256;

/// The types of a file's matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// All in half precision.
    F16,
    /// All in 8 bits.
    Q8_0,
    /// 4 bits with a scale for each 32, the output head in Q6_K.
    Q4_0,
    /// Q4_K, with Q6_K for the output head, half of the value projections and half of the feed-forward layers' last matrices, as llama.cpp mixes them.
    Q4KM,
    /// All in Q6_K.
    Q6K,
}

impl FromStr for FileType {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        match name {
            "f16" => Ok(Self::F16),
            "q8_0" => Ok(Self::Q8_0),
            "q4_0" => Ok(Self::Q4_0),
            "q4_k_m" => Ok(Self::Q4KM),
            "q6_k" => Ok(Self::Q6K),
            _ => Err(format!("no file type is called `{name}`: expected f16, q8_0, q6_k, q4_k_m or q4_0")),
        }
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Q4KM => "q4_k_m",
            Self::Q6K => "q6_k",
        })
    }
}

impl FileType {
    /// The type of a matrix; `layer` is its place and the number of layers.
    fn of(self, name: &str, layer: Option<(usize, usize)>) -> GgmlDType {
        let is_head = name == "output.weight";
        match self {
            Self::F16 => GgmlDType::F16,
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q6K => GgmlDType::Q6K,
            Self::Q4_0 | Self::Q4KM if is_head => GgmlDType::Q6K,
            Self::Q4_0 => GgmlDType::Q4_0,
            Self::Q4KM => {
                let gets_more = layer.is_some_and(|(layer, layers)| {
                    let eighth = layers / 8;
                    layer < eighth || layer >= 7 * eighth || (layer - eighth) % 3 == 2
                });
                let is_sensitive = name.ends_with("attn_v.weight") || name.ends_with("ffn_down.weight");
                if gets_more && is_sensitive { GgmlDType::Q6K } else { GgmlDType::Q4K }
            }
        }
    }
}

/// Writes such a file.
///
/// # Errors
/// The file can't be written.
pub fn write(shape: &Shape, file_type: FileType, path: &Path) -> Result<()> {
    let tensors = tensors(shape, file_type)?;
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let metadata = metadata(shape);
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let mut file = BufWriter::new(File::create(path)?);
    gguf_file::write(&mut file, &metadata, &tensors)
}

fn tensors(shape: &Shape, file_type: FileType) -> Result<Vec<(String, QTensor)>> {
    let Shape { hidden_size: hidden, intermediate_size: inside, layers, vocabulary_size, .. } = *shape;
    let keys = hidden / shape.heads * shape.key_value_heads;
    let mut strips = Strips::default();
    let mut all = Vec::new();
    let mut matrix = |name: String, layer: Option<(usize, usize)>, rows: usize, width: usize| -> Result<()> {
        let tensor = strips.matrix(rows, width, file_type.of(&name, layer))?;
        all.push((name, tensor));
        Ok(())
    };
    matrix("token_embd.weight".into(), None, vocabulary_size, hidden)?;
    matrix("output.weight".into(), None, vocabulary_size, hidden)?;
    for layer in 0..layers {
        let parts = [
            ("attn_q", hidden, hidden),
            ("attn_k", keys, hidden),
            ("attn_v", keys, hidden),
            ("attn_output", hidden, hidden),
            ("ffn_gate", inside, hidden),
            ("ffn_up", inside, hidden),
            ("ffn_down", hidden, inside),
        ];
        for (part, rows, width) in parts {
            matrix(format!("blk.{layer}.{part}.weight"), Some((layer, layers)), rows, width)?;
        }
    }
    let norms =
        (0..layers).flat_map(|layer| ["attn_norm", "ffn_norm"].map(|norm| format!("blk.{layer}.{norm}.weight")));
    for name in norms.chain(["output_norm.weight".to_owned()]) {
        let ones = Tensor::ones(hidden, candle_core::DType::F32, &Device::Cpu)?;
        all.push((name, QTensor::quantize(&ones, GgmlDType::F32)?));
    }
    Ok(all)
}

/// Quantised rows by width and type.
#[derive(Default)]
struct Strips(HashMap<(usize, GgmlDType), Vec<u8>>);

impl Strips {
    fn matrix(&mut self, rows: usize, width: usize, dtype: GgmlDType) -> Result<QTensor> {
        let strip = match self.0.entry((width, dtype)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(strip(width, dtype)?),
        };
        let bytes: Vec<u8> = strip.iter().copied().cycle().take(strip.len() / STRIP * rows).collect();
        QTensor::new(QStorage::from_data(Cow::Owned(bytes), &Device::Cpu, dtype)?, (rows, width))
    }
}

fn strip(width: usize, dtype: GgmlDType) -> Result<Vec<u8>> {
    let mut random = ChaCha8Rng::seed_from_u64(width as u64);
    let scale = 1.7 / (width as f32).sqrt();
    let values: Vec<f32> = (0..STRIP * width).map(|_| random.random_range(-scale..scale)).collect();
    let dense = Tensor::from_vec(values, (STRIP, width), &Device::Cpu)?;
    Ok(QTensor::quantize(&dense, dtype)?.data()?.into_owned())
}

fn metadata(shape: &Shape) -> Vec<(String, Value)> {
    let number = |value: usize| Value::U32(value as u32);
    let mut metadata: Vec<(String, Value)> = [
        ("general.architecture", Value::String("llama".into())),
        ("general.name", Value::String(format!("random {shape}"))),
        ("llama.vocab_size", number(shape.vocabulary_size)),
        ("llama.context_length", number(shape.context_length)),
        ("llama.embedding_length", number(shape.hidden_size)),
        ("llama.block_count", number(shape.layers)),
        ("llama.feed_forward_length", number(shape.intermediate_size)),
        ("llama.attention.head_count", number(shape.heads)),
        ("llama.attention.head_count_kv", number(shape.key_value_heads)),
        ("llama.rope.dimension_count", number(shape.hidden_size / shape.heads)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    metadata.extend(vocabulary(shape.vocabulary_size).map(|(name, value)| (format!("tokenizer.ggml.{name}"), value)));
    metadata
}

/// A vocabulary of bytes and made-up words.
fn vocabulary(size: usize) -> [(&'static str, Value); 6] {
    let control = ["<unk>", "<s>", "</s>"].map(str::to_owned);
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let words = (0..size.saturating_sub(SPECIAL)).map(|number| format!("\u{2581}w{number}"));
    let tokens: Vec<String> = control.into_iter().chain(bytes).chain(words).take(size).collect();
    let kind = |place: usize| match place {
        0 => 2,
        1 | 2 => 3,
        3..SPECIAL => 6,
        _ => 1,
    };
    let kinds = (0..size).map(|place| Value::I32(kind(place))).collect();
    let scores = (0..size).map(|place| Value::F32(-(place as f32))).collect();
    [
        ("model", Value::String("llama".into())),
        ("tokens", Value::Array(tokens.into_iter().map(Value::String).collect())),
        ("scores", Value::Array(scores)),
        ("token_type", Value::Array(kinds)),
        ("bos_token_id", Value::U32(1)),
        ("eos_token_id", Value::U32(2)),
    ]
}
