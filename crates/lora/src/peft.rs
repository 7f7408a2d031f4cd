//! Adapter folders as the Python library PEFT writes and reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use llm_runtime::{Linear, input_file, output_file};
use serde_json::{Map, Value, json};
use training::Parameters;

use crate::layer::Update;
use crate::{LoraConfig, LoraError};

/// The adapter's shape.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// Its tensors.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// PEFT's name for a part of an adapter in a layer.
pub(crate) fn key(module: &str, part: &str) -> String {
    format!("base_model.model.{module}.{part}")
}

pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// Settings that change what an adapter computes and that we do not compute: better an error than other numbers.
const UNSUPPORTED: [&str; 13] = [
    "modules_to_save",
    "layer_replication",
    "lora_bias",
    "fan_in_fan_out",
    "alora_invocation_tokens",
    "trainable_token_indices",
    "target_parameters",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
];

/// Reads a folder. Keys of `adapter_config.json` that we do not know are ignored: each version of PEFT adds some.
pub(crate) fn read(folder: &Path) -> Result<(LoraConfig, Tensors), LoraError> {
    let path = folder.join(CONFIG_FILE);
    let text = input_file::read_text(&path).map_err(LoraError::io(&path))?;
    let json: Value =
        serde_json::from_str(&text).map_err(|error| LoraError::format(&path, format!("not a JSON file: {error}")))?;
    check_supported(&path, &json)?;
    let config: LoraConfig = serde_json::from_value(json)
        .map_err(|error| LoraError::format(&path, format!("not the configuration of a LoRA adapter: {error}")))?;
    config.check().map_err(|error| LoraError::format(&path, error))?;
    let path = folder.join(WEIGHTS_FILE);
    let bytes = fs::read(&path).map_err(LoraError::io(&path))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|error| LoraError::format(&path, format!("not a whole safetensors file ({error})")))?;
    Ok((config, tensors.into_iter().collect()))
}

fn check_supported(path: &Path, json: &Value) -> Result<(), LoraError> {
    let kind = json["peft_type"].as_str().unwrap_or("LORA");
    if kind != "LORA" {
        return Err(LoraError::format(path, format!("the adapter is of the type {kind}, only LORA is supported")));
    }
    if json["bias"].as_str().is_some_and(|bias| bias != "none") {
        return Err(LoraError::format(path, "an adapter with trained biases is not supported"));
    }
    let is_set = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => !values.is_empty(),
        _ => true,
    };
    match UNSUPPORTED.iter().find(|setting| is_set(&json[**setting])) {
        Some(setting) => Err(LoraError::format(path, format!("`{setting}` is set, which is not supported"))),
        None => Ok(()),
    }
}

/// Takes a layer's part out of the tensors.
pub(crate) fn take_update(
    folder: &Path,
    tensors: &mut Tensors,
    config: &LoraConfig,
    module: &str,
    base: &dyn Linear,
) -> Result<Update, LoraError> {
    let path = folder.join(WEIGHTS_FILE);
    let device = base.weight()?.device().clone();
    let rank = config.rank_of(module);
    let mut take = |part: &str, shape: &[usize]| {
        let name = key(module, part);
        let Some(tensor) = tensors.remove(&name) else {
            return Err(LoraError::format(&path, format!("the tensor `{name}` is missing")));
        };
        if tensor.dims() != shape {
            let problem = format!("`{name}` has the shape {:?}, the model asks for {shape:?}", tensor.dims());
            return Err(LoraError::format(&path, problem));
        }
        Ok(Var::from_tensor(&tensor.to_dtype(DType::F32)?.to_device(&device)?)?)
    };
    let a = take("lora_A.weight", &[rank, base.in_features()])?;
    let b = take("lora_B.weight", &[base.out_features(), rank])?;
    let magnitude = config.use_dora.then(|| take("lora_magnitude_vector", &[base.out_features()])).transpose()?;
    Ok(Update::new(a, b, magnitude, config.scale_of(module), config.dropout as f32))
}

/// Writes a folder; each file appears whole or not at all.
pub(crate) fn write(
    folder: &Path,
    config: &LoraConfig,
    base_model: &str,
    parameters: &Parameters,
) -> Result<(), LoraError> {
    fs::create_dir_all(folder).map_err(LoraError::io(folder))?;
    let weights = folder.join(WEIGHTS_FILE);
    let tensors: Vec<(String, Tensor)> =
        parameters.iter().map(|(name, variable)| (name.to_owned(), variable.as_detached_tensor())).collect();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    output_file::place(&weights, LoraError::io(&weights), |partial| {
        safetensors::serialize_to_file(tensors, Some(metadata), partial)
            .map_err(|error| LoraError::format(&weights, error))
    })?;
    let path = folder.join(CONFIG_FILE);
    output_file::write(&path, format!("{:#}\n", json_of(config, base_model))).map_err(LoraError::io(&path))
}

/// The keys that every version of PEFT knows since it has DoRA (0.9).
fn json_of(config: &LoraConfig, base_model: &str) -> Value {
    let fixed = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "inference_mode": true,
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "modules_to_save": null,
    });
    let mut all: Map<String, Value> = fixed.as_object().cloned().unwrap_or_default();
    if let Ok(Value::Object(own)) = serde_json::to_value(config) {
        // Older versions refuse keys they do not know; an empty list means the same as none.
        all.extend(own.into_iter().filter(|(_, value)| !value.as_array().is_some_and(Vec::is_empty)));
    }
    // PEFT reads alpha as a whole number.
    if config.alpha.fract() == 0.0 {
        all.insert("lora_alpha".into(), json!(config.alpha as i64));
    }
    Value::Object(all)
}
