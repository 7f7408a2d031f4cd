//! Foreign bytes as a GGUF file. What can be loaded has to answer.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use llm_runtime::{Engine, EngineOptions, GenerationOptions, LoadOptions, Prompt, Request, TextModel};
use solace_fuzz::file;

fuzz_target!(|bytes: &[u8]| {
    let path = file("model.gguf", bytes);
    let engine = EngineOptions { kv_memory: 1 << 20, ..EngineOptions::default() };
    let options = LoadOptions { engine, ..LoadOptions::new(path.to_string_lossy()) };
    let Ok(mut engine) = Engine::load(&options, &|_| ()) else { return };
    let generation = GenerationOptions { max_new_tokens: 2, ..GenerationOptions::default() };
    let mut requests = std::iter::once(Request::new(0, Prompt::Tokens(vec![0, 1, 2]), generation));
    let _ = engine.generate(&mut requests, &mut |_| ControlFlow::Continue(()));
});
