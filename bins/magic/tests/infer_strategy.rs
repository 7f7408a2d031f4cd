//! `magic infer-strategy`: scored by a local model, asked of a server that stumbles, killed and gone on with, compared with the annotation.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use llm_runtime::{
    Continuation, Engine, GenerationOptions, LoadOptions, Message, Prompt, Request, ScoreRequest, TextModel,
};
use lora::sft::{Bos, BuiltInPlain, EncodeOptions, SftEncoder, SftTemplate};
use magic::{
    Decoding, Dialogue, InferenceItem, InferenceOptions, Inferred, InferredRow, PromptLayout, SampleRule, Split,
    Strategy, StrategyInference, Task, Template, TokenLayout, inference_clips,
};
use serde_json::{Value, json};

use crate::program::{Place, dialogue, good, json_of, magic, said, text};
use crate::scripted_server::{Act, ScriptedServer, labelled_line, right_answer};

/// A Llama of two layers with arbitrary weights.
pub(crate) fn tiny_llama() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models/tiny-llama").to_string_lossy().into_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// The prompts about a made-up dialogue, and about one of so many turns.
fn prompts(turns: usize) -> Vec<String> {
    let place = Place::new();
    let raw = place.write("valid.txt", &(dialogue(false, 4) + &dialogue(true, turns)));
    let template = Template::built_in(Task::Inference);
    let clips = inference_clips(&Dialogue::read_all(raw.as_ref()).unwrap(), SampleRule::AllTurns);
    clips.iter().map(|clip| template.prompt(clip)).collect()
}

fn human_assistant() -> SftTemplate {
    SftTemplate::from(BuiltInPlain::HumanAssistant.template().unwrap())
}

/// Infers with the tiny model in so long a context, and gives the rows in their order.
fn infer(engine: &mut Engine, prompts: &[String], decoding: Decoding, context: usize) -> Vec<InferredRow> {
    let tokenizer = engine.tokenizer().clone();
    let layout = TokenLayout { tokenizer, template: human_assistant(), bos: Bos::Always, context };
    let layout = PromptLayout::Tokens(Box::new(layout));
    let template = Template::built_in(Task::Inference);
    let options = InferenceOptions { decoding, max_new_tokens: 12, seed: 1 };
    let inference = StrategyInference::new(engine, &layout, &template, options).unwrap();
    let items = InferenceItem::of_list(Split::Valid, prompts.to_vec());
    let mut rows = Vec::new();
    let sink = &mut |news| {
        match news {
            Inferred::Row(row) => rows.push(row),
            Inferred::Failed { reason, .. } => panic!("{reason}"),
            Inferred::Waiting => {}
        }
        Ok(std::ops::ControlFlow::Continue(()))
    };
    inference.run(&items.iter().collect::<Vec<_>>(), engine, sink).unwrap();
    rows.sort_by_key(|row| row.index);
    rows
}

fn engine() -> Engine {
    Engine::load(&LoadOptions::new(tiny_llama()), &|_| ()).unwrap()
}

/// A prompt as training writes it.
fn prompt_ids(engine: &Engine, prompt: &str) -> Vec<u32> {
    let (template, options) = (human_assistant(), EncodeOptions { bos: Bos::Always, ..EncodeOptions::default() });
    let encoder = SftEncoder::new(engine.tokenizer(), &template, options).unwrap();
    encoder.prompt(&[Message::user(prompt)]).unwrap()
}

fn beginning_ids(engine: &Engine, strategy: Strategy) -> Vec<u32> {
    let beginning = format!("The motivation of the supporter in choosing the strategy [{}]", strategy.name());
    engine.tokenizer().encode(&beginning).unwrap().ids
}

#[test]
fn the_strategy_is_the_likeliest_of_eight_beginnings_and_the_answer_goes_on_greedily() {
    let mut engine = engine();
    let prompts = prompts(5);
    let rows = infer(&mut engine, &prompts, Decoding::Score, 8192);
    assert_eq!(rows.len(), prompts.len());
    for (row, prompt) in rows.iter().zip(&prompts) {
        let ids = prompt_ids(&engine, prompt);
        let mut sums = Vec::new();
        for strategy in Strategy::ALL {
            let continuation = Continuation::Tokens(beginning_ids(&engine, strategy));
            let request = ScoreRequest::new(Prompt::Tokens(ids.clone()), continuation);
            sums.push(engine.score(&[request]).unwrap().remove(0).unwrap().sum);
        }
        let most = sums.iter().copied().fold(f64::MIN, f64::max);
        let total: f64 = sums.iter().map(|sum| (sum - most).exp()).sum();
        let distribution = row.inferred.distribution.as_ref().unwrap();
        for (strategy, sum) in Strategy::ALL.into_iter().zip(&sums) {
            assert!((distribution[&strategy] - (sum - most).exp() / total).abs() < 1e-9, "{strategy:?}");
        }
        let best = Strategy::ALL[sums.iter().position(|sum| *sum == most).unwrap()];
        assert_eq!(row.inferred.answer.strategy, best);

        let beginning = beginning_ids(&engine, best);
        let options = GenerationOptions { max_new_tokens: 12, ..GenerationOptions::default() };
        let request = Request::new(0, Prompt::Tokens([ids.as_slice(), &beginning].concat()), options);
        let mut tokens = Vec::new();
        let tell = &mut |event| {
            if let llm_runtime::Event::Finished(completion) = event {
                tokens = completion.tokens;
            }
            std::ops::ControlFlow::Continue(())
        };
        engine.generate(&mut std::iter::once(request), tell).unwrap();
        let whole = engine.tokenizer().decode_text(&[beginning, tokens].concat());
        let raw = &row.inferred.answer.raw;
        assert!(whole.starts_with(raw.as_str()), "{whole:?} {raw:?}");
        assert!(raw.len() == whole.len() || raw.contains('\n'), "an answer ends early at the end of its line only");
    }
}

#[test]
fn a_prompt_that_is_too_long_loses_its_oldest_turns_and_nothing_else() {
    let mut engine = engine();
    let prompts = prompts(40);
    let last = prompts.last().unwrap();
    let whole = prompt_ids(&engine, last).len();
    let beside = 12 + Strategy::ALL.map(|strategy| beginning_ids(&engine, strategy).len()).into_iter().max().unwrap();
    let rows = infer(&mut engine, std::slice::from_ref(last), Decoding::Score, whole + beside);
    assert_eq!(rows[0].dropped_turns, 0);
    let rows = infer(&mut engine, std::slice::from_ref(last), Decoding::Score, whole + beside - 1);
    assert_eq!(rows[0].dropped_turns, 1);
    // Without the first turn it is another prompt, and its answer the same as that one's.
    let first = "(1) Supporter: I ' m with you , turn 0 . [Question]\n";
    let (before, after) = last.rsplit_once(first).unwrap();
    let shorter = infer(&mut engine, &[format!("{before}{after}")], Decoding::Score, 8192);
    assert_eq!(rows[0].inferred, shorter[0].inferred);
}

#[test]
fn draws_are_the_same_whatever_runs_beside_them() {
    let mut engine = engine();
    let prompts = prompts(5);
    let decoding = Decoding::Sample { temperature: 1.0, top_k: 10 };
    let together = infer(&mut engine, &prompts, decoding, 8192);
    let alone = infer(&mut engine, &prompts[..1], decoding, 8192);
    assert_eq!(alone[0], together[0]);
    assert_eq!(together[0].inferred.distribution, None);
}

/// Words for the tiny model.
fn local<'a>(place: &'a Place, more: &[&'a str]) -> Command {
    let (model, out) = (tiny_llama(), place.name("out"));
    magic(
        &[&["infer-strategy", "--model", &model, "--out-dir", &out, "--max-new-tokens", "8", "--quiet"], more].concat(),
    )
}

fn with_prompts() -> Place {
    let place = Place::with_data();
    let folder = place.folder();
    place.write("motivations_4_LLaMA.json", r#"["m0", "m1", "m2", "m3"]"#);
    good(&["build-prompts", "--data-dir", &folder, "--out-dir", &folder]);
    place
}

#[test]
fn what_is_inferred_goes_into_the_samples_and_is_compared_with_the_annotation() {
    let place = with_prompts();
    let (folder, out) = (place.folder(), place.name("out"));
    let [train, valid, test] = magic::PROMPT_FILES.map(|name| place.name(name));
    let words =
        ["--prompt-path", &train, "--prompt-path-valid", &valid, "--prompt-path-test", &test, "--data-dir", &folder];
    let output = local(&place, &[&words[..], &["--format", "json"]].concat()).output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["missing"], summary["lists"].as_array().unwrap().len()), (&json!(0), 3));

    let entries = json_of(&place.path("out/strategy_with_motivation.json"));
    assert_eq!(entries.as_array().unwrap().len(), 4);
    let (keys, shares) = (entries[0].as_object().unwrap(), entries[0]["distribution"].as_object().unwrap());
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["strategy", "motivation", "parse_status", "raw", "distribution"]);
    assert!((shares.values().map(|share| share.as_f64().unwrap()).sum::<f64>() - 1.0).abs() < 1e-9);

    let report = json_of(&place.path("out/strategy_report.json"));
    let gold = ["Reflection of feelings", "Greeting", "Question", "Reflection of feelings"];
    let right = entries.as_array().unwrap().iter().zip(gold).filter(|(entry, gold)| entry["strategy"] == *gold).count();
    assert_eq!(report["train"]["items"], 4);
    assert_eq!(report["train"]["accuracy"].as_f64().unwrap(), right as f64 / 4.0);
    assert_eq!(report["test"]["parse_status"], json!({"bracket": 1}));
    assert!(report["valid"]["log_loss"].as_f64().unwrap() > 0.0);

    let told = said(&["preprocess", "--data-dir", &folder, "--out-dir", &folder, "--inferred-dir", &out]);
    assert!(told.contains("4 samples of 2 dialogues, 4 with a motivation"), "{told}");
    let samples = json_of(&place.path("train.json"));
    assert_eq!(samples[3]["strategy"], entries[3]["strategy"]);
}

#[test]
fn labels_may_come_from_a_file_of_names_or_of_samples() {
    let place = with_prompts();
    let (folder, valid) = (place.folder(), place.name(magic::PROMPT_FILES[1]));
    good(&["preprocess", "--data-dir", &folder, "--out-dir", &folder]);
    let names = place.write("names.json", r#"["Question", "[reflection of feelings]", "Greetings"]"#);
    let accuracy = |words: &[&str]| {
        let words = [&["--prompt-path-valid", &valid, "--resume"], words].concat();
        let output = local(&place, &words).output().unwrap();
        assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
        let report = json_of(&place.path("out/strategy_report.json"));
        (report["valid"]["accuracy"].clone(), report["valid"]["groups"].clone())
    };
    let raw = accuracy(&["--data-dir", &folder]);
    for labels in [place.name("valid.json"), names] {
        assert_eq!(accuracy(&["--labels-valid", &labels]), (raw.0.clone(), json!(3)));
    }
    assert_eq!(raw.1, json!(1));
}

#[test]
fn a_report_is_a_table_for_people() {
    let place = with_prompts();
    let (folder, test) = (place.folder(), place.name(magic::PROMPT_FILES[2]));
    let output = local(&place, &["--prompt-path-test", &test, "--data-dir", &folder]).output().unwrap();
    let told = text(&output.stdout);
    for says in ["1 answers to 1 prompts", "accuracy", "macro-F1", "weighted-F1", "annotated (row)", "7 Others"] {
        assert!(told.contains(says), "{says}: {told}");
    }
}

#[test]
fn shares_are_put_together_from_their_journals() {
    let place = with_prompts();
    let train = place.name(magic::PROMPT_FILES[0]);
    let words = ["--prompt-path", &train];
    assert_eq!(code(&local(&place, &words).output().unwrap()), Some(0));
    let whole = json_of(&place.path("out/strategy_with_motivation.json"));
    std::fs::rename(place.path("out"), place.path("whole")).unwrap();
    let mut journals = String::new();
    for shard in ["0/2", "1/2"] {
        let output = local(&place, &[&words[..], &["--shard", shard]].concat()).output().unwrap();
        assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
        let list = json_of(&place.path("out/strategy_with_motivation.json"));
        assert_eq!(list.as_array().unwrap().iter().filter(|entry| entry.is_null()).count(), 2);
        journals += &std::fs::read_to_string(place.path("out/inferred.jsonl")).unwrap();
        std::fs::remove_dir_all(place.path("out")).unwrap();
    }
    std::fs::create_dir(place.path("out")).unwrap();
    place.write("out/inferred.jsonl", &journals);
    assert_eq!(code(&local(&place, &[&words[..], &["--resume"]].concat()).output().unwrap()), Some(0));
    assert_eq!(std::fs::read_to_string(place.path("out/inferred.jsonl")).unwrap(), journals);
    assert_eq!(json_of(&place.path("out/strategy_with_motivation.json")), whole);
}

#[test]
fn rows_of_other_settings_are_refused_and_stay() {
    let place = with_prompts();
    let train = place.name(magic::PROMPT_FILES[0]);
    let words = ["--prompt-path", &train, "--limit", "1"];
    assert_eq!(code(&local(&place, &words).output().unwrap()), Some(0));
    let before = std::fs::read(place.path("out/inferred.jsonl")).unwrap();
    let output = local(&place, &words).output().unwrap();
    assert!(text(&output.stderr).contains("exists already"), "{}", text(&output.stderr));
    for other in [&["--decode", "greedy"][..], &["--bos", "never"], &["--plain", "plain"], &["--context", "4096"]] {
        let output = local(&place, &[&words[..], &["--resume"], other].concat()).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(code(&output), Some(1), "{told}");
        assert!(told.contains("holds rows made by"), "{told}");
        assert_eq!(std::fs::read(place.path("out/inferred.jsonl")).unwrap(), before);
    }
}

/// Prompts that the scripted server has an answer to.
struct Work {
    place: Place,
    prompts: Vec<String>,
}

impl Work {
    fn new(count: usize) -> Self {
        let prompt =
            |number: usize| format!("(1) Seeker: hm\n({number}) Supporter: yes ***[Question]***\n\nMotivation:\n");
        let prompts: Vec<String> = (0..count).map(prompt).collect();
        let place = Place::new();
        place.write("prompts.json", &json!(prompts).to_string());
        Self { place, prompts }
    }

    fn command(&self, server: &ScriptedServer, more: &[&str]) -> Command {
        let (model, out, prompts) = (server.model(), self.place.name("out"), self.place.name("prompts.json"));
        let words = ["infer-strategy", "--model", &model, "--out-dir", &out, "--prompt-path-test", &prompts];
        magic(&[&words[..], &["--plain", "chat", "--quiet"], more].concat())
    }

    fn line(&self, index: usize) -> String {
        labelled_line(&self.prompts[index])
    }

    fn list(&self) -> Vec<Value> {
        json_of(&self.place.path("out/strategy_with_motivation_test.json")).as_array().unwrap().clone()
    }

    fn journal(&self) -> PathBuf {
        self.place.path("out/inferred.jsonl")
    }

    fn rows(&self) -> usize {
        std::fs::read_to_string(self.journal()).unwrap_or_default().lines().count()
    }

    fn assert_complete(&self) {
        let raw: Vec<String> = self.list().iter().map(|entry| entry["raw"].as_str().unwrap().to_owned()).collect();
        assert_eq!(raw, (0..self.prompts.len()).map(|index| right_answer(&self.line(index))).collect::<Vec<_>>());
        assert_eq!(self.rows(), self.prompts.len());
    }

    fn wait_for_rows(&self, count: usize) {
        let start = Instant::now();
        while self.rows() < count {
            assert!(start.elapsed() < Duration::from_secs(60), "no {count} rows within a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_server_that_stumbles_gives_a_whole_list_in_order() {
    let work = Work::new(5);
    let lines: Vec<String> = (0..5).map(|index| work.line(index)).collect();
    let scripts: Vec<(&str, &[Act])> = vec![
        (&lines[0], &[Act::Status(429)]),
        (&lines[1], &[Act::DropAtOnce]),
        (&lines[2], &[Act::DropInBody]),
        (&lines[3], &[Act::Garbage, Act::Status(503)]),
    ];
    let server = ScriptedServer::start(&scripts, Duration::ZERO);
    let output = work.command(&server, &[]).output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    work.assert_complete();
    let entry = &work.list()[2];
    assert_eq!((&entry["strategy"], &entry["parse_status"]), (&json!("Question"), &json!("bracket")));
    // Greedy, as one message.
    let body = &server.seen()[0].body;
    assert_eq!((&body["temperature"], body["messages"].as_array().unwrap().len()), (&json!(0.0), 1));
}

#[test]
fn what_fails_for_good_is_a_hole_and_asked_again() {
    let work = Work::new(3);
    let refused = work.line(1);
    let server = ScriptedServer::start(&[(&refused, &[Act::Status(400)])], Duration::ZERO);
    let output = work.command(&server, &[]).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(code(&output), Some(1), "{told}");
    assert!(told.contains("1 answers are missing (test prompt 1: ") && told.contains("the script says no"), "{told}");
    assert_eq!(work.list().iter().map(Value::is_null).collect::<Vec<_>>(), [false, true, false]);
    let asked = server.seen().len();
    let output = work.command(&server, &["--resume"]).output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    work.assert_complete();
    assert_eq!(server.seen().len(), asked + 1);
}

#[test]
fn a_wrong_key_ends_the_inference_at_once_and_keeps_what_is_there() {
    let work = Work::new(2);
    let lines = [work.line(0), work.line(1)];
    let scripts: Vec<(&str, &[Act])> = lines.iter().map(|line| (line.as_str(), &[Act::Status(401)][..])).collect();
    let server = ScriptedServer::start(&scripts, Duration::ZERO);
    let output = work.command(&server, &["--concurrency", "1"]).output().unwrap();
    assert_eq!(code(&output), Some(1));
    assert!(text(&output.stderr).contains("401"), "{}", text(&output.stderr));
    assert_eq!((server.seen().len(), work.list()), (1, vec![Value::Null, Value::Null]));
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    let work = Work::new(24);
    let server = ScriptedServer::start(&[], Duration::from_millis(40));
    let words = ["--resume", "--concurrency", "2"];
    let mut killed_midway = 0;
    for rows in [3, 9] {
        let mut child = work.command(&server, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        work.wait_for_rows(rows);
        child.kill().unwrap();
        child.wait().unwrap();
        killed_midway += usize::from(work.rows() < work.prompts.len());
    }
    assert_eq!(killed_midway, 2);
    // A kill may tear the last line.
    let mut journal = std::fs::read(work.journal()).unwrap();
    journal.extend_from_slice(br#"{"split":"test","ind"#);
    std::fs::write(work.journal(), journal).unwrap();
    let output = work.command(&server, &words).output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    work.assert_complete();
    // Only what was under way at a kill was asked twice.
    assert!(server.seen().len() <= work.prompts.len() + 2 * 2, "{}", server.seen().len());
}

#[test]
fn an_interrupt_keeps_what_is_there_and_exits_with_130() {
    let work = Work::new(24);
    let server = ScriptedServer::start(&[], Duration::from_millis(60));
    let words = ["--concurrency", "2"];
    let child = work.command(&server, &words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    work.wait_for_rows(4);
    // SAFETY: signals a child just started.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("--resume asks for them"));
    let holes = work.list().iter().filter(|entry| entry.is_null()).count();
    assert!(holes > 0 && work.rows() + holes == work.prompts.len());
    let output = work.command(&server, &[&words[..], &["--resume"]].concat()).output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    work.assert_complete();
}

/// Runs words that must fail with this code, and gives what they say.
fn complaint(words: &[&str], expected: i32) -> String {
    let output = magic(words).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(code(&output), Some(expected), "{words:?}: {told}");
    assert!(!told.contains("panicked"), "{words:?}: {told}");
    told
}

#[test]
fn an_inference_that_makes_no_sense_is_wrong_use() {
    let place = Place::new();
    let (prompts, out) = (place.write("prompts.json", r#"["a"]"#), place.name("out"));
    let prompts = ["--prompt-path", &prompts];
    let server = "openai:m@http://127.0.0.1:9/v1";
    let table: [(&[&str], &str); 13] = [
        (&["--model", "demo"], "--prompt-path"),
        (&[&["--model", "demo", "--labels-test", "x"], &prompts[..]].concat(), "--prompt-path-test"),
        (&[&["--model", "demo", "--labels", "x", "--data-dir", "y"], &prompts[..]].concat(), "cannot be used with"),
        (&[&["--model", "demo", "--temperature", "0.5"], &prompts[..]].concat(), "--decode sample"),
        (&[&["--model", "demo", "--decode", "beam"], &prompts[..]].concat(), "score"),
        (&[&["--model", "demo", "--decode", "sample", "--temperature=-1"], &prompts[..]].concat(), "temperature"),
        (&[&["--model", "demo", "--max-new-tokens", "0"], &prompts[..]].concat(), "max_new_tokens"),
        (&[&["--model", "demo", "--shard", "2/2"], &prompts[..]].concat(), "below the number of shards"),
        (&[&["--model", "demo", "--limit", "0"], &prompts[..]].concat(), "--limit"),
        (&[&["--model", "demo", "--bos", "maybe"], &prompts[..]].concat(), "auto, always or never"),
        (&[&["--model", "demo", "--retries", "1"], &prompts[..]].concat(), "--retries"),
        (&[&["--model", server, "--adapter", "x"], &prompts[..]].concat(), "--adapter"),
        (&[&["--model", server, "--plain", "chat", "--decode", "score"], &prompts[..]].concat(), "--decode greedy"),
    ];
    for (more, says) in table {
        let told = complaint(&[&["infer-strategy", "--out-dir", &out], more].concat(), 2);
        assert!(told.contains(says), "{says}: {told}");
        assert!(!place.path("out").exists());
    }
}

#[test]
fn prompts_and_labels_that_do_not_fit_are_refused() {
    let place = with_prompts();
    let (folder, out, prompts) = (place.folder(), place.name("out"), place.name("prompts.json"));
    let words = ["infer-strategy", "--model", "demo", "--out-dir", &out, "--prompt-path-valid", &prompts];
    assert!(complaint(&words, 1).contains("prompts.json"));
    for (contents, says) in [("{}", "not a JSON array"), (r#"["a", 1]"#, "entry 1 (counted from 0) is no prompt")] {
        place.write("prompts.json", contents);
        let told = complaint(&words, 1);
        assert!(told.contains(says), "{told}");
    }
    place.write("prompts.json", r#"["a"]"#);
    let told = complaint(&[&words[..], &["--data-dir", &folder]].concat(), 1);
    assert!(told.contains("holds 1 prompts, but there are 3 samples of") && told.contains("valid.txt"), "{told}");
    let told = complaint(&[&words[..], &["--data-dir", &place.name("nowhere")]].concat(), 1);
    assert!(told.contains("nowhere/valid.txt"), "{told}");
    let labels = place.write("labels.json", r#"["Question", "Hope"]"#);
    let told = complaint(&[&words[..], &["--labels-valid", &labels]].concat(), 1);
    assert!(told.contains("labels.json: entry 1 (counted from 0) is no strategy"), "{told}");
    let told = complaint(&[&words[..], &["--plain", &place.name("no.txt")]].concat(), 1);
    assert!(told.contains("no.txt"), "{told}");
    assert!(!place.path("out").exists());
    // A prompt that is too long and has no turns to lose is told, and the others are asked.
    place.write("prompts.json", &json!(["a", "a b ".repeat(4000)]).to_string());
    let output = magic(&[&words[..], &["--max-new-tokens", "4", "--quiet"]].concat()).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(code(&output), Some(1), "{told}");
    assert!(
        told.contains("1 answers are missing (valid prompt 1: the prompt has ") && told.contains("no numbered turns"),
        "{told}"
    );
}
