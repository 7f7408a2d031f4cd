//! `magic finetune` and `magic export` on the tiny model, and what is learned of a pair.

use llm_runtime::{BuiltInTemplate, Message, Tokenizer};
use lora::sft::{
    Bos, BuiltInPlain, EncodeOptions, Encoded, Join, Place as RecordPlace, SftEncoder, SftExample, SftRecord,
    SftTemplate,
};
use magic::{
    PROMPT_FILES, Task, Template, encode_dropping_turns, encode_proportionally, proportional_cut, smoothed_curve,
};
use serde_json::{Value, json};

use crate::infer_strategy::tiny_llama;
use crate::program::{Place, good, json_of, magic, said, text};

fn tokenizer() -> Tokenizer {
    let json = std::fs::read(format!("{}/tokenizer.json", tiny_llama())).unwrap();
    Tokenizer::from_tokenizer_json(&json, None).unwrap()
}

/// A prompt of so many turns.
fn prompt(turns: usize) -> String {
    let clip: String = (1..=turns).map(|number| format!("({number}) Seeker: it is hard , turn {number} .\n")).collect();
    Template::built_in(Task::Inference).prompt(&clip)
}

const ANSWER: &str = "The motivation of the supporter in choosing the strategy [Question] is to ask.";

fn record(prompt: &str) -> SftRecord {
    let messages = vec![Message::user(prompt), Message::assistant(ANSWER)];
    SftRecord::chat(RecordPlace::item("test", 1), messages)
}

/// As `magic finetune` encodes unless told otherwise.
fn options(cutoff: usize) -> EncodeOptions {
    EncodeOptions { cutoff: Some(cutoff), bos: Bos::Always, join: Join::Apart, ..EncodeOptions::default() }
}

fn example(encoded: Encoded) -> (SftExample, usize, usize) {
    match encoded {
        Encoded::Example { example, dropped_turns, cut_tokens, boundary_moved: false } => {
            (example, dropped_turns, cut_tokens)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_of_the_prompt_is_masked_and_the_answer_is_learned_with_its_end() {
    let tokenizer = tokenizer();
    let templates = [
        SftTemplate::from(BuiltInPlain::HumanAssistant.template().unwrap()),
        SftTemplate::from(BuiltInTemplate::Llama2.template().unwrap()),
    ];
    for template in &templates {
        let encoder = SftEncoder::new(&tokenizer, template, options(8192)).unwrap();
        let prompt = prompt(6);
        let (example, ..) =
            example(encode_dropping_turns(&Template::built_in(Task::Inference), &encoder, &record(&prompt)).unwrap());
        let before = encoder.prompt(&[Message::user(&prompt)]).unwrap();
        assert!(example.ids.starts_with(&before));
        assert_eq!(example.ids.last(), tokenizer.eos().first());
        let learned = [vec![false; before.len()], vec![true; example.ids.len() - before.len()]].concat();
        assert_eq!(example.learned, learned);
        assert!(tokenizer.decode_text(&example.learned_ids()).trim() == ANSWER);
    }
    // The published text, with a beginning of sequence: prompt and answer encoded apart, then the end.
    let encoder = SftEncoder::new(&tokenizer, &templates[0], options(8192)).unwrap();
    let (example, ..) = example(encoder.encode(&record("x")).unwrap());
    let ids = |text: &str| tokenizer.encode(text).unwrap().ids;
    let (begin, end) = ([tokenizer.bos().unwrap()], [tokenizer.eos()[0]]);
    assert_eq!(example.ids, [&begin, ids("Human: x\nAssistant: ").as_slice(), &ids(ANSWER), &end].concat());
}

#[test]
fn pairs_that_are_too_long_lose_their_oldest_turns() {
    let tokenizer = tokenizer();
    let template = SftTemplate::from(BuiltInPlain::HumanAssistant.template().unwrap());
    let built_in = Template::built_in(Task::Inference);
    let whole = SftEncoder::new(&tokenizer, &template, options(8192)).unwrap();
    let count = |record: &SftRecord| example(whole.encode(record).unwrap()).0.ids.len();
    let long = count(&record(&prompt(30)));
    for (limit, dropped) in [(long, 0), (long - 1, 1)] {
        let encoder = SftEncoder::new(&tokenizer, &template, options(limit)).unwrap();
        let found = example(encode_dropping_turns(&built_in, &encoder, &record(&prompt(30))).unwrap());
        let shorter = match dropped {
            0 => prompt(30),
            _ => prompt(30).replace("(1) Seeker: it is hard , turn 1 .\n", ""),
        };
        assert_eq!((found.1, found.0.ids.len() <= limit), (dropped, true));
        assert_eq!(found.0, example(whole.encode(&record(&shorter)).unwrap()).0, "{limit}");
    }
    // Neither head nor answer gives way.
    let encoder = SftEncoder::new(&tokenizer, &template, options(count(&record(&prompt(1))) - 1)).unwrap();
    let found = encode_dropping_turns(&built_in, &encoder, &record(&prompt(30))).unwrap();
    assert!(matches!(found, Encoded::TooLong { tokens, .. } if tokens == long), "{found:?}");
    let found = encode_dropping_turns(&built_in, &encoder, &record(&"no turns ".repeat(1000))).unwrap();
    assert!(matches!(found, Encoded::TooLong { .. }), "{found:?}");
}

#[test]
fn turns_are_found_in_prompts_of_other_wordings() {
    let tokenizer = tokenizer();
    let template = SftTemplate::from(BuiltInPlain::HumanAssistant.template().unwrap());
    let other = |turns: usize| prompt(turns).replace("Now do the same", "Go on").replace("Motivation:", "Why:");
    let whole = SftEncoder::new(&tokenizer, &template, options(8192)).unwrap();
    let (long, ..) = example(whole.encode(&record(&other(9))).unwrap());
    let encoder = SftEncoder::new(&tokenizer, &template, options(long.ids.len() - 1)).unwrap();
    let built_in = Template::built_in(Task::Inference);
    let (found, dropped, _) = example(encode_dropping_turns(&built_in, &encoder, &record(&other(9))).unwrap());
    let expected = other(9).replace("(1) Seeker: it is hard , turn 1 .\n", "");
    assert_eq!((dropped, found), (1, example(whole.encode(&record(&expected)).unwrap()).0));
}

#[test]
fn the_published_cut_takes_the_ends_in_proportion() {
    let tokenizer = tokenizer();
    let template = SftTemplate::from(BuiltInPlain::HumanAssistant.template().unwrap());
    let whole = SftEncoder::new(&tokenizer, &template, options(8192)).unwrap();
    let (long, ..) = example(whole.encode(&record(&prompt(9))).unwrap());
    let (before, limit) = (long.labels_from().unwrap(), long.ids.len() / 2);
    let kept = proportional_cut(before, long.ids.len() - before, limit);
    let encoder = SftEncoder::new(&tokenizer, &template, options(limit)).unwrap();
    let (found, dropped, cut) = example(encode_proportionally(&encoder, &record(&prompt(9))).unwrap());
    assert_eq!((dropped, cut, found.ids.len()), (0, long.ids.len() - limit, limit));
    assert_eq!(found.ids, [&long.ids[..kept.prompt], &long.ids[before..before + kept.answer]].concat());
    assert_eq!(found.labels_from(), Some(kept.prompt));
}

fn with_prompts() -> Place {
    let place = Place::with_data();
    let folder = place.folder();
    place.write("motivations_4_LLaMA.json", &json!([ANSWER, ANSWER, ANSWER, ANSWER]).to_string());
    good(&["build-prompts", "--data-dir", &folder, "--out-dir", &folder]);
    place
}

/// Settings of a dry run.
fn settings(words: &[&str]) -> Value {
    let told = said(&[&["finetune", "--dry-run", "--format", "json"], words].concat());
    serde_json::from_str::<Value>(&told).unwrap()["settings"].clone()
}

#[test]
fn the_usual_values_are_the_published_ones() {
    let place = with_prompts();
    let (data, out, model) = (place.name(PROMPT_FILES[0]), place.name("run"), tiny_llama());
    let found = settings(&["--model", &model, "--data", &data, "--out", &out]);
    for (path, expected) in [
        ("/lora/r", json!(8)),
        ("/lora/lora_alpha", json!(16.0)),
        ("/lora/lora_dropout", json!(0.0)),
        ("/lora/target_modules", json!(["q_proj", "v_proj"])),
        ("/cutoff", json!(1024)),
        ("/shortening", json!("oldest-turns")),
        ("/template", json!("human-assistant")),
        ("/bos", json!("always")),
        ("/join", json!("apart")),
        ("/learn_on", json!("last")),
        ("/trainer/epochs", json!(5.0)),
        ("/trainer/batch", json!(16)),
        ("/trainer/accumulate", json!(4)),
        ("/trainer/learning_rate", json!(5e-5)),
        ("/trainer/clip", json!(1.0)),
        ("/trainer/save_every", json!(100)),
        ("/trainer/log_every", json!(10)),
        ("/trainer/patience", json!(0)),
        ("/trainer/seed", json!(42)),
    ] {
        assert_eq!(found.pointer(path), Some(&expected), "{path}: {found}");
    }
    let schedule = found["trainer"]["schedule"].to_string().to_lowercase();
    assert!(schedule.contains("cosine") && !schedule.contains("restarts"), "{schedule}");
}

#[test]
fn the_published_names_of_options_are_taken_where_they_mean_the_same() {
    let place = with_prompts();
    let (data, out, model) = (place.name(PROMPT_FILES[0]), place.name("run"), tiny_llama());
    let words = [
        "--stage",
        "sft",
        "--do_train",
        "--model_name_or_path",
        &model,
        "--data",
        &data,
        "--template",
        "default",
        "--finetuning_type",
        "lora",
        "--lora_target",
        "q_proj,v_proj",
        "--output_dir",
        &out,
        "--per_device_train_batch_size",
        "16",
        "--gradient_accumulation_steps",
        "4",
        "--lr_scheduler_type",
        "cosine",
        "--logging_steps",
        "10",
        "--save_steps",
        "100",
        "--learning_rate",
        "5e-5",
        "--num_train_epochs",
        "5.0",
        "--plot_loss",
    ];
    assert_eq!(settings(&words), settings(&["--model", &model, "--data", &data, "--out", &out]));
    let usual = ["finetune", "--model", &model, "--data", &data, "--out", &out];
    for (more, says) in [
        (&["--dataset", "motivations"][..], "--data FILE"),
        (&["--finetuning_type", "full"], "only lora"),
        (&["--stage", "dpo"], "only sft"),
        (&["--fp16"], "--dtype f16"),
        (&["--template", "llama2"], "--plain chat --chat-template llama2"),
        (&["--overwrite_output_dir"], "--resume"),
        (&["--join", "never"], "together or apart"),
        (&["--truncate", "newest"], "oldest-turns"),
        (&["--model", "demo"], "cannot be used multiple times"),
    ] {
        let output = magic(&[&usual[..], more].concat()).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {told}");
        assert!(told.contains(says), "{more:?}: {told}");
    }
    for (more, says) in
        [(&["--export_legacy_format", "True"][..], "only safetensors"), (&["--export_size", "two"], "--export-size")]
    {
        let output = magic(&[&["export", "--model", &model, "--export_dir", &out], more].concat()).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {told}");
        assert!(told.contains(says), "{more:?}: {told}");
    }
    assert!(!place.path("run").exists());
}

#[test]
fn two_steps_of_training_are_exported_and_infer() {
    let place = with_prompts();
    let (data, out, model) = (place.name(PROMPT_FILES[0]), place.name("run"), tiny_llama());
    let train = [
        "finetune",
        "--model",
        &model,
        "--data",
        &data,
        "--out",
        &out,
        "--max-steps",
        "2",
        "--micro-batch",
        "2",
        "--accumulate",
        "1",
        "--learning-rate",
        "1e-2",
        "--log-every",
        "1",
        "--quiet",
    ];
    let told = said(&train);
    assert!(told.contains("2 of 2"), "{told}");
    for file in ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "events.jsonl", "curve.svg"] {
        assert!(place.path("run").join(file).is_file(), "{file}");
    }
    let table = std::fs::read_to_string(place.path("run/loss_curve.csv")).unwrap();
    let rows: Vec<Vec<f64>> =
        table.lines().skip(1).map(|row| row.split(',').map(|value| value.parse().unwrap()).collect()).collect();
    assert!(table.starts_with("step,loss,smoothed\n"));
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), [1.0, 2.0]);
    let smoothed = smoothed_curve(&rows.iter().map(|row| row[1]).collect::<Vec<_>>());
    assert_eq!(rows.iter().map(|row| row[2]).collect::<Vec<_>>(), smoothed);

    let merged = place.name("merged");
    let export = ["export", "--model_name_or_path", &model, "--adapter_name_or_path", &out, "--export_dir", &merged];
    let told = said(&[&export[..], &["--type", "f32", "--export_size", "1"]].concat());
    assert!(told.contains("8 tensors of the adapter merged"), "{told}");

    let infer = |name: &str, words: &[&str]| {
        let (folder, prompts) = (place.name(name), place.name(PROMPT_FILES[2]));
        let usual = ["infer-strategy", "--prompt-path-test", &prompts, "--out-dir", &folder, "--max-new-tokens", "4"];
        good(&[&usual[..], words, &["--quiet"]].concat());
        let entries = json_of(&place.path(name).join("strategy_with_motivation_test.json"));
        let shares = entries[0]["distribution"].as_object().unwrap().values();
        shares.map(|share| share.as_f64().unwrap()).collect::<Vec<_>>()
    };
    let base = infer("base", &["--model", &model]);
    let adapted = infer("adapted", &["--model", &model, "--adapter", &out]);
    let exported = infer("exported", &["--model_path", &merged]);
    let distance = |left: &[f64], right: &[f64]| {
        left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
    };
    assert!(distance(&adapted, &exported) < 1e-3, "{adapted:?} {exported:?}");
    assert!(distance(&adapted, &base) > 10.0 * distance(&adapted, &exported), "{adapted:?} {base:?} {exported:?}");
}

#[test]
fn every_command_shows_examples_of_itself() {
    for name in ["finetune", "export", "infer-strategy"] {
        let help = said(&[name, "--help"]);
        let (_, examples) = help.split_once("Examples").unwrap_or_default();
        assert!(examples.contains(&format!("magic {name}")), "{name}: {help}");
        assert!(!help.contains("sra train"), "{name}: {help}");
    }
}
