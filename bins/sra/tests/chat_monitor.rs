//! The drift monitor of `sra chat`: what it measures, what it changes (layouts) and what it leaves alone (texts).

use std::io::{BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::chat::{answer, chat, chat_bytes, interrupt, say, spawn, turns};
use crate::program::{Place, dialogues, gguf, lines, model, said, sra, text};

/// The fields of a turn that the monitor fills.
const FIELDS: [&str; 6] = ["sra", "sra_uniform_ratio", "adherence", "fits_best", "unmeasured", "relayout"];

/// A chat with a bit of everything: no strategy, strategies, layouts, a situation, a retry.
const MIXED: [&str; 11] = [
    "Hello!",
    "/strategy offer hope",
    "I failed my test.",
    "What now?",
    "/retry",
    "/layout c1_hf",
    "/strategy 3",
    "Well.",
    "/situation I failed",
    "Is it?",
    "/undo",
];

fn measured(turn: &Value) -> Vec<&Value> {
    FIELDS.iter().map(|field| &turn[*field]).collect()
}

/// The tables that `/monitor` showed, each a list of lines without its heads, columns one blank apart.
fn tables(shown: &str) -> Vec<Vec<String>> {
    let mut tables: Vec<Vec<String>> = Vec::new();
    for line in shown.lines() {
        let number = line.split_whitespace().next().and_then(|word| word.parse::<usize>().ok());
        match (line.starts_with("turn  strategy"), number, tables.last_mut()) {
            (true, ..) => tables.push(Vec::new()),
            (false, Some(number), Some(table)) if number == table.len() + 1 => {
                table.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            _ => {}
        }
    }
    tables
}

/// Whether a line of a table is that of a turn.
fn is_line_of(line: &str, turn: &Value) -> bool {
    let shown = |field: &str, digits: usize| turn[field].as_f64().map(|value| format!("{value:.digits$}"));
    let numbers = [shown("sra", 6), shown("sra_uniform_ratio", 2), shown("adherence", 4)];
    let words = [turn["strategy"].as_str(), turn["layout"].as_str(), turn["fits_best"].as_str()];
    line.starts_with(&format!("{} ", turn["turn"]))
        && numbers.into_iter().flatten().all(|number| line.contains(&number))
        && words.into_iter().flatten().all(|word| line.contains(word))
}

#[test]
fn monitored_answers_are_those_of_a_chat_without_a_monitor() {
    for monitor in ["--monitor", "--monitor=sra"] {
        let plain = turns(&["--seed", "3"], &MIXED);
        let monitored = turns(&["--seed", "3", monitor], &MIXED);
        assert_eq!(plain.len(), 6);
        assert_eq!(plain.iter().map(answer).collect::<Vec<_>>(), monitored.iter().map(answer).collect::<Vec<_>>());
        assert_eq!(monitored, turns(&["--seed", "3", monitor], &MIXED), "all numbers again");
        assert!(plain.iter().all(|turn| FIELDS.iter().all(|field| turn.get(field).is_none())));
        assert!(monitored.iter().all(|turn| FIELDS.iter().all(|field| turn.get(field).is_some())));
        for turn in &monitored {
            let is_steered = !turn["strategy"].is_null();
            assert_eq!(turn["sra"].is_f64() && turn["sra_uniform_ratio"].is_f64(), is_steered, "{turn}");
            assert_eq!(turn["adherence"].is_f64(), is_steered && monitor == "--monitor", "{turn}");
            assert_eq!(turn["unmeasured"].is_string(), !is_steered, "{turn}");
            assert!(turn["relayout"].is_null(), "{turn}");
        }
        assert_eq!(monitored[0]["unmeasured"], "no strategy is in force");
    }
}

#[test]
fn the_numbers_are_those_of_the_commands_that_measure_runs() {
    let place = Place::new();
    let (model, data) = (model().to_string_lossy().into_owned(), dialogues().to_string_lossy().into_owned());
    let (run, rows, out) = (place.name("run"), place.name("rows.jsonl"), place.name("tables"));
    let mut words = vec!["continue", "--quiet", "--model", &model, "--data", &data, "--out", &run];
    words.extend(["--layout", "standard,c1_hf", "--conversations", "1", "--turns", "3..3", "--temperature", "0"]);
    words.extend(["--max-new-tokens", "12", "--kv-memory", "64M", "--attention", "spans"]);
    said(&words);
    said(&["adherence", &run, "--model", &model, "--out", &rows, "--quiet", "--kv-memory", "64M"]);
    said(&["attention", &run, "--out", &out, "--quiet"]);
    let (rows, table) = (lines(Path::new(&rows)), place.path("tables/sra.csv"));
    let table = std::fs::read_to_string(table).unwrap();
    let heads = table.lines().next().unwrap();
    let mut compared = 0;
    for record in lines(&place.path("run/continuations.jsonl")) {
        if !["Offer Hope", "Clarification"].contains(&record["strategy"].as_str().unwrap()) {
            continue;
        }
        let turn = as_a_chat(&place, &record);
        assert_eq!(turn["text"], record["text"].as_str().unwrap().trim());
        let row = rows.iter().find(|row| row["id"] == record["id"]).unwrap();
        assert!((turn["adherence"].as_f64().unwrap() - margin(row)).abs() < 1e-12, "{turn} {row}");
        assert_eq!(turn["fits_best"], likeliest(row));
        let fields = table.lines().find(|line| line.contains(record["id"].as_str().unwrap())).unwrap();
        let column = |name: &str| heads.split(',').position(|head| head == name).unwrap();
        for (field, name) in [("sra", "sra"), ("sra_uniform_ratio", "uniform_ratio")] {
            let value: f64 = fields.split(',').nth(column(name)).unwrap().parse().unwrap();
            assert_eq!(turn[field], value, "{field}: {turn} {fields}");
        }
        compared += 1;
    }
    assert_eq!(compared, 4);
}

/// What the chat answers to the last text of a record, after the texts before it.
fn as_a_chat(place: &Place, record: &Value) -> Value {
    let dialog: Vec<&str> = record["dialog"].as_array().unwrap().iter().map(|said| said.as_str().unwrap()).collect();
    let (last, before) = dialog.split_last().unwrap();
    let roles = ["user", "assistant"].iter().cycle();
    let messages: Vec<Value> =
        before.iter().zip(roles).map(|(content, role)| json!({ "role": role, "content": content })).collect();
    let kept = json!({
        "id": "chat", "example": "chat", "conversation": "chat", "turn": before.len() / 2, "strategy": record["strategy"],
        "layout": record["layout"], "model": "", "messages": messages, "situation": record["situation"],
    });
    let file = place.write("chat.jsonl", &kept.to_string());
    let options = ["--monitor", "--instruction", "t4", "--temperature", "0"];
    turns(&options, &[&format!("/load {file}"), last]).remove(0)
}

/// Nats per token by which the own strategy's prompt leads.
fn margin(row: &Value) -> f64 {
    let likelihoods = row["log_likelihood"].as_object().unwrap();
    let own = row["strategy"].as_str().unwrap();
    let others: Vec<f64> =
        likelihoods.iter().filter(|(name, _)| *name != own).map(|(_, value)| value.as_f64().unwrap()).collect();
    let mean = others.iter().sum::<f64>() / others.len() as f64;
    (likelihoods[own].as_f64().unwrap() - mean) / row["tokens"].as_f64().unwrap()
}

fn likeliest(row: &Value) -> &str {
    let likelihoods = row["log_likelihood"].as_object().unwrap().iter();
    likelihoods.max_by(|left, right| left.1.as_f64().unwrap().total_cmp(&right.1.as_f64().unwrap())).unwrap().0
}

#[test]
fn the_layout_changes_once_where_adherence_is_below_the_threshold() {
    let lines = ["/strategy 7", "I failed my test.", "What now?", "Well.", "Is it?"];
    let first = turns(&["--monitor"], &lines)[0]["adherence"].as_f64().unwrap();
    let with = |below: f64, more: &[&str]| {
        let below = below.to_string();
        turns(&[&["--monitor", "--relayout-below", below.as_str()], more].concat(), &lines)
    };
    // The first answer is at the threshold, then just below it.
    assert!(with(first, &[])[0]["relayout"].is_null());
    let changed = with(first + 1e-9, &[]);
    assert_eq!((&changed[0]["layout"], &changed[0]["relayout"]), (&"standard".into(), &"c1_hf".into()));
    assert_eq!(changed[1]["layout"], "c1_hf");

    let layouts = |turns: &[Value], field: &str| turns.iter().map(|turn| turn[field].clone()).collect::<Vec<_>>();
    for (more, to) in [(&[][..], "c1_hf"), (&["--relayout-to", "c3_hl"], "c3_hl")] {
        // All answers are below, but there is no way back and no second change.
        let turns = with(1000.0, more);
        assert_eq!(layouts(&turns, "layout"), ["standard", to, to, to]);
        assert_eq!(layouts(&turns, "relayout"), [to.into(), Value::Null, Value::Null, Value::Null]);
    }
    let never = with(-1000.0, &[]);
    assert_eq!(never, turns(&["--monitor"], &lines));
    // Where the layout is that one from the start there is nothing to change.
    assert!(with(1000.0, &["--layout", "c1_hf"]).iter().all(|turn| turn["relayout"].is_null()));
}

#[test]
fn a_change_of_layout_is_said_and_another_layout_may_be_chosen() {
    let options = ["--monitor", "--relayout-below", "1000", "--format", "json"];
    let output = chat(&options, &["Hello!", "/strategy 7", "Well.", "/layout", "/layout standard", "And now?"]);
    let told = text(&output.stderr);
    let said = "adherence is below 1000: layout c1_hf from the next answer on";
    assert_eq!(told.matches(said).count(), 2, "{told}");
    assert!(told.contains("layout: c1_hf"), "{told}");
    let turns: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(turns[0]["relayout"].is_null(), "without a strategy nothing drifts");
    assert_eq!((&turns[2]["layout"], &turns[2]["relayout"]), (&"standard".into(), &"c1_hf".into()));
}

#[test]
fn a_line_beneath_each_answer_tells_the_numbers_and_those_of_the_first_turn() {
    let lines = ["Hello!", "/strategy 7", "I failed my test.", "What now?"];
    let found = turns(&["--monitor"], &lines);
    let printed = text(&chat(&["--monitor"], &lines).stdout);
    let printed: Vec<&str> = printed.lines().collect();
    let numbers = [("sra", 6), ("sra_uniform_ratio", 2), ("adherence", 4)];
    let [sra, ratio, adherence] =
        numbers.map(|(field, digits)| format!("{:.digits$}", found[1][field].as_f64().unwrap()));
    assert!(printed.contains(&"[not measured: no strategy is in force]"), "{printed:?}");
    let line = format!("[SRA {sra}, {ratio} × uniform, adherence {adherence}");
    assert!(printed.iter().any(|printed| printed.starts_with(&line) && !printed.contains("turn 2")), "{printed:?}");
    let beside = format!(" | turn 2: {sra}, {ratio}, {adherence}");
    assert!(printed.last().unwrap().contains(&beside), "{printed:?}");
}

#[test]
fn undo_and_retry_keep_the_table_right() {
    let options = ["--monitor", "--relayout-below", "1000", "--format", "json"];
    let lines =
        ["/monitor", "Hello!", "/strategy 7", "Well.", "/retry", "/monitor", "/undo", "/monitor", "/undo", "/monitor"];
    let output = chat(&options, &lines);
    let turns: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = text(&output.stderr);
    let tables = tables(&told);
    assert_eq!(tables.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1], "{told}");
    assert_eq!(told.matches("nothing was said yet").count(), 2, "before and after: {told}");
    assert!(is_line_of(&tables[0][0], &turns[0]) && tables[0][0].contains("(no strategy is in force)"), "{told}");
    assert!(is_line_of(&tables[0][1], &turns[2]) && !is_line_of(&tables[0][1], &turns[1]), "of the retry: {told}");
    assert_eq!(tables[1], tables[0][..1]);
}

#[test]
fn undo_takes_back_the_change_of_layout_too() {
    let options = ["--monitor", "--relayout-below", "1000", "--strategy", "7"];
    let found = turns(&options, &["Hello!", "/undo", "Hello!", "Well.", "/undo", "Well.", "/undo", "/undo", "Hello!"]);
    let again: Vec<Value> = found.iter().map(|turn| json!([answer(turn), measured(turn)])).collect();
    assert_eq!((&again[0], &again[2]), (&again[1], &again[3]));
    assert_eq!(again[4], again[0], "the same beginning");
    // A layout that was chosen since stays.
    let found = turns(&options, &["Hello!", "/layout c5_hl", "/undo", "Hello!"]);
    assert_eq!(found[1]["layout"], "c5_hl");
    let told = text(&chat(&options, &["Hello!", "/undo"]).stdout);
    assert!(told.contains("taken back: Hello! (layout: standard again)"), "{told}");
    // Who asks again is answered in the new layout.
    let found = turns(&options, &["Hello!", "/retry"]);
    assert_eq!((&found[1]["turn"], &found[1]["layout"]), (&1.into(), &"c1_hf".into()));
}

#[test]
fn what_was_measured_is_kept_with_the_chat() {
    let place = Place::new();
    let (one, two) = (place.name("one.jsonl"), place.name("two.jsonl"));
    let options = ["--monitor", "--relayout-below", "1000", "--format", "json", "--seed", "5"];
    let begin = ["Hello!", "/strategy 7", "Well.", "/retry", "So?"];
    let save = format!("/save {one}");
    let output = chat(&options, &[&begin[..], &["/monitor", &save, "And now?"]].concat());
    let whole: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown = tables(&text(&output.stderr));

    let again = chat(&options, &[&format!("/load {one}"), "/monitor", &format!("/save {two}"), "And now?"]);
    assert_eq!(tables(&text(&again.stderr)), shown);
    let next: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((answer(&next), measured(&next)), (answer(&whole[4]), measured(&whole[4])));
    let messages = |file: &str| lines(Path::new(file))[0]["messages"].clone();
    assert_eq!(messages(&one), messages(&two));
    let answers: Vec<Value> = messages(&one).as_array().unwrap().iter().skip(1).step_by(2).cloned().collect();
    let kept: Vec<Vec<&Value>> = answers.iter().map(measured).collect();
    assert_eq!(kept, [measured(&whole[0]), measured(&whole[2]), measured(&whole[3])]);
    // A chat that is not monitored shows what a monitored one kept.
    let shown_without = chat(&[], &[&format!("/load {one}"), "/monitor"]);
    assert_eq!(tables(&text(&shown_without.stdout)), shown);
}

#[test]
fn chats_of_earlier_versions_go_on() {
    let place = Place::new();
    let (new, old) = (place.name("new.jsonl"), place.name("old.jsonl"));
    let begin = ["/strategy 7", "Hello!", "Well."];
    let whole = turns(&["--monitor"], &[&begin[..], &["And now?"]].concat());
    chat(&[], &[&begin[..], &[&format!("/save {new}")]].concat());
    let mut kept = lines(Path::new(&new)).remove(0);
    for message in kept["messages"].as_array_mut().unwrap() {
        let message = message.as_object_mut().unwrap();
        assert!(FIELDS.iter().all(|field| message[*field].is_null()), "all messages have all columns");
        message.retain(|column, _| !FIELDS.contains(&column.as_str()));
    }
    std::fs::write(&old, kept.to_string()).unwrap();
    let output =
        chat(&["--monitor", "--format", "json"], &[&format!("/load {old}"), "/monitor", "And now?", "/monitor"]);
    let told = text(&output.stderr);
    assert!(told.contains("nothing was measured"), "{told}");
    let next: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((answer(&next), measured(&next)), (answer(&whole[2]), measured(&whole[2])));
    let table = &tables(&told)[0];
    assert_eq!(table.len(), 3);
    assert!(table[0].ends_with('–') && is_line_of(&table[2], &next), "{told}");
}

#[test]
fn what_can_not_be_monitored_is_refused_before_anything_is_asked() {
    let place = Place::new();
    let one = "name = \"one\"\n[[strategy]]\nname = \"Hope\"\ndescription = \"Say it.\"\nexamples = [\"Soon.\"]\n";
    let one = place.write("one.toml", one);
    let finite = "expected a finite number of nats per token";
    let wrong: [(&[&str], &str); 11] = [
        (&["--monitor", "--relayout-below", "nan"], finite),
        (&["--monitor", "--relayout-below=-inf"], finite),
        (&["--monitor", "--relayout-below", "low"], finite),
        (&["--relayout-below", "0.1"], "--monitor"),
        (&["--monitor", "--relayout-to", "c1_hf"], "--relayout-below"),
        (&["--monitor", "--relayout-below", "0.1", "--relayout-to", "c7_hf"], "unknown layout `c7_hf`"),
        (&["--monitor=sra", "--relayout-below", "0.1"], "--monitor=sra leaves out"),
        (&["--monitor=much"], "much"),
        (&["--monitor", "--beam-width", "2", "--temperature", "0"], "one beam"),
        (&["--monitor", "--strategies", &one], "`one` has no other"),
        (&["--monitor", "no"], "unexpected argument"),
    ];
    for (options, says) in wrong {
        let output = chat_bytes(options, b"Hello!\n");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{options:?}");
        assert!(text(&output.stderr).contains(says), "{options:?}: {}", text(&output.stderr));
    }
    let remote = ["chat", "--model", "openai:any@http://127.0.0.1:9/v1", "--monitor"];
    let output = sra(&remote).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("give a local model"), "{}", text(&output.stderr));
    let alone = &turns(&["--monitor=sra", "--strategies", &one, "--strategy", "Hope"], &["Hello!"])[0];
    assert!(alone["sra"].is_f64() && alone["adherence"].is_null() && alone["unmeasured"].is_null(), "{alone}");
    assert!(text(&chat_bytes(&[], b"/monitor now\n").stderr).contains("stands alone"));
}

#[test]
fn what_is_missing_has_a_reason() {
    let place = Place::new();
    let strategy = |name: &str, description: &str| {
        format!("[[strategy]]\nname = \"{name}\"\ndescription = \"{description}\"\nexamples = [\"Soon.\"]\n")
    };
    let set = ["name = \"two\"\n".to_owned(), strategy("Short", "Say it."), strategy("Long", &"Say it. ".repeat(20))];
    let set = place.write("two.toml", &set.concat());
    let options = ["--monitor", "--strategies", &set, "--strategy", "Short"];
    let tokens = turns(&options, &["Hello!"])[0]["prompt_tokens"].as_u64().unwrap();
    let context = (tokens + 12).to_string();
    let turn = &turns(&[&options[..], &["--context", &context]].concat(), &["Hello!"])[0];
    assert!(turn["sra"].is_f64() && turn["adherence"].is_null() && turn["fits_best"].is_null(), "{turn}");
    assert!(turn["unmeasured"].as_str().unwrap().contains("behind the prompt of `Long`"), "{turn}");

    let unnamed = &turns(&["--monitor", "--strategy", "7", "--instruction", "train-unconditional"], &["Hello!"])[0];
    assert_eq!(unnamed["unmeasured"], "the instruction `train-unconditional` names no strategy");
    assert!(unnamed["sra"].is_null() && unnamed["adherence"].is_null(), "{unnamed}");
}

#[test]
fn an_interrupt_ends_the_measuring_and_not_the_chat() {
    let model = gguf().to_string_lossy().into_owned();
    let length = ["--max-new-tokens", "2000", "--min-new-tokens", "2000", "--context", "4096", "--kv-memory", "512M"];
    let words = [&["chat", "--model", &model, "--monitor", "--strategy", "7", "-v"], &length[..]].concat();
    let child = sra(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    // The answer is whole; scoring its 2,000 tokens behind fifteen prompts takes longer than a signal.
    say(&mut stdin, &mut stderr, "Hello!", "tokens/s, first after");
    interrupt(&child);
    say(&mut stdin, &mut stdout, "/layout", "adherence not measured: interrupted]");
    say(&mut stdin, &mut stdout, "/monitor", "(interrupted)");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_configuration_file_and_autosave_know_the_monitor() {
    let place = Place::new();
    let config = "format = \"json\"\n[chat]\nmonitor = true\nrelayout-below = 1000\nrelayout-to = \"c3_hf\"\n";
    let (config, file) = (place.write("chat.toml", config), place.name("chat.jsonl"));
    let mut child = spawn(&["--config", &config, "--strategy", "7", "--save", &file]);
    child.stdin.take().unwrap().write_all(b"Hello!\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let turn: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(turn["relayout"], "c3_hf");
    let kept = &lines(Path::new(&file))[0];
    assert_eq!((&kept["layout"], measured(&kept["messages"][1])), (&"c3_hf".into(), measured(&turn)));
}
