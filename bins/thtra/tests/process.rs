//! `thtra process` on the made-up corpus.

use helpfulness::{AnnotatedResponse, ConversationId, RecordFile, read_held_out};
use serde_json::{Value, json};
use thtra::{Dialogue, HelpfulnessData, Part, read_split, record_file};

use crate::program::{CONVERSATIONS, Place, said};

#[test]
fn dialogue_lines_hold_texts_without_superfluous_blanks() {
    let place = Place::with_data();
    let split = read_split(&place.path("data/splits.json")).unwrap();
    for part in Part::ALL {
        let lines = place.read(&format!("data/{part}.txt"));
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), part.of(&split).len());
        for (line, number) in lines.iter().zip(part.of(&split)) {
            let opening = match number.is_multiple_of(2) {
                true => "",
                false => r#"{"text": "Welcome.", "speaker": "sys", "strategy": "Others"}, "#,
            };
            let expected = format!(
                "{{\"emotion_type\": \"shame\", \"problem_type\": \"academic pressure\", \"situation\": \"Exam {} went wrong.\", \
                 \"dialog\": [{opening}{{\"text\": \"I am number {number}.\", \"speaker\": \"usr\"}}, \
                 {{\"text\": \"What happened?\", \"speaker\": \"sys\", \"strategy\": \"Question\"}}, ",
                number / 2
            );
            assert!(line.starts_with(&expected), "{line}\n{expected}");
            assert!(
                line.contains(r#"{"text": "Try it again.", "speaker": "sys", "strategy": "Providing Suggestions"}"#)
            );
        }
        let dialogues = Dialogue::read_all(&place.path(&format!("data/{part}.txt"))).unwrap();
        let again = place.path("again.txt");
        Dialogue::write_all(&again, &dialogues).unwrap();
        assert_eq!(std::fs::read(again).unwrap(), std::fs::read(place.path(&format!("data/{part}.txt"))).unwrap());
    }
}

#[test]
fn every_conversation_is_in_one_part() {
    let place = Place::with_data();
    let split = read_split(&place.path("data/splits.json")).unwrap();
    let mut all = Part::ALL.map(|part| part.of(&split)).concat();
    assert_eq!(Part::ALL.map(|part| part.of(&split).len()), [14, 3, 3]);
    all.sort_unstable();
    assert_eq!(all, (0..CONVERSATIONS).collect::<Vec<_>>());
    let input = place.name("ESConv.json");
    said(&["process", "--input", &input, "--split", "80-10-10", "--out", &place.name("other")]);
    let other = read_split(&place.path("other/splits.json")).unwrap();
    assert_eq!(Part::ALL.map(|part| part.of(&other).len()), [16, 2, 2]);
    // One shuffle, cut elsewhere.
    assert_eq!(other.valid, split.valid[..2]);
}

#[test]
fn records_are_those_of_the_conversations_of_their_part() {
    let place = Place::with_data();
    let data = HelpfulnessData::open(&place.path("data")).unwrap();
    let split = read_split(&place.path("data/splits.json")).unwrap();
    for part in Part::ALL {
        let conversations: Vec<String> = data.of(part).iter().map(|record| record.conversation_name()).collect();
        let expected: Vec<String> =
            part.of(&split).iter().flat_map(|number| [number.to_string(), number.to_string()]).collect();
        assert_eq!(conversations, expected);
    }
    let first = &data.train[0];
    assert_eq!(first.context, [format!("I am number {}.", split.train[0])]);
    assert_eq!(first.responses[0].text, "What happened?");
    let labels = |response: &AnnotatedResponse| response.annotations.iter().flatten().cloned().collect::<Vec<_>>();
    assert_eq!(labels(&first.responses[0]), [["Simple Reflection"; 4].as_slice(), &["Warn"]].concat());
    assert_eq!(data.train[1].responses[0].text, "Oh no! Try it again.");
    assert_eq!(labels(&data.train[1].responses[0]), [["Simple Reflection"; 2].as_slice(), &["Warn"; 3]].concat());
}

#[test]
fn the_situations_of_the_validation_are_listed() {
    let place = Place::with_data();
    let folds = read_held_out(&place.path("data/helpfulness/dev_index.json")).unwrap();
    let split = read_split(&place.path("data/splits.json")).unwrap();
    let expected: Vec<String> = split.valid.iter().map(|number| format!("Exam {} went wrong.", number / 2)).collect();
    assert_eq!(folds, [expected]);
}

#[test]
fn a_leak_is_told_aloud_though_situations_repeat() {
    let place = Place::with_data();
    let (train, test) = (record_file(&place.path("data"), Part::Train), record_file(&place.path("data"), Part::Test));
    let foreign = RecordFile::read(&test).unwrap().records.swap_remove(0);
    let lines = std::fs::read_to_string(&train).unwrap() + &serde_json::to_string(&foreign).unwrap() + "\n";
    std::fs::write(&train, &lines).unwrap();
    let told = HelpfulnessData::open(&place.path("data")).unwrap_err().to_string();
    let Some(ConversationId::Number(number)) = foreign.conversation else { panic!("{foreign:?}") };
    assert!(told.contains("esc_data.txt: LEAK: 1 records come from 1 conversations"), "{told}");
    assert!(told.contains(&format!("from conversation {number} of test.txt")), "{told}");
    // The same words said in a conversation to learn from are none.
    let own = read_split(&place.path("data/splits.json")).unwrap().train[0];
    let numbered = |number: usize| format!("\"conversation\":{number}");
    std::fs::write(&train, lines.replace(&numbered(number), &numbered(own))).unwrap();
    HelpfulnessData::open(&place.path("data")).unwrap();
    // Records that don't know where they come from can't be judged.
    std::fs::write(&train, lines.replace(&format!(",{}", numbered(number)), "")).unwrap();
    let told = HelpfulnessData::open(&place.path("data")).unwrap_err().to_string();
    assert!(told.contains("record 28 (counted from 0) has no `conversation` with its number"), "{told}");
}

#[test]
fn what_was_made_is_told() {
    let place = Place::with_corpus();
    let (input, out) = (place.name("ESConv.json"), place.name("new/folder"));
    let words = ["process", "--input", &input, "--out", &out];
    let told = said(&words);
    assert!(told.contains("train.txt: 14 dialogues, ") && told.contains(" turns, 56 samples"), "{told}");
    assert!(told.contains("esc_data.txt: 28 records; ratings: 14 of 2, 14 of 4"), "{told}");
    let made: Value = serde_json::from_str(&said(&[&words[..], &["--format", "json"]].concat())).unwrap();
    assert_eq!((&made[2]["part"], &made[2]["dialogues"]), (&json!("test"), &json!(3)));
    assert_eq!((&made[2]["samples"], &made[2]["scores"]), (&json!(12), &json!({"2": 3, "4": 3})));
}
