//! Candidates and their scores, from the library and from the program.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use candle_core::Device;
use helpfulness::Exchange;
use seq2seq::TokenBatch;
use serde_json::Value;
use thtra::{
    Author, CandidateMaker, CandidateRow, CandidateScorer, CandidateStrategies, Dialogue, EncodedDialogues, Layout,
    Lengths, Responder, Sample, SampleInDialogue, ScorerContext, Size, Strategy, ranked,
};

use crate::program::{Place, complaint, said, thtra, tokenizer};
use crate::small_scorer::{scorer, scorer_in_memory, write_encoder};

const LENGTHS: Lengths = Lengths { max_input_length: 40, max_decoder_input_length: 12 };

fn responder() -> Responder {
    Responder::fresh(Size::Tiny, tokenizer(), 64, 7, &Device::Cpu).unwrap()
}

/// Four dialogues whose contexts are of different lengths, in which the supporter speaks twice in a row.
fn dialogues() -> Vec<Dialogue> {
    let of = |number: usize| {
        let long = "a b c ".repeat(1 + 2 * number);
        crate::program::dialogue(&[
            (long.trim(), None),
            ("why", Some(Strategy::Question)),
            ("i fail", None),
            ("i know", None),
            ("oh no", Some(Strategy::ALL[number])),
            ("try it", Some(Strategy::Suggestions)),
        ])
    };
    (0..4).map(of).collect()
}

fn samples(responder: &Responder, dialogues: &[Dialogue]) -> Vec<Sample> {
    EncodedDialogues::new(&responder.tokenizer, dialogues).unwrap().lay_out(Layout::Strat, LENGTHS).samples
}

fn in_dialogues<'a>(samples: &'a [Sample], dialogues: &'a [Dialogue]) -> Vec<SampleInDialogue<'a>> {
    samples.iter().map(|sample| SampleInDialogue { sample, dialogue: &dialogues[sample.dialogue] }).collect()
}

fn rows(strategies: CandidateStrategies, candidates: usize) -> Vec<CandidateRow> {
    let (responder, dialogues) = (responder(), dialogues());
    let samples = samples(&responder, &dialogues);
    let maker = CandidateMaker::new(&responder, strategies, candidates, "a test").unwrap();
    maker.rows(&in_dialogues(&samples, &dialogues)).unwrap()
}

#[test]
fn candidates_do_not_depend_on_the_samples_beside_them() {
    let (responder, dialogues) = (responder(), dialogues());
    let samples = samples(&responder, &dialogues);
    for strategies in [CandidateStrategies::Annotated, CandidateStrategies::Likeliest(3)] {
        let maker = CandidateMaker::new(&responder, strategies, 4, "a test").unwrap();
        let all = in_dialogues(&samples, &dialogues);
        let alone: Vec<CandidateRow> = all.iter().flat_map(|sample| maker.rows(&[*sample]).unwrap()).collect();
        assert_eq!(maker.rows(&all).unwrap(), alone);
    }
}

#[test]
fn a_row_holds_the_real_response_and_candidates_of_its_strategy() {
    let dialogues = dialogues();
    let rows = rows(CandidateStrategies::Annotated, 10);
    assert_eq!(rows.len(), 12);
    for row in &rows {
        let dialogue = &dialogues[row.sample_id];
        let Author::Supporter(strategy) = dialogue.turns[row.turn].author else { panic!("not a supporter's turn") };
        assert_eq!((row.strategy, row.strategies.clone()), (strategy, vec![strategy; 11]));
        assert_eq!(
            (row.responses[0].as_str(), row.situa.as_str()),
            (dialogue.turns[row.turn].text.as_str(), "I failed.")
        );
        assert_eq!(row.responses.len(), 11);
    }
    let last = rows.last().unwrap();
    assert_eq!(last.context, ["i fail", "i know", "[Self-disclosure] oh no"]);
    assert_eq!(last.speaker, ["usr", "usr", "sys"]);
}

#[test]
fn no_candidate_names_a_strategy() {
    let rows = rows(CandidateStrategies::Annotated, 10);
    let candidates: Vec<&String> = rows.iter().flat_map(|row| &row.responses[1..]).collect();
    assert_eq!(candidates.len(), 120);
    for candidate in candidates {
        assert!(Strategy::ALL.iter().all(|strategy| !candidate.contains(&strategy.token())), "{candidate}");
    }
}

/// What the model gives the strategies behind its first token.
fn likeliest(responder: &Responder, sample: &Sample) -> Vec<Strategy> {
    let model = &responder.model.model;
    let mut cache = model.start(&TokenBatch::of([sample.encoder_ids.as_slice()])).unwrap();
    let logits = model.step(&[responder.tokenizer.bos()], &mut cache).unwrap();
    let first = responder.tokenizer.first_strategy() as usize;
    ranked(&logits.get(0).unwrap().narrow(0, first, 8).unwrap().to_vec1::<f32>().unwrap())
}

#[test]
fn the_likeliest_strategies_share_the_candidates() {
    let (responder, dialogues) = (responder(), dialogues());
    let samples = samples(&responder, &dialogues);
    let maker = |strategies, candidates| CandidateMaker::new(&responder, strategies, candidates, "a test").unwrap();
    let across = maker(CandidateStrategies::Likeliest(3), 7);
    for sample in in_dialogues(&samples, &dialogues) {
        let row = across.rows(&[sample]).unwrap().remove(0);
        let [first, second, third] = likeliest(&responder, sample.sample)[..3] else { panic!("fewer than three") };
        let expected = [sample.sample.strategy, first, first, first, second, second, third, third];
        assert_eq!(row.strategies, expected);
        // Each strategy's share is what its own search finds.
        let of_second = Sample { strategy: second, ..sample.sample.clone() };
        let own = maker(CandidateStrategies::Annotated, 2);
        let own = own.rows(&[SampleInDialogue { sample: &of_second, ..sample }]).unwrap().remove(0);
        assert_eq!(row.responses[4..6], own.responses[1..]);
    }
}

#[test]
fn impossible_numbers_of_candidates_are_refused() {
    let responder = responder();
    let told = |strategies, candidates| {
        let made = CandidateMaker::new(&responder, strategies, candidates, "a test");
        made.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(told(CandidateStrategies::Annotated, 0).contains("at least 1 is needed"));
    for (strategies, candidates) in [(0, 10), (9, 10), (3, 2)] {
        let told = told(CandidateStrategies::Likeliest(strategies), candidates);
        assert!(told.contains("expected from 1 to 8 strategies"), "{told}");
    }
}

#[test]
fn scores_are_those_of_single_exchanges_in_the_chosen_context() {
    let (dialogues, rows, model) = (dialogues(), rows(CandidateStrategies::Annotated, 3), scorer_in_memory(1));
    let contexts = [
        (ScorerContext::SeekerBlock, "i fail i know"),
        (ScorerContext::LastOne, "[Self-disclosure] oh no"),
        (ScorerContext::LastThree, "i fail i know [Self-disclosure] oh no"),
    ];
    let row = rows.last().unwrap();
    for (context, expected) in contexts {
        let scored =
            CandidateScorer::new(&model, context, "a scorer", "a maker").row(row, &dialogues[row.sample_id]).unwrap();
        assert_eq!((scored.context.as_str(), scored.score.len()), (expected, 4));
        for (place, response) in row.responses.iter().enumerate() {
            let exchange = Exchange { situation: "I failed.", context: expected, response };
            let alone = model.score(&[exchange]).unwrap().remove(0);
            assert_eq!((scored.score[place], scored.helpfulness[place]), (alone.unhelpfulness, alone.helpfulness));
        }
    }
}

/// A place with data, a model and a model of helpfulness.
pub(crate) fn place() -> Place {
    let place = Place::with_samples();
    responder_of(&place).save(&place.path("model")).unwrap();
    write_encoder(&place.path("bert"));
    scorer(&place.path("bert"), 1).save(&place.path("helpful")).unwrap();
    place
}

fn responder_of(place: &Place) -> Responder {
    let tokenizer = thtra::DialogueTokenizer::open(&place.path("tokenizer")).unwrap();
    Responder::fresh(Size::Tiny, tokenizer, 164, 7, &Device::Cpu).unwrap()
}

/// Words that make candidates of few samples in such a folder.
pub(crate) fn words(place: &Place, out: &str, further: &[&str]) -> Vec<String> {
    let [model, data, out, helpful, bert] = ["model", "data", out, "helpful", "bert"].map(|name| place.name(name));
    let words = [
        "candidates",
        "--model",
        &model,
        "--data-dir",
        &data,
        "--out",
        &out,
        "--helpfulness",
        &helpful,
        "--helpfulness-encoder",
        &bert,
    ];
    let few = ["--limit", "9", "--batch-size", "2", "--candidates", "3"];
    words.iter().chain(&few).chain(further).map(|word| (*word).to_owned()).collect()
}

/// Words with options that replace those of the same names.
pub(crate) fn instead(mut words: Vec<String>, options: &[&str]) -> Vec<String> {
    for option in options.iter().filter(|word| word.starts_with("--")) {
        if let Some(place) = words.iter().position(|word| word == option) {
            words.drain(place..place + 2);
        }
    }
    words.extend(options.iter().map(|word| (*word).to_owned()));
    words
}

pub(crate) fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_program_writes_candidates_and_scores() {
    let place = place();
    let told: Value = serde_json::from_str(&said(&strs(&words(&place, "out", &["--format", "json"])))).unwrap();
    let (candidates, scores) = (lines(&place.path("out/candidates.jsonl")), lines(&place.path("out/scores.jsonl")));
    assert_eq!((candidates.len(), scores.len()), (9, 9));
    for (candidates, scores) in candidates.iter().zip(&scores) {
        assert_eq!((&candidates["sample_id"], &candidates["turn"]), (&scores["sample_id"], &scores["turn"]));
        assert_eq!(candidates["responses"].as_array().unwrap().len(), 4);
        for (score, helpfulness) in
            scores["score"].as_array().unwrap().iter().zip(scores["helpfulness"].as_array().unwrap())
        {
            assert!((score.as_f64().unwrap() + helpfulness.as_f64().unwrap() - 1.0).abs() < 1e-6);
        }
    }
    assert_eq!((&told["samples"], &told["scored"]), (&9.into(), &9.into()));
    let best = told["best_helpfulness"].as_f64().unwrap();
    assert!(best >= told["candidate_helpfulness"].as_f64().unwrap());
}

#[test]
fn what_is_there_is_not_made_again() {
    let place = place();
    said(&strs(&words(&place, "out", &[])));
    let bytes =
        || ["candidates.jsonl", "scores.jsonl"].map(|name| std::fs::read(place.path("out").join(name)).unwrap());
    let before = bytes();
    assert!(complaint(&strs(&words(&place, "out", &[])), 1).contains("exists already"));
    said(&strs(&words(&place, "out", &["--resume"])));
    assert!(before == bytes());
    // The same samples, wherever they come from.
    said(&strs(&words(&place, "out", &["--resume", "--prepared", &place.name("prepared")])));
    assert!(before == bytes());
    let others: [(&[&str], &str); 4] = [
        (&["--candidates", "4"], "candidates.jsonl: holds rows made by"),
        (&["--across-strategies", "2"], "candidates.jsonl: holds rows made by"),
        (&["--max-input-length", "20"], "candidates.jsonl: holds rows made by"),
        (&["--scorer-context", "last-1"], "scores.jsonl: holds rows made by"),
    ];
    for (further, says) in others {
        let words = instead(words(&place, "out", &["--resume"]), further);
        let told = complaint(&strs(&words), 1);
        assert!(told.contains(says), "{further:?}: {told}");
    }
    assert!(before == bytes());
    // Other scores of the same candidates have a file of their own.
    said(&strs(&words(&place, "out", &["--resume", "--scorer-context", "last-1", "--scores", "last-1.jsonl"])));
    assert_eq!(lines(&place.path("out/last-1.jsonl")).len(), 9);
}

/// Kill -9 at several moments; resumed, both files have the bytes of a run in one go.
#[test]
fn killed_candidates_and_scores_go_on_to_the_same_bytes() {
    let place = place();
    said(&strs(&words(&place, "whole", &[])));
    let words = words(&place, "parts", &["--resume"]);
    for (file, rows) in [("candidates.jsonl", 2), ("candidates.jsonl", 6), ("scores.jsonl", 3)] {
        let file = place.path("parts").join(file);
        let mut child = thtra(&strs(&words)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while count(&file) < rows && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // A kill can also tear a line.
    let torn = place.path("parts/candidates.jsonl");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() - 7]).unwrap();
    said(&strs(&words));
    for name in ["candidates.jsonl", "scores.jsonl"] {
        let bytes = |run: &str| std::fs::read(place.path(run).join(name)).unwrap();
        assert!(bytes("whole") == bytes("parts"), "{name} differs");
    }
}

fn count(file: &Path) -> usize {
    std::fs::read(file).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

#[test]
fn wrong_words_get_a_clear_answer() {
    let place = place();
    let nothing = place.name("nothing");
    let bart = place.name("bert");
    let table: [(&[&str], i32, &str); 11] = [
        (&["--model", &nothing], 2, "there is no model at"),
        (&["--model", &bart], 1, "bert"),
        (&["--data-dir", &nothing], 1, "train.txt"),
        (&["--helpfulness", &nothing], 1, "nothing"),
        (&["--helpfulness-encoder", &nothing], 1, "nothing"),
        (&["--candidates", "0"], 2, "--candidates"),
        (&["--candidates", "2", "--across-strategies", "3"], 2, "expected from 1 to 8 strategies"),
        (&["--scorer-context", "last-2"], 2, "expected seeker-block, last-1, last-3"),
        (&["--max-input-length", "0"], 2, "leaves no room"),
        (&["--prepared", &nothing], 1, "no prepared samples here"),
        (&["--prepared", &nothing, "--max-input-length", "9"], 2, "cannot be used with"),
    ];
    for (further, code, says) in table {
        let told = complaint(&strs(&instead(words(&place, "out", &[]), further)), code);
        assert!(told.contains(says), "{further:?} should say {says}: {told}");
        assert!(!place.path("out/candidates.jsonl").exists(), "{further:?}");
    }
    let mut without = words(&place, "out", &[]);
    without.retain(|word| word != "--helpfulness" && *word != place.name("helpful"));
    assert!(complaint(&strs(&without), 2).contains("--helpfulness"), "an encoder of no model");
}
