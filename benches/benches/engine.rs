//! Prefill and decode of the shipped tiny model: the engine's own cost, with next to no arithmetic behind it.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use llm_runtime::{Engine, GenerationOptions, LoadOptions, Prompt, Request, TextModel};

fn engine() -> Engine {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/models/tiny-llama");
    Engine::load(&LoadOptions::new(model.to_string_lossy()), &|_| ()).expect("the shipped model loads")
}

fn requests(batch: u32, prompt: u32, new: usize) -> Vec<Request> {
    let options = GenerationOptions { max_new_tokens: new, ignore_eos: true, ..GenerationOptions::default() };
    (0..batch)
        .map(|key| {
            let tokens = (0..prompt).map(|i| 3 + (i * 7 + key * 13) % 500).collect();
            Request::new(key.into(), Prompt::Tokens(tokens), options.clone())
        })
        .collect()
}

fn generation(criterion: &mut Criterion) {
    let mut engine = engine();
    for (name, batch, prompt, new) in
        [("prefill 512", 1, 512, 1), ("decode 32", 1, 16, 32), ("decode 8 x 32", 8, 16, 32)]
    {
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(
                || requests(batch, prompt, new),
                |requests| {
                    engine.clear_cache();
                    let mut requests = requests.into_iter();
                    black_box(engine.generate(&mut requests, &mut |_| ControlFlow::Continue(())).expect("it runs"))
                },
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, generation);
criterion_main!(benches);
