//! What `persuasion generate` and `persuasion eval` refuse, and how they say so.

use crate::corpora::Place;
use crate::trained::{MODEL, refusal, told, trained};

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_loaded() {
    let place = Place::new();
    let (run, data, out) = (trained().name("run"), trained().name("pairs/test.jsonl"), place.name("out.jsonl"));
    let adapter = trained().name("run/adapter");
    std::fs::create_dir_all(place.path("alone")).unwrap();
    let alone = place.name("alone");
    let csv = place.name("out.csv");
    let table: &[(&[&str], i32, &str)] = &[
        (&["generate", "--data", &data, "--out", &out], 2, "name a model with --model, or a run with --adapter"),
        (&["generate", "--adapter", &alone, "--data", &data, "--out", &out], 2, "is no run of `persuasion train`"),
        (&["generate", "--model", MODEL, "--out", &out], 2, "name a file with --data"),
        (&["generate", "--adapter", &run, "--out", &out, "--samples", "3"], 2, "several need a --temperature"),
        (
            &["generate", "--model", MODEL, "--data", &data, "--out", &out, "--with-base"],
            2,
            "the model is its own base",
        ),
        (&["generate", "--adapter", &run, "--out", &csv], 2, "name a .jsonl"),
        (&["generate", "--adapter", &run, "--out", &out, "--data", "no/such.jsonl"], 1, "no/such.jsonl"),
        (&["generate", "--adapter", &run, "--out", &out, "--top-p", "7"], 2, "top_p"),
        (&["generate", "--adapter", &run, "--out", &out, "--retries", "3"], 2, "about models behind servers"),
        (&["generate", "--adapter", &run, "--out", &out, "--length", "3"], 2, "unexpected argument"),
        (&["eval"], 2, "name a run with --adapter"),
        (
            &["eval", "--model", "openai:x@http://localhost:1/v1", "--data", &data, "--out", &out],
            2,
            "give a local model",
        ),
        (&["eval", "--model", MODEL, "--data", &data], 2, "name a file with --out"),
        (&["eval", "--adapter", &adapter, "--judge", MODEL], 2, "there are no replies"),
        (&["eval", "--adapter", &run, "--against", "human"], 2, "--against is about the judge"),
        (&["eval", "--adapter", &run, "--confidence", "1.5"], 2, "confidence"),
        (&["eval", "--adapter", &run, "--beta", "-1"], 2, "beta"),
        (
            &["eval", "--adapter", &run, "--generate", "1", "--judge", MODEL, "--judge-template", "rate-empathy"],
            2,
            "rates one reply",
        ),
        (
            &["eval", "--adapter", &run, "--generate", "1", "--judge", MODEL, "--judge-template", "nope"],
            2,
            "unknown judge template",
        ),
        (&["eval", "--generations", &data, "--out", &out], 1, "line 1: not a row of `persuasion generate`"),
    ];
    for (words, code, expected) in table {
        let said = refusal(words, *code);
        assert!(said.contains(expected), "{words:?}: {said}");
    }
}

#[test]
fn a_file_of_others_is_left_alone() {
    let place = Place::new();
    let (run, out) = (trained().name("run"), place.name("replies.jsonl"));
    let words = ["generate", "--adapter", &run, "--out", &out, "--max-new-tokens", "4"];
    told(&words);
    let before = place.read("replies.jsonl");
    assert!(refusal(&words, 1).contains("the file exists already"));
    let other = [&words[..], &["--resume", "--repetition-penalty", "1.5"]].concat();
    assert!(refusal(&other, 1).contains("holds rows made by"));
    assert_eq!(place.read("replies.jsonl"), before);
    let words = ["eval", "--generations", &out, "--judge", MODEL, "--against", "base", "--out", &place.name("e.json")];
    assert!(refusal(&words, 2).contains("generate them with --with-base"));
}

#[test]
fn bad_pairs_are_told_with_their_line() {
    let place = Place::new();
    let run = trained().name("run");
    let out = place.name("e.json");
    for (name, contents, expected) in [
        ("missing", "{\"prompt\": \"p\", \"chosen\": \"a\"}\n", "line 1"),
        ("empty", "", "there are no pairs in it"),
        ("broken", "{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\"}\n{\"prompt\n", "line 2"),
    ] {
        let data = place.write(&format!("{name}.jsonl"), contents);
        let said = refusal(&["eval", "--adapter", &run, "--data", &data, "--out", &out], 1);
        assert!(said.contains(expected) && said.contains(name), "{said}");
    }
    place.write("foreign/config.toml", "method = \"sra\"\n");
    let foreign = place.name("foreign");
    let said = refusal(&["eval", "--adapter", &foreign, "--out", &out], 1);
    assert!(said.contains("not the settings of a run of `persuasion train`"), "{said}");
}
