//! Llama and Mistral against transformers, and GGUF files against llama.cpp and dequantised weights.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use golden_files::family;
use llm_runtime::{
    Completion, Continuation, EarlyStopping, Engine, EngineOptions, Event, GenerationOptions, GgufVocabulary, Llama,
    Prompt, Request, ScoreRequest, TextModel, Tokenizer, WeightOptions,
};
use serde_json::Value;

/// The tiny models have no tokenizer: any vocabulary of the right size serves.
pub(crate) fn numbered_tokenizer(size: usize, eos: Option<u32>) -> Tokenizer {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".into(), "</s>".into()];
    tokens.extend((3..size).map(|id| format!("t{id}")));
    let mut token_types = vec![2, 3, 3];
    token_types.resize(size, 1);
    Tokenizer::from_gguf(GgufVocabulary {
        model: "llama".into(),
        pre: None,
        scores: vec![0.0; size],
        tokens,
        token_types,
        merges: Vec::new(),
        bos: Some(1),
        eos,
        unk: Some(0),
        extra_eos: Vec::new(),
        add_bos: Some(true),
        add_space_prefix: Some(true),
    })
    .unwrap()
}

/// Where the models of golden tests are.
pub(crate) fn device() -> Device {
    golden_files::device().parse::<llm_runtime::DeviceChoice>().unwrap().open().unwrap()
}

fn engine(path: &Path, eos: Option<u32>) -> Engine {
    let model = Llama::open(path, WeightOptions::default(), &device()).unwrap();
    let tokenizer = numbered_tokenizer(model.config().vocabulary_size, eos);
    let options = EngineOptions { kv_memory: 64 << 20, ..EngineOptions::default() };
    Engine::new(model, tokenizer, None, &options).unwrap()
}

pub(crate) fn generate(engine: &mut Engine, requests: Vec<Request>) -> Vec<Completion> {
    let mut done = Vec::new();
    engine
        .generate(&mut requests.into_iter(), &mut |event| {
            match event {
                Event::Finished(completion) => done.push(completion),
                Event::Failed { key, error } => panic!("request {key}: {error}"),
                Event::Text { .. } => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    done.sort_by_key(|completion| completion.key);
    done
}

pub(crate) fn request(key: u64, tokens: Vec<u32>, options: GenerationOptions) -> Request {
    Request::new(key, Prompt::Tokens(tokens), options)
}

pub(crate) fn json(path: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

pub(crate) fn ids_of(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec1::<i64>().unwrap().into_iter().map(|id| id as u32).collect()
}

pub(crate) fn tensors(path: PathBuf) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

pub(crate) fn max_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

pub(crate) fn model_folders(family: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(family)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("config.json").is_file())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

/// Row `b` of a left-padded batch without its padding: where it starts and its tokens.
fn unpadded(forward: &HashMap<String, Tensor>, b: usize) -> (usize, Vec<u32>) {
    let mask = forward["attention_mask"].get(b).unwrap().to_vec1::<i64>().unwrap();
    let ids = forward["input_ids"].get(b).unwrap().to_vec1::<i64>().unwrap();
    let start = mask.iter().position(|seen| *seen == 1).unwrap();
    (start, ids[start..].iter().map(|id| *id as u32).collect())
}

#[test]
fn golden_llama_logits() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let forward = tensors(folder.join("forward.safetensors"));
        let mut engine = engine(&folder, None);
        for b in 0..forward["input_ids"].dim(0).unwrap() {
            let (start, tokens) = unpadded(&forward, b);
            let logits = engine.logits(&tokens).unwrap();
            let expected = forward["logits"].get(b).unwrap().narrow(0, start, tokens.len()).unwrap();
            let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let difference = max_difference(&flat(&logits), &flat(&expected));
            assert!(difference <= 1e-4, "{}, row {b}: logits differ by {difference}", folder.display());
        }
    }
}

/// Row `b` of a `[rows, positions, …]` tensor from `start` on, flat.
fn golden_row(tensor: &Tensor, b: usize, start: usize, length: usize) -> Vec<f32> {
    tensor.get(b).unwrap().narrow(0, start, length).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

#[test]
fn golden_llama_hidden_states() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let forward = tensors(folder.join("forward.safetensors"));
        let mut engine = engine(&folder, None);
        for b in 0..forward["input_ids"].dim(0).unwrap() {
            let (start, tokens) = unpadded(&forward, b);
            let states = engine.hidden_states(&tokens).unwrap();
            assert_eq!(states.len(), forward["hidden_states"].dim(0).unwrap());
            for (layer, state) in states.iter().enumerate() {
                let expected = golden_row(&forward["hidden_states"].get(layer).unwrap(), b, start, tokens.len());
                let found = state.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let difference = max_difference(&found, &expected);
                assert!(difference <= 1e-4, "{}, row {b}, layer {layer}: {difference}", folder.display());
            }
        }
    }
}

#[test]
fn golden_llama_next_token_log_probabilities() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let forward = tensors(folder.join("forward.safetensors"));
        let mut engine = engine(&folder, None);
        for b in 0..forward["input_ids"].dim(0).unwrap() {
            let (start, tokens) = unpadded(&forward, b);
            let request =
                ScoreRequest::new(Prompt::Tokens(tokens[..1].to_vec()), Continuation::Tokens(tokens[1..].to_vec()));
            let score = engine.score(&[request]).unwrap().remove(0).unwrap();
            let expected = golden_row(&forward["next_token_logprobs"], b, start, tokens.len() - 1);
            let difference = max_difference(&score.logprobs, &expected);
            assert!(difference <= 1e-4, "{}, row {b}: {difference}", folder.display());
        }
    }
}

#[test]
fn golden_llama_transformers_5_configuration_is_the_same_model() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let read = |name: &str| llm_runtime::LlamaConfig::from_hugging_face(&folder.join(name)).unwrap();
        assert_eq!(read("config.json"), read("config.v5.json"), "{}", folder.display());
    }
}

#[test]
fn golden_llama_greedy() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let golden = json(folder.join("greedy.json"));
        let mut engine = engine(&folder, None);
        let max_new_tokens = golden["max_new_tokens"].as_u64().unwrap() as usize;
        let options = GenerationOptions { max_new_tokens, logprobs: Some(0), ..GenerationOptions::default() };
        let cases = golden["single"].as_array().unwrap();
        let requests =
            cases.iter().enumerate().map(|(key, case)| request(key as u64, ids(&case["prompt_ids"]), options.clone()));
        for (case, completion) in cases.iter().zip(generate(&mut engine, requests.collect())) {
            assert_eq!(completion.tokens, ids(&case["new_ids"]), "{}", folder.display());
            let expected = case["logprobs_fp64"].as_array().unwrap();
            for (found, expected) in completion.logprobs.iter().zip(expected) {
                let difference = (f64::from(found.logprob) - expected.as_f64().unwrap()).abs();
                assert!(difference <= 1e-4, "{}: log-probability off by {difference}", folder.display());
            }
        }
    }
}

#[test]
fn golden_llama_greedy_batch_with_end_of_sequence() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let golden = json(folder.join("greedy.json"));
        let batch = &golden["left_padded_batch"];
        let eos = batch["eos_token_id"].as_u64().map(|id| id as u32);
        let mut engine = engine(&folder, eos);
        let max_new_tokens = golden["max_new_tokens"].as_u64().unwrap() as usize;
        let options = GenerationOptions { max_new_tokens, ..GenerationOptions::default() };
        let prompts = golden["single"].as_array().unwrap();
        let requests = prompts
            .iter()
            .enumerate()
            .map(|(key, case)| request(key as u64, ids(&case["prompt_ids"]), options.clone()));
        let completions = generate(&mut engine, requests.collect());
        println!("{}", batch.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(", "));
        let expected = batch["new_ids"].as_array().unwrap();
        for (completion, expected) in completions.iter().zip(expected) {
            let expected = ids(expected);
            let length =
                eos.and_then(|eos| expected.iter().position(|id| *id == eos)).map_or(expected.len(), |at| at + 1);
            assert_eq!(completion.tokens, expected[..length], "{}", folder.display());
        }
    }
}

#[test]
fn golden_llama_beam_search() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        for case in json(folder.join("beam.json"))["cases"].as_array().unwrap() {
            let params = &case["params"];
            let number = |name: &str| params[name].as_u64().map(|value| value as usize);
            let eos = number("eos_token_id").map(|id| id as u32);
            let mut engine = engine(&folder, eos);
            let options = GenerationOptions {
                max_new_tokens: number("max_new_tokens").unwrap(),
                min_new_tokens: number("min_new_tokens").unwrap_or(0),
                beam_width: number("num_beams").unwrap(),
                num_return_sequences: number("num_return_sequences").unwrap(),
                length_penalty: params["length_penalty"].as_f64().unwrap_or(1.0) as f32,
                no_repeat_ngram_size: number("no_repeat_ngram_size").unwrap_or(0),
                repetition_penalty: params["repetition_penalty"].as_f64().unwrap_or(1.0) as f32,
                early_stopping: match &params["early_stopping"] {
                    Value::Bool(true) => EarlyStopping::Yes,
                    Value::String(never) if never == "never" => EarlyStopping::Never,
                    _ => EarlyStopping::No,
                },
                ..GenerationOptions::default()
            };
            let completion = generate(&mut engine, vec![request(0, ids(&case["prompt_ids"]), options)]).remove(0);
            let name = format!("{}: {} of prompt {}", folder.display(), case["variant"], case["prompt"]);
            let found: Vec<Vec<u32>> =
                completion.hypotheses.iter().map(|hypothesis| hypothesis.tokens.clone()).collect();
            let expected: Vec<Vec<u32>> = case["sequences"].as_array().unwrap().iter().map(ids).collect();
            assert_eq!(found, expected, "{name}");
            for (hypothesis, score) in completion.hypotheses.iter().zip(case["scores"].as_array().unwrap()) {
                let difference = (f64::from(hypothesis.score) - score.as_f64().unwrap()).abs();
                assert!(difference <= 1e-4, "{name}: score off by {difference}");
            }
        }
    }
}

/// The runs whose attention the family records: here only their tokens.
#[test]
fn golden_llama_tokens_of_the_attention_runs() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let golden = tensors(folder.join("attention.safetensors"));
        let ids = |name: &str| -> Vec<u32> {
            golden[name].to_vec1::<i64>().unwrap().into_iter().map(|id| id as u32).collect()
        };
        let mut engine = engine(&folder, None);
        for (name, beam_width) in [("new_ids", 1), ("beam3_new_ids", 3)] {
            let expected = ids(name);
            let options =
                GenerationOptions { max_new_tokens: expected.len(), beam_width, ..GenerationOptions::default() };
            let completion = generate(&mut engine, vec![request(0, ids("prompt_ids"), options)]).remove(0);
            assert_eq!(completion.tokens, expected, "{}: {name}", folder.display());
        }
    }
}
