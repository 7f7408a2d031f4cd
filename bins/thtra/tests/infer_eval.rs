//! Answers to a file of samples, and what they are worth.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use candle_core::Device;
use esc_metrics::Resources;
use esc_metrics::interval::Resampling;
use serde_json::{Value, json};
use thtra::{
    Evaluator, Generation, Helpfulness, Layout, Responder, Size, Strategy, StrategyMode, TrainedModel, read_generations,
};

use crate::program::{Place, complaint, json_of, said, text, thtra, tokenizer};

/// Longer than the made-up dialogues are, letter by letter, and than an answer may be.
const LONGEST: usize = 128;

/// A place with the made-up corpus, and a model that begins with nothing in the folder `run/model`.
pub(crate) fn place() -> Place {
    let place = Place::with_data();
    let responder = Responder::fresh(Size::Tiny, tokenizer(), LONGEST, 3, &Device::Cpu).unwrap();
    responder.save(&place.path("run/model")).unwrap();
    place
}

/// `infer` with the model of the place, to a file of it.
fn infer(place: &Place, out: &str, more: &[&str]) -> Vec<String> {
    let [model, data, out] = [place.name("run"), place.name("data/test.txt"), place.name(out)];
    let words = ["infer", "--model", &model, "--data", &data, "--out", &out, "--max-input-length", "120"];
    words.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

fn inferred(place: &Place, out: &str, more: &[&str]) -> Vec<Generation> {
    said(&words(&infer(place, out, more)));
    let mut rows = read_generations(&place.path(out)).unwrap();
    rows.sort_by_key(|row| (row.sample_id, row.turn));
    rows
}

#[test]
fn a_row_holds_what_was_said_and_what_the_model_thinks() {
    let place = place();
    let rows = inferred(&place, "answers.jsonl", &[]);
    // Three dialogues, each with three or four answers behind another turn.
    let numbers: BTreeSet<usize> = rows.iter().map(|row| row.sample_id).collect();
    assert_eq!((numbers, rows.len()), ((0..3).collect(), 12));
    let row = rows.iter().find(|row| row.response == "try it again.").unwrap();
    assert_eq!(row.strategy, Strategy::Suggestions);
    assert_eq!(row.post, "[Others] oh no!");
    assert_eq!(row.context, "I failed.");
    assert!(row.situation.starts_with("Exam ") && row.situation.ends_with(" went wrong."));
    // Letters and marks, and the end; the strategy is not asked for.
    assert_eq!(row.token_num, "tryitagain.".len() + 1);
    for row in &rows {
        assert_eq!(row.mode, Some(StrategyMode::Argmax));
        assert_eq!((row.chosen, row.top3.first()), (row.top1, row.top1.as_ref()));
        assert!((row.distribution.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let best = row.distribution.iter().copied().fold(0.0, f32::max);
        assert_eq!(row.distribution[row.top1.unwrap().index()], best);
        assert!((row.ppl.ln() - row.loss / row.token_num as f64).abs() < 1e-9);
        assert!((1..=40).contains(&row.generated_tokens) && row.generation == row.generation.to_lowercase());
    }
}

#[test]
fn answers_depend_on_their_sample_and_the_seed_alone() {
    let place = place();
    let one_by_one = inferred(&place, "one.jsonl", &["--batch-size", "1"]);
    let together = inferred(&place, "together.jsonl", &["--batch-size", "32"]);
    let some = inferred(&place, "some.jsonl", &["--limit", "5"]);
    let other = inferred(&place, "other.jsonl", &["--seed", "1"]);
    assert_eq!(one_by_one, together);
    let answers = |rows: &[Generation]| rows.iter().map(|row| row.generation.clone()).collect::<Vec<_>>();
    assert_eq!(answers(&some), answers(&together)[..5]);
    assert_ne!(answers(&other), answers(&together));
}

#[test]
fn strategies_come_from_whom_the_mode_says() {
    let place = place();
    let chosen = |mode: &str| -> Vec<(Strategy, Option<Strategy>)> {
        let file = format!("{}.jsonl", mode.replace(':', "-"));
        inferred(&place, &file, &["--strategy", mode]).iter().map(|row| (row.strategy, row.chosen)).collect()
    };
    assert!(chosen("gold").iter().all(|(gold, chosen)| *chosen == Some(*gold)));
    assert!(chosen("given:Information").iter().all(|(_, chosen)| *chosen == Some(Strategy::Information)));
    let drawn: BTreeSet<_> = chosen("sample").into_iter().map(|(_, chosen)| chosen).collect();
    assert!(drawn.len() > 1);
    let plain = inferred(&place, "plain.jsonl", &["--layout", "vanilla"]);
    assert!(plain.iter().all(|row| (row.mode, row.chosen, row.top1) == (None, None, None)));
    assert!(plain.iter().any(|row| row.post == "oh no!"));
}

#[test]
fn a_run_says_whether_its_model_knows_strategies() {
    let place = place();
    let layout = |config: &str| {
        place.write("run/config.toml", config);
        TrainedModel::open(&place.path("run"), None, &Device::Cpu).map(|model| model.layout)
    };
    assert_eq!(layout("stage = \"vanilla\"\n").unwrap(), Layout::Vanilla);
    for strat in ["stage = \"look-ahead\"\n", "candidates = 10\n"] {
        assert_eq!(layout(strat).unwrap(), Layout::Strat);
    }
    assert!(layout("stage = \"plain\"").unwrap_err().to_string().contains("config.toml"));
    let model = TrainedModel::open(&place.path("run/model"), Some(Layout::Vanilla), &Device::Cpu).unwrap();
    assert_eq!((model.layout, model.folder), (Layout::Vanilla, place.path("run/model")));
}

/// Kill -9 at several moments; resumed, the file has the bytes of a run in one go.
#[test]
fn a_killed_inference_resumes_to_the_same_file() {
    let place = place();
    let learned = place.name("data/train.txt");
    let more = ["--data", &learned, "--batch-size", "1", "--resume"];
    let words_to = |out: &str| {
        let mut owned = infer(&place, out, &[]);
        let data = owned.iter().position(|word| word == "--data").unwrap();
        owned.drain(data..data + 2);
        owned.extend(more.map(str::to_owned));
        owned
    };
    said(&words(&words_to("whole.jsonl")));
    for rows in [1, 9, 17] {
        let owned = words_to("parts.jsonl");
        let mut child = thtra(&words(&owned)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while lines(&place.path("parts.jsonl")) < rows && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let whole = place.read("whole.jsonl");
    assert!(whole.lines().count() > 40);
    said(&words(&words_to("parts.jsonl")));
    assert!(place.read("parts.jsonl") == whole);
    // What a kill leaves inside a row.
    place.write("torn.jsonl", &whole[..whole.len() / 2]);
    said(&words(&words_to("torn.jsonl")));
    assert!(place.read("torn.jsonl") == whole);
    let other = complaint(&words(&[words_to("parts.jsonl"), vec!["--seed".into(), "1".into()]].concat()), 1);
    assert!(other.contains("parts.jsonl") && other.contains("choose another file"), "{other}");
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// `eval` with the model of the place, to a folder of it.
fn evaluated(place: &Place, out: &str, more: &[&str]) -> (Value, String) {
    let [model, data, out] = [place.name("run"), place.name("data/test.txt"), place.name(out)];
    let words =
        ["eval", "--model", &model, "--data", &data, "--out", &out, "--max-input-length", "120", "--resamples", "20"];
    let printed = said(&[&words[..], more].concat());
    (json_of(&Path::new(&out).join("metrics.json")), printed)
}

fn score(evaluation: &Value, name: &str) -> f64 {
    let scores = evaluation["scores"].as_array().unwrap();
    let row = scores.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} in {scores:?}"));
    row["value"].as_f64().unwrap()
}

#[test]
fn an_evaluation_stands_beside_its_oracle() {
    let place = place();
    let (report, printed) = evaluated(&place, "scores", &[]);
    let [ours, gold] = report["evaluations"].as_array().unwrap().as_slice() else { panic!("two evaluations") };
    assert_eq!((&ours["mode"], &ours["is_oracle"]), (&json!("argmax"), &json!(false)));
    assert_eq!((&gold["mode"], &gold["is_oracle"]), (&json!("gold"), &json!(true)));
    assert_eq!((&ours["responses"], &ours["dialogues"]), (&json!(12), &json!(3)));
    // Both are about the same model's thoughts, whoever has chosen: an oracle's accuracy is not 1.
    assert_eq!(ours["strategies"], gold["strategies"]);
    assert_eq!(ours["perplexity"], gold["perplexity"]);
    let top: Vec<f64> = (0..5).map(|k| ours["strategies"]["top_k"][k]["mean"].as_f64().unwrap()).collect();
    assert!(top.is_sorted() && (top[0] - ours["strategies"]["report"]["accuracy"].as_f64().unwrap()).abs() < 1e-12);
    for name in ["bleu-1", "bleu-4-coco", "rouge-l", "rouge-l-coco", "cider", "distinct-2", "f1", "length"] {
        assert!(score(ours, name).is_finite());
    }
    let count = |parts: &Value| -> u64 {
        parts.as_array().unwrap().iter().map(|part| part["responses"].as_u64().unwrap()).sum()
    };
    assert_eq!((count(&ours["by_strategy"]), count(&ours["by_turn"])), (12, 12));
    for told in
        ["ORACLE", "gold (oracle)", "top 5", "annotated, down; predicted, across", "turns 0 to 4", "metrics.json"]
    {
        assert!(printed.contains(told), "{told}: {printed}");
    }
    assert_eq!(lines(&place.path("scores/metrics_list.jsonl")), 12);
}

#[test]
fn a_file_of_answers_is_scored_as_they_were() {
    let place = place();
    let (report, _) = evaluated(&place, "scores", &["--no-gold"]);
    assert_eq!(report["evaluations"].as_array().unwrap().len(), 1);
    let [file, out] = [place.name("scores/generations.jsonl"), place.name("again")];
    let other = inferred(&place, "other.jsonl", &["--seed", "5"]);
    let against = place.name("other.jsonl");
    said(&["eval", "--generations", &file, "--out", &out, "--resamples", "20", "--against", &against]);
    let again = json_of(&place.path("again/metrics.json"));
    for (ours, again) in report["evaluations"][0]["scores"]
        .as_array()
        .unwrap()
        .iter()
        .zip(again["evaluations"][0]["scores"].as_array().unwrap())
    {
        assert_eq!(ours["name"], again["name"]);
        let [ours, again] = [ours, again].map(|row| row["value"].as_f64().unwrap());
        assert!((ours - again).abs() < 1e-9, "{ours} {again}");
    }
    // The same model: it finds real responses as likely as before.
    let perplexity = &again["comparison"]["perplexity"]["bootstrap"]["difference"];
    assert_eq!((&perplexity["value"], &perplexity["low"]), (&json!(0.0), &json!(0.0)));
    let compared = again["comparison"]["scores"].as_array().unwrap();
    assert!(compared.iter().any(|row| row["first"] != row["second"]));
    assert_eq!(other.len(), 12);
    // A file has its rows as they were made, which is not the order of the samples.
    let (answered_here, _) = evaluated(&place, "beside", &["--no-gold", "--seed", "5", "--against", &file]);
    let mirrored = &answered_here["comparison"]["scores"];
    for (row, mirrored) in compared.iter().zip(mirrored.as_array().unwrap()) {
        assert_eq!((&row["first"], &row["second"]), (&mirrored["second"], &mirrored["first"]));
    }
    let some = inferred(&place, "some.jsonl", &["--limit", "5"]).len();
    let told = complaint(&["eval", "--generations", &file, "--out", &out, "--against", &place.name("some.jsonl")], 1);
    assert!(some == 5 && told.contains("answer different samples"), "{told}");
}

#[test]
fn an_evaluation_goes_on_where_it_ended() {
    let place = place();
    let (whole, _) = evaluated(&place, "whole", &["--batch-size", "2"]);
    let rows = place.read("whole/generations.jsonl");
    std::fs::create_dir_all(place.path("parts")).unwrap();
    place.write("parts/generations.jsonl", &rows[..rows.len() / 2]);
    let (parts, _) = evaluated(&place, "parts", &["--batch-size", "2", "--resume"]);
    assert_eq!(whole, parts);
    assert!(place.read("parts/generations.jsonl") == rows);
}

#[test]
fn a_model_without_strategies_is_judged_without_them() {
    let place = place();
    place.write("run/config.toml", "stage = \"vanilla\"\n");
    let (report, printed) = evaluated(&place, "scores", &[]);
    let [only] = report["evaluations"].as_array().unwrap().as_slice() else { panic!("one evaluation") };
    assert_eq!((&only["mode"], &only["strategies"]), (&Value::Null, &Value::Null));
    assert!(printed.contains("no strategies: 12 responses in 3 dialogues"), "{printed}");
}

#[test]
fn vectors_of_words_are_compared_where_they_are_given() {
    let place = place();
    let letters = ('a'..='z').map(|letter| format!("{letter} {} 0.5\n", f64::from(letter as u32) / 100.0));
    let vectors = place.write("vectors.txt", &(letters.collect::<String>() + "bye 0.1 0.9\nhappened 0.3 0.2\n"));
    let (report, _) = evaluated(&place, "scores", &["--glove", &vectors, "--no-gold"]);
    assert!(report["evaluations"][0]["scores"].as_array().unwrap().iter().any(|row| row["name"] == "embedding-greedy"));
}

/// A generation of a dialogue that says something of one real response.
fn generation(sample_id: usize, generation: &str, response: &str, top: [Strategy; 2], loss: f64) -> Generation {
    let mut distribution = vec![0.05; 8];
    distribution[top[0].index()] = 0.5;
    distribution[top[1].index()] = 0.2;
    Generation {
        sample_id,
        turn: 2 * sample_id + 1,
        post: String::new(),
        response: response.into(),
        generation: generation.into(),
        strategy: Strategy::Question,
        mode: Some(StrategyMode::Argmax),
        chosen: Some(top[0]),
        top1: Some(top[0]),
        top3: top.to_vec(),
        distribution,
        token_num: 2,
        loss,
        ppl: (loss / 2.0).exp(),
        generated_tokens: 3,
        situation: String::new(),
        context: String::new(),
        input_sha256: String::new(),
        model: String::new(),
    }
}

#[test]
fn numbers_are_those_of_a_calculation_by_hand() {
    use Strategy::{Information, Others, Question};
    let rows = [
        generation(0, "what happened then ?", "what happened then ?", [Question, Others], 2.0),
        generation(1, "i see .", "why ?", [Others, Question], 4.0),
        generation(9, "so", "oh no", [Others, Information], 6.0),
    ];
    let evaluator = Evaluator::new(&Resources::built_in(), Resampling::default()).unwrap();
    let helpfulness = Helpfulness { generations: vec![0.5, 0.75, 1.0], responses: vec![1.0, 0.5, 0.0] };
    let evaluated = evaluator.evaluate(&rows, Some(helpfulness)).unwrap();
    let found = &evaluated.scores;
    assert!((found.perplexity.value - 2.0_f64.exp()).abs() < 1e-12);
    let strategies = found.strategies.as_ref().unwrap();
    let top: Vec<f64> = strategies.top_k.iter().map(|share| share.mean).collect();
    // The third one's annotated strategy is the first of six equals behind two.
    assert_eq!(top, [1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 1.0]);
    assert_eq!(strategies.report.confusion[Question.index()][Others.index()], 2);
    let both = found.helpfulness.as_ref().unwrap();
    assert_eq!((both.generations.mean, both.responses.mean), (0.75, 0.5));
    let score = |name: &str| found.scores.iter().find(|row| row.name == name).unwrap().value;
    // All words of the first, none of the others.
    assert!((score("f1") - 100.0 / 3.0).abs() < 1e-9 && (score("rouge-l") - 100.0 / 3.0).abs() < 1e-9);
    assert!((score("length") - 8.0 / 3.0).abs() < 1e-9);
    assert_eq!(
        found.by_turn.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
        ["turns 0 to 4", "turns 15 to 19"]
    );
    let samples: Vec<_> = evaluated.samples().collect();
    assert_eq!((samples[0].scores["f1"], samples[1].scores["f1"], samples[2].helpfulness), (100.0, 0.0, Some(1.0)));
    let mut better = rows.clone();
    better.iter_mut().for_each(|row| row.loss /= 2.0);
    let better = evaluator.evaluate(&better, None).unwrap();
    let compared = evaluator.compare(&better, &evaluated).unwrap();
    assert!((compared.perplexity.bootstrap.difference.value - (1.0_f64.exp() - 2.0_f64.exp())).abs() < 1e-12);
    assert!(compared.helpfulness.is_none());
    assert!(evaluator.evaluate(&[], None).is_err());
}

#[test]
fn what_makes_no_sense_is_told() {
    let place = place();
    let [run, data] = [place.name("run"), place.name("data/test.txt")];
    let nowhere = place.name("nowhere");
    place.write("empty.jsonl", "");
    place.write("none.jsonl", "{\"sample_id\": 0}\n");
    let [empty, none] = ["empty.jsonl", "none.jsonl"].map(|name| place.name(name));
    let out = place.name("out");
    let opening = "{\"situation\": \"x\", \"emotion_type\": \"x\", \"problem_type\": \"x\", \"dialog\": [{\"text\": \"hi\", \"speaker\": \"usr\"}]}\n";
    let unanswered = place.write("unanswered.txt", opening);
    let table: [(&[&str], i32, &str); 17] = [
        (&["infer"], 2, "--model"),
        (&["infer", "--model", &nowhere, "--data", &data], 1, "there is no model here: expected config.json"),
        (&["infer", "--model", &run, "--data", &nowhere], 1, "nowhere"),
        (&["infer", "--model", &run, "--data", &unanswered, "--out", &out], 1, "there is nothing to answer"),
        (&["infer", "--model", &run, "--data", &data, "--limit", "0"], 2, "--limit"),
        (&["infer", "--model", &run, "--data", &data, "--top-p", "2"], 2, "--top-p: 2 is not in 0..=1"),
        (&["infer", "--model", &run, "--num-beams", "3", "--temperature", "1"], 2, "3 beams need temperature 0"),
        (&["infer", "--model", &run, "--layout", "strat-look-ahead"], 2, "nobody can look ahead who has to answer"),
        (&["infer", "--model", &run, "--strategy", "best"], 2, "argmax, sample, gold or given:NAME"),
        (&["infer", "--model", &run, "--strategy", "given:Hypnosis"], 2, "there is no strategy `Hypnosis`"),
        (&["infer", "--model", &run, "--max-input-length", "0"], 2, "leaves no room for a token"),
        (&["infer", "--model", &run, "--data", &data, "--max-length", "500", "--out", &out], 1, "has places for"),
        (&["eval"], 2, "--model"),
        (&["eval", "--generations", &empty, "--out", &out], 1, "holds no generation"),
        (&["eval", "--generations", &none, "--out", &out], 1, "none.jsonl, line 1: not a row of `thtra infer`"),
        (&["eval", "--generations", &none, "--model", &run], 2, "cannot be used with"),
        (&["chat", "--model", &run, "--strategy", "gold"], 2, "nobody has annotated a chat"),
    ];
    for (words, code, says) in table {
        let told = complaint(words, code);
        assert!(told.contains(says), "{words:?}: {told}");
    }
    let rows = inferred(&place, "one.jsonl", &["--limit", "2"]);
    let mixed: Vec<String> = [&rows[0], &Generation { model: "other".into(), ..rows[1].clone() }]
        .map(|row| serde_json::to_string(row).unwrap() + "\n")
        .into();
    let mixed = place.write("mixed.jsonl", &mixed.concat());
    let told = complaint(&["eval", "--generations", &mixed, "--out", &out], 1);
    assert!(told.contains("mixed.jsonl, line 2: made by another model"), "{told}");
    let again = thtra(&words(&infer(&place, "one.jsonl", &[]))).output().unwrap();
    assert!(text(&again.stderr).contains("the file exists already"), "without --resume nobody's rows are touched");
}
