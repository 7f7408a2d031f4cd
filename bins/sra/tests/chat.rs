//! `sra chat` through pipes: what is said, what commands do, and what survives wrong input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Child, ChildStdin, Output, Stdio};

use serde_json::Value;

use crate::program::{self, gguf, model, short_run, sra, text};

fn words(options: &[&str]) -> Vec<String> {
    let model = model().to_string_lossy().into_owned();
    let usual = ["chat", "--model", &model, "--max-new-tokens", "12", "--kv-memory", "64M"];
    usual.iter().chain(options).map(|word| (*word).to_owned()).collect()
}

pub(crate) fn spawn(options: &[&str]) -> Child {
    let words = words(options);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = sra(&words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn chat_bytes(options: &[&str], input: &[u8]) -> Output {
    let mut child = spawn(options);
    // The program may end (with a usage error, say) before it reads anything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// A chat of these lines that ends well.
pub(crate) fn chat(options: &[&str], lines: &[&str]) -> Output {
    let output = chat_bytes(options, (lines.join("\n") + "\n").as_bytes());
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

/// The turns of a chat of these lines.
pub(crate) fn turns(options: &[&str], lines: &[&str]) -> Vec<Value> {
    let options: Vec<&str> = options.iter().copied().chain(["--format", "json"]).collect();
    let output = chat(&options, lines);
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A turn without what only tells of the cache.
pub(crate) fn answer(turn: &Value) -> (&Value, &Value, &Value) {
    (&turn["text"], &turn["seed"], &turn["prompt_tokens"])
}

#[test]
fn the_seed_decides_every_answer() {
    let lines = ["/strategy 7", "I failed my test.", "What now?", "/retry"];
    let once = turns(&["--seed", "3"], &lines);
    assert_eq!(once.len(), 3);
    assert_eq!(once, turns(&["--seed", "3"], &lines));
    let other = turns(&["--seed", "4"], &lines);
    assert!(once.iter().zip(&other).all(|(one, other)| one["text"] != other["text"]));
    assert_ne!(once[1]["text"], once[2]["text"], "/retry takes the next seed");
    assert_eq!(once[1]["seed"].as_u64().unwrap() + 1, once[2]["seed"].as_u64().unwrap());
    assert_eq!((&once[2]["turn"], &once[2]["attempt"]), (&Value::from(2), &Value::from(1)));
    assert!(once[2]["reused_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn a_random_strategy_is_the_same_for_the_same_seed() {
    let pick = |seed: &str| turns(&["--seed", seed, "--strategy", "random"], &["Hi."])[0]["strategy"].clone();
    assert_eq!(pick("1"), pick("1"));
    assert!(["2", "3", "4", "5", "6"].iter().any(|seed| pick(seed) != pick("1")));
}

#[test]
fn undo_gives_the_same_next_answer() {
    let found = turns(&[], &["Hello!", "What now?", "/retry", "/undo", "What now?"]);
    assert_eq!(found.len(), 4);
    assert_eq!(answer(&found[1]), answer(&found[3]));
}

#[test]
fn a_kept_chat_goes_on_as_if_it_had_not_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my chat.jsonl");
    let (save, load) = (format!("/save {}", file.display()), format!("/load {}", file.display()));
    let begin = ["/strategy offer hope", "/situation I failed", "/layout c1_hf", "Hello!", "/strategy none", "Well."];
    let whole = turns(&["--seed", "5"], &[&begin[..], &["/strategy 3", "And now?"]].concat());
    turns(&["--seed", "5"], &[&begin[..], &["/strategy 3", save.as_str()]].concat());
    let rest = turns(&[], &[&load, "And now?"]);
    assert_eq!(answer(&rest[0]), answer(&whole[2]));
    assert_eq!((&rest[0]["strategy"], &rest[0]["layout"]), (&whole[2]["strategy"], &whole[2]["layout"]));
    assert_eq!(rest[0]["turn"], 3);

    let line = std::fs::read_to_string(&file).unwrap();
    let kept: Value = serde_json::from_str(&line).unwrap();
    let strategies: Vec<&Value> = kept["messages"].as_array().unwrap().iter().map(|m| &m["strategy"]).collect();
    let expected = [Value::Null, "Offer Hope".into(), Value::Null, "unconditional".into()];
    assert_eq!(strategies, expected.iter().collect::<Vec<_>>());
    for column in ["id", "example", "conversation", "turn", "strategy", "layout", "model"] {
        assert!(!kept[column].is_null(), "{column}");
    }
}

#[test]
fn an_exported_chat_goes_on_unless_its_history_is_in_the_system_text() {
    let folder = tempfile::tempdir().unwrap();
    for layout in ["standard", "c1_hf"] {
        let out = folder.path().join(layout);
        let file = folder.path().join(format!("{layout}.jsonl")).to_string_lossy().into_owned();
        let run = [short_run(&out), vec!["--layout".into(), layout.into(), "--limit".into(), "1".into()]].concat();
        assert!(program::run(&run).status.success());
        let export = ["export", "--form", "chat", "--input", &out.to_string_lossy(), "--out", &file];
        assert!(sra(&export).output().unwrap().status.success());
        let output = chat(&["--format", "json"], &[&format!("/load {file}"), "And now?"]);
        let turn: Value = serde_json::from_slice(&output.stdout).unwrap();
        let goes_on = layout == "standard";
        assert_eq!(turn["turn"].as_u64().unwrap() > 1, goes_on, "{turn}");
        assert_eq!(text(&output.stderr).contains("in the system text"), !goes_on, "{}", text(&output.stderr));
    }
}

#[test]
fn a_file_is_replaced_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.jsonl");
    std::fs::write(&file, "mine\n").unwrap();
    let name = file.to_string_lossy().into_owned();
    let output = chat(&[], &["Hello!", &format!("/save {name}")]);
    assert!(text(&output.stderr).contains("/save! "), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine\n");
    let output = chat_bytes(&["--save", &name], b"Hello!\n");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine\n");
    chat(&[], &["Hello!", &format!("/save! {name}")]);
    assert!(std::fs::read_to_string(&file).unwrap().contains("Hello!"));
}

#[test]
fn autosave_follows_each_turn_and_keeps_chats_that_were_reset() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.jsonl");
    let name = file.to_string_lossy().into_owned();
    let mut child = spawn(&["--save", &name]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    say(&mut stdin, &mut stdout, "first text", "supporter");
    say(&mut stdin, &mut stdout, "/history", "supporter");
    assert!(std::fs::read_to_string(&file).unwrap().contains("first text"));
    say(&mut stdin, &mut stdout, "/reset", "a new chat");
    say(&mut stdin, &mut stdout, "second text", "supporter");
    say(&mut stdin, &mut stdout, "/history", "supporter");
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let kept = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = kept.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("first text") && !lines[1].contains("first text") && lines[1].contains("second text"));
}

/// Sends a line and reads up to a line that holds `sign`.
pub(crate) fn say(stdin: &mut ChildStdin, stdout: &mut impl BufRead, line: &str, sign: &str) {
    writeln!(stdin, "{line}").unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(sign) {
        read.clear();
        assert!(stdout.read_until(b'\n', &mut read).unwrap() > 0, "no line with `{sign}`");
    }
}

#[test]
fn strategy_layout_and_situation_change_the_prompt_and_no_answer_before() {
    let found = turns(&[], &["Hello!", "/undo", "/strategy 7", "Hello!", "/undo", "/situation lost my keys", "Hello!"]);
    let tokens: Vec<u64> = found.iter().map(|turn| turn["prompt_tokens"].as_u64().unwrap()).collect();
    assert!(tokens[0] < tokens[1] && tokens[1] != tokens[2], "{tokens:?}");
    assert_eq!((&found[0]["strategy"], &found[1]["strategy"]), (&Value::Null, &Value::from("Offer Hope")));
    let found = turns(&[], &["Hello!", "Well.", "/undo", "/layout c1_hl", "Well."]);
    assert_ne!(found[1]["prompt_tokens"], found[2]["prompt_tokens"]);
    assert_eq!(found[2]["layout"], "c1_hl");
}

#[test]
fn wrong_commands_say_what_is_wrong_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let torn = folder.path().join("torn.jsonl");
    std::fs::write(&torn, "{\"id\":").unwrap();
    let (torn, nowhere) = (torn.to_string_lossy(), folder.path().join("no/where").display().to_string());
    let wrong = [
        ("/strategy offer hop", "Did you mean `Offer Hope`?"),
        ("/strategy 99", "there is no strategy 99"),
        ("/strategy 0", "there is no strategy 0"),
        ("/stratgey 3", "Did you mean /strategy?"),
        ("/layout c7_hf", "unknown layout `c7_hf`"),
        ("/undo 2", "stands alone"),
        ("/save", "needs a file"),
        (&format!("/save {nowhere}"), "where"),
        (&format!("/load {nowhere}"), "where"),
        (&format!("/load {torn}"), "not a kept chat"),
        ("/load /", "/"),
    ];
    let plain = turns(&["--strategy", "5"], &["Hello!", "Well."]);
    let mut lines = vec!["Hello!"];
    lines.extend(wrong.iter().map(|(line, _)| *line));
    lines.push("Well.");
    let found = turns(&["--strategy", "5"], &lines);
    assert_eq!(found.iter().map(answer).collect::<Vec<_>>(), plain.iter().map(answer).collect::<Vec<_>>());
    let errors = text(&chat(&["--strategy", "5"], &lines).stderr);
    for (line, says) in wrong {
        assert!(errors.contains(says), "{line}: {errors}");
    }
    assert_eq!(errors.lines().filter(|line| line.starts_with("error: ")).count(), wrong.len(), "{errors}");
    let errors = text(&chat(&[], &["/undo", "/retry"]).stderr);
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

#[test]
fn lines_that_are_no_text_and_blank_lines_send_nothing() {
    let output = chat_bytes(&["--format", "json"], b"\n   \n\xff\xfe no text\nHello!\r\n\n//help");
    assert!(output.status.success());
    let turns: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(turns.len(), 2);
    assert_eq!((&turns[0]["user"], &turns[1]["user"]), (&Value::from("Hello!"), &Value::from("/help")));
    assert!(text(&output.stderr).contains("not UTF-8"));
}

#[test]
fn the_end_of_input_ends_the_chat_without_prompts_or_colours() {
    let output = chat_bytes(&[], b"");
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0));
    let output = chat(&["--strategy", "offer hope"], &["Hello!", "/quit", "Not read."]);
    let printed = text(&output.stdout);
    assert!(printed.starts_with("supporter (Offer Hope)> ") && !printed.contains("you>"), "{printed}");
    assert!(!printed.contains('\u{1b}') && printed.matches("supporter").count() == 1, "{printed}");
}

#[test]
fn streamed_text_is_the_whole_text() {
    for beams in ["1", "3"] {
        let options = ["--temperature", "0", "--beam-width", beams];
        let printed = text(&chat(&options, &["Hello!"]).stdout);
        let turn = &turns(&options, &["Hello!"])[0];
        assert_eq!(printed, format!("supporter (no strategy)> {}\n", turn["text"].as_str().unwrap()));
    }
}

#[test]
fn a_full_context_says_what_to_do_and_the_chat_goes_on() {
    let long = "word ".repeat(150);
    let lines = ["Hello!", long.trim(), "Well.", long.trim(), "/reset", "/retry", "Hello!"];
    let output = chat(&["--context", "200", "--format", "json"], &lines);
    let errors = text(&output.stderr);
    for advice in ["/undo", "/reset", "--context"] {
        assert!(errors.contains(advice), "{errors}");
    }
    let users: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["user"].clone()).collect();
    assert_eq!(users, ["Hello!", "Well.", "Hello!"]);
}

#[test]
fn a_text_that_did_not_fit_can_be_asked_again_after_undo() {
    let middling = format!("text {}", "word ".repeat(25));
    let last = format!("last {}", "word ".repeat(25));
    let lines = [middling.trim(), middling.trim(), last.trim(), "/undo", "/retry", "/history"];
    let found = turns(&["--context", "200"], &lines);
    let said: Vec<(&Value, &Value)> = found.iter().map(|turn| (&turn["user"], &turn["turn"])).collect();
    let (middling, last) = (Value::from(middling.trim()), Value::from(last.trim()));
    assert_eq!(said, [(&middling, &1.into()), (&middling, &2.into()), (&last, &2.into())]);
}

#[test]
fn an_interrupt_ends_an_answer_and_then_the_chat() {
    let model = gguf().to_string_lossy().into_owned();
    let options = ["--model", &model, "--max-new-tokens", "7000", "--min-new-tokens", "7000", "--context", "8192"];
    let options = [&options[..], &["--format", "text"]].concat();
    let all = sra(&[&["chat", "--kv-memory", "512M"], &options[..]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = all.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    writeln!(stdin, "Hello!").unwrap();
    let mut first = [0; 40];
    stdout.read_exact(&mut first).unwrap();
    interrupt(&child);
    say(&mut stdin, &mut stdout, "/history", "[interrupted]");
    say(&mut stdin, &mut stdout, "/layout", "layout: standard");
    // The next line is being waited for, or will be in a moment; both end the chat.
    std::thread::sleep(std::time::Duration::from_millis(200));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

pub(crate) fn interrupt(child: &Child) {
    // SAFETY: signals the child just started.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
}

/// What a terminal shows of a chat of these lines, each typed once the prompt for it is there.
fn on_terminal(no_color: &str, lines: &[&str]) -> String {
    let (mut ours, mut theirs) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: both descriptors are written before they are used; name, settings and size are left out.
    let (mut ours, theirs) = unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, none, none.cast(), none.cast()), 0);
        (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    };
    let words = words(&["--strategy", "7", "--quiet"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = sra(&words);
    command.stdin(theirs.try_clone().unwrap()).stdout(theirs).stderr(Stdio::null()).env("NO_COLOR", no_color);
    let mut child = command.spawn().unwrap();
    drop(command);
    let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
    let mut lines = lines.iter();
    let mut prompts = 0;
    // Reading fails once nobody holds the other side.
    while let Ok(count @ 1..) = ours.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..count]);
        if text(&shown).matches("you> ").count() > prompts {
            prompts += 1;
            ours.write_all(lines.next().unwrap_or(&"\u{4}").as_bytes()).unwrap();
        }
    }
    assert!(child.wait().unwrap().success());
    text(&shown)
}

#[test]
fn a_terminal_has_prompts_and_colours_unless_they_are_unwanted() {
    let lines = ["Hello!\n", "/strategy none\n"];
    let plain = on_terminal("1", &lines);
    assert_eq!(plain.matches("[Offer Hope] you> ").count(), 2, "{plain}");
    assert_eq!(plain.matches("[no strategy] you> ").count(), 1, "{plain}");
    assert!(plain.contains("supporter (Offer Hope)> ") && !plain.contains('\u{1b}'), "{plain}");
    let coloured = on_terminal("", &lines);
    assert!(coloured.contains("\u{1b}[1;36m[Offer Hope] you> \u{1b}[0m"), "{coloured}");
}

#[test]
fn a_configuration_file_has_a_table_for_chats() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("chat.toml");
    std::fs::write(&config, "format = \"json\"\n[chat]\nstrategy = \"clarification\"\nlayout = \"c3_hl\"\n").unwrap();
    let output = chat(&["--config", &config.to_string_lossy()], &["Hello!"]);
    let turn: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&turn["strategy"], &turn["layout"]), (&Value::from("Clarification"), &Value::from("c3_hl")));
}

#[test]
fn an_unknown_start_strategy_is_an_error_of_use() {
    let output = chat_bytes(&["--strategy", "offer hop"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Did you mean `Offer Hope`?"));
}
