//! `persuasion demo` at reduced size: preferences are learned with each seed, twice the same.

use std::process::Command;

use serde_json::Value;

fn demo(more: &[&str]) -> Value {
    let mut program = Command::new(env!("CARGO_BIN_EXE_persuasion"));
    program.args(["-q", "--threads", "2", "demo", "--pairs", "160", "--held-out", "40", "--format", "json"]).args(more);
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn preferences_are_learned_with_each_seed() {
    let found = demo(&["--seeds", "3", "--trials", "6"]);
    let trained = found["trained"].as_array().unwrap();
    let stages = |place: usize| trained.iter().map(move |trained| &trained["stages"][place]);
    for dpo in stages(2) {
        assert!(number(&dpo["reward_accuracy"]) >= 0.9 && number(&dpo["margin"]) > 0.1, "{dpo}");
    }
    // The first stage learns to say what helps nobody, the second not to. Of few replies: not with each seed.
    let unhelpful = |place: usize| stages(place).map(|stage| number(&stage["unhelpful"])).sum::<f64>();
    assert!(unhelpful(2) < unhelpful(1), "{found}");
    let search = &found["search"];
    let complete: Vec<f64> = search["complete"].as_array().unwrap().iter().map(number).collect();
    assert_eq!(complete.len() as f64 + number(&search["pruned"]), 6.0, "{search}");
    assert_eq!(complete.iter().copied().fold(0.0, f64::max), number(&search["best"]));
    assert!(number(&search["best"]) >= 0.75 && number(&search["pruned"]) > 0.0, "{search}");
    // Seconds differ, nothing else.
    let again = demo(&["--seeds", "1", "--trials", "0"]);
    assert_eq!(again["trained"][0], found["trained"][0]);
}
