//! The shipped model with random weights: real files of the right form, text without meaning.
//!
//! A Llama of about 230,000 parameters as a Hugging Face folder (bf16) and as a GGUF file (Q8_0), with a byte-pair
//! tokeniser trained on the shipped dialogues, strategies and one instruction. Everything is drawn from one seed, so
//! that running it again gives the same bytes.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use llm_runtime::{ExportType, LoadOptions, ModelExport, Quantization};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::vocabulary;

const HIDDEN: usize = 64;
const INTERMEDIATE: usize = 192;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const KEY_VALUE_HEADS: usize = 2;
const HEAD_DIM: usize = 16;
const CONTEXT: usize = 8192;
const VOCABULARY: usize = 1024;
const SEED: u64 = 240_210_453;

pub(crate) fn make(fixtures: &Path) -> Result<(), String> {
    let folder = fixtures.join("models/tiny-llama");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let pieces = vocabulary(&fixtures.join("dialogues/dialogues.json"))?;
    let template = include_str!("../../crates/llm-runtime/src/template/built_in/llama2.jinja");
    let weights = weights(pieces.len()).map_err(|error| error.to_string())?;
    write_json(&folder.join("config.json"), &config(pieces.len()))?;
    write_json(&folder.join("generation_config.json"), &json!({"bos_token_id": 1, "eos_token_id": 2}))?;
    write_json(&folder.join("tokenizer.json"), &vocabulary::tokenizer(&pieces))?;
    write_json(&folder.join("tokenizer_config.json"), &vocabulary::tokenizer_config(template))?;
    write_safetensors(&folder.join("model.safetensors"), &weights).map_err(|error| error.to_string())?;
    write_gguf(&folder).map_err(|error| error.to_string())?;
    println!("{}: {} tokens", folder.display(), pieces.len());
    Ok(())
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), String> {
    std::fs::write(path, format!("{value:#}\n")).map_err(|error| format!("{}: {error}", path.display()))
}

/// `<unk> <s> </s>`, the bytes, then characters and merges learned from the dialogues, most frequent first.
fn vocabulary(dialogues: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(dialogues).map_err(|error| format!("{}: {error}", dialogues.display()))?;
    let conversations: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut texts: Vec<String> = strategy_texts();
    for conversation in conversations.as_array().into_iter().flatten() {
        texts.extend(conversation["situation"].as_str().map(str::to_owned));
        let utterances = conversation["dialog"].as_array().into_iter().flatten();
        texts.extend(utterances.filter_map(|utterance| utterance["content"].as_str()).map(str::to_owned));
    }
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    vocabulary::learn(words, VOCABULARY)
}

/// Descriptions and instructions are half of each prompt.
fn strategy_texts() -> Vec<String> {
    let sets = [
        include_str!("../../crates/esconv-data/data/strategies/extes15.toml"),
        include_str!("../../crates/esconv-data/data/strategies/esconv8.toml"),
        include_str!("../../crates/strategy-prompting/data/instructions/t4.txt"),
    ];
    sets.map(str::to_owned).to_vec()
}

fn config(vocabulary: usize) -> serde_json::Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "head_dim": HEAD_DIM,
        "vocab_size": vocabulary,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": false,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    })
}

/// Hugging Face names and tensors, in f32.
fn weights(vocabulary: usize) -> candle_core::Result<Vec<(String, Tensor)>> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut weights = Vec::new();
    let mut add = |name: String, rows: usize, columns: usize, scale: f32| -> candle_core::Result<()> {
        let values: Vec<f32> = (0..rows * columns).map(|_| scale * normal(&mut rng)).collect();
        weights.push((name, Tensor::from_vec(values, (rows, columns), &Device::Cpu)?));
        Ok(())
    };
    let (queries, keys) = (HEADS * HEAD_DIM, KEY_VALUE_HEADS * HEAD_DIM);
    add("model.embed_tokens.weight".into(), vocabulary, HIDDEN, 1.0)?;
    for layer in 0..LAYERS {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        add(name("self_attn.q_proj"), queries, HIDDEN, 0.25)?;
        add(name("self_attn.k_proj"), keys, HIDDEN, 0.25)?;
        add(name("self_attn.v_proj"), keys, HIDDEN, 0.15)?;
        add(name("self_attn.o_proj"), HIDDEN, queries, 0.15)?;
        add(name("mlp.gate_proj"), INTERMEDIATE, HIDDEN, 0.15)?;
        add(name("mlp.up_proj"), INTERMEDIATE, HIDDEN, 0.15)?;
        add(name("mlp.down_proj"), HIDDEN, INTERMEDIATE, 0.1)?;
    }
    add("lm_head.weight".into(), vocabulary, HIDDEN, 0.25)?;
    for layer in 0..LAYERS {
        for part in ["input_layernorm", "post_attention_layernorm"] {
            weights
                .push((format!("model.layers.{layer}.{part}.weight"), Tensor::ones(HIDDEN, DType::F32, &Device::Cpu)?));
        }
    }
    weights.push(("model.norm.weight".into(), Tensor::ones(HIDDEN, DType::F32, &Device::Cpu)?));
    Ok(weights)
}

/// A normal deviate from two uniform ones (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
}

fn write_safetensors(path: &Path, weights: &[(String, Tensor)]) -> candle_core::Result<()> {
    let halves: HashMap<String, Tensor> = weights
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), tensor.to_dtype(DType::BF16)?)))
        .collect::<candle_core::Result<_>>()?;
    candle_core::safetensors::save(&halves, path)
}

fn write_gguf(folder: &Path) -> Result<(), llm_runtime::Error> {
    let export = ModelExport::open(&LoadOptions::new(folder.display().to_string()))?;
    export.write_gguf(&folder.join("tiny-llama-q8_0.gguf"), ExportType::Quantized(Quantization::Q8_0), &|_| Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_weights() {
        let flat = |weights: Vec<(String, Tensor)>| -> Vec<(String, Vec<f32>)> {
            let values = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
            weights.into_iter().map(|(name, tensor)| (name, values(tensor))).collect()
        };
        assert_eq!(flat(weights(300).unwrap()), flat(weights(300).unwrap()));
    }
}
