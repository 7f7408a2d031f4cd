//! A conversation through a pipe.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::Value;
use thtra::{Conversation, EncodedDialogues, Exchange, Layout, Lengths, Strategy};

use crate::infer_eval::place;
use crate::program::{Place, json_of, said, text, thtra, tokenizer};

/// What is printed for lines that are typed into a pipe, and what is complained about.
fn chat(place: &Place, more: &[&str], lines: &str) -> (String, String) {
    let model = place.name("run");
    let words = [&["chat", "--model", &model, "--max-input-length", "120"], more].concat();
    let mut command = thtra(&words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(0), "{}", text(&stderr));
    (text(&stdout), text(&stderr))
}

fn objects(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_is_answered_without_prompts() {
    let place = place();
    let (printed, complaints) = chat(&place, &["--strategy", "given:Question"], "I failed.\n\nAgain!\n");
    let answers: Vec<&str> = printed.lines().collect();
    assert!(answers.len() == 2 && answers.iter().all(|line| line.starts_with("supporter (Question)> ")), "{printed}");
    assert_eq!(complaints, "");
    let (again, _) = chat(&place, &["--strategy", "given:Question"], "I failed.\n\nAgain!\n");
    assert_eq!(again, printed);
}

#[test]
fn a_program_reads_one_object_for_each_answer() {
    let place = place();
    let lines = "I failed.\n/strategy Information\nWhat now?\n/strategy auto\nBye.\n/quit\nnever read\n";
    let (printed, _) = chat(&place, &["--format", "json", "--strategy", "argmax"], lines);
    let turns = objects(&printed);
    assert_eq!(turns.len(), 3);
    assert_eq!(
        turns.iter().map(|turn| turn["mode"].as_str().unwrap()).collect::<Vec<_>>(),
        ["argmax", "given:Information", "argmax"]
    );
    assert_eq!(turns[1]["strategy"], "Information");
    for turn in &turns {
        let shares: Vec<f64> =
            turn["top3"].as_array().unwrap().iter().map(|one| one["probability"].as_f64().unwrap()).collect();
        assert!(shares.len() == 3 && shares.is_sorted_by(|a, b| a >= b) && shares.iter().sum::<f64>() <= 1.0 + 1e-6);
    }
    assert_eq!(turns[0]["top3"][0]["strategy"], turns[0]["strategy"]);
}

#[test]
fn commands_show_take_back_and_keep_the_chat() {
    let place = place();
    let file = place.name("chat.txt");
    let lines = format!(
        "/save {file}\nI failed.\n/candidates 4\nWhat now?\n/undo\nAnd now?\n/history\n/save {file}\n/save {file}\n/stratgey\n"
    );
    let (printed, complaints) = chat(&place, &["--show-strategies"], &lines);
    let candidates: Vec<&str> =
        printed.lines().filter(|line| line.trim_start().starts_with(['1', '2', '3', '4'])).collect();
    assert_eq!(candidates.len(), 4, "{printed}");
    assert!(printed.contains("taken back: What now?") && printed.contains(" %, "), "{printed}");
    for problem in ["nothing was said yet that could be saved", "chat.txt exists; `/save! ", "Did you mean /strategy?"]
    {
        assert!(complaints.contains(problem), "{problem}: {complaints}");
    }
    let kept = json_of(&place.path("chat.txt"));
    let said_by_seeker: Vec<&Value> = kept["dialog"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|turn| turn["speaker"] == "usr")
        .map(|turn| &turn["text"])
        .collect();
    assert_eq!(said_by_seeker, ["I failed.", "And now?"]);
    // Dialogue lines as any others.
    let [model, out] = [place.name("run"), place.name("answers.jsonl")];
    said(&["infer", "--model", &model, "--data", &file, "--out", &out, "--max-input-length", "120"]);
    assert_eq!(place.read("answers.jsonl").lines().count(), 2);
}

#[test]
fn a_model_without_strategies_chats_without_them() {
    let place = place();
    let (printed, complaints) = chat(
        &place,
        &["--layout", "vanilla", "--temperature", "1000", "--top-p", "1"],
        "I failed.\n/strategy Question\n/candidates 2\n",
    );
    assert!(printed.starts_with("supporter> "), "{printed}");
    assert!(complaints.contains("this model knows no strategies"), "{complaints}");
}

#[test]
fn what_is_no_text_is_told_and_the_chat_goes_on() {
    let place = place();
    let model = place.name("run");
    let mut child = thtra(&["chat", "--model", &model, "--max-input-length", "120"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\xff\xfe\nI failed.\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stderr).contains("not UTF-8 text"));
    assert_eq!(text(&output.stdout).lines().count(), 1);
}

#[test]
fn the_model_reads_a_chat_as_it_read_dialogues_in_training() {
    let tokenizer = tokenizer();
    let exchange = |said: &str, answer: &str, strategy| Exchange {
        said: said.into(),
        answer: answer.into(),
        strategy: Some(strategy),
    };
    let conversation = Conversation {
        exchanges: vec![
            exchange("i  failed", "why?", Strategy::Question),
            exchange("[Others] no idea", "oh", Strategy::Reflection),
            exchange("and now?", "bye", Strategy::Others),
        ],
    };
    let dialogue = conversation.dialogue();
    let encoded = EncodedDialogues::new(&tokenizer, std::slice::from_ref(&dialogue)).unwrap();
    for (layout, longest) in [(Layout::Strat, 160), (Layout::Strat, 7), (Layout::Vanilla, 160)] {
        let lengths = Lengths { max_input_length: longest, ..Lengths::default() };
        let samples = encoded.lay_out(layout, lengths).samples;
        for (place, sample) in samples.iter().enumerate() {
            let before = Conversation { exchanges: conversation.exchanges[..place].to_vec() };
            let said = &conversation.exchanges[place].said;
            assert_eq!(before.encoder_ids(said, &tokenizer, layout, longest).unwrap(), sample.encoder_ids);
        }
    }
}
