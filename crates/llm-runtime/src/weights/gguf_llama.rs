//! What llama.cpp calls things: a Llama's configuration, vocabulary and tensor names inside a GGUF file.

use std::path::Path;

use super::gguf::{GgufFile, Value};
use crate::config::{LlamaConfig, RopeScaling};
use crate::tokenizer::GgufVocabulary;
use crate::{Error, Tokenizer};

/// Reads the model's shape from the metadata.
pub(crate) fn config(file: &GgufFile, path: &Path) -> Result<LlamaConfig, Error> {
    let problem = |problem: String| Error::Format { path: path.into(), problem };
    let architecture = file.metadata.get("general.architecture").and_then(Value::as_str).unwrap_or("(none named)");
    if architecture != "llama" && architecture != "mistral" {
        return Err(Error::Architecture { path: path.into(), architecture: architecture.into() });
    }
    let get = |key: &str| file.metadata.get(&format!("{architecture}.{key}"));
    let size = |key: &str| {
        get(key)
            .and_then(Value::as_usize)
            .ok_or_else(|| problem(format!("the metadata lack a whole number `{architecture}.{key}`")))
    };
    let heads = size("attention.head_count")?;
    let hidden_size = size("embedding_length")?;
    let head_dim = get("attention.key_length")
        .or(get("rope.dimension_count"))
        .and_then(Value::as_usize)
        .unwrap_or(hidden_size / heads.max(1));
    if get("rope.dimension_count").and_then(Value::as_usize).is_some_and(|rotated| rotated != head_dim) {
        return Err(problem(format!("only a part of each head of width {head_dim} is rotated: not supported")));
    }
    if get("expert_count").and_then(Value::as_usize).is_some_and(|experts| experts > 0) {
        return Err(problem("a mixture of experts is not supported".into()));
    }
    let vocabulary_size = file
        .tensors
        .get("token_embd.weight")
        .and_then(|entry| entry.shape.first().copied())
        .ok_or_else(|| problem("the tensor `token_embd.weight` is missing".into()))?;
    let config = LlamaConfig {
        hidden_size,
        intermediate_size: size("feed_forward_length")?,
        layers: size("block_count")?,
        heads,
        key_value_heads: get("attention.head_count_kv").and_then(Value::as_usize).unwrap_or(heads),
        head_dim,
        vocabulary_size,
        context_length: size("context_length")?,
        rms_norm_eps: get("attention.layer_norm_rms_epsilon").and_then(Value::as_f32).unwrap_or(1e-5),
        rope_theta: get("rope.freq_base").and_then(Value::as_f32).unwrap_or(10_000.0),
        rope_scaling: rope_scaling(file, architecture, head_dim, path)?,
        sliding_window: get("attention.sliding_window").and_then(Value::as_usize).filter(|window| *window > 0),
        tied_head: !file.tensors.contains_key("output.weight"),
        attention_bias: file.tensors.contains_key("blk.0.attn_q.bias"),
        mlp_bias: file.tensors.contains_key("blk.0.ffn_up.bias"),
    };
    config.check().map_err(problem)?;
    Ok(config)
}

fn rope_scaling(file: &GgufFile, architecture: &str, head_dim: usize, path: &Path) -> Result<RopeScaling, Error> {
    let problem = |problem: String| Error::Format { path: path.into(), problem };
    if let Some(entry) = file.tensors.get("rope_freqs.weight") {
        let values = GgufFile::tensor(entry, file.bytes(entry)?, &candle_core::Device::Cpu)?
            .dequantize(&candle_core::Device::Cpu)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        if values.len() != head_dim / 2 || !values.iter().all(|value| value.is_finite() && *value > 0.0) {
            return Err(problem(format!("`rope_freqs.weight` must hold {} positive divisors", head_dim / 2)));
        }
        return Ok(RopeScaling::Divisors(values));
    }
    let get = |key: &str| file.metadata.get(&format!("{architecture}.rope.{key}"));
    let kind = get("scaling.type").and_then(Value::as_str).unwrap_or("none");
    let factor = get("scaling.factor").or(get("scale_linear")).and_then(Value::as_f32).unwrap_or(1.0);
    match kind {
        "none" if factor == 1.0 => Ok(RopeScaling::None),
        "none" | "linear" if factor.is_finite() && factor > 0.0 => Ok(RopeScaling::Linear(factor)),
        other => Err(problem(format!("rotary scaling `{other}` with factor {factor} is not supported"))),
    }
}

/// The tokenizer inside the file.
pub(crate) fn tokenizer(file: &GgufFile, path: &Path) -> Result<Tokenizer, Error> {
    Ok(Tokenizer::from_gguf(vocabulary(file, path)?)?)
}

/// What the file says about its tokenizer.
pub(crate) fn vocabulary(file: &GgufFile, path: &Path) -> Result<GgufVocabulary, Error> {
    let problem = |problem: String| Error::Format { path: path.into(), problem };
    let get = |key: &str| file.metadata.get(&format!("tokenizer.ggml.{key}"));
    let array = |key: &str| get(key).and_then(Value::as_array).unwrap_or_default();
    let id = |key: &str| get(key).and_then(Value::as_usize).and_then(|id| u32::try_from(id).ok());
    let texts = |key: &str| {
        array(key)
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| problem(format!("`tokenizer.ggml.{key}` holds something that is not a text")))
    };
    let model = get("model").and_then(Value::as_str).ok_or_else(|| {
        problem("the file has no tokenizer (`tokenizer.ggml.model` is missing): give one with --tokenizer".into())
    })?;
    Ok(GgufVocabulary {
        model: model.into(),
        pre: get("pre").and_then(Value::as_str).map(str::to_owned),
        tokens: texts("tokens")?,
        scores: array("scores").iter().filter_map(Value::as_f32).collect(),
        token_types: array("token_type").iter().filter_map(Value::as_i32).collect(),
        merges: texts("merges")?,
        bos: id("bos_token_id"),
        eos: id("eos_token_id"),
        unk: id("unknown_token_id"),
        extra_eos: ["eot_token_id", "eom_token_id"].into_iter().filter_map(id).collect(),
        add_bos: get("add_bos_token").and_then(Value::as_bool),
        add_space_prefix: get("add_space_prefix").and_then(Value::as_bool),
    })
}

/// The chat template inside the file.
pub(crate) fn chat_template(file: &GgufFile) -> Option<&str> {
    file.metadata.get("tokenizer.chat_template").and_then(Value::as_str)
}

/// llama.cpp's name for a Hugging Face tensor name (with `.weight` or `.bias`).
pub(crate) fn tensor_name(name: &str) -> Option<String> {
    let (module, kind) = name.rsplit_once('.')?;
    let plain = match module {
        "model.embed_tokens" => "token_embd",
        "model.norm" => "output_norm",
        "lm_head" => "output",
        _ => "",
    };
    if !plain.is_empty() {
        return Some(format!("{plain}.{kind}"));
    }
    let (layer, part) = module.strip_prefix("model.layers.")?.split_once('.')?;
    let part = match part {
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        _ => return None,
    };
    Some(format!("blk.{layer}.{part}.{kind}"))
}

/// Puts the rows of a query or key matrix back into Hugging Face's order.
///
/// llama.cpp's converter stores row `2 j + s` of each head where Hugging Face has row `s · head_dim / 2 + j` (interleaved
/// instead of half-split rotary pairs). Rows are whole blocks of bytes, so this works for every type, and one rotary
/// convention serves all models (and adapters trained on either form).
pub(crate) fn restore_rotary_rows(bytes: &[u8], rows: usize, head_dim: usize) -> Vec<u8> {
    let width = bytes.len() / rows.max(1);
    let half = head_dim / 2;
    let mut out = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        let (head, within) = (row / head_dim, row % head_dim);
        let stored = head * head_dim + 2 * (within % half) + within / half;
        out.extend_from_slice(&bytes[stored * width..(stored + 1) * width]);
    }
    out
}
