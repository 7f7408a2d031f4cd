//! The engine on the shipped tiny model: streaming, stops, cancellation, refusals, requests that come late, scores, and the forms of its
//! weights.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use candle_core::{DType, Device};
use golden_files::root;
use llm_runtime::{
    CancelToken, Completion, Continuation, Engine, EngineOptions, Event, FinishReason, FloatType, GenerationOptions,
    KvType, LoadOptions, Message, Pressure, PretrainedModel, Prompt, Quantization, Request, RequestError,
    RequestSource, ScoreRequest, Supply, TextModel, WeightOptions,
};

use crate::llama::generate;

fn model() -> PathBuf {
    root().join("fixtures/models/tiny-llama")
}

fn load(path: &Path, weights: WeightOptions) -> Engine {
    let mut options = LoadOptions::new(path.to_string_lossy());
    options.weights = weights;
    options.engine = EngineOptions { kv_memory: 32 << 20, ..EngineOptions::default() };
    Engine::load(&options, &|_| ()).unwrap()
}

fn engine() -> Engine {
    load(&model(), WeightOptions::default())
}

fn chat(key: u64, text: &str, options: GenerationOptions) -> Request {
    Request::new(key, Prompt::Chat(vec![Message::user(text)]), options)
}

fn options(max_new_tokens: usize) -> GenerationOptions {
    GenerationOptions { max_new_tokens, ignore_eos: true, ..GenerationOptions::default() }
}

fn one(engine: &mut Engine, request: Request) -> Completion {
    generate(engine, vec![request]).remove(0)
}

fn refused(engine: &mut Engine, request: Request) -> RequestError {
    let mut refusal = None;
    engine
        .generate(&mut std::iter::once(request), &mut |event| {
            if let Event::Failed { error, .. } = event {
                refusal = Some(error);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    refusal.unwrap()
}

#[test]
fn streamed_pieces_make_up_the_text() {
    let mut engine = engine();
    let mut streamed = String::new();
    let mut text = String::new();
    let mut requests = std::iter::once(chat(7, "I moved to a new town.", options(40)));
    let statistics = engine
        .generate(&mut requests, &mut |event| {
            match event {
                Event::Text { key, delta } => {
                    assert_eq!(key, 7);
                    streamed.push_str(&delta);
                }
                Event::Finished(completion) => text = completion.text,
                Event::Failed { error, .. } => panic!("{error}"),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    // What the last token adds is told with the end.
    assert!(text.starts_with(&streamed) && streamed.len() * 2 > text.len(), "{streamed:?} {text:?}");
    assert_eq!(statistics.generated_tokens, 40);
    assert!(statistics.time_to_first_token > 0.0 && statistics.seconds >= statistics.time_to_first_token);
}

#[test]
fn a_stop_string_ends_the_text_before_it() {
    let mut engine = engine();
    let whole = one(&mut engine, chat(0, "Hello", options(40))).text;
    let middle = whole.char_indices().nth(whole.chars().count() / 2).unwrap().0;
    let stop: String = whole[middle..].chars().take(3).collect();
    let stopped = GenerationOptions { stop: vec![stop.clone()], ..options(40) };
    let completion = one(&mut engine, chat(0, "Hello", stopped));
    assert_eq!(completion.finish_reason, FinishReason::Stop);
    assert_eq!(completion.text, whole[..whole.find(&stop).unwrap()]);
}

#[test]
fn a_cancelled_request_keeps_its_text_and_the_others_go_on() {
    let mut engine = engine();
    let cancel = CancelToken::new();
    let mut first = chat(0, "Hello", options(400));
    first.cancel = Some(cancel.clone());
    let requests = vec![first, chat(1, "Good morning", options(30))];
    let mut done = Vec::new();
    let mut pieces = 0;
    engine
        .generate(&mut requests.into_iter(), &mut |event| {
            match event {
                Event::Text { key: 0, .. } => pieces += 1,
                Event::Finished(completion) => done.push(completion),
                _ => {}
            }
            if pieces == 5 {
                cancel.cancel();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    done.sort_by_key(|completion| completion.key);
    assert_eq!(done[0].finish_reason, FinishReason::Cancelled);
    assert!(!done[0].text.is_empty() && done[0].tokens.len() < 50);
    assert_eq!((done[1].finish_reason, done[1].tokens.len()), (FinishReason::Length, 30));
}

#[test]
fn a_sink_that_breaks_ends_the_run_and_leaves_the_engine_usable() {
    let mut engine = engine();
    let alone = one(&mut engine, chat(0, "Hello", options(10)));
    let mut events = 0;
    let mut requests = (0..8).map(|key| chat(key, "Hello", options(50)));
    engine
        .generate(&mut requests, &mut |_| {
            events += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(events, 1);
    assert_eq!(one(&mut engine, chat(0, "Hello", options(10))).tokens, alone.tokens);
}

#[test]
fn requests_that_cannot_be_served_are_refused_alone() {
    let mut engine = engine();
    let tokens = |tokens: Vec<u32>| Request::new(3, Prompt::Tokens(tokens), options(4));
    assert_eq!(refused(&mut engine, tokens(vec![])), RequestError::EmptyPrompt);
    assert!(matches!(refused(&mut engine, tokens(vec![1, 9999])), RequestError::UnknownToken { id: 9999, .. }));
    assert!(matches!(refused(&mut engine, tokens(vec![5; 8190])), RequestError::ContextTooLong { .. }));
    let hot = GenerationOptions { temperature: f32::NAN, ..options(4) };
    assert!(matches!(refused(&mut engine, chat(0, "x", hot)), RequestError::Options(_)));
    let mut small = LoadOptions::new(model().to_string_lossy());
    small.engine.kv_memory = 200 << 10;
    let mut small = Engine::load(&small, &|_| ()).unwrap();
    assert!(matches!(refused(&mut small, tokens(vec![5; 2000])), RequestError::CacheTooSmall { .. }));
}

#[test]
fn the_end_of_sequence_waits_for_the_minimum_length() {
    let mut engine = engine();
    let free = GenerationOptions { ignore_eos: false, temperature: 1.5, seed: 3, ..options(300) };
    let patient = GenerationOptions { min_new_tokens: 290, ..free.clone() };
    assert!(one(&mut engine, chat(0, "Hello", patient)).tokens.len() >= 290);
    let tokens = one(&mut engine, chat(0, "Hello", free)).tokens;
    assert!(tokens.len() <= 300);
}

#[test]
fn spans_of_a_chat_are_its_tokens() {
    let mut engine = engine();
    let mut system = Message::system("Be kind. ");
    system.push_part("strategy_name", "\"Offer Hope\"");
    let messages = vec![system, Message::user("I failed.").labelled("turn:1")];
    let request = Request::new(0, Prompt::Chat(messages), options(1));
    let prompt = one(&mut engine, request).prompt;
    for (label, text) in [("strategy_name", "\"Offer Hope\""), ("turn:1", "I failed.")] {
        let span = prompt.spans.iter().find(|span| span.label == label).unwrap();
        assert_eq!(&prompt.text[span.bytes.clone()], text);
        let decoded = engine.tokenizer().decode_text(&prompt.tokens[span.tokens.clone()]);
        assert!(decoded.contains(text), "{label}: {decoded:?}");
    }
}

#[test]
fn behind_an_empty_prompt_every_token_of_a_text_is_scored() {
    let mut engine = engine();
    for text in ["Hello!", "3.5", "é", "😢", " two"] {
        let request = ScoreRequest::new(Prompt::Text(String::new()), Continuation::Text(text.into()));
        let score = engine.score(&[request]).unwrap().remove(0).unwrap();
        let tokens = engine.tokenizer().encode(text).unwrap().ids;
        assert_eq!((&score.tokens, score.logprobs.len()), (&tokens, tokens.len()), "{text:?}");
    }
}

#[test]
fn a_text_is_scored_token_by_token() {
    let mut engine = engine();
    let request = |continuation: &str| {
        ScoreRequest::new(Prompt::Chat(vec![Message::user("I failed.")]), Continuation::Text(continuation.into()))
    };
    let scores = engine.score(&[request(" I hear you."), request(" </s>"), request("")]).unwrap();
    let score = scores[0].as_ref().unwrap();
    assert_eq!(score.tokens.len(), score.logprobs.len());
    assert_eq!(engine.tokenizer().decode_text(&score.tokens).trim(), "I hear you.");
    assert!(score.sum < 0.0);
    let eos = engine.eos().to_vec();
    assert!(scores[1].as_ref().unwrap().tokens.iter().all(|token| !eos.contains(token)), "text stays text");
    assert_eq!(scores[2].as_ref().unwrap().sum, 0.0);
}

#[test]
fn both_forms_of_the_shipped_model_are_the_same_model() {
    let tokens: Vec<u32> = (3..60).collect();
    let dense = engine().logits(&tokens).unwrap();
    let gguf = load(&model().join("tiny-llama-q8_0.gguf"), WeightOptions::default()).logits(&tokens).unwrap();
    let requantised = load(&model(), WeightOptions { quantize: Some(Quantization::Q8_0), ..WeightOptions::default() })
        .logits(&tokens)
        .unwrap();
    for other in [gguf, requantised] {
        let off = (&dense - &other).unwrap().sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        let size = dense.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        assert!(off < 0.05 * size, "{off} of {size}");
    }
}

#[test]
fn a_folder_of_shards_and_another_float_type_is_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        std::fs::copy(model().join(file), folder.path().join(file)).unwrap();
    }
    let tensors = candle_core::safetensors::load(model().join("model.safetensors"), &Device::Cpu).unwrap();
    let mut shards = [std::collections::HashMap::new(), std::collections::HashMap::new()];
    let mut map = serde_json::Map::new();
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort();
    for (number, name) in names.into_iter().enumerate() {
        let file = format!("model-0000{}-of-00002.safetensors", number % 2 + 1);
        map.insert(name.clone(), file.into());
        shards[number % 2].insert(name.clone(), tensors[name].to_dtype(DType::F32).unwrap());
    }
    for (number, shard) in shards.iter().enumerate() {
        let file = folder.path().join(format!("model-0000{}-of-00002.safetensors", number + 1));
        candle_core::safetensors::save(shard, file).unwrap();
    }
    let index = serde_json::json!({ "weight_map": map });
    std::fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();

    let tokens: Vec<u32> = (3..40).collect();
    let expected = engine().logits(&tokens).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for float in [None, Some(FloatType::F32), Some(FloatType::Bf16)] {
        let mut sharded = load(folder.path(), WeightOptions { float, ..WeightOptions::default() });
        let found = sharded.logits(&tokens).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(found, expected, "{float:?}");
    }
}

#[test]
fn damaged_scales_of_a_quantised_file_are_told_at_the_first_token() {
    let folder = tempfile::tempdir().unwrap();
    let whole = model().join("tiny-llama-q8_0.gguf");
    let mut bytes = std::fs::read(&whole).unwrap();
    let mut file = std::fs::File::open(&whole).unwrap();
    let content = candle_core::quantized::gguf_file::Content::read(&mut file).unwrap();
    let head = (content.tensor_data_offset + content.tensor_infos["output.weight"].offset) as usize;
    // A block of Q8_0 begins with its scale, an f16: this one is not a number.
    bytes[head..head + 2].copy_from_slice(&[0xff, 0x7f]);
    let path = folder.path().join("damaged.gguf");
    std::fs::write(&path, bytes).unwrap();
    let mut options = LoadOptions::new(path.to_string_lossy());
    options.engine.kv_memory = 32 << 20;
    let mut engine = Engine::load(&options, &|_| ()).unwrap();
    let error = refused(&mut engine, chat(0, "Hello", self::options(4)));
    assert!(matches!(error, RequestError::NotFinite { .. }), "{error}");
}

/// Texts may differ by it, so records have to.
#[test]
fn the_type_of_keys_and_values_is_part_of_the_identity() {
    let load = || PretrainedModel::load(&LoadOptions::new(model().to_string_lossy()), &|_| ()).unwrap();
    let of = |kv_type| EngineOptions { kv_memory: 1 << 20, kv_type, ..EngineOptions::default() };
    assert_eq!(load().identity_in(&of(KvType::F32)), load().identity());
    let rounded = load().identity_in(&of(KvType::F16));
    assert_eq!(rounded.dtype, format!("{}, f16 keys and values", load().identity().dtype));
    assert_eq!(load().into_engine(&of(KvType::F16)).unwrap().identity(), rounded);
}

/// Requests that another thread sends while the engine runs.
struct Mailbox {
    requests: Receiver<Request>,
    waited: usize,
}

impl RequestSource for Mailbox {
    fn next_request(&mut self, pressure: Pressure) -> Supply {
        if pressure == Pressure::Idle {
            self.waited += 1;
            return self.requests.recv().map_or(Supply::Closed, Supply::Ready);
        }
        self.requests.try_recv().map_or(Supply::Pending, Supply::Ready)
    }
}

#[test]
fn requests_join_a_run_that_goes_on() {
    let mut engine = engine();
    let long = |key| {
        let options = GenerationOptions { max_new_tokens: 200, ignore_eos: true, ..GenerationOptions::default() };
        Request::new(key, Prompt::Text("Hello".into()), options)
    };
    let alone = generate(&mut engine, vec![long(0)]).remove(0);
    let (sender, requests) = channel();
    sender.send(long(0)).unwrap();
    let mut sender = Some(sender);
    let (mut heard, mut source) = (Vec::new(), Mailbox { requests, waited: 0 });
    engine
        .generate_from(&mut source, &mut |event| {
            match event {
                // Sent when the first is half done, and finished long before it.
                Event::Text { key: 0, .. } if sender.is_some() => {
                    let mut short = long(1);
                    short.options.max_new_tokens = 3;
                    sender.take().unwrap().send(short).unwrap();
                }
                Event::Finished(completion) => heard.push(completion),
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(heard.iter().map(|completion| completion.key).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(heard[1].tokens, alone.tokens);
    assert_eq!(source.waited, 2, "the engine waits before the first request and after the last, and not between");
}
