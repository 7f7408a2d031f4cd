//! Foreign bytes as an adapter in PEFT's form: its settings, or its weights beside good settings. What can be loaded can be written and taken off.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use llm_runtime::{Llama, WeightOptions};
use lora::Adapters;
use solace_fuzz::{choice, file, folder};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/models/tiny-llama");
const CONFIG: &[u8] = br#"{"peft_type": "LORA", "r": 1, "lora_alpha": 2, "lora_dropout": 0.0, "target_modules": ["q_proj"], "bias": "none"}"#;

/// The shipped model with places for adapters.
fn adapters() -> &'static Adapters {
    static MODEL_WITH_PLACES: OnceLock<(Llama, Adapters)> = OnceLock::new();
    let make = || {
        let adapters = Adapters::new();
        let open =
            Llama::open_through(Path::new(MODEL), WeightOptions::default(), &Device::Cpu, &|loader, config, device| {
                Llama::load(&adapters.wrap(loader), config, device)
            });
        (open.expect("the shipped model loads"), adapters.clone())
    };
    &MODEL_WITH_PLACES.get_or_init(make).1
}

fuzz_target!(|bytes: &[u8]| {
    let (chosen, bytes) = choice(bytes);
    match chosen % 2 {
        0 => {
            file(lora::CONFIG_FILE, CONFIG);
            file(lora::WEIGHTS_FILE, bytes);
        }
        _ => {
            let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            let (config, weights) = bytes.split_at(cut);
            file(lora::CONFIG_FILE, config);
            file(lora::WEIGHTS_FILE, weights.get(1..).unwrap_or_default());
        }
    }
    let adapters = adapters();
    if adapters.load("fuzzed", folder()).is_ok() {
        adapters.save("fuzzed", &folder().join("again"), "tiny").expect("what was read can be written");
        adapters.unload("fuzzed").expect("what was loaded can be taken off");
    }
});
