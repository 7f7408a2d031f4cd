//! Losses and rewards against three versions of TRL: `goldens/dpo`, whose README says how the versions differ.

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{DType, Device};
use dpo::{Divergence, Loss, LossMix, PairLogProbs, PairLosses, Preference, Rules, RunningMean};
use golden_files::family;
use serde_json::Value;

/// Largest difference, absolute plus relative (README).
const TOLERANCE: f64 = 1e-5;

#[test]
fn golden_dpo_losses_of_trl_0_11() {
    check_file("losses_trl0.11.1.json", Rules::Trl011);
}

#[test]
fn golden_dpo_losses_of_trl_1() {
    check_file("losses_trl1.json", Rules::Trl1);
}

#[test]
fn golden_dpo_losses_of_trl_0_7() {
    check_file("losses_trl0.7.11.json", Rules::Trl07);
}

/// Objectives of the end-to-end batch, on its golden log-probabilities.
#[test]
fn golden_dpo_losses_of_a_real_batch() {
    let Some(folder) = family("dpo") else { return };
    let batch = real_batch(&folder);
    for row in json(&folder.join("e2e.json"))["variants"].as_array().unwrap() {
        let config = row["config"].as_object().unwrap();
        // Both work on tokens, not on sums.
        if config.contains_key("ld_alpha") || config.contains_key("use_weighting") {
            continue;
        }
        let preference = of_config(&row["config"], row["beta"].as_f64().unwrap());
        let losses = preference.evaluate(&batch, &mut RunningMean::default()).unwrap();
        close(&format!("{config:?}"), losses.mean(), &row["loss"]);
    }
    for row in json(&folder.join("e2e_trl0.11.1.json"))["results"].as_array().unwrap() {
        let preference = Preference { rpo_alpha: row["rpo_alpha"].as_f64(), ..of_row(row, Rules::Trl011) };
        let losses = preference.evaluate(&batch, &mut RunningMean::default()).unwrap();
        let what = row["loss_type"].to_string();
        close(&what, losses.mean(), &row["loss"]);
        close(&what, mean(&losses.chosen_rewards), &row["metrics"]["rewards/chosen"]);
        close(&what, mean(&losses.rejected_rewards), &row["metrics"]["rewards/rejected"]);
    }
}

/// Every row of the tables in a file.
fn check_file(name: &str, rules: Rules) {
    let Some(folder) = family("dpo") else { return };
    let file = json(&folder.join(name));
    let inputs = inputs(&folder);
    let mut seen = BTreeSet::new();
    for table in ["rows", "extra", "f_divergences"] {
        for row in file[table].as_array().into_iter().flatten() {
            let preference = of_row(row, rules);
            check_row(&preference, row, &inputs);
            seen.insert(row["loss_type"].as_str().unwrap().to_owned());
        }
    }
    assert!(!seen.is_empty(), "{name} has no rows");
}

fn check_row(preference: &Preference, row: &Value, inputs: &PairLogProbs) {
    let loss = preference.losses.parts()[0].loss;
    let what = format!("{preference:?}");
    // The tables of TRL before 1 hand the summed log-probabilities to `ipo` as if they were means.
    let is_raw = loss == Loss::Ipo && preference.rules != Rules::Trl1;
    let batch = if is_raw { of_single_tokens(inputs) } else { inputs.clone() };
    let result = preference.evaluate(&batch, &mut RunningMean::default()).unwrap();
    if let Some(expected) = row.get("mean_loss") {
        close(&what, result.mean(), expected);
    }
    if let Some(expected) = row["losses"].as_array() {
        let expected = halves_averaged(expected, result.losses.len());
        let order = order_of_losses(loss, &batch);
        assert_eq!(order.len(), expected.len(), "{what}");
        for (place, expected) in order.into_iter().zip(&expected) {
            close(&what, result.losses[place], expected);
        }
    }
    check_rewards(&what, row, &result);
}

fn check_rewards(what: &str, row: &Value, result: &PairLosses) {
    let columns = [("rewards_chosen", &result.chosen_rewards), ("rewards_rejected", &result.rejected_rewards)];
    for (name, rewards) in columns {
        let Some(expected) = row[name].as_array() else { continue };
        assert_eq!(rewards.len(), expected.len(), "{what}");
        for (reward, expected) in rewards.iter().zip(expected) {
            close(&format!("{name} of {what}"), *reward, expected);
        }
    }
}

/// `kto_pair` lists the terms of all chosen completions, then those of all rejected ones; a pair's loss is their mean.
fn halves_averaged(losses: &[Value], pairs: usize) -> Vec<Value> {
    if losses.len() == pairs {
        return losses.to_vec();
    }
    assert_eq!(losses.len(), 2 * pairs);
    let (chosen, rejected) = losses.split_at(pairs);
    let mean = |(left, right): (&Value, &Value)| Value::from((left.as_f64().unwrap() + right.as_f64().unwrap()) / 2.0);
    chosen.iter().zip(rejected).map(mean).collect()
}

/// TRL lists the losses of the optimal-transport objectives by rank.
fn order_of_losses(loss: Loss, batch: &PairLogProbs) -> Vec<usize> {
    let other = match loss {
        Loss::Aot => &batch.policy_rejected,
        _ => &batch.reference_chosen,
    };
    let key = |place: &usize| batch.policy_chosen[*place] - other[*place];
    let mut places: Vec<usize> = (0..batch.policy_chosen.len()).collect();
    if matches!(loss, Loss::Aot | Loss::AotUnpaired) {
        places.sort_by(|left, right| key(left).total_cmp(&key(right)));
    }
    places
}

fn of_row(row: &Value, rules: Rules) -> Preference {
    let alpha = row["f_divergence_params"]["alpha_divergence_coef"].as_f64();
    let alpha = alpha.or(row["f_alpha_divergence_coef"].as_f64());
    Preference {
        losses: Loss::parse(row["loss_type"].as_str().unwrap()).unwrap().into(),
        beta: row["beta"].as_f64().unwrap(),
        label_smoothing: row["label_smoothing"].as_f64().unwrap_or(0.0),
        divergence: divergence(row["f_divergence_type"].as_str(), alpha.unwrap_or(1.0)),
        reference_free: row["reference_free"].as_bool().unwrap_or(false),
        rules,
        ..Preference::default()
    }
}

/// Settings of TRL 1.
fn of_config(config: &Value, beta: f64) -> Preference {
    let names = config["loss_types"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let weights = config["loss_weights"].as_array().map(Vec::as_slice).unwrap_or_default();
    let weight = |place| weights.get(place).and_then(Value::as_f64).unwrap_or(1.0);
    let parts: Vec<String> = names.enumerate().map(|(place, name)| format!("{name}={}", weight(place))).collect();
    Preference {
        losses: parts.join(",").parse::<LossMix>().unwrap(),
        beta,
        label_smoothing: config["label_smoothing"].as_f64().unwrap_or(0.0),
        // 0.5 is what TRL 1 takes for α where none is given.
        divergence: divergence(config["f_divergence_type"].as_str(), 0.5),
        rules: Rules::Trl1,
        ..Preference::default()
    }
}

fn divergence(name: Option<&str>, alpha: f64) -> Divergence {
    match name {
        None => Divergence::ReverseKl,
        Some("alpha_divergence") => Divergence::Alpha(alpha),
        Some(name) => name.parse().unwrap(),
    }
}

fn inputs(folder: &Path) -> PairLogProbs {
    let tensors = candle_core::safetensors::load(folder.join("loss_inputs.safetensors"), &Device::Cpu).unwrap();
    let floats = |name: &str| tensors[name].to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
    let counts = |name: &str| tensors[name].to_vec1::<i64>().unwrap().into_iter().map(|count| count as usize).collect();
    PairLogProbs {
        policy_chosen: floats("policy_chosen_logps"),
        policy_rejected: floats("policy_rejected_logps"),
        reference_chosen: floats("ref_chosen_logps"),
        reference_rejected: floats("ref_rejected_logps"),
        chosen_tokens: counts("chosen_len"),
        rejected_tokens: counts("rejected_len"),
    }
}

fn of_single_tokens(batch: &PairLogProbs) -> PairLogProbs {
    let ones = vec![1; batch.policy_chosen.len()];
    PairLogProbs { chosen_tokens: ones.clone(), rejected_tokens: ones, ..batch.clone() }
}

/// The chosen rows come first, then the rejected.
fn real_batch(folder: &Path) -> PairLogProbs {
    let load = |name: &str| candle_core::safetensors::load(folder.join(name), &Device::Cpu).unwrap();
    let (values, batch) = (load("e2e.safetensors"), load("e2e_batch.safetensors"));
    let halves = |name: &str| {
        let mut all = values[name].to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        let rejected = all.split_off(all.len() / 2);
        (all, rejected)
    };
    let rows = batch["completion_mask"].to_vec2::<i64>().unwrap();
    let mut chosen_tokens: Vec<usize> = rows.iter().map(|row| row.iter().sum::<i64>() as usize).collect();
    let rejected_tokens = chosen_tokens.split_off(rows.len() / 2);
    let (policy_chosen, policy_rejected) = halves("policy_logps");
    let (reference_chosen, reference_rejected) = halves("ref_logps");
    PairLogProbs {
        policy_chosen,
        policy_rejected,
        reference_chosen,
        reference_rejected,
        chosen_tokens,
        rejected_tokens,
    }
}

/// The string "inf" stands for what f32 can't hold.
fn close(what: &str, value: f64, expected: &Value) {
    if expected == "inf" {
        assert!(value > f64::from(f32::MAX), "{what}: {value} is not beyond f32");
        return;
    }
    let expected = expected.as_f64().unwrap();
    let error = (value - expected).abs();
    assert!(error <= TOLERANCE + TOLERANCE * expected.abs(), "{what}: {value} is not {expected}");
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
