//! The same request and seed give the same tokens, whatever runs beside it.
//!
//! Fifty requests, half of them sharing prefixes with others, greedy and sampled, are run alone and in every other way.
//! Log-probabilities are compared bit for bit: equal tokens alone could be luck.

use std::path::{Path, PathBuf};

use candle_core::Device;
use golden_files::family;
use llm_runtime::{
    Continuation, Engine, EngineOptions, GenerationOptions, KvType, Llama, Prompt, Quantization, Request, ScoreRequest,
    TextModel, WeightOptions,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::llama::{generate, numbered_tokenizer, request};

const REQUESTS: u64 = 50;

/// Prompts of 3 to 120 tokens; every second one continues a prompt before it.
pub(crate) fn requests(vocabulary: u32, context: usize) -> Vec<Request> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut prompts: Vec<Vec<u32>> = Vec::new();
    (0..REQUESTS)
        .map(|key| {
            let mut prompt = match prompts.last() {
                Some(earlier) if key % 2 == 1 => earlier[..rng.random_range(1..=earlier.len())].to_vec(),
                _ => vec![1],
            };
            let length = rng.random_range(3..120.min(context - 24));
            while prompt.len() < length {
                prompt.push(rng.random_range(3..vocabulary));
            }
            prompts.push(prompt.clone());
            let options = GenerationOptions {
                max_new_tokens: rng.random_range(1..=24),
                temperature: if key % 3 == 0 { 0.0 } else { 0.9 },
                top_p: 0.95,
                seed: key * 31,
                logprobs: Some(1),
                ..GenerationOptions::default()
            };
            request(key, prompt, options)
        })
        .collect()
}

fn engine(path: &Path, quantize: Option<Quantization>, options: EngineOptions) -> Engine {
    let weights = WeightOptions { quantize, ..WeightOptions::default() };
    let model = Llama::open(path, weights, &Device::Cpu).unwrap();
    let tokenizer = numbered_tokenizer(model.config().vocabulary_size, Some(2));
    Engine::new(model, tokenizer, None, &options).unwrap()
}

/// Tokens and the bits of their log-probabilities.
type Answer = (Vec<u32>, Vec<u32>);

fn answers(engine: &mut Engine, requests: Vec<Request>) -> Vec<Answer> {
    let bits = |logprobs: &[llm_runtime::TokenLogprob]| logprobs.iter().map(|one| one.logprob.to_bits()).collect();
    generate(engine, requests).into_iter().map(|one| (one.tokens, bits(&one.logprobs))).collect()
}

fn models() -> Vec<(PathBuf, Option<Quantization>)> {
    let mut models = Vec::new();
    if let Some(llama) = family("llama") {
        models.push((llama.join("gqa_tied"), None));
        models.push((llama.join("mistral_swa"), None));
        models.push((llama.join("llama3_gqa"), Some(Quantization::Q8_0)));
    }
    if let Some(gguf) = family("gguf") {
        models.push((gguf.join("tiny-q8_0.gguf"), None));
        models.push((gguf.join("tiny-q4_0.gguf"), None));
        models.push((gguf.join("k256-q4_k_m.gguf"), None));
        models.push((gguf.join("k256-q6_k.gguf"), None));
        models.push((gguf.join("tiny-f16.gguf"), None));
    }
    models
}

#[test]
fn a_request_gives_the_same_tokens_alone_in_a_batch_and_after_a_cache_hit() {
    give_the_same_tokens_whatever_is_beside_them(models(), KvType::F32);
    give_the_same_tokens_whatever_is_beside_them(models().into_iter().step_by(3).collect(), KvType::F16);
}

fn give_the_same_tokens_whatever_is_beside_them(models: Vec<(PathBuf, Option<Quantization>)>, kv_type: KvType) {
    let roomy = EngineOptions { kv_memory: 64 << 20, kv_type, ..EngineOptions::default() };
    for (path, quantize) in models {
        let mut alone_engine = engine(&path, quantize, EngineOptions { batch: 1, ..roomy });
        let config = alone_engine.model().config().clone();
        let requests = requests(config.vocabulary_size as u32, config.context_length);
        let alone: Vec<Answer> = requests
            .iter()
            .flat_map(|request| {
                alone_engine.clear_cache();
                answers(&mut alone_engine, vec![request.clone()])
            })
            .collect();

        let mut together = engine(&path, quantize, EngineOptions { batch: 16, ..roomy });
        assert!(answers(&mut together, requests.clone()) == alone, "{}: in a batch of 16", path.display());
        assert!(answers(&mut together, requests.clone()) == alone, "{}: after a cache hit", path.display());

        let mut chunked = engine(&path, quantize, EngineOptions { batch: 5, step_rows: 7, ..roomy });
        assert!(answers(&mut chunked, requests.clone()) == alone, "{}: in chunks of 7 rows", path.display());

        let blocks = 14;
        let block = config.layers * 2 * 16 * config.key_value_heads * config.head_dim * bytes_of_value(kv_type);
        let mut crowded =
            engine(&path, quantize, EngineOptions { batch: 8, kv_memory: blocks * block as u64, ..roomy });
        assert!(answers(&mut crowded, requests.clone()) == alone, "{}: with evictions", path.display());

        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let mut threaded = engine(&path, quantize, roomy);
        let found = pool.install(|| answers(&mut threaded, requests.clone()));
        assert!(found == alone, "{}: with three threads", path.display());
    }
}

fn bytes_of_value(kv_type: KvType) -> usize {
    match kv_type {
        KvType::F32 => 4,
        KvType::F16 => 2,
    }
}

#[test]
fn keys_and_values_of_16_bits_take_half_of_the_memory_and_change_scores_a_little() {
    for (path, quantize) in models() {
        let [mut exact, mut rounded] = [KvType::F32, KvType::F16].map(|kv_type| {
            engine(&path, quantize, EngineOptions { kv_memory: 4 << 20, kv_type, ..EngineOptions::default() })
        });
        // The half of a block may be left over.
        assert!(rounded.cache_tokens() - 2 * exact.cache_tokens() <= 16);
        let config = exact.model().config().clone();
        let texts: Vec<ScoreRequest> = requests(config.vocabulary_size as u32, config.context_length)
            .into_iter()
            .map(|request| ScoreRequest::new(request.prompt, Continuation::Tokens(vec![5, 6, 7])))
            .collect();
        let logprobs = |engine: &mut Engine| -> Vec<f32> {
            engine.score(&texts).unwrap().into_iter().flat_map(|score| score.unwrap().logprobs).collect()
        };
        let (exact, rounded) = (logprobs(&mut exact), logprobs(&mut rounded));
        let sum: f32 = exact.iter().zip(&rounded).map(|(exact, rounded)| (exact - rounded).abs()).sum();
        let mean = sum / exact.len() as f32;
        assert!(mean > 0.0 && mean < 0.05, "{}: {mean}", path.display());
    }
}

#[test]
fn scores_are_the_log_probabilities_of_generation() {
    for (path, quantize) in models() {
        let mut engine = engine(&path, quantize, EngineOptions { kv_memory: 64 << 20, ..EngineOptions::default() });
        let config = engine.model().config().clone();
        let requests = requests(config.vocabulary_size as u32, config.context_length);
        let completions = generate(&mut engine, requests.clone());
        let pairs: Vec<ScoreRequest> = requests
            .iter()
            .zip(&completions)
            .map(|(request, completion)| {
                ScoreRequest::new(request.prompt.clone(), Continuation::Tokens(completion.tokens.clone()))
            })
            .collect();
        for round in ["with the cache", "with a cold cache"] {
            for (score, completion) in engine.score(&pairs).unwrap().iter().zip(&completions) {
                let score = score.as_ref().unwrap();
                let expected: Vec<f32> = completion.logprobs.iter().map(|one| one.logprob).collect();
                assert_eq!(score.logprobs, expected, "{} {round}", path.display());
                let sum: f64 = expected.iter().map(|logprob| f64::from(*logprob)).sum();
                assert!((score.sum - sum).abs() < 1e-12);
            }
            engine.clear_cache();
        }
    }
}

#[test]
fn a_beam_search_beside_others_changes_nothing() {
    let Some(llama) = family("llama") else { return };
    let path = llama.join("gqa_tied");
    let options = EngineOptions { kv_memory: 64 << 20, ..EngineOptions::default() };
    let mut engine = engine(&path, None, options);
    let mut requests = requests(320, 256);
    for request in requests.iter_mut().filter(|request| request.key % 5 == 0) {
        request.options.temperature = 0.0;
        request.options.beam_width = 3;
        request.options.num_return_sequences = 3;
        request.options.logprobs = None;
    }
    let mut alone = Vec::new();
    for request in &requests {
        engine.clear_cache();
        alone.extend(generate(&mut engine, vec![request.clone()]));
    }
    engine.clear_cache();
    for (alone, together) in alone.iter().zip(generate(&mut engine, requests.clone())) {
        assert_eq!((&alone.tokens, &alone.hypotheses), (&together.tokens, &together.hypotheses));
    }
}

#[test]
fn prompts_that_run_together_share_their_prefix() {
    let Some(llama) = family("llama") else { return };
    let options = EngineOptions { kv_memory: 64 << 20, ..EngineOptions::default() };
    let mut engine = engine(&llama.join("gqa_tied"), None, options);
    let prefix: Vec<u32> = (0..100).map(|i| 3 + i % 300).collect();
    let requests: Vec<Request> = (0..8u32)
        .map(|number| {
            let mut prompt = prefix.clone();
            prompt.extend([200 + number, 7, 8]);
            let options = GenerationOptions { max_new_tokens: 4, ..GenerationOptions::default() };
            Request::new(number.into(), Prompt::Tokens(prompt), options)
        })
        .collect();
    let statistics = engine.generate(&mut requests.into_iter(), &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(statistics.prompt_tokens, 8 * 103);
    assert_eq!(statistics.prompt_tokens_computed, 103 + 7 * 3, "the prefix is computed once, to the token");
    assert_eq!(statistics.prompt_tokens_reused, 7 * 100);
}
