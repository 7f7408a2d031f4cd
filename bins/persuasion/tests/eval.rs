//! `persuasion eval`: numbers as the training had them, replies, and a judge that is asked only once.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::corpora::Place;
use crate::scripted_judge::{ScriptedJudge, between};
use crate::trained::{MODEL, rows, told, trained};

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{found} is no number"));
    assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{found} is not {expected}");
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap()
}

/// Writes an evaluation of the shared run and reads it.
fn evaluated(place: &Place, more: &[&str]) -> Value {
    let (run, out) = (trained().name("run"), place.name("evaluation.json"));
    let printed = told(&[&["eval", "--adapter", &run, "--out", &out, "--format", "json"], more].concat());
    let written = place.json("evaluation.json");
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), written);
    written
}

#[test]
fn numbers_are_those_of_the_trainings_last_evaluation() {
    let place = Place::new();
    let found = evaluated(&place, &["--data", &trained().name("pairs/validation.jsonl")]);
    let all = rows(&trained().path("run/outputs/samples.jsonl"));
    let last = all.iter().filter_map(|row| row["step"].as_u64()).max().unwrap();
    let last: Vec<&Value> = all.iter().filter(|row| row["step"] == last && row["type"] == "eval").collect();
    assert_eq!((last.len(), &found["pairs"], &found["groups"]), (6, &6.into(), &3.into()));
    let sum = |name: &str| last.iter().map(|row| number(row, name)).sum::<f64>();
    let share = |is_so: &dyn Fn(&Value) -> bool| last.iter().filter(|row| is_so(row)).count() as f64 / 6.0;

    let accuracy = share(&|row| number(row, "chosen_reward") > number(row, "rejected_reward"));
    assert!(accuracy > 0.5, "the training moved the model");
    close(&found["reward_accuracy"]["mean"], accuracy);
    close(&found["reward_margin"]["mean"], (sum("chosen_reward") - sum("rejected_reward")) / 6.0);
    for (side, tokens) in [("chosen", "chosen_tokens"), ("rejected", "rejected_tokens")] {
        let perplexity = |who: &str| (-sum(&format!("{who}_logps_{side}")) / sum(tokens)).exp();
        let own = &found[side];
        assert_eq!(own["tokens"].as_f64().unwrap(), sum(tokens));
        close(&own["perplexity_ratio"]["value"], perplexity("policy") / perplexity("reference"));
        let relative = number(&own["perplexity"]["base"], "value") / perplexity("reference");
        assert!((relative - 1.0).abs() < 1e-5, "{relative}");
        assert!(number(own, "kl") > 0.0);
    }
    let likelier = |who: &'static str| {
        share(&move |row| {
            let mean =
                |side: &str| number(row, &format!("{who}_logps_{side}")) / number(row, &format!("{side}_tokens"));
            mean("chosen") > mean("rejected")
        })
    };
    close(&found["likelihood_accuracy"]["base"]["mean"], likelier("reference"));
    close(&found["likelihood_accuracy"]["model"]["mean"], likelier("policy"));

    // 9 and 13 words against 4, 7 or 10 in posts 6, 7 and 8: chosen is longer but for the shorter one of post 8.
    close(&found["longer_wins"]["mean"], 5.0 / 6.0);
    let parts = found["by_length_difference"].as_array().unwrap();
    assert_eq!(parts.iter().map(|part| part["pairs"].as_u64().unwrap()).sum::<u64>(), 6);
}

#[test]
fn a_base_model_alone_has_likelihoods_and_no_rewards() {
    let place = Place::new();
    let (data, out) = (trained().name("pairs/test.jsonl"), place.name("base.json"));
    let printed = told(&["eval", "--model", MODEL, "--data", &data, "--template", "bare", "--out", &out]);
    assert!(printed.contains("mean log-probability wins") && printed.contains("8 of 4 posts"), "{printed}");
    let found = place.json("base.json");
    assert!(found["reward_accuracy"].is_null() && found["adapter"].is_null());
    assert!(found["likelihood_accuracy"]["base"]["mean"].is_number());
}

/// The longer reply is better, the same one is a tie.
fn longer(prompt: &str) -> Result<String, u16> {
    let [a, b] = ["A", "B"]
        .map(|name| between(prompt, &format!("[Reply {name} begins]"), &format!("[Reply {name} ends]")).len());
    let letter = match a.cmp(&b) {
        std::cmp::Ordering::Greater => "A",
        std::cmp::Ordering::Less => "B",
        std::cmp::Ordering::Equal => "C",
    };
    Ok(format!("It says more.\n[[{letter}]]"))
}

fn judged<'a>(judge: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--generate", "4", "--max-new-tokens", "12", "--judge", judge], more].concat()
}

fn reply<'a>(replies: &'a [Value], example: &Value, system: &str) -> &'a str {
    let own = replies.iter().find(|row| row["example_id"] == *example && row["system"] == system);
    own.unwrap()["generated_text"].as_str().unwrap()
}

#[test]
fn a_judge_compares_in_both_orders_and_is_asked_once() {
    let judge = ScriptedJudge::start(longer, Duration::ZERO);
    let place = Place::new();
    let name = judge.name();
    let found = evaluated(&place, &judged(&name, &["--against", "base,human"]));
    let replies = rows(&place.path("evaluation-replies.jsonl"));
    let models: Vec<&Value> = replies.iter().filter(|row| row["system"] == "model").collect();
    assert_eq!((models.len(), replies.len()), (4, 8));
    let against = |other: &dyn Fn(&Value) -> usize| {
        let wins = models.iter().map(|row| row["generated_text"].as_str().unwrap().trim().len().cmp(&other(row)));
        let count = |ordering| wins.clone().filter(|found| *found == ordering).count() as u64;
        [count(std::cmp::Ordering::Greater), count(std::cmp::Ordering::Equal), count(std::cmp::Ordering::Less)]
    };
    let expected = [
        ("model against base", against(&|row| reply(&replies, &row["example_id"], "base").trim().len())),
        ("model against human", against(&|row| row["chosen"].as_str().unwrap().len())),
    ];
    for ((name, [wins, ties, losses]), report) in expected.iter().zip(found["win_rates"].as_array().unwrap()) {
        assert_eq!(report["name"], *name);
        assert_eq!([&report["wins"], &report["ties"], &report["losses"]], [wins, ties, losses], "{report}");
        close(&report["win_rate"]["rate"], (*wins as f64 + 0.5 * *ties as f64) / 4.0);
        assert_eq!(report["same_in_both_orders"], 1.0);
    }
    assert_eq!(judge.asked().len(), 16);
    assert!(
        judge.asked()[0]["messages"][1]["content"].as_str().unwrap().contains("[The post begins]\nI think that plan")
    );
    let names: Vec<&Value> = found["replies"].as_array().unwrap().iter().map(|report| &report["name"]).collect();
    assert_eq!(names, ["model", "base", "human"]);
    assert_eq!(found["replies"][2]["copies_training"]["mean"], 0.0, "each post has other replies");

    // Killed in the middle: what is there is not asked again, and the files end the same.
    let files = ["evaluation.json", "evaluation-replies.jsonl", "evaluation-verdicts.jsonl"];
    let before = files.map(|file| place.read(file));
    let cut = |file: &str, kept: usize| {
        let text = place.read(file);
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        std::fs::write(place.path(file), &text[..ends[kept - 1] + 9]).unwrap();
    };
    cut("evaluation-replies.jsonl", 3);
    cut("evaluation-verdicts.jsonl", 5);
    evaluated(&place, &judged(&name, &["--against", "base,human", "--resume"]));
    assert_eq!(judge.asked().len(), 16 + 2 * 3);
    assert!(files.map(|file| place.read(file)) == before);
}

#[test]
fn a_judge_that_likes_what_comes_first_says_nothing() {
    let judge = ScriptedJudge::start(|_| Ok("[[A]]".into()), Duration::ZERO);
    let place = Place::new();
    let name = judge.name();
    let found = evaluated(&place, &judged(&name, &[]));
    let report = &found["win_rates"][0];
    assert_eq!([&report["win_rate"]["rate"], &report["same_in_both_orders"], &report["first_shown"]], [0.5, 0.0, 1.0]);
    assert_eq!(report["ties"], 4);
}

#[test]
fn pairs_that_could_not_be_judged_are_asked_again() {
    let place = Place::new();
    let (run, out) = (trained().name("run"), place.name("evaluation.json"));
    let words = |judge: &str| -> Vec<String> {
        let all = ["eval", "--adapter", &run, "--out", &out, "--resume", "--retries", "0"];
        all.into_iter().chain(judged(judge, &[])).map(str::to_owned).collect()
    };
    let call = |judge: &str, code: i32| {
        let words = words(judge);
        let output =
            crate::trained::persuasion(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        crate::corpora::text(&output.stderr)
    };
    let broken = ScriptedJudge::start(|_| Err(400), Duration::ZERO);
    assert!(call(&broken.name(), 1).contains("4 pairs could not be judged"));
    assert!(place.json("evaluation.json")["reward_accuracy"]["mean"].is_number(), "the rest is kept");
    assert_eq!(rows(&place.path("evaluation-verdicts.jsonl")).len(), 0);
    let judge = ScriptedJudge::start(longer, Duration::ZERO);
    call(&judge.name(), 0);
    assert_eq!(judge.asked().len(), 8);
}

#[test]
fn a_model_on_this_machine_judges_by_likelihood() {
    let place = Place::new();
    let (run, replies, out) = (trained().name("run"), place.name("replies.jsonl"), place.name("judged.json"));
    told(&["generate", "--adapter", &run, "--out", &replies, "--max-new-tokens", "8"]);
    let words = ["eval", "--generations", &replies, "--judge", MODEL, "--by", "likelihood", "--out", &out];
    let printed = told(&words);
    assert!(printed.contains("model against human, judged by"), "{printed}");
    let report = &place.json("judged.json")["win_rates"][0];
    assert_eq!(report["without_verdict"], 0);
    for verdict in rows(Path::new(&place.name("judged-verdicts.jsonl"))) {
        let probabilities = verdict["forward"]["probabilities"].as_array().unwrap();
        close(&Value::from(probabilities.iter().map(|value| value.as_f64().unwrap()).sum::<f64>()), 1.0);
    }
}

#[test]
fn a_run_that_was_held_against_another_model_is_so_again() {
    let place = Place::new();
    let (data, run, other) = (trained().name("pairs"), place.name("run"), format!("{MODEL}/tiny-llama-q8_0.gguf"));
    let limits = ["--template", "bare", "--max-length", "120", "--max-prompt-length", "60", "--generate", "0"];
    let words =
        ["train", "--model", MODEL, "--reference-model", &other, "--data", &data, "--out", &run, "--epochs", "1"];
    told(&[&words[..], &limits].concat());
    let validation = trained().name("pairs/validation.jsonl");
    let found: Value =
        serde_json::from_str(&told(&["eval", "--adapter", &run, "--data", &validation, "--format", "json"])).unwrap();
    assert_eq!(found["reference_model"], other);
    // The best evaluation's adapter was kept, whichever it was.
    let events = rows(&place.path("run/events.jsonl"));
    let margins: Vec<f64> = events.iter().filter_map(|event| event["data"]["eval_rewards/margins"].as_f64()).collect();
    let margin = number(&found["reward_margin"], "mean");
    assert!(margins.iter().any(|own| (own - margin).abs() < 1e-4) && margin != 0.0, "{margin} is none of {margins:?}");
}

/// The adapter of a quantised base belongs to that base.
#[test]
fn a_run_on_a_quantised_model_is_evaluated_on_it() {
    let place = Place::new();
    let (data, run) = (trained().name("pairs"), place.name("run"));
    let limits = ["--template", "bare", "--max-length", "120", "--max-prompt-length", "60", "--generate", "0"];
    let words = ["train", "--model", MODEL, "--quantize", "q8_0", "--data", &data, "--out", &run, "--epochs", "1"];
    told(&[&words[..], &limits].concat());
    let validation = trained().name("pairs/validation.jsonl");
    let evaluated = |more: &[&str]| {
        let words = ["eval", "--adapter", &run, "--data", &validation, "--format", "json"];
        told(&[&words[..], more].concat())
    };
    let own = evaluated(&[]);
    assert_eq!(own, evaluated(&["--quantize", "q8_0"]));
    assert_ne!(own, evaluated(&["--dtype", "f32"]));
}
