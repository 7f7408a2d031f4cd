//! Ranking and alignment against the published code in f64: the golden family `thtra`, folder `align`, over the model of folder `joint`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use golden_files::family;
use helpfulness::ranking::{Rank, gold_loss, ranking_loss};
use helpfulness::{AlignmentObjective, AlignmentOptions, RankedSample, ScoreMode};
use seq2seq::TrainableSeq2Seq;
use serde_json::Value;
use training::{Objective, Pass, Schedule};

/// README: scores that are mean probabilities; logits, for those that are logarithms; losses; gradients beside a relative 1e-4.
const PROBABILITIES: f64 = 1e-7;
const LOGITS: f64 = 5e-5;
const LOSSES: f64 = 1e-5;
const GRADIENTS: f64 = 1e-5;

fn folder() -> Option<PathBuf> {
    family("thtra")
}

fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn losses(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("align/losses.json")).unwrap()).unwrap()
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], absolute: f64, relative: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let tolerance = absolute + relative * expected.abs();
        assert!((found - expected).abs() <= tolerance, "{what} at {place}: {found}, expected {expected}");
    }
}

/// The scores that are not 0, which stands for a missing candidate, and whose they are.
fn present(scores: &Tensor) -> (Vec<u32>, Vec<Rank>) {
    let (_, width) = scores.dims2().unwrap();
    let all = values(scores).into_iter().enumerate().filter(|(_, score)| *score != 0.0);
    all.map(|(place, _)| (place as u32, Rank { sample: place / width, rank: place % width })).unzip()
}

/// Losses on fixed scores and their gradients: the kind `intended`, in which missing candidates take no part.
#[test]
fn golden_thtra_align_ranking() {
    let Some(folder) = folder() else { return };
    let inputs = tensors(&folder.join("align/inputs.safetensors"));
    let gradients = tensors(&folder.join("align/ranking_gradients.safetensors"));
    let entries = losses(&folder)["ranking"].as_array().unwrap().clone();
    let entries: Vec<Value> = entries.into_iter().filter(|entry| entry["kind"] == "intended").collect();
    assert!(!entries.is_empty());
    for entry in entries {
        let what = entry.to_string();
        let number = |name: &str| entry["args"][name].as_f64().unwrap();
        let without = |name: &str| entry["args"][name] == true;
        let variable = |name: &str| Var::from_tensor(&inputs[&format!("ranking{}.{name}", entry["scores"])]).unwrap();
        let (candidates, gold) = (variable("cand_score"), variable("gold_score"));
        let (places, ranks) = present(&candidates);
        let places = Tensor::new(places, &Device::Cpu).unwrap();
        let scores = candidates.flatten_all().unwrap().index_select(&places, 0).unwrap();
        let mut loss = Tensor::new(0f32, &Device::Cpu).unwrap();
        if !without("no_cand") {
            loss = (loss + ranking_loss(&scores, &ranks, number("margin")).unwrap()).unwrap();
        }
        if !without("no_gold") {
            let of_gold = gold_loss(&scores, &ranks, &gold, number("gold_margin")).unwrap();
            loss = (loss + of_gold * number("gold_weight")).unwrap();
        }
        assert_close(&what, &values(&loss), &[entry["loss"].as_f64().unwrap()], LOSSES, 0.0);
        let store = loss.backward().unwrap();
        for (name, variable) in [("d_cand_score", &candidates), ("d_gold_score", &gold)] {
            let expected = values(&gradients[&format!("{}.{name}", entry["gradients"])]);
            let found = store.get(variable).map_or_else(|| vec![0.0; expected.len()], values);
            assert_close(&what, &found, &expected, GRADIENTS, 1e-4);
        }
    }
}

/// The samples of a golden batch: the first row is the gold response, a row of padding is a missing candidate, and who does not fill the width ends.
fn samples(inputs: &BTreeMap<String, Tensor>, batch: &str, eos: u32) -> Vec<RankedSample> {
    let contexts = inputs[&format!("{batch}.input_ids")].to_vec2::<i64>().unwrap();
    let masks = inputs[&format!("{batch}.attention_mask")].to_vec2::<f32>().unwrap();
    let rows = inputs[&format!("{batch}.candidate_ids")].to_vec3::<i64>().unwrap();
    let sequence = |row: &Vec<i64>| -> Vec<u32> {
        let mut ids: Vec<u32> = row.iter().take_while(|id| **id != 0).map(|id| *id as u32).collect();
        if ids.len() < row.len() && !ids.is_empty() {
            ids.push(eos);
        }
        ids.into_iter().skip(1).collect()
    };
    let sample = |(place, rows): (usize, &Vec<Vec<i64>>)| {
        let seen = contexts[place].iter().zip(&masks[place]);
        let context = seen.filter(|(_, seen)| **seen > 0.0).map(|(id, _)| *id as u32).collect();
        let mut sequences = rows.iter().map(sequence).filter(|sequence| !sequence.is_empty());
        RankedSample { context, gold: sequences.next().unwrap(), candidates: sequences.collect() }
    };
    rows.iter().enumerate().map(sample).collect()
}

/// The published code adds the margin of each pair with a missing candidate.
fn margins_of_missing(samples: &[RankedSample], margin: f64) -> f64 {
    let width = samples.iter().map(|sample| sample.candidates.len()).max().unwrap();
    let at = |distance: usize| {
        let there: usize = samples.iter().map(|sample| sample.candidates.len().saturating_sub(distance)).sum();
        let missing = samples.len() * (width - distance) - there;
        margin * (distance * missing) as f64 / there as f64
    };
    (1..width).map(at).sum()
}

#[test]
fn golden_thtra_align_scores_losses_and_gradients() {
    let Some(folder) = folder() else { return };
    let inputs = tensors(&folder.join("align/inputs.safetensors"));
    let entries = losses(&folder)["calibrate"].as_array().unwrap().clone();
    let entries: Vec<Value> = entries.into_iter().filter(|entry| entry["ranking_loss"].is_f64()).collect();
    assert!(!entries.is_empty());
    for entry in entries {
        let number = |name: &str| entry[name].as_f64().unwrap();
        let (batch, mode) = (entry["batch"].as_str().unwrap(), entry["score_mode"].as_str().unwrap());
        let pupil = TrainableSeq2Seq::open(&folder.join("joint/model"), &Device::Cpu).unwrap();
        let samples = samples(&inputs, batch, pupil.model.config().eos_id);
        let (score, tolerance) = match mode {
            "base" => (ScoreMode::Probability, PROBABILITIES),
            "log" => (ScoreMode::Log, LOGITS),
            _ => panic!("no mode {mode}"),
        };
        let options = AlignmentOptions {
            score,
            margin: number("margin"),
            gold_margin: number("gold_margin"),
            gold_weight: number("gold_weight"),
            rank_weight: number("rank_weight"),
            likelihood_weight: number("lm_weight"),
            ..AlignmentOptions::default()
        };
        let objective = AlignmentObjective::new(pupil.model.clone(), options.clone()).unwrap();
        let found = objective.losses(&samples, &Pass::evaluation()).unwrap();

        let what = format!("{batch}.{mode}");
        let expected = tensors(&folder.join(format!("align/{what}.masked_cross_attention.safetensors")));
        let there: Vec<f64> = values(&expected["cand_score"]).into_iter().filter(|score| *score != 0.0).collect();
        assert_close(&what, &values(found.candidates.as_ref().unwrap()), &there, tolerance, 0.0);
        assert_close(&what, &values(&found.gold), &values(&expected["gold_score"]), tolerance, 0.0);
        let extra = margins_of_missing(&samples, options.margin);
        let ranking = number("ranking_loss") - extra;
        assert_close(&what, &values(found.ranking.as_ref().unwrap()), &[ranking], LOSSES, LOSSES);
        let mean = values(&found.likelihood)[0] / found.gold_tokens as f64;
        assert_close(&what, &[mean], &[number("lm_loss")], LOSSES, 0.0);

        let parts = objective.loss(&samples, &Pass::evaluation()).unwrap();
        let loss = (parts.sum / parts.weight).unwrap();
        assert_close(&what, &values(&loss), &[number("loss") - extra], LOSSES, LOSSES);
        let path = folder.join(format!("align/{what}.grads.safetensors"));
        if !path.exists() {
            continue;
        }
        let store = loss.backward().unwrap();
        let gradients = tensors(&path);
        assert_eq!(gradients.len(), pupil.parameters.len());
        for (name, gradient) in gradients {
            let found = values(store.get(pupil.parameters.get(&name).unwrap()).unwrap());
            assert_close(&format!("{what}: {name}"), &found, &values(&gradient), GRADIENTS, 1e-4);
        }
    }
}

#[test]
fn golden_thtra_align_learning_rates() {
    let Some(folder) = folder() else { return };
    let entries = losses(&folder)["learning_rates"].as_array().unwrap().clone();
    assert!(!entries.is_empty());
    for entry in entries {
        let (step, warmup) = (entry["step"].as_u64().unwrap(), entry["warmup_step"].as_u64().unwrap());
        let rate = Schedule::Noam.rate(entry["max_lr"].as_f64().unwrap(), step - 1, warmup, u64::MAX);
        assert_close(&entry.to_string(), &[rate], &[entry["lr"].as_f64().unwrap()], 0.0, 1e-12);
    }
}
