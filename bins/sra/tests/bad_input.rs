//! Each wrong input gives one clear message and exit code 1 or 2, no panic, and loses nothing that was finished.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{dialogues, gguf, model, records, root, run, short_run, text};

/// A row of the table: what is wrong, the words of the command, the exit code, and what the message must say.
struct Row {
    what: &'static str,
    words: Vec<String>,
    code: i32,
    says: Vec<String>,
}

/// Makes damaged copies of the shipped files in its own folder.
struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// A copy of the shipped model folder with one file changed (or taken away).
    fn model_with(&self, name: &str, file: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) -> String {
        let copy = self.path(name);
        fs::create_dir_all(&copy).unwrap();
        for entry in fs::read_dir(model()).unwrap() {
            let entry = entry.unwrap();
            if !entry.file_name().to_string_lossy().ends_with(".gguf") {
                fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
            }
        }
        let path = copy.join(file);
        let bytes = fs::read(&path).unwrap_or_default();
        match change(bytes) {
            Some(changed) => fs::write(&path, changed).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        copy.to_string_lossy().into_owned()
    }

    fn config_with(&self, name: &str, from: &str, to: &str) -> String {
        self.model_with(name, "config.json", |bytes| {
            let config = String::from_utf8(bytes).unwrap();
            assert!(config.contains(from), "{name}: config.json does not contain {from}");
            Some(config.replacen(from, to, 1).into_bytes())
        })
    }

    fn gguf_with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = fs::read(gguf()).unwrap();
        change(&mut bytes);
        self.file(name, bytes)
    }

    /// The short run with options replaced or added.
    fn words(&self, name: &str, options: &[(&str, &str)]) -> Vec<String> {
        let mut words = short_run(&self.path(&format!("out-{name}")));
        for (option, value) in options {
            match words.iter().position(|word| word == option) {
                Some(at) => words[at + 1] = (*value).to_owned(),
                None => words.extend([(*option).to_owned(), (*value).to_owned()]),
            }
        }
        words
    }
}

fn replace_bytes(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
}

fn row(what: &'static str, words: Vec<String>, code: i32, says: &[&str]) -> Row {
    Row { what, words, code, says: says.iter().map(|text| (*text).to_owned()).collect() }
}

fn model_rows(shop: &Workshop) -> Vec<Row> {
    let with_model =
        |what: &'static str, model: &str, says: &[&str]| row(what, shop.words(what, &[("--model", model)]), 1, says);
    let header_length = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    vec![
        with_model(
            "gguf cut in its tensors",
            &shop.gguf_with("cut.gguf", |bytes| bytes.truncate(bytes.len() - 5000)),
            &["cut.gguf", "truncated"],
        ),
        with_model(
            "gguf cut in its header",
            &shop.gguf_with("head.gguf", |bytes| bytes.truncate(300)),
            &["head.gguf", "truncated"],
        ),
        with_model("empty gguf", &shop.file("empty.gguf", ""), &["empty.gguf"]),
        with_model(
            "gguf with a wrong magic",
            &shop.gguf_with("magic.gguf", |bytes| bytes[0] = b'X'),
            &["magic.gguf", "not a GGUF file"],
        ),
        with_model(
            "gguf of an unknown version",
            &shop.gguf_with("version.gguf", |bytes| bytes[4] = 99),
            &["version.gguf", "version 99"],
        ),
        with_model(
            "gguf that speaks of too many tensors",
            &shop.gguf_with("count.gguf", |bytes| bytes[8..16].fill(0x7f)),
            &["count.gguf", "damaged"],
        ),
        with_model(
            "gguf without a tensor",
            &shop.gguf_with("missing.gguf", |bytes| replace_bytes(bytes, b"output_norm.weight", b"output_nrom.weight")),
            &["missing.gguf", "model.norm.weight", "missing"],
        ),
        with_model(
            "gguf of another architecture",
            &shop.gguf_with("architecture.gguf", |bytes| replace_bytes(bytes, b"llama", b"qwen9")),
            &["architecture.gguf", "qwen9", "not supported"],
        ),
        with_model(
            "weights that are not numbers",
            &shop.model_with("nan", "model.safetensors", |mut bytes| {
                let start = 8 + header_length(&bytes);
                bytes[start..start + 64].fill(0xff);
                Some(bytes)
            }),
            &["nan", "not finite"],
        ),
        with_model(
            "safetensors cut short",
            &shop.model_with("short", "model.safetensors", |mut bytes| {
                bytes.truncate(bytes.len() / 2);
                Some(bytes)
            }),
            &["model.safetensors", "copy or download it again"],
        ),
        with_model(
            "safetensors taken away",
            &shop.model_with("none", "model.safetensors", |_| None),
            &["none", "model.safetensors.index.json"],
        ),
        with_model(
            "a shard missing",
            &shop.model_with("shards", "model.safetensors.index.json", |_| {
                fs::remove_file(shop.path("shards/model.safetensors")).unwrap();
                Some(br#"{"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}"#.to_vec())
            }),
            &["model-00001-of-00002.safetensors", "missing"],
        ),
        with_model(
            "config without a field",
            &shop.config_with("field", "num_hidden_layers", "layers_"),
            &["config.json", "num_hidden_layers"],
        ),
        with_model(
            "config that is not JSON",
            &shop.model_with("json", "config.json", |_| Some(b"{".to_vec())),
            &["config.json", "JSON"],
        ),
        with_model(
            "unknown architecture",
            &shop.config_with("gpt2", "LlamaForCausalLM", "GPT2LMHeadModel"),
            &["config.json", "GPT2LMHeadModel", "not supported"],
        ),
        with_model(
            "a shape that does not fit",
            &shop.config_with("shape", "\"intermediate_size\": ", "\"intermediate_size\": 1"),
            &["shape", "configuration asks for"],
        ),
        with_model(
            "tokenizer that is not JSON",
            &shop.model_with("tokens", "tokenizer.json", |_| Some(b"nonsense".to_vec())),
            &["tokenizer.json"],
        ),
        with_model(
            "tokenizer taken away",
            &shop.model_with("untokened", "tokenizer.json", |_| None),
            &["untokened", "--tokenizer"],
        ),
        with_model(
            "broken chat template",
            &shop.model_with("template", "chat_template.jinja", |_| Some(b"{% for %}".to_vec())),
            &["template"],
        ),
        row("model that is not there", shop.words("absent", &[("--model", "./no-such-model")]), 2, &["no-such-model"]),
    ]
}

/// A tokenizer with more tokens than the model knows.
fn larger_tokenizer(shop: &Workshop) -> String {
    let tokenizer = fs::read_to_string(model().join("tokenizer.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&tokenizer).unwrap();
    let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
    for number in 0..5000 {
        let id = vocabulary.len();
        vocabulary.insert(format!("another{number}"), id.into());
    }
    shop.file("larger/tokenizer.json", json.to_string())
}

fn data_rows(shop: &Workshop) -> Vec<Row> {
    let with_data =
        |what: &'static str, data: &str, says: &[&str]| row(what, shop.words(what, &[("--data", data)]), 1, says);
    let raw = fs::read_to_string(dialogues()).unwrap();
    let mut wrong_strategy: serde_json::Value = serde_json::from_str(&raw).unwrap();
    let utterances = wrong_strategy[1]["dialog"].as_array_mut().unwrap();
    let supporter = utterances.iter_mut().find(|utterance| utterance["speaker"] == "supporter").unwrap();
    supporter["annotation"]["strategy"] = "Hypnosis".into();
    let prepared = shop.path("prepared.jsonl");
    let (input, out) = (dialogues(), prepared.to_string_lossy().into_owned());
    let words = ["prepare", "--input", &input.to_string_lossy(), "--out", &out];
    assert!(run(&words.map(str::to_owned)).status.success());
    let mut lines: Vec<String> = fs::read_to_string(&prepared).unwrap().lines().map(str::to_owned).collect();
    lines[2] = "this is no JSON".into();
    vec![
        with_data("data that are not there", "no-such-file.jsonl", &["no-such-file.jsonl"]),
        with_data("a line that is no JSON", &shop.file("line.jsonl", lines.join("\n")), &["line.jsonl", "3"]),
        with_data("data of no known form", &shop.file("form.json", "[1, 2]"), &["form.json"]),
        with_data("bytes that are no text", &shop.file("bytes.jsonl", [0xff, 0xfe, b'\n']), &["bytes.jsonl", "UTF-8"]),
        with_data("an empty file", &shop.file("nothing.jsonl", ""), &["nothing"]),
        with_data(
            "a strategy ESConv does not have",
            &shop.file("hypnosis.json", wrong_strategy.to_string()),
            &["hypnosis.json", "Hypnosis"],
        ),
    ]
}

fn setting_rows(shop: &Workshop) -> Vec<Row> {
    let with = |what: &'static str, option: &str, value: &str, code: i32, says: &[&str]| {
        row(what, shop.words(what, &[(option, value)]), code, says)
    };
    let mut unknown_option = shop.words("unknown option", &[]);
    unknown_option.push("--no-such-option".into());
    let mut bad_config = shop.words("bad configuration", &[]);
    bad_config.extend(["--config".to_owned(), shop.file("bad.toml", "a = [")]);
    let mut wrong_config = shop.words("unknown option in a configuration", &[]);
    wrong_config.extend(["--config".to_owned(), shop.file("wrong.toml", "[continue]\nno_such_option = 1")]);
    let another = larger_tokenizer(shop);
    vec![
        with("unknown strategy set", "--strategies", "extes16", 1, &["extes16"]),
        with("strategy file that is no TOML", "--strategies", &shop.file("set.toml", "name = "), 1, &["set.toml"]),
        with("unknown layout", "--layout", "c2_hf", 2, &["c2_hf"]),
        with("turns backwards", "--turns", "10..3", 2, &["10..3"]),
        with("turns that no dialogue has", "--turns", "90..99", 2, &["nothing to continue"]),
        with("share outside the whole", "--shard", "5/3", 2, &["5/3"]),
        with("temperature below zero", "--temperature", "-1", 1, &["temperature"]),
        with("probability above one", "--sample-prob", "1.5", 1, &["1.5"]),
        with(
            "instruction with an unknown slot",
            "--instruction",
            &shop.file("slot.txt", "Use {mood} now"),
            1,
            &["mood"],
        ),
        with("tokenizer of another model", "--tokenizer", &another, 2, &["tokenizer"]),
        with("context too long", "--context", "64", 1, &[]),
        with("device that is not there", "--device", "cuda:7", 2, &["cuda:7"]),
        with("device with an unknown name", "--device", "abacus", 2, &["abacus"]),
        with("no threads", "--threads", "0", 2, &["thread"]),
        with("more memory than there is", "--kv-memory", "4000T", 1, &["memory", "available"]),
        with("cache below one block", "--kv-memory", "100", 1, &["--kv-memory"]),
        with("cache below one prompt", "--kv-memory", "100K", 1, &[]),
        with("output inside a file", "--out", &format!("{}/run", shop.file("a-file", "x")), 1, &["a-file"]),
        with("hub that does not answer", "--model", "owner/name", 1, &["owner/name"]),
        row("unknown option", unknown_option, 2, &["--no-such-option"]),
        row("bad configuration", bad_config, 2, &["bad.toml"]),
        row("unknown option in a configuration", wrong_config, 2, &["no-such-option"]),
        row("no subcommand", Vec::new(), 2, &["Usage"]),
    ]
}

#[test]
fn every_wrong_input_gives_one_clear_message() {
    let shop = Workshop::new();
    let mut rows = model_rows(&shop);
    rows.extend(data_rows(&shop));
    rows.extend(setting_rows(&shop));
    println!("{} rows", rows.len());
    assert!(rows.len() >= 25);
    let mut problems = Vec::new();
    for mut row in rows {
        if row.what == "hub that does not answer" {
            row.words.extend(["--hub-endpoint", "http://127.0.0.1:9"].map(str::to_owned));
        }
        let output = run(&row.words);
        let said = text(&output.stderr);
        println!("{}: exit {:?}\n    {}", row.what, output.status.code(), said.trim().replace('\n', "\n    "));
        if output.status.code() != Some(row.code) {
            problems.push(format!("{}: exit {:?} instead of {}: {said}", row.what, output.status.code(), row.code));
        }
        let missing: Vec<&String> = row.says.iter().filter(|words| !said.contains(*words)).collect();
        if !missing.is_empty() || said.contains("panicked") || said.trim().is_empty() {
            problems.push(format!("{}: the message lacks {missing:?}: {said}", row.what));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_run_with_other_settings_is_refused_and_keeps_its_records() {
    let shop = Workshop::new();
    let words = shop.words("run", &[]);
    assert!(run(&words).status.success());
    let before = records(&shop.path("out-run"));
    assert!(!before.is_empty());
    let output = run(&words);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("resume"), "{}", text(&output.stderr));
    let mut other = shop.words("run", &[("--seed", "1")]);
    other.push("--resume".into());
    let output = run(&other);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("seed"), "{}", text(&output.stderr));
    assert_eq!(records(&shop.path("out-run")), before);
}

#[test]
fn a_full_disk_ends_the_run_and_keeps_what_is_finished() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: this system has no /dev/full");
        return;
    }
    let shop = Workshop::new();
    let words = shop.words("run", &[]);
    assert!(run(&words).status.success());
    let out = shop.path("out-run");
    let whole = records(&out);
    // The first half is on disk; failures.jsonl and the rest would go to a device that is always full.
    let file = out.join("continuations.jsonl");
    let half: Vec<String> =
        fs::read_to_string(&file).unwrap().lines().take(whole.len() / 2).map(str::to_owned).collect();
    fs::write(&file, half.join("\n") + "\n").unwrap();
    let limited =
        format!("ulimit -f {}; trap '' XFSZ; exec \"$0\" \"$@\"", fs::metadata(&file).unwrap().len() / 1024 + 4);
    let mut resumed = words.clone();
    resumed.push("--resume".into());
    let output = std::process::Command::new("bash")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_sra")])
        .args(&resumed)
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("continuations.jsonl") && !said.contains("panicked"), "{said}");
    assert!(records(&out).len() >= half.len());
    let output = run(&resumed);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(records(&out), whole);
}

#[test]
fn a_prompt_that_is_too_long_fails_alone() {
    let shop = Workshop::new();
    let roomy = shop.words("roomy", &[]);
    assert!(run(&roomy).status.success());
    let lengths: Vec<u64> = records(&shop.path("out-roomy"))
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["prompt_tokens"].as_u64().unwrap())
        .collect();
    let (shortest, longest) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
    assert!(shortest < longest);
    let context = ((shortest + longest) / 2 + 6).to_string();
    let output = run(&shop.words("tight", &[("--context", &context)]));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let done = records(&shop.path("out-tight")).len();
    let failures = fs::read_to_string(shop.path("out-tight").join("failures.jsonl")).unwrap();
    assert!(done > 0 && done + failures.lines().count() == lengths.len());
    assert!(failures.contains("the context holds"));
}

#[test]
fn the_table_uses_the_shipped_files_only() {
    assert!(model().starts_with(root()) && gguf().is_file());
}
