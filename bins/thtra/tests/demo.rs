//! `thtra demo` at reduced size: what the stages are good for shows.

use serde_json::Value;

use crate::program::said;

#[test]
fn stages_help_each_in_their_way() {
    let words = ["demo", "--seeds", "1", "--steps", "250", "--samples", "60", "--format", "json", "--quiet"];
    let found: Value = serde_json::from_str(&said(&words)).unwrap();
    let trials = found["trials"].as_array().unwrap();
    let of = |model: &str| trials.iter().find(|trial| trial["model"] == model).unwrap_or_else(|| panic!("{model}"));
    let number = |model: &str, name: &str| of(model)[name].as_f64().unwrap();
    let helpful = |model: &str, teacher: usize| of(model)["helpfulness"][teacher][1].as_f64().unwrap();
    let (joint, staged) = (number("joint, as long", "perplexity"), number("2 situation", "perplexity"));
    assert!(staged < joint, "perplexity: {staged} after both stages, {joint} without look-ahead and situation");
    // One of eight would be 12.5 %.
    let accuracy = number("2 situation", "strategy_top_1");
    assert!(accuracy > 18.0, "{accuracy}");
    for (model, teacher) in [("3 aligned, d-PM", 0), ("3 d-PM, across", 0), ("3 ordinal, across", 1)] {
        let (before, after) = (helpful("2 situation", teacher), helpful(model, teacher));
        assert!(after > before, "{model}: helpfulness {before}, then {after}");
        let perplexity = number(model, "perplexity");
        assert!(perplexity < 1.1 * staged, "{model}: perplexity {staged}, then {perplexity}");
        let (before, after) = (number("2 situation", "unhelpful"), number(model, "unhelpful"));
        assert!(after < before, "{model}: {before} % support nobody, then {after} %");
    }
}
