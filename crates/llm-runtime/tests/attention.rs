//! Attention of new tokens against transformers; captured alike in every batch; edits that stay with their request.

use std::path::{Path, PathBuf};

use golden_files::family;
use llm_runtime::{
    AttentionCapture, AttentionEdit, AttentionProbe, Completion, Continuation, EditedRows, Engine, EngineOptions,
    GenerationOptions, Llama, Prompt, Quantization, Request, ScoreRequest, Selection, Span, SpanChoice, TextModel,
    WeightOptions,
};

use crate::determinism::requests;
use crate::llama::{device, generate, ids_of, max_difference, model_folders, numbered_tokenizer, request, tensors};

/// Attention weights against transformers.
const TOLERANCE: f32 = 1e-5;

fn engine(path: &Path, quantize: Option<Quantization>, options: EngineOptions) -> Engine {
    let weights = WeightOptions { quantize, ..WeightOptions::default() };
    let model = Llama::open(path, weights, &device()).unwrap();
    let tokenizer = numbered_tokenizer(model.config().vocabulary_size, None);
    Engine::new(model, tokenizer, None, &options).unwrap()
}

fn roomy() -> EngineOptions {
    EngineOptions { kv_memory: 64 << 20, ..EngineOptions::default() }
}

fn span(label: &str, tokens: std::ops::Range<usize>) -> Span {
    Span { label: label.into(), bytes: 0..0, tokens }
}

/// Spans at fixed places: prompts of token ids have no parts.
fn spans() -> SpanChoice {
    SpanChoice::new(|_| vec![span("a", 1..3), span("b", 2..9), span("long", 0..1000), span("none", 5..5)])
}

fn greedy(new: usize) -> GenerationOptions {
    GenerationOptions { max_new_tokens: new, ignore_eos: true, ..GenerationOptions::default() }
}

fn captured(engine: &mut Engine, tokens: Vec<u32>, new: usize, probe: AttentionProbe) -> Completion {
    generate(engine, vec![Request { probe: Some(probe), ..request(0, tokens, greedy(new)) }]).remove(0)
}

#[test]
fn golden_llama_attention_rows() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let golden = tensors(folder.join("attention.safetensors"));
        let mut engine = engine(&folder, None, roomy());
        let new_ids = ids_of(&golden["new_ids"]);
        let probe = AttentionProbe::full(spans());
        let completion = captured(&mut engine, ids_of(&golden["prompt_ids"]), new_ids.len(), probe);
        assert_eq!(completion.tokens, new_ids, "{}", folder.display());
        let capture = completion.attention.unwrap();
        assert_eq!(capture.rows, new_ids.len());
        for (row, keys) in ids_of(&golden["key_len"]).into_iter().enumerate() {
            // With a sliding window the library keeps only the last keys; ours are 0 before them.
            let keys = keys as usize;
            let unseen = capture.keys(row) - keys;
            for layer in 0..capture.layers {
                let expected = golden["last_row"].get(row).unwrap().get(layer).unwrap().to_vec2::<f32>().unwrap();
                for (head, expected) in expected.iter().enumerate() {
                    let found = capture.head_row(row, layer, head).unwrap();
                    assert!(found[..unseen].iter().all(|weight| *weight == 0.0));
                    assert!(max_difference(&found[unseen..], &expected[..keys]) <= TOLERANCE, "{}", folder.display());
                    assert!((found.iter().sum::<f32>() - 1.0).abs() <= TOLERANCE);
                }
                let means = golden["last_row_head_mean"].get(row).unwrap().get(layer).unwrap();
                let expected = &means.to_vec1::<f32>().unwrap()[..keys];
                assert!(max_difference(&capture.layer_row(row, layer).unwrap()[unseen..], expected) <= TOLERANCE);
            }
        }
    }
}

#[test]
fn golden_llama_attention_of_prompts() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let golden = tensors(folder.join("attention.safetensors"));
        let mut engine = engine(&folder, None, roomy());
        let prompt = ids_of(&golden["prompt_ids"]);
        let layers = engine.model().config().layers;
        for layer in 0..layers {
            let found = engine.prompt_attention(&prompt, layer).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let expected =
                golden["prompt_attention"].get(layer).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(max_difference(&found, &expected) <= TOLERANCE, "{}, layer {layer}", folder.display());
        }
        assert!(engine.prompt_attention(&prompt, layers).unwrap_err().to_string().contains("layer"));
    }
}

#[test]
fn golden_llama_attention_aggregates() {
    let Some(family) = family("llama") else { return };
    for folder in model_folders(&family) {
        let golden = tensors(folder.join("attention.safetensors"));
        let mut engine = engine(&folder, None, roomy());
        let rows = ids_of(&golden["new_ids"]).len();
        let probe = AttentionProbe::layers(SpanChoice::none());
        let capture = captured(&mut engine, ids_of(&golden["prompt_ids"]), rows, probe).attention.unwrap();
        for (row, keys) in ids_of(&golden["key_len"]).into_iter().map(|keys| keys as usize).enumerate() {
            // The library takes the first key it kept for position 0.
            let unseen = capture.keys(row) - keys;
            let of_layer = |layer: usize| {
                let mut weights = capture.layer_row(row, layer).unwrap()[unseen..].to_vec();
                weights[0] = 0.0;
                let sum: f32 = weights.iter().sum();
                weights.iter().map(|weight| weight / sum).collect::<Vec<f32>>()
            };
            let all: Vec<Vec<f32>> = (0..capture.layers).map(of_layer).collect();
            let mean: Vec<f32> =
                (0..keys).map(|key| all.iter().map(|layer| layer[key]).sum::<f32>() / capture.layers as f32).collect();
            for (name, found) in [("sra_aggregate", &mean), ("sra_aggregate_first_layer", &all[0])] {
                let expected = golden[name].get(row).unwrap().to_vec1::<f32>().unwrap();
                assert!(max_difference(found, &expected[..found.len()]) <= TOLERANCE, "{name}, {}", folder.display());
                assert!(expected[found.len()..].iter().all(|padding| *padding == 0.0));
            }
        }
    }
}

/// Sums, profile and top positions that follow from the rows.
fn assert_consistent(capture: &AttentionCapture) {
    let columns = capture.columns();
    let close = |left: f32, right: f32| assert!((left - right).abs() <= 1e-5, "{left} {right}");
    for row in 0..capture.rows {
        for layer in 0..capture.layers {
            for head in 0..capture.heads {
                let weights = capture.head_row(row, layer, head).unwrap();
                let at = ((row * capture.layers + layer) * capture.heads + head) * columns;
                let sums = &capture.head_span_sums[at..at + columns];
                close(sums[AttentionCapture::FIRST], weights[0]);
                close(sums[AttentionCapture::SINKS], capture.sinks.iter().map(|sink| weights[*sink]).sum());
                for (sum, span) in sums[AttentionCapture::SPANS..].iter().zip(&capture.spans) {
                    close(*sum, weights[span.tokens.clone()].iter().sum());
                }
                let at = ((row * capture.layers + layer) * capture.heads + head) * capture.top;
                let mut sorted = weights.to_vec();
                sorted.sort_by(|left, right| right.total_cmp(left));
                sorted.resize(sorted.len().max(capture.top), 0.0);
                assert_eq!(capture.top_values[at..at + capture.top], sorted[..capture.top]);
                let (position, value) = (capture.top_positions[at] as usize, capture.top_values[at]);
                assert_eq!(weights[position], value);
            }
            let mean = |of: &dyn Fn(usize) -> f32| (0..capture.heads).map(of).sum::<f32>() / capture.heads as f32;
            for column in 0..columns {
                let at = |head| ((row * capture.layers + layer) * capture.heads + head) * columns + column;
                let expected = mean(&|head| capture.head_span_sums[at(head)]);
                close(capture.span_sums[(row * capture.layers + layer) * columns + column], expected);
            }
        }
    }
    for (at, mean) in capture.head_profile.iter().enumerate() {
        let stride = capture.layers * capture.heads * columns;
        let sum: f32 = (0..capture.rows).map(|row| capture.head_span_sums[row * stride + at]).sum();
        close(*mean, sum / capture.rows as f32);
    }
    let heads = (0..capture.layers).flat_map(|layer| (0..capture.heads).map(move |head| (layer, head)));
    for ((layer, head), shares) in heads.zip(capture.head_shares.chunks_exact(capture.spans.len())) {
        for (share, span) in shares.iter().zip(&capture.spans) {
            let of_row = |row: usize| {
                let mut weights = capture.head_row(row, layer, head).unwrap().to_vec();
                capture.sinks.iter().for_each(|sink| weights[*sink] = 0.0);
                weights[span.tokens.clone()].iter().sum::<f32>() / weights.iter().sum::<f32>()
            };
            close(*share, (0..capture.rows).map(of_row).sum::<f32>() / capture.rows as f32);
        }
    }
    assert_eq!(capture.head_shares.len(), capture.layers * capture.heads * capture.spans.len());
}

#[test]
fn what_is_reduced_follows_from_the_rows() {
    let Some(family) = family("llama") else { return };
    for name in ["gqa_tied", "mistral_swa"] {
        let mut engine = engine(&family.join(name), None, roomy());
        // A second beginning-of-sequence token inside the prompt is a sink too.
        let prompt: Vec<u32> = [1, 40, 41, 42, 1].into_iter().chain(50..80).collect();
        let probe = AttentionProbe { top: 50, ..AttentionProbe::full(spans()) };
        let capture = captured(&mut engine, prompt, 20, probe).attention.unwrap();
        assert_eq!(capture.sinks, [0, 4]);
        assert_eq!(capture.spans.iter().map(|span| span.label.as_str()).collect::<Vec<_>>(), ["a", "b", "long"]);
        assert_eq!(capture.spans[2].tokens, 0..35, "cut to the prompt");
        assert_consistent(&capture);
    }
}

fn models() -> Vec<(PathBuf, Option<Quantization>)> {
    let mut models = Vec::new();
    if let Some(llama) = family("llama") {
        models.push((llama.join("gqa_tied"), None));
        models.push((llama.join("mistral_swa"), None));
        models.push((llama.join("llama3_gqa"), Some(Quantization::Q8_0)));
    }
    if let Some(gguf) = family("gguf") {
        models.push((gguf.join("tiny-q4_0.gguf"), None));
    }
    models
}

#[test]
fn fifty_requests_give_the_same_tokens_and_attention_in_every_batch() {
    for (path, quantize) in models() {
        let mut plain = engine(&path, quantize, EngineOptions { batch: 16, ..roomy() });
        let config = plain.model().config().clone();
        let requests = requests(config.vocabulary_size as u32, config.context_length);
        let expected = generate(&mut plain, requests.clone());
        let watched: Vec<Request> = requests
            .into_iter()
            .map(|request| Request {
                probe: Some(AttentionProbe { top: 3, ..AttentionProbe::full(spans()) }),
                ..request
            })
            .collect();
        let block = (config.layers * 2 * 16 * config.key_value_heads * config.head_dim * 4) as u64;
        let mut first: Option<Vec<Completion>> = None;
        for options in [
            EngineOptions { batch: 16, ..roomy() },
            EngineOptions { batch: 1, ..roomy() },
            EngineOptions { batch: 5, step_rows: 7, ..roomy() },
            EngineOptions { batch: 8, kv_memory: 14 * block, ..roomy() },
        ] {
            let mut engine = engine(&path, quantize, options);
            let found = generate(&mut engine, watched.clone());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.tokens, expected.tokens, "{} {options:?}", path.display());
                assert_eq!(found.logprobs, expected.logprobs, "{} {options:?}", path.display());
                assert_eq!(found.attention.as_ref().unwrap().rows, found.tokens.len());
            }
            let first = first.get_or_insert_with(|| found.clone());
            for (found, first) in found.iter().zip(first.iter()) {
                assert!(found.attention == first.attention, "{} {options:?} {}", path.display(), found.key);
            }
        }
    }
}

#[test]
fn a_scored_continuation_has_the_attention_of_the_generated_one() {
    let Some(family) = family("llama") else { return };
    let mut engine = engine(&family.join("gqa_tied"), None, EngineOptions { step_rows: 9, ..roomy() });
    let prompt: Vec<u32> = std::iter::once(1).chain(30..60).collect();
    let probe = AttentionProbe::full(spans());
    let completion = captured(&mut engine, prompt.clone(), 12, probe.clone());
    let request = ScoreRequest {
        probe: Some(probe),
        ..ScoreRequest::new(Prompt::Tokens(prompt), Continuation::Tokens(completion.tokens.clone()))
    };
    for _ in ["cold", "warm"] {
        let score = engine.score(std::slice::from_ref(&request)).unwrap().remove(0).unwrap();
        assert_eq!(score.attention, completion.attention);
    }
}

fn edit(factor: f32, rows: EditedRows) -> AttentionEdit {
    AttentionEdit {
        spans: SpanChoice::new(|_| vec![span("a", 3..7)]),
        factor,
        layers: Selection::All,
        heads: Selection::All,
        rows,
    }
}

#[test]
fn an_edit_multiplies_weights_and_rows_still_sum_to_one() {
    let Some(family) = family("llama") else { return };
    let mut engine = engine(&family.join("gqa_tied"), None, roomy());
    let prompt: Vec<u32> = std::iter::once(1).chain(30..60).collect();
    let probe = || AttentionProbe::full(SpanChoice::new(|_| vec![span("a", 3..7)]));
    let mut run = |edit| {
        let request = Request { probe: Some(probe()), edit, ..request(0, prompt.clone(), greedy(3)) };
        generate(&mut engine, vec![request]).remove(0)
    };
    let plain = run(None);
    let same = run(Some(edit(1.0, EditedRows::New)));
    assert_eq!((&same.tokens, &same.attention), (&plain.tokens, &plain.attention));
    for rows in [EditedRows::New, EditedRows::All] {
        let masked = run(Some(edit(0.0, rows))).attention.unwrap();
        assert!(masked.head_span_sums.chunks(3).all(|columns| columns[2] == 0.0));
        assert!((masked.head_row(0, 0, 0).unwrap().iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
    // In the first layer the first row's scores are the same, so weights follow by hand.
    let plain = plain.attention.unwrap();
    let doubled = run(Some(edit(2.0, EditedRows::New))).attention.unwrap();
    let (before, after) = (plain.head_span_sums[2], doubled.head_span_sums[2]);
    assert!((after - 2.0 * before / (1.0 + before)).abs() < 1e-5, "{before} {after}");
    let elsewhere = run(Some(AttentionEdit { layers: "1".parse().unwrap(), ..edit(0.0, EditedRows::New) }));
    let elsewhere = elsewhere.attention.unwrap();
    assert_eq!(elsewhere.head_span_sums[2], before);
    assert_eq!(elsewhere.head_span_sums[(elsewhere.heads) * 3 + 2], 0.0);
}

/// What an edited request computes must never serve another one.
#[test]
fn an_edit_stays_with_its_request() {
    let Some(family) = family("llama") else { return };
    let path = family.join("gqa_tied");
    let prompt: Vec<u32> = std::iter::once(1).chain(30..75).collect();
    let longer: Vec<u32> = prompt.iter().copied().chain(80..90).collect();
    let plain = |key, tokens: &[u32]| request(key, tokens.to_vec(), greedy(10));
    let edited = |key, rows| Request { edit: Some(edit(0.0, rows)), ..plain(key, &prompt) };
    let mut alone = |request: Request| {
        let mut engine = engine(&path, None, roomy());
        generate(&mut engine, vec![request]).remove(0).tokens
    };
    let requests = || {
        vec![
            edited(0, EditedRows::All),
            plain(1, &prompt),
            edited(2, EditedRows::New),
            plain(3, &longer),
            edited(4, EditedRows::All),
            plain(5, &prompt),
        ]
    };
    let expected: Vec<Vec<u32>> = requests().into_iter().map(&mut alone).collect();
    assert_ne!(expected[0], expected[1], "the edit does something");
    for batch in [1, 3, 6] {
        let mut engine = engine(&path, None, EngineOptions { batch, step_rows: 20, ..roomy() });
        for round in ["cold", "warm"] {
            let found: Vec<Vec<u32>> = generate(&mut engine, requests()).into_iter().map(|one| one.tokens).collect();
            assert_eq!(found, expected, "batch {batch}, {round}");
        }
    }
}

#[test]
fn wishes_that_make_no_sense_are_refused() {
    let Some(family) = family("llama") else { return };
    let mut engine = engine(&family.join("gqa_tied"), None, roomy());
    let beams = GenerationOptions { beam_width: 2, ..greedy(3) };
    let probe = Request { probe: Some(AttentionProbe::spans(spans())), ..request(0, vec![1, 5], beams) };
    let negative = Request { edit: Some(edit(-1.0, EditedRows::New)), ..request(1, vec![1, 5], greedy(3)) };
    let mut errors = Vec::new();
    engine
        .generate(&mut vec![probe, negative].into_iter(), &mut |event| {
            if let llm_runtime::Event::Failed { error, .. } = event {
                errors.push(error.to_string());
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(errors[0].contains("one beam") && errors[1].contains("factor"), "{errors:?}");
}

#[test]
fn selections_are_read_and_written() {
    for text in ["all", "0", "0-3,7", "5,2"] {
        assert_eq!(text.parse::<Selection>().unwrap().to_string(), text);
    }
    for text in ["", "a", "3-1", "1-", "-2", "1,,2"] {
        assert!(text.parse::<Selection>().is_err(), "{text}");
    }
    let with_nothing = Selection::Only(vec![0..0, 2..4]);
    assert_eq!(with_nothing.to_string(), "2-3");
    assert_eq!("0-2,9".parse::<Selection>().unwrap().below(5), [0, 1, 2]);
}
