//! Foreign bytes as the weights of a Hugging Face folder, as an index of weights, and as its configuration.
#![no_main]

use std::fs;

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use llm_runtime::{Llama, StateDict, WeightOptions};
use solace_fuzz::{choice, file, folder};

/// A model so small that an input can hold it whole.
const CONFIG: &[u8] = br#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 8, "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "hidden_act": "silu",
    "tie_word_embeddings": true}"#;

fuzz_target!(|bytes: &[u8]| {
    let (chosen, bytes) = choice(bytes);
    for name in ["model.safetensors", "model.safetensors.index.json"] {
        let _ = fs::remove_file(folder().join(name));
    }
    file("config.json", if chosen % 4 == 3 { bytes } else { CONFIG });
    match chosen % 4 {
        0 => drop(StateDict::open(&file("model.safetensors", bytes))),
        1 => drop(file("model.safetensors.index.json", bytes)),
        _ => drop(file("model.safetensors", bytes)),
    }
    let _ = Llama::open(folder(), WeightOptions::default(), &Device::Cpu);
});
