//! Reads an adapter that PEFT wrote, and writes it again.
//!
//! `cargo run -p lora --example copy_adapter -- MODEL_FOLDER ADAPTER_FOLDER OUT_FOLDER` (without words: a shipped one)

use std::error::Error;
use std::path::Path;

use candle_core::Device;
use llm_runtime::{Llama, WeightOptions};
use lora::Adapters;

fn main() -> Result<(), Box<dyn Error>> {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/goldens/lora");
    let scratch = std::env::temp_dir().join("solace-copy-adapter-example");
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() {
        words = vec![format!("{shipped}/base"), format!("{shipped}/qv_dora"), scratch.display().to_string()];
    }
    let [model, adapter, out] = words.as_slice() else {
        return Err("usage: copy_adapter MODEL_FOLDER ADAPTER_FOLDER OUT_FOLDER".into());
    };
    let adapters = Adapters::new();
    Llama::open_through(Path::new(model), WeightOptions::default(), &Device::Cpu, &|loader, config, device| {
        Llama::load(&adapters.wrap(loader), config, device)
    })?;
    adapters.load("copy", Path::new(adapter))?;
    println!("{:#?}", adapters.config("copy")?);
    println!("{} values", adapters.parameters("copy")?.elements());
    adapters.save("copy", Path::new(out), model)?;
    Ok(())
}
