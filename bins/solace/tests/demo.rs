//! `solace demo` at reduced size.

use serde_json::Value;

use crate::program::{Place, said};

#[test]
fn the_demonstration_ends_with_a_scoreboard_of_all_systems() {
    let place = Place::new();
    let told = said(&["demo", "--size", "0.05", "--out", &place.name("demo"), "--device", "cpu"]);
    for name in ["no strategy, aligned", "ThTra plans, MAGIC", "ThTra ", "annotated, SRA c1_hf"] {
        assert!(told.contains(name), "{told}");
    }
    let board: Value = serde_json::from_str(&place.read("demo/board/scoreboard.json")).unwrap();
    let systems = board["systems"].as_array().unwrap();
    assert_eq!(systems.len(), 8);
    for system in systems {
        let score = |name: &str| system["scores"][name]["value"].as_f64();
        assert!(
            score("helpfulness").is_some_and(f64::is_finite) && score("f1").is_some_and(f64::is_finite),
            "{system}"
        );
    }
    let follows = |name: &str| {
        let system = systems.iter().find(|system| system["system"] == name).unwrap();
        system["scores"]["follows"]["value"].as_f64().unwrap()
    };
    // The built-in model follows what is named beside the last turn.
    assert!(follows("annotated, SRA c1_hf") > 0.7, "{board}");
}
