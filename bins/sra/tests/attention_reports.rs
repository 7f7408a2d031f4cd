//! What `sra attention` and its kin say of runs that are not as simple as one model, one layout, one part.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::attention::{path, refused};
use crate::program::{json, root, said, sra, text};

/// A small captured run of a few conversations; `more` are further words.
fn small_run(out: &str, model: &str, more: &[&str]) {
    let mut words = vec!["continue", "--quiet", "--model", model, "--data", "demo:24", "--turns", "3..4"];
    words.extend(["--layout", "c1_hf,standard", "--conversations", "3", "--sample-prob", "0.1"]);
    words.extend(["--temperature", "0", "--max-new-tokens", "8", "--kv-memory", "64M", "--out", out]);
    words.extend(more);
    said(&words);
}

/// Two runs of the same requests to different models.
fn two_models(folder: &TempDir, level: &str) -> [String; 2] {
    let runs = [path(folder, "demo"), path(folder, "tiny")];
    let tiny = tiny_llama();
    for (run, model) in runs.iter().zip(["demo", tiny.as_str()]) {
        small_run(run, model, &["--attention", level]);
    }
    runs
}

fn tiny_llama() -> String {
    root().join("fixtures/models/tiny-llama").to_string_lossy().into_owned()
}

/// Warnings of words that must succeed.
fn warnings(words: &[&str]) -> String {
    let output = sra(words).output().unwrap();
    assert!(output.status.success(), "{words:?}\n{}", text(&output.stderr));
    text(&output.stderr)
}

fn groups<'a>(told: &'a Value, table: &str) -> &'a [Value] {
    told["groups"][table].as_array().unwrap()
}

#[test]
fn models_are_never_pooled() {
    let folder = tempfile::tempdir().unwrap();
    let [demo, tiny] = two_models(&folder, "spans");
    let tables = path(&folder, "tables");
    let both = json(&["attention", &demo, &tiny, "--out", &tables, "--format", "json", "--quiet"]);
    for table in ["layout", "strategy", "turn"] {
        let alone = [&demo, &tiny].map(|run| json(&["attention", run, "--format", "json", "--quiet"]));
        let expected: Vec<&Value> = alone.iter().flat_map(|told| groups(told, table)).collect();
        let found = groups(&both, table);
        assert_eq!(found.len(), expected.len(), "{table}");
        assert!(expected.iter().all(|group| found.contains(group)), "{table}: as each model alone");
    }
    let text = said(&["attention", &demo, &tiny, "--quiet"]);
    assert!(text.contains("demo · c1_hf · ") && text.contains("tiny-llama · c1_hf · "), "{text}");
    let text = said(&["attention", &demo, "--quiet"]);
    assert!(!text.contains("demo · c1_hf"), "one model needs no name in every line\n{text}");
    let panels = ["by_strategy", "by_turn", "over_turns", "regression", "first_layers", "distribution", "controls"];
    for figure in panels.map(|name| format!("sra_{name}.csv")) {
        let csv = std::fs::read_to_string(Path::new(&tables).join(&figure)).unwrap();
        let panels: BTreeSet<&str> = csv.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
        assert_eq!(panels, BTreeSet::from(["demo", &tiny_llama()]), "{figure}: a panel for each model");
    }
    let runs = std::fs::read_to_string(Path::new(&tables).join("sra_by_strategy_and_run.svg")).unwrap();
    assert!(runs.contains("tiny · ") && runs.contains("demo · demo"), "runs of several models name them");

    // An audit ranks layouts within their model.
    let table = path(&folder, "audit.csv");
    let both = json(&["audit", &demo, &tiny, "--out", &table, "--format", "json", "--quiet"]);
    let alone = [&demo, &tiny].map(|run| json(&["audit", run, "--format", "json", "--quiet"]));
    let expected: Vec<&Value> = alone.iter().flat_map(|table| table.as_array().unwrap()).collect();
    let found = both.as_array().unwrap();
    assert_eq!(found.len(), expected.len());
    assert!(expected.iter().all(|line| found.contains(line)), "as each model alone, ranks too");
    assert!(std::fs::read_to_string(&table).unwrap().starts_with("preset,choice,model,layout,"));
    let text = said(&["audit", &demo, &tiny, "--quiet"]);
    assert!(text.contains("demo · c1_hf") && text.contains("tiny-llama · standard"), "{text}");
}

#[test]
fn adherence_keeps_models_apart_though_their_records_have_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let [demo, tiny] = two_models(&folder, "spans");
    let rows = path(&folder, "rows.jsonl");
    let count = std::fs::read_to_string(Path::new(&demo).join("continuations.jsonl")).unwrap().lines().count();
    let score = ["adherence", &demo, &tiny, "--model", "demo", "--out", &rows, "--format", "json", "--quiet"];
    let summary = json(&score);
    assert_eq!(summary.as_object().unwrap().len(), 4, "{summary}");
    let responses = |key: &str| summary[key]["responses"].as_u64().unwrap();
    assert_eq!(responses("demo · c1_hf") + responses("demo · standard"), count as u64);
    let told = json(&["attention", &demo, &tiny, "--adherence", &rows, "--format", "json", "--quiet"]);
    assert_eq!(told["correlation"]["responses"], 2 * count as u64);
    let models = told["correlation"]["models"].as_object().unwrap();
    let alone = json(&["attention", &demo, "--adherence", &rows, "--format", "json", "--quiet"]);
    assert_eq!(models["demo"]["pooled"], alone["correlation"]["pooled"]);

    // A file of rows of other responses is a slip.
    let other = path(&folder, "other");
    small_run(&other, "demo", &["--attention", "spans", "--seed", "9"]);
    refused(&["attention", &other, "--adherence", &rows], 1, "none of its rows");

    let effect = json(&["intervene", &demo, &tiny, "--model", "demo", "--limit", "12", "--format", "json", "--quiet"]);
    assert!(effect.as_object().unwrap().keys().any(|group| group.ends_with("tiny-llama · standard")), "{effect}");
}

#[test]
fn no_response_counts_twice() {
    let folder = tempfile::tempdir().unwrap();
    let [full, layers, rows] = ["full", "layers", "rows.jsonl"].map(|name| path(&folder, name));
    small_run(&full, "demo", &["--attention", "full"]);
    small_run(&layers, "demo", &["--attention", "layers"]);
    for (first, second) in [(&full, &full), (&full, &layers)] {
        let commands: [&[&str]; 5] = [
            &["attention", first, second],
            &["audit", first, second],
            &["adherence", first, second, "--model", "demo", "--out", &rows],
            &["intervene", first, second, "--model", "demo"],
            &["predictability", first, second],
        ];
        for words in commands {
            refused(words, 2, "would count twice");
            refused(words, 2, &format!("it is in {first} and in {second}"));
        }
    }
}

#[test]
fn of_nothing_nothing_is_told() {
    let shipped = root().join("fixtures/runs/attention").to_string_lossy().into_owned();
    let folder = tempfile::tempdir().unwrap();
    let out = path(&folder, "out");
    let commands: [&[&str]; 4] = [
        &["adherence", &shipped, "--model", "demo", "--out", &out, "--limit", "0"],
        &["intervene", &shipped, "--model", "demo", "--limit", "0"],
        &["continue", "--model", "demo", "--data", "demo:4", "--out", &out, "--limit", "0"],
        &["token-probe", &shipped, "--model", "demo", "--responses", "0"],
    ];
    for words in commands {
        refused(words, 2, "0 is not in 1..");
    }
}

#[test]
fn a_run_without_responses_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let failed = path(&folder, "failed");
    let mut words =
        vec!["continue", "--quiet", "--model", "demo", "--data", "demo:4", "--turns", "3..3", "--out", &failed];
    words.extend(["--limit", "1", "--context", "64", "--max-new-tokens", "4", "--attention", "spans"]);
    assert!(!sra(&words).output().unwrap().status.success(), "no prompt fits into 64 tokens");
    let rows = path(&folder, "rows.jsonl");
    let commands: [&[&str]; 4] = [
        &["attention", &failed],
        &["audit", &failed],
        &["adherence", &failed, "--model", "demo", "--out", &rows],
        &["predictability", &failed],
    ];
    for words in commands {
        refused(words, 1, "15 requests failed");
        refused(words, 1, "failures.jsonl");
        refused(words, 1, "--resume");
    }

    let plain = path(&folder, "plain");
    let mut words =
        vec!["continue", "--quiet", "--model", "demo", "--data", "demo:4", "--turns", "3..3", "--out", &plain];
    words.extend(["--instruction", "train-unconditional", "--max-new-tokens", "4", "--attention", "spans"]);
    said(&words);
    refused(&["attention", &plain], 1, "--instruction t4");
    let begun = path(&folder, "begun");
    std::fs::create_dir(&begun).unwrap();
    std::fs::write(Path::new(&begun).join("continuations.jsonl"), "").unwrap();
    refused(&["audit", &begun], 1, "no response is finished yet");

    // Beside a run that has responses it is a warning.
    let shipped = root().join("fixtures/runs/attention").to_string_lossy().into_owned();
    assert!(warnings(&["attention", &failed, &shipped]).contains("15 requests failed"));
    let words =
        ["adherence", &failed, &shipped, "--model", "demo", "--limit", "2", "--strategies", "extes15", "--out", &rows];
    assert!(warnings(&words).contains("15 requests failed"));
}

#[test]
fn responses_whose_prompt_lacks_the_part_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    small_run(&run, "demo", &["--attention", "spans"]);
    // Only layouts with a history block have the part `history`; only longer dialogues have a seventh turn.
    let told = json(&["attention", &run, "--span", "history", "--format", "json", "--quiet"]);
    let measured: Vec<&Value> = groups(&told, "layout").iter().map(|group| &group["key"][1]).collect();
    assert_eq!(measured, ["c1_hf"]);
    let skipped = told["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 1, "{skipped:?}");
    assert_eq!(skipped[0]["layout"], "standard");
    let whole = json(&["attention", &run, "--format", "json", "--quiet"]);
    let of_standard = groups(&whole, "layout").iter().find(|group| group["key"][1] == "standard").unwrap();
    assert_eq!(skipped[0]["responses"], of_standard["value"]["values"]);

    let seventh = said(&["attention", &run, "--span", "turn:7", "--quiet"]);
    for layout in ["c1_hf", "standard"] {
        let told = seventh.lines().filter(|line| line.starts_with("left out: ") && line.contains(layout)).count();
        assert_eq!(told, 1, "{seventh}");
    }
    let late = json(&["attention", &run, "--rows", "only:7", "--format", "json", "--quiet"]);
    assert!(late["skipped"].as_array().is_some());
    refused(&["attention", &run, "--span", "turn:99"], 1, "no part `turn:99`");
    refused(&["attention", &run, "--rows", "only:99"], 1, "no such row");
}

#[test]
fn any_part_can_be_measured_and_is_called_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let [sums, rows, tables] = ["sums", "rows", "tables"].map(|name| path(&folder, name));
    small_run(&sums, "demo", &["--attention", "spans"]);
    small_run(&rows, "demo", &["--attention", "layers"]);
    let describe = ["--span", "strategy_description", "--quiet"];
    let with = |run: &str, more: &[&str]| [&["attention", run], describe.as_slice(), more].concat().join(" ");
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let run = |line: String| json(&words(&line).iter().map(String::as_str).collect::<Vec<_>>());

    // Whole spans are the same from either capture; their neighbours take whole rows.
    let [of_sums, of_rows] = [&sums, &rows].map(|captured| run(with(captured, &["--format", "json"])));
    for (left, right) in groups(&of_sums, "layout").iter().zip(groups(&of_rows, "layout")) {
        assert_eq!(left["value"], right["value"]);
        assert!(left["above_control"].is_null(), "the neighbours of the name are no control of the description");
    }
    assert!(groups(&of_rows, "layout").iter().any(|group| group["above_control"]["mean"].is_number()));
    let told = said(&["attention", &sums, "--span", "strategy_description", "--quiet"]);
    assert!(told.contains("no controls for") && told.contains("--attention layers"), "{told}");

    // A preset that leaves out the last token of a span works for any part, where rows are kept.
    let cut = run(with(&rows, &["--preset", "reference-prompting", "--format", "json"]));
    assert!(groups(&cut, "layout").iter().all(|group| group["value"]["mean"].as_f64() > Some(0.0)));
    let words = ["attention", &sums, "--span", "strategy_description", "--preset", "reference-prompting"];
    refused(&words, 1, "--attention layers");
    refused(&words, 1, "`strategy_description`");

    said(&["attention", &rows, "--span", "strategy_description", "--out", &tables, "--quiet"]);
    let figure = |name: &str| std::fs::read_to_string(Path::new(&tables).join(name)).unwrap();
    assert!(figure("sra_by_layout.svg").contains("attention per token of the description"));
    assert!(figure("sra_controls.csv").contains("the description") && !figure("sra_controls.csv").contains("the name"));
    for name in ["sra_by_layout", "sra_by_strategy", "sra_over_turns", "sra_distribution", "sra_controls"] {
        let svg = figure(&format!("{name}.svg"));
        assert!(!svg.contains("SRA") && !svg.contains("of the name"), "{name} is about the description");
    }
}

#[test]
fn one_conversation_gives_a_mean_and_no_interval() {
    let folder = tempfile::tempdir().unwrap();
    let [run, tables, rows] = ["run", "tables", "rows.jsonl"].map(|name| path(&folder, name));
    let mut words =
        vec!["continue", "--quiet", "--model", "demo", "--data", "demo:1", "--turns", "1..1", "--out", &run];
    words.extend(["--temperature", "0", "--max-new-tokens", "8", "--attention", "spans"]);
    said(&words);
    let told = json(&["attention", &run, "--out", &tables, "--format", "json", "--quiet"]);
    for group in groups(&told, "layout") {
        assert!(group["value"]["mean"].as_f64() > Some(0.0));
        assert!(group["value"]["low"].is_null() && group["value"]["high"].is_null(), "{group}");
    }
    let printed = said(&["attention", &run, "--quiet"]);
    assert!(printed.contains("[–]: one conversation alone gives no interval"), "{printed}");
    let csv = std::fs::read_to_string(Path::new(&tables).join("sra_by_layout.csv")).unwrap();
    let fields: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
    let column = |name: &str| csv.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
    assert_eq!([fields[column("low")], fields[column("high")]], ["", ""], "no bar of an interval is drawn\n{csv}");
    assert!(said(&["audit", &run, "--quiet"]).contains(" [–] "));
    let scored = said(&["adherence", &run, "--model", "demo", "--limit", "4", "--out", &rows, "--quiet"]);
    assert!(scored.contains(" [–]  nats per token"), "{scored}");

    let several = path(&folder, "several");
    let mut words = vec!["continue", "--quiet", "--model", "demo", "--data", "demo:24", "--turns", "2..2"];
    words.extend(["--conversations", "5", "--temperature", "0", "--max-new-tokens", "24", "--out", &several]);
    said(&words);
    refused(&["predictability", &run], 1, "demo · c1_hf: ");
    let held_out = json(&["predictability", &several, "--format", "json", "--quiet"]);
    assert_eq!(held_out[0]["report"]["groups"], 1);
    assert!(held_out[0]["report"]["intervals"]["accuracy"]["low"].is_null());
    assert!(said(&["predictability", &several, "--quiet"]).contains(" [–], macro-F1"));
}

#[test]
fn turns_are_labelled_at_whole_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (run, tables) = (path(&folder, "run"), path(&folder, "tables"));
    small_run(&run, "demo", &["--attention", "spans"]);
    said(&["attention", &run, "--out", &tables, "--quiet"]);
    for figure in ["sra_over_turns.svg", "sra_regression.svg"] {
        let svg = std::fs::read_to_string(Path::new(&tables).join(figure)).unwrap();
        assert!(svg.contains(">3</text>") && svg.contains(">4</text>"), "{figure}");
        assert!(!svg.contains(">3.5</text>") && !svg.contains(">3.2</text>"), "{figure}");
    }
}
