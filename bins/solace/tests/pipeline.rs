//! Each step alone, on the built-in dialogues and the built-in model.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{Place, complaint, said, solace};

const PLACES: [&str; 6] = ["--data", "demo:20", "--turns", "2..3", "--limit", "6"];

fn with(words: &[&str], more: &[&str]) -> Vec<String> {
    [words, &PLACES, more].concat().into_iter().map(str::to_owned).collect()
}

fn run(words: &[&str], more: &[&str]) -> String {
    let words = with(words, more);
    said(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn fails(words: &[&str], more: &[&str], code: i32) -> String {
    let words = with(words, more);
    complaint(&words.iter().map(String::as_str).collect::<Vec<_>>(), code)
}

/// A plan of two strategies, and three candidates of each.
fn candidates(place: &Place) {
    let (plan, out) = (place.name("plan.jsonl"), place.name("candidates.jsonl"));
    run(
        &["plan", "--planner", "fixed:Offer Hope,Clarification"],
        &["--strategies", "extes15", "--top", "2", "--out", &plan],
    );
    let words =
        ["realise", "--model", "demo", "--strategies", "extes15", "--candidates", "3", "--max-new-tokens", "24"];
    run(&words, &["--plan", &plan, "--out", &out]);
}

#[test]
fn a_plan_becomes_candidates_an_order_and_pairs() {
    let place = Place::new();
    candidates(&place);
    let plan = place.rows("plan.jsonl");
    assert_eq!(plan.len(), 6);
    assert!(
        plan.iter().all(|row| row["strategies"][0]["strategy"] == "Offer Hope"
            && row["strategies"][1]["strategy"] == "Clarification")
    );
    assert_eq!(place.rows("candidates.jsonl").len(), 6 * 2 * 3);

    let (candidates, ranked) = (place.name("candidates.jsonl"), place.name("ranked.jsonl"));
    let judges =
        ["--adherence", "demo", "--adherence-strategies", "extes15", "--classifier", "demo", "--metrics", "f1"];
    let told = run(&[&["rank", "--candidates", &candidates][..], &judges].concat(), &["--out", &ranked]);
    assert!(told.contains("36 candidates of 6 places"), "{told}");
    let rows = place.rows("ranked.jsonl");
    for of_place in rows.chunk_by(|left, right| left["candidate"]["point"] == right["candidate"]["point"]) {
        let ranks: Vec<u64> = of_place.iter().map(|row| row["rank"].as_u64().unwrap()).collect();
        assert_eq!(ranks, [1, 2, 3, 4, 5, 6]);
        let worth = |row: &Value| row["worth"].as_f64().unwrap();
        assert!(of_place.windows(2).all(|pair| worth(&pair[0]) >= worth(&pair[1])));
        assert!(of_place.iter().all(|row| row["scores"]["f1"].is_number() && row["scores"]["adherence"].is_number()));
    }
    // Whoever follows the strategy counts more than whoever does not, unless adherence says otherwise: no metric counts unasked.
    assert!(told.lines().any(|line| line.starts_with("f1") && line.contains('–')), "{told}");

    run(&["pairs", "--ranked", &ranked], &["--out", &place.name("pairs"), "--held-out", "0.2"]);
    let pairs: Vec<Value> =
        ["train", "validation", "test"].iter().flat_map(|part| place.rows(&format!("pairs/{part}.jsonl"))).collect();
    assert!((3..=6).contains(&pairs.len()), "{}", pairs.len());
    for pair in &pairs {
        let best = rows.iter().find(|row| row["candidate"]["point"] == pair["id"] && row["rank"] == 1).unwrap();
        assert_eq!(pair["chosen"][0]["content"], best["candidate"]["text"]);
        assert_ne!(pair["chosen"], pair["rejected"]);
        assert!(!pair.to_string().contains("Offer Hope strategy"), "the prompt names no strategy");
    }
}

#[test]
fn a_step_that_is_cut_off_goes_on_to_the_same_end() {
    let place = Place::new();
    candidates(&place);
    let (whole, plan) = (place.read("candidates.jsonl"), place.read("plan.jsonl"));
    // A kill tears the last line.
    for (name, text) in [("plan.jsonl", &plan), ("candidates.jsonl", &whole)] {
        std::fs::write(place.path(name), &text[..text.len() * 2 / 3]).unwrap();
    }
    let (plan_file, out) = (place.name("plan.jsonl"), place.name("candidates.jsonl"));
    let planner = ["plan", "--planner", "fixed:Offer Hope,Clarification", "--strategies", "extes15", "--top", "2"];
    run(&planner, &["--out", &plan_file, "--resume"]);
    assert_eq!(place.read("plan.jsonl"), plan);
    let words =
        ["realise", "--model", "demo", "--strategies", "extes15", "--candidates", "3", "--max-new-tokens", "24"];
    run(&words, &["--plan", &plan_file, "--out", &out, "--resume"]);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&place.read("candidates.jsonl")), sorted(&whole));
    // Without --resume what is there is refused, and so are rows of other settings.
    assert!(fails(&planner, &["--out", &plan_file], 1).contains("exists already"));
    let other = ["plan", "--planner", "gold", "--strategies", "extes15"];
    assert!(fails(&other, &["--out", &plan_file, "--resume"], 1).contains("choose another file"));
}

#[test]
fn a_person_plans_at_the_keyboard_and_goes_on_later() {
    let place = Place::new();
    let plan = place.name("plan.jsonl");
    let type_in = |lines: &str, more: &[&str]| {
        let words = with(&["plan", "--planner", "person", "--strategies", "extes15", "--out", &plan], more);
        let mut child = solace(&words.iter().map(String::as_str).collect::<Vec<_>>())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let first = type_in("offer hope\nHypnosis\n3\n", &[]);
    let told = String::from_utf8_lossy(&first.stderr);
    assert!(told.contains("situation") && told.contains("Hypnosis"), "{told}");
    assert_eq!((first.status.code(), place.rows("plan.jsonl").len()), (Some(130), 2));
    let second = type_in("1\n1\n1\n1\n", &["--resume"]);
    assert_eq!(second.status.code(), Some(0));
    assert_eq!(place.rows("plan.jsonl").len(), 6);
}

#[test]
fn a_scoreboard_is_the_same_twice() {
    let place = Place::new();
    let systems = r#"
[[system]]
name = "no strategy"
planner = "none"
model = "demo"

[[system]]
name = "annotated"
planner = "gold"
model = "demo"
strategies = "extes15"

[[system]]
name = "asked as MAGIC asks"
planner = "magic:demo"
plain = "chat"
model = "demo"
strategies = "extes15"
"#;
    std::fs::write(place.path("systems.toml"), systems).unwrap();
    let board = |out: &str, more: &[&str]| {
        let words =
            ["scoreboard", "--systems", &place.name("systems.toml"), "--classifier", "demo", "--max-new-tokens", "24"];
        let told = run(&words, &[&["--out", &place.name(out)], more].concat());
        (told, place.read(&format!("{out}/scoreboard.json")), place.read(&format!("{out}/scoreboard.md")))
    };
    let (told, first, table) = board("first", &[]);
    let again = board("second", &[]);
    assert_eq!((&again.1, &again.2), (&first, &table));
    // A run that goes on finishes its rows in another order.
    for file in ["no-strategy/answers.jsonl", "annotated/plan.jsonl", "annotated/answers.jsonl"] {
        let rows = place.read(&format!("second/{file}"));
        let turned: String = rows.lines().rev().map(|row| format!("{row}\n")).collect();
        std::fs::write(place.path(&format!("second/{file}")), turned).unwrap();
    }
    assert_eq!(board("second", &["--resume"]).1, first);
    assert!(told.contains("tokens/s") && told.contains("follows"), "{told}");
    assert_eq!(table.lines().count(), 5);
    let found: Value = serde_json::from_str(&first).unwrap();
    let follows = |system: usize| found["systems"][system]["scores"]["follows"]["value"].as_f64();
    assert_eq!(follows(0), None, "nobody asked for a strategy");
    assert!(follows(1).unwrap() >= 0.8, "{first}");
    assert_eq!(found["systems"][1]["scores"]["planned as annotated"]["value"], 1.0);
}

#[test]
fn what_makes_no_sense_is_said_at_once() {
    let place = Place::new();
    let (plan, out) = (place.name("plan.jsonl"), place.name("out.jsonl"));
    let planned = |planner: &str, code| {
        fails(&["plan", "--planner", planner, "--strategies", "extes15"], &["--out", &plan], code)
    };
    assert!(planned("best", 2).contains("expected thtra:DIR"));
    assert!(planned("fixed:Hypnosis", 2).contains("Hypnosis"));
    assert!(planned("thtra:nowhere", 1).contains("nowhere"));
    run(&["plan", "--planner", "none"], &["--out", &place.name("free.jsonl")]);
    let free = place.name("free.jsonl");
    assert!(fails(&["realise", "--plan", &free], &["--out", &out], 2).contains("--model"));
    assert!(
        fails(&["realise", "--plan", &free, "--model", "demo", "--instruction", "chat-none"], &["--out", &out], 2)
            .contains("no slot")
    );
    assert!(
        fails(&["realise", "--plan", &place.name("none.jsonl"), "--model", "demo"], &["--out", &out], 1)
            .contains("none.jsonl")
    );
    std::fs::write(place.path("empty.jsonl"), "").unwrap();
    let empty = place.name("empty.jsonl");
    assert!(
        fails(&["realise", "--plan", &empty, "--model", "demo"], &["--out", &out], 1).contains("nothing is planned")
    );
    assert!(fails(&["rank", "--candidates", &empty], &["--out", &out], 2).contains("nobody judges"));
    std::fs::write(place.path("bad.jsonl"), "{\"id\":1}\n").unwrap();
    assert!(
        fails(&["rank", "--candidates", &place.name("bad.jsonl"), "--classifier", "demo"], &["--out", &out], 1)
            .contains("bad.jsonl, line 1")
    );
    assert!(fails(&["pairs", "--ranked", &place.name("bad.jsonl")], &["--out", &out], 1).contains("line 1"));
}
