//! GGUF files against llama.cpp and against transformers on the dequantised weights.

use std::path::{Path, PathBuf};

use candle_core::Device;
use golden_files::family;
use llm_runtime::{Engine, EngineOptions, GenerationOptions, LoadOptions};
use serde_json::Value;

use crate::llama::{generate, ids, json, max_difference, request, tensors};

fn files(family: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(family)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn engine(path: &Path) -> Engine {
    let mut options = LoadOptions::new(path.to_str().unwrap());
    options.device = golden_files::device().parse().unwrap();
    options.engine = EngineOptions { kv_memory: 64 << 20, ..EngineOptions::default() };
    Engine::load(&options, &|_| ()).unwrap()
}

fn expected(file: &Path) -> Value {
    json(file.with_extension("expected.json"))
}

fn root_mean_square(left: &[f32], right: &[f32]) -> f64 {
    let sum: f64 = left.iter().zip(right).map(|(left, right)| f64::from(left - right).powi(2)).sum();
    (sum / left.len() as f64).sqrt()
}

/// What the family's `summary.json` measured between llama.cpp and the dequantised reference.
fn measured(family: &Path, file: &Path, what: &str) -> f64 {
    let summary = json(family.join("summary.json"));
    summary["measured"][file.file_stem().unwrap().to_str().unwrap()][what].as_f64().unwrap()
}

/// Files of floats run with f32 activations: 1e-4. Quantised ones quantise activations to 8 bits, as llama.cpp does, and so
/// must be nearer to llama.cpp than llama.cpp is to the dequantised reference, and about as far from that as llama.cpp.
#[test]
fn golden_gguf_logits() {
    let Some(family) = family("gguf") else { return };
    for file in files(&family) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let golden = tensors(file.with_extension("expected.safetensors"));
        let mut engine = engine(&file);
        let is_float = name.ends_with("f32") || name.ends_with("f16");
        let sequences = golden.keys().filter(|key| key.ends_with(".ids")).count();
        for number in 0..sequences {
            let tokens = golden[&format!("seq{number}.ids")].to_vec1::<i64>().unwrap();
            let tokens: Vec<u32> = tokens.into_iter().map(|id| id as u32).collect();
            let logits = engine.logits(&tokens).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let reference = |kind: &str| {
                golden[&format!("seq{number}.logits_{kind}")].flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            let dequantised = reference("dequant_f32");
            if is_float {
                let difference = max_difference(&logits, &dequantised);
                assert!(difference <= 1e-4, "{name}, sequence {number}: logits differ by {difference}");
                continue;
            }
            let between = measured(&family, &file, "llamacpp_vs_dequant_rms");
            let references =
                [("dequantised", dequantised, 1.5 * between), ("llama.cpp", reference("llamacpp"), between)];
            for (kind, reference, allowed) in references {
                let rms = root_mean_square(&logits, &reference);
                println!("{name}, sequence {number}: rms {rms:.4} from {kind} (between the references {between:.4})");
                assert!(rms <= allowed, "{name}, sequence {number}: rms {rms} from {kind}");
            }
        }
    }
}

#[test]
fn golden_gguf_greedy() {
    let Some(family) = family("gguf") else { return };
    for file in files(&family) {
        let mut engine = engine(&file);
        for case in expected(&file)["greedy"].as_array().unwrap() {
            let new = ids(&case["new_ids_dequant_fp64"]);
            let options =
                GenerationOptions { max_new_tokens: new.len(), ignore_eos: true, ..GenerationOptions::default() };
            let completion = generate(&mut engine, vec![request(0, ids(&case["prompt_ids"]), options)]).remove(0);
            assert_eq!(completion.tokens, new, "{}", file.display());
        }
    }
}

/// Windows of `ctx` tokens, the first replaced by BOS; the predictions of positions `ctx / 2 + 1` and later count.
#[test]
fn golden_gguf_perplexity() {
    let Some(family) = family("gguf") else { return };
    let tokens = json(family.join("ppl_text_ids.json"));
    let tokens = ids(tokens.get("ids").unwrap_or(&tokens));
    let text = std::fs::read_to_string(family.join("ppl_text.txt")).unwrap();
    for file in files(&family) {
        let golden = &expected(&file)["perplexity"];
        if golden.is_null() {
            continue;
        }
        let mut engine = engine(&file);
        assert_eq!(engine.tokenizer().encode_with_bos(&text).unwrap().ids, tokens, "{}", file.display());
        let context = golden["ctx"].as_u64().unwrap() as usize;
        let (mut sum, mut count) = (0.0, 0u64);
        for window in tokens.chunks_exact(context) {
            let mut window = window.to_vec();
            window[0] = tokens[0];
            let logits = engine.logits(&window).unwrap().to_vec2::<f32>().unwrap();
            for position in context / 2..context - 1 {
                let logprobs = llm_runtime::sampling::log_softmax(&logits[position]);
                sum -= f64::from(logprobs[window[position + 1] as usize]);
                count += 1;
            }
        }
        assert_eq!(Some(count), golden["scored_tokens"].as_u64());
        let expected = golden["llama_perplexity_printed"].as_f64().unwrap();
        let perplexity = (sum / count as f64).exp();
        let off = (perplexity / expected - 1.0).abs();
        println!("{}: perplexity {perplexity:.2}, llama.cpp {expected:.2} ({count} tokens)", file.display());
        assert!(off <= 0.01, "{}: perplexity {perplexity} is {off} off", file.display());
    }
}

#[test]
fn golden_gguf_dequantised_values() {
    let Some(family) = family("gguf") else { return };
    for file in files(&family) {
        let mut reader = std::fs::File::open(&file).unwrap();
        let content = candle_core::quantized::gguf_file::Content::read(&mut reader).unwrap();
        for (key, rows) in tensors(file.with_extension("expected.safetensors")) {
            let Some(name) = key.strip_prefix("dequant.") else { continue };
            let tensor = content.tensor(&mut reader, name, &Device::Cpu).unwrap().dequantize(&Device::Cpu).unwrap();
            let found = tensor.narrow(0, 0, rows.dim(0).unwrap()).unwrap().flatten_all().unwrap();
            let expected = rows.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (found, expected) in found.to_vec1::<f32>().unwrap().iter().zip(&expected) {
                assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1e-6), "{key}: {found} and {expected}");
            }
        }
    }
}
