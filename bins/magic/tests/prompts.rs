//! `magic build-prompts`, `parse-answers` and `templates` on made-up dialogues.

use serde_json::{Value, json};

use crate::program::{Place, good, json_of, magic, said};

#[test]
fn motivations_are_paired_with_the_prompts_of_their_turns() {
    let place = Place::with_data();
    let folder = place.folder();
    place.write("motivations_4_LLaMA.json", r#"["m0", "m1", null, "m3"]"#);
    let told = said(&["build-prompts", "--data-dir", &folder, "--out-dir", &folder]);
    assert!(told.contains("3 prompts, 1 left out because their motivation is missing"), "{told}");
    let pairs = json_of(&place.path("prompts_4_LLaMA.json"));
    let pairs = pairs.as_array().unwrap();
    assert_eq!(pairs.iter().map(|pair| &pair["output"]).collect::<Vec<_>>(), ["m0", "m1", "m3"]);
    // The second dialogue's second sample: turns 0 to 2.
    let prompt = pairs[2]["instruction"].as_str().unwrap();
    let clip = "(1) Seeker: so it ' s hard , turn 0 .\n(2) Supporter: I ' m with you , turn 1 . [Question]\n\
                (3) Seeker: so it ' s hard , turn 2 .\n\nMotivation:\n";
    assert!(prompt.ends_with(clip) && prompt.starts_with("(1) You read"), "{prompt}");

    let (valid, test) =
        (json_of(&place.path("prompts_4_LLaMA_valid.json")), json_of(&place.path("prompts_4_LLaMA_test.json")));
    assert_eq!((valid.as_array().unwrap().len(), test.as_array().unwrap().len()), (3, 1));
    assert!(test[0].as_str().unwrap().contains("(4) Seeker"));
    let raw = std::fs::read_to_string(place.path("prompts_4_LLaMA_test.json")).unwrap();
    assert!(raw.starts_with("[\n  \"") && raw.ends_with("\"\n]"));

    good(&["build-prompts", "--data-dir", &folder, "--out-dir", &folder, "--test-samples", "all"]);
    assert_eq!(json_of(&place.path("prompts_4_LLaMA_test.json")).as_array().unwrap().len(), 2);
}

#[test]
fn edited_texts_stand_in_the_prompts() {
    let place = Place::with_data();
    let (folder, texts) = (place.folder(), place.name("texts"));
    place.write("motivations_4_LLaMA.json", r#"["m0", "m1", "m2", "m3"]"#);
    let told = said(&["templates", &texts]);
    assert_eq!(told.lines().count(), 4);
    std::fs::write(place.path("texts/inference_head.txt"), "Mine:\n").unwrap();
    good(&["build-prompts", "--data-dir", &folder, "--out-dir", &folder, "--templates", &texts]);
    let pairs = json_of(&place.path("prompts_4_LLaMA.json"));
    assert!(pairs[0]["instruction"].as_str().unwrap().starts_with("Mine:\n(1) Supporter: "));
    // What somebody edited is not written over.
    assert_eq!(magic(&["templates", &texts]).output().unwrap().status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(place.path("texts/inference_head.txt")).unwrap(), "Mine:\n");
}

#[test]
fn answers_of_any_engine_go_round_to_the_samples() {
    let place = Place::with_data();
    let folder = place.folder();
    place.write("motivations_4_LLaMA.json", r#"["m0", "m1", "m2", "m3"]"#);
    good(&["build-prompts", "--data-dir", &folder, "--out-dir", &folder]);
    let parse = |answers: Value, more: &[&str], name: &str| {
        let (answers, out) = (place.write("answers.json", &answers.to_string()), place.name(name));
        said(&[&["parse-answers", "--answers", &answers, "--out", &out], more].concat())
    };
    let prompts = json_of(&place.path("prompts_4_LLaMA.json"));
    let repeated = format!("{}to share [self-disclosure]\n", prompts[0]["instruction"].as_str().unwrap());
    let train = json!([repeated, "to ask a question", "[Others]", "nothing"]);
    let told = parse(train, &["--prompts", &place.name("prompts_4_LLaMA.json")], "strategy_with_motivation.json");
    assert!(told.contains("in brackets 2, as plain words 1, not found 1"), "{told}");
    let valid = json!(["[Greeting]", "[Greeting]", "[Greeting]"]);
    parse(valid, &["--prompts", &place.name("prompts_4_LLaMA_valid.json")], "strategy_with_motivation_valid.json");
    parse(json!(["[Greeting]"]), &[], "strategy_with_motivation_test.json");
    good(&["preprocess", "--data-dir", &folder, "--out-dir", &folder, "--inferred-dir", &folder]);
    let train = json_of(&place.path("train.json"));
    let found: Vec<(&Value, &Value)> =
        train.as_array().unwrap().iter().map(|sample| (&sample["strategy"], &sample["motivation"])).collect();
    let expected = json!([
        ["Self-disclosure", "to share [self-disclosure]"],
        ["Question", "to ask a question"],
        ["Others", "[Others]"],
        ["Others", "nothing"]
    ]);
    assert_eq!(json!(found), expected);
}
