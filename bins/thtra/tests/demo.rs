//! `thtra demo` at reduced size: over three seeds, what the stages are good for shows.

use serde_json::Value;

use crate::program::said;

const SEEDS: u64 = 3;

/// A number of a model for each seed.
fn numbers(found: &Value, model: &str, number: impl Fn(&Value) -> &Value) -> Vec<f64> {
    let own = found["trials"].as_array().unwrap().iter().filter(|trial| trial["model"] == model);
    let numbers: Vec<f64> = own.map(|trial| number(trial).as_f64().unwrap()).collect();
    assert_eq!(numbers.len() as u64, SEEDS, "{model}");
    numbers
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[test]
fn stages_help_each_in_their_way() {
    let seeds = SEEDS.to_string();
    let words = ["demo", "--seeds", &seeds, "--steps", "350", "--samples", "40", "--format", "json", "--quiet"];
    let found: Value = serde_json::from_str(&said(&words)).unwrap();
    let of = |model: &str, name: &str| numbers(&found, model, |trial| &trial[name]);
    let (joint, staged) = (of("joint, as long", "perplexity"), of("2 situation", "perplexity"));
    assert!(mean(&staged) < mean(&joint), "{staged:?} after both stages, {joint:?} without look-ahead and situation");
    // Chance is 12.5 %; naming the commonest strategy each time gives more.
    let (accuracy, commonest) = (of("2 situation", "strategy_top_1"), found["commonest_strategy"].as_f64().unwrap());
    assert!(mean(&accuracy) > commonest && commonest > 12.5, "{accuracy:?}, {commonest}");
    for (model, teacher) in [("3 aligned, d-PM", 0), ("3 d-PM, across", 0), ("3 ordinal, across", 1)] {
        let helpful = |model: &str| numbers(&found, model, |trial| &trial["helpfulness"][teacher][1]);
        for (before, after) in helpful("2 situation").into_iter().zip(helpful(model)) {
            assert!(after > before, "{model}: helpfulness {before}, then {after}");
        }
        for (before, after) in staged.iter().zip(of(model, "perplexity")) {
            assert!(after < 1.1 * before, "{model}: perplexity {before}, then {after}");
        }
        let (before, after) = (of("2 situation", "unhelpful"), of(model, "unhelpful"));
        assert!(mean(&after) < mean(&before), "{model}: {before:?} % support nobody, then {after:?} %");
    }
}
