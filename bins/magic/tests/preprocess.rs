//! `magic preprocess` on made-up dialogues.

use serde_json::{Value, json};

use crate::program::{Place, good, json_of, said};

fn preprocess(place: &Place, more: &[&str]) {
    let folder = place.folder();
    good(&[&["preprocess", "--data-dir", &folder, "--out-dir", &folder], more].concat());
}

#[test]
fn every_supporter_turn_but_the_opening_one_is_a_sample() {
    let place = Place::with_data();
    preprocess(&place, &[]);
    let train = json_of(&place.path("train.json"));
    // The first dialogue has supporter turns 0, 2 and 4, the second 1 and 3.
    assert_eq!(train.as_array().unwrap().len(), 4);
    assert_eq!(
        train[1],
        json!({
            "context": [
                "They Do not call back .", "I am with you , turn 0 .", "so It is  hard , turn 1 .",
                "I am with you , turn 2 .", "so It is  hard , turn 3 ."
            ],
            "response": "I am with you , turn 4 .",
            "strategy": "Greeting",
            "response_memory": ["I am with you , turn 0 .", "I am with you , turn 2 ."],
            "strategy_memory": ["Question", "Reflection of feelings"],
            "motivation": "",
        })
    );
    assert_eq!(train[2]["response_memory"], json!([]));
}

#[test]
fn a_test_dialogue_gives_its_last_turn_or_all() {
    let place = Place::with_data();
    preprocess(&place, &[]);
    let last = json_of(&place.path("test.json"));
    assert_eq!((last.as_array().unwrap().len(), &last[0]["strategy"]), (1, &json!("Greeting")));
    assert_eq!((&last[0]["response_memory"], last[0]["context"].as_array().unwrap().len()), (&json!([]), 5));
    preprocess(&place, &["--test-samples", "all"]);
    let all = json_of(&place.path("test.json"));
    assert_eq!((all.as_array().unwrap().len(), &all[1]["response"]), (2, &last[0]["response"]));
    assert_eq!(all[1]["strategy_memory"], json!(["Question", "Reflection of feelings"]));
}

#[test]
fn contractions_keep_their_case_on_request() {
    let place = Place::with_data();
    preprocess(&place, &["--expand_case=preserve"]);
    let valid = json_of(&place.path("valid.json"));
    assert_eq!(valid[0]["context"], json!(["They do not call back .", "so it is  hard , turn 0 ."]));
}

/// Files of inferred strategies of as many entries as there are samples.
fn write_inferences(place: &Place) {
    let published = |number: usize| json!({"strategy": "[self-disclosure]", "motivation": format!("because {number}")});
    let ours = json!({"strategy": "Others", "motivation": "so", "parse_status": "fallback", "raw": "so\n"});
    let train: Vec<Value> = (0..4).map(published).collect();
    place.write("strategy_with_motivation.json", &json!(train).to_string());
    place.write("strategy_with_motivation_valid.json", &json!([ours, ours, ours]).to_string());
    place.write("strategy_with_motivation_test.json", &json!([ours]).to_string());
}

#[test]
fn inferences_are_taken_by_position() {
    let place = Place::with_data();
    write_inferences(&place);
    let folder = place.folder();
    preprocess(&place, &["--inferred-dir", &folder]);
    let (train, valid) = (json_of(&place.path("train.json")), json_of(&place.path("valid.json")));
    assert_eq!((&train[3]["strategy"], &train[3]["motivation"]), (&json!("Self-disclosure"), &json!("because 3")));
    assert_eq!((&valid[1]["strategy"], &valid[1]["motivation"]), (&json!("Others"), &json!("so")));
    assert_eq!(valid[1]["strategy_memory"], json!(["Question"]));
    preprocess(&place, &["--inferred-dir", &folder, "--gold-strategy"]);
    let train = json_of(&place.path("train.json"));
    assert_eq!(
        (&train[3]["strategy"], &train[3]["motivation"]),
        (&json!("Reflection of feelings"), &json!("because 3"))
    );
}

#[test]
fn what_was_made_is_told() {
    let place = Place::with_data();
    let folder = place.folder();
    let words = ["preprocess", "--data-dir", &folder, "--out-dir", &place.name("new/folder")];
    assert!(said(&words).contains("train.json: 4 samples of 2 dialogues, 0 with a motivation"));
    let told: Value = serde_json::from_str(&said(&[&words[..], &["--format", "json"]].concat())).unwrap();
    assert_eq!((&told[2]["samples"], &told[2]["dialogues"]), (&json!(1), &json!(1)));
}
