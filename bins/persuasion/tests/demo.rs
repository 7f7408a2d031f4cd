//! `persuasion demo` at reduced size: preferences are learned with each seed, twice the same.

use std::process::Command;

use serde_json::Value;

fn demo(more: &[&str]) -> Value {
    let mut program = Command::new(env!("CARGO_BIN_EXE_persuasion"));
    program.args(["-q", "--threads", "2", "demo", "--pairs", "96", "--held-out", "24", "--format", "json"]).args(more);
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn preferences_are_learned_with_each_seed() {
    let found = demo(&["--seeds", "3", "--trials", "3"]);
    for trained in found["trained"].as_array().unwrap() {
        let stages = trained["stages"].as_array().unwrap();
        let [_, pft, dpo] = stages.as_slice() else { panic!("{trained}") };
        assert!(number(&dpo["reward_accuracy"]) >= 0.9 && number(&dpo["margin"]) > 0.1, "{trained}");
        assert!(number(&dpo["unhelpful"]) <= number(&pft["unhelpful"]), "{trained}");
    }
    assert!(number(&found["search"]) > 0.5, "{found}");
    // Seconds differ, nothing else.
    let again = demo(&["--seeds", "1", "--trials", "0"]);
    assert_eq!(again["trained"][0], found["trained"][0]);
}
