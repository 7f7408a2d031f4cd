//! Hugging Face folders: `config.json`, tokenizer files, safetensors in one file or in shards with an index.

use std::fs;
use std::path::Path;

use candle_core::Tensor;
use serde_json::{Map, Value, json};

use super::super::Source;
use super::{ModelExport, Replacement};
use crate::{Error, FloatType, output_file};

/// Files that are copied as they are.
const COPIED: [&str; 7] = [
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
];

pub(super) fn write(
    export: &ModelExport<'_>,
    folder: &Path,
    dtype: FloatType,
    shard_bytes: u64,
    replacement: Replacement<'_>,
) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(io(folder))?;
    let shards = shards(export, dtype, shard_bytes);
    let mut map = Map::new();
    for (number, names) in shards.iter().enumerate() {
        let file = shard_name(number, shards.len());
        let tensors = names
            .iter()
            .map(|(name, shape)| {
                map.insert(name.clone(), json!(file));
                Ok((name.clone(), export.values(name, shape, replacement)?.to_dtype(dtype.dtype())?))
            })
            .collect::<Result<Vec<(String, Tensor)>, Error>>()?;
        write_safetensors(&folder.join(file), tensors)?;
    }
    if shards.len() > 1 {
        let total: u64 = shards.iter().flatten().map(|(_, shape)| bytes(shape, dtype)).sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        write_json(&folder.join("model.safetensors.index.json"), &index)?;
    }
    write_json(&folder.join("config.json"), &config(export, dtype)?)?;
    match &export.weights.source {
        Source::Safetensors(_) => copy_files(&export.path, folder),
        Source::Gguf(_) => write_tokenizer(export, folder),
    }
}

type Named = (String, Vec<usize>);

/// The tensors of each file, in order; a tensor that is larger than a shard has one for itself.
fn shards(export: &ModelExport<'_>, dtype: FloatType, shard_bytes: u64) -> Vec<Vec<Named>> {
    let mut shards: Vec<Vec<Named>> = vec![Vec::new()];
    let mut filled = 0;
    for tensor in export.tensors() {
        let size = bytes(&tensor.1, dtype);
        if filled > 0 && filled + size > shard_bytes {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += size;
        if let Some(last) = shards.last_mut() {
            last.push(tensor);
        }
    }
    shards
}

fn bytes(shape: &[usize], dtype: FloatType) -> u64 {
    (shape.iter().product::<usize>() * dtype.dtype().size_in_bytes()) as u64
}

fn shard_name(number: usize, of: usize) -> String {
    match of {
        1 => "model.safetensors".into(),
        _ => format!("model-{:05}-of-{of:05}.safetensors", number + 1),
    }
}

fn write_safetensors(path: &Path, tensors: Vec<(String, Tensor)>) -> Result<(), Error> {
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    output_file::place(path, io(path), |partial| {
        safetensors::serialize_to_file(tensors, Some(metadata), partial)
            .map_err(|error| Error::Format { path: path.into(), problem: error.to_string() })
    })
}

fn write_json(path: &Path, value: &Value) -> Result<(), Error> {
    output_file::write(path, format!("{value:#}\n")).map_err(io(path))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.into(), source }
}

fn copy_files(from: &Path, to: &Path) -> Result<(), Error> {
    for name in COPIED.into_iter().filter(|name| from.join(name).is_file()) {
        fs::copy(from.join(name), to.join(name)).map_err(io(&to.join(name)))?;
    }
    Ok(())
}

fn write_tokenizer(export: &ModelExport<'_>, folder: &Path) -> Result<(), Error> {
    let Source::Gguf(file) = &export.weights.source else { return Ok(()) };
    let vocabulary = super::super::gguf_llama::vocabulary(file, &export.path)?;
    let template = export.weights.chat_template()?;
    let (tokenizer, config) = vocabulary.to_hugging_face(template.as_deref())?;
    write_json(&folder.join("tokenizer.json"), &tokenizer)?;
    write_json(&folder.join("tokenizer_config.json"), &config)
}

/// The original's configuration with another type, or one that says what the GGUF file said.
fn config(export: &ModelExport<'_>, dtype: FloatType) -> Result<Value, Error> {
    if let Source::Gguf(_) = export.weights.source {
        return export.weights.config.to_hugging_face(dtype);
    }
    let path = export.path.join("config.json");
    let text = crate::input_file::read_text(&path).map_err(io(&path))?;
    let mut config: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Format { path: path.clone(), problem: format!("not a JSON file: {error}") })?;
    let key = if config.get("dtype").is_some() { "dtype" } else { "torch_dtype" };
    config[key] = json!(dtype.torch_name());
    Ok(config)
}
