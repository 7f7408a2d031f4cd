//! The third stage: what it learns from, what it minimises, and the program.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use candle_core::Device;
use helpfulness::{AlignmentOptions, ORDERED, RankedSample, RankingDataset};
use llm_runtime::DropoutPass;
use serde_json::Value;
use thtra::{
    AlignBatch, AlignDataset, AlignLimits, AlignObjective, Answerer, BLEU_4, CandidateMaker, CandidateRow,
    CandidateScorer, CandidateStrategies, Dialogue, EncodedDialogues, HELPFULNESS, HeldOutAnswers, HeldOutQuestion,
    Layout, Lengths, RankingRule, Responder, Sample, SampleDataset, SampleInDialogue, ScoreRow, ScorerContext, Select,
    Size, Strategy, StrategyMode, WORTH, context_text, ranking_data, sampling_options,
};
use training::{Control, Dataset, Gradients, Objective, Pass, SetScores, Trainer, TrainerOptions};

use crate::candidates::{instead, place, strs};
use crate::program::{Place, complaint, dialogue, said, thtra, tokenizer};
use crate::small_scorer::scorer_in_memory;

/// A tiny model, some dialogues and their samples.
struct World {
    responder: Responder,
    dialogues: Vec<Dialogue>,
    samples: Vec<Sample>,
}

impl World {
    fn new(lengths: Lengths) -> Self {
        let of = |number: usize| {
            let first = "i fail it ".repeat(1 + number);
            dialogue(&[
                (first.trim(), None),
                ("why", Some(Strategy::Question)),
                ("i am sad", None),
                ("oh no", Some(Strategy::ALL[number])),
            ])
        };
        let dialogues: Vec<Dialogue> = (0..4).map(of).collect();
        let responder = Responder::fresh(Size::Tiny, tokenizer(), 64, 7, &Device::Cpu).unwrap();
        let encoded = EncodedDialogues::new(&responder.tokenizer, &dialogues).unwrap().lay_out(Layout::Strat, lengths);
        Self { responder, dialogues, samples: encoded.samples }
    }

    fn first(&self) -> &Sample {
        &self.samples[0]
    }

    fn token(&self, strategy: Strategy) -> u32 {
        self.responder.tokenizer.strategy_id(strategy)
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.responder.tokenizer.encode(text).unwrap()
    }
}

/// A row of the first sample with these candidates, and its scores with the real response's first.
fn rows(candidates: &[(&str, Strategy)], scores: &[f32]) -> (CandidateRow, ScoreRow) {
    let responses = std::iter::once("why").chain(candidates.iter().map(|(text, _)| *text)).map(str::to_owned);
    let strategies = std::iter::once(Strategy::Question).chain(candidates.iter().map(|(_, strategy)| *strategy));
    let row = CandidateRow {
        sample_id: 0,
        turn: 1,
        strategy: Strategy::Question,
        situa: String::new(),
        context: Vec::new(),
        speaker: Vec::new(),
        responses: responses.collect(),
        strategies: strategies.collect(),
        made_by: String::new(),
    };
    let helpfulness = scores.iter().map(|score| 1.0 - score).collect();
    let (context, made_by) = (String::new(), String::new());
    (row, ScoreRow { sample_id: 0, turn: 1, context, score: scores.to_vec(), helpfulness, made_by })
}

fn ranked_with(world: &World, rule: RankingRule, candidates: &[(&str, Strategy)], scores: &[f32]) -> RankedSample {
    let (row, scores) = rows(candidates, scores);
    let data = ranking_data(&world.samples, &[row], &[scores], &world.responder.tokenizer, rule).unwrap();
    data.batch(&[0]).unwrap().remove(0)
}

/// A model that begins with nothing is far from speaking.
const LIMITS: AlignLimits = AlignLimits { loss: 20.0, perplexity_factor: 1.1 };
const RULE: RankingRule = RankingRule { max_candidates: 10, longest: 40 };
const Q: Strategy = Strategy::Question;

#[test]
fn candidates_stand_in_the_order_of_their_helpfulness_behind_their_strategy() {
    let world = World::new(Lengths::default());
    let said = |strategy: Strategy, text: &str| {
        let eos = world.responder.tokenizer.eos();
        [vec![world.token(strategy)], world.encode(text), vec![eos]].concat()
    };
    // The score of the real response, which is the best of all, plays no part.
    let candidates = [("a b", Q), ("c", Strategy::Others), ("d", Q)];
    let found = ranked_with(&world, RULE, &candidates, &[0.0, 0.5, 0.1, 0.3]);
    assert_eq!(found.context, world.first().encoder_ids);
    assert_eq!(found.gold, world.first().labels);
    assert_eq!(found.candidates, [said(Strategy::Others, "c"), said(Q, "d"), said(Q, "a b")]);
    // Of candidates that say the same, the last score counts and the first strategy.
    let candidates = [("a", Q), ("b", Q), ("a", Strategy::Others)];
    let found = ranked_with(&world, RULE, &candidates, &[0.0, 0.1, 0.2, 0.3]);
    assert_eq!(found.candidates, [said(Q, "b"), said(Q, "a")]);
    let best_two = RankingRule { max_candidates: 2, ..RULE };
    let found = ranked_with(&world, best_two, &[("a", Q), ("b", Q), ("c", Q)], &[0.0, 0.3, 0.1, 0.2]);
    assert_eq!(found.candidates, [said(Q, "b"), said(Q, "c")]);
}

#[test]
fn what_is_too_long_loses_its_end_and_nothing_else_does() {
    let world = World::new(Lengths { max_input_length: 20, max_decoder_input_length: 6 });
    let eos = world.responder.tokenizer.eos();
    let rule = RankingRule { longest: 6, ..RULE };
    // BOS, the strategy's token and four others are six.
    let candidates = [("a b c", Q), ("a b c d", Q), ("a b c d e", Q)];
    let found = ranked_with(&world, rule, &candidates, &[0.5, 0.1, 0.2, 0.3]);
    let of = |text: &str, end: &[u32]| [vec![world.token(Q)], world.encode(text), end.to_vec()].concat();
    assert_eq!(found.candidates, [of("a b c", &[eos]), of("a b c d", &[eos]), of("a b c d", &[])]);
    // The same holds for the real response, whose labels may be longer.
    for (text, expected) in [
        ("i am", of("i am", &[eos])),
        ("a b c d", of("a b c d", &[eos])),
        ("a b c d e", of("a b c d", &[])),
        ("a b c d e f g", of("a b c d", &[])),
    ] {
        let dialogues = [dialogue(&[("hi", None), (text, Some(Q))])];
        let tokenizer = &world.responder.tokenizer;
        let lengths = Lengths { max_input_length: 20, max_decoder_input_length: 6 };
        let samples = EncodedDialogues::new(tokenizer, &dialogues).unwrap().lay_out(Layout::Strat, lengths).samples;
        let (row, scores) = rows(&[], &[0.5]);
        let data = ranking_data(&samples, &[row], &[scores], tokenizer, rule).unwrap();
        assert_eq!(data.batch(&[0]).unwrap()[0].gold, expected, "{text}");
    }
}

#[test]
fn candidates_that_fit_no_sample_are_refused() {
    let world = World::new(Lengths::default());
    let told = |change: &dyn Fn(&mut CandidateRow, &mut ScoreRow)| {
        let (mut row, mut scores) = rows(&[("a", Q)], &[0.1, 0.2]);
        change(&mut row, &mut scores);
        let made = ranking_data(&world.samples, &[row], &[scores], &world.responder.tokenizer, RULE);
        made.unwrap_err().to_string()
    };
    assert!(told(&|row, _| row.turn = 2).contains("dialogue 0, turn 2 (both counted from 0): no sample is there"));
    assert!(told(&|_, scores| scores.turn = 3).contains("no scores: score them with `thtra candidates"));
    assert!(
        told(&|row, _| row.strategy = Strategy::Others).contains("for the strategy Others, the sample's is Question")
    );
    assert!(told(&|_, scores| scores.score.truncate(1)).contains("2 responses with 2 strategies and 1 scores"));
    assert!(told(&|row, _| row.strategies.clear()).contains("2 responses with 0 strategies"));
    assert!(told(&|_, scores| scores.score[1] = f32::NAN).contains("is not a number"));
}

/// Candidates of all samples with the scores of an arbitrary model.
fn ranked_world(world: &World, scorer: &helpfulness::HelpfulnessModel) -> RankingDataset {
    let maker = CandidateMaker::new(&world.responder, CandidateStrategies::Annotated, 4, "a test").unwrap();
    let samples: Vec<SampleInDialogue<'_>> = world
        .samples
        .iter()
        .map(|sample| SampleInDialogue { sample, dialogue: &world.dialogues[sample.dialogue] })
        .collect();
    let rows = maker.rows(&samples).unwrap();
    let scores = CandidateScorer::new(scorer, ScorerContext::SeekerBlock, "a scorer", maker.made_by());
    let scores: Vec<ScoreRow> =
        rows.iter().map(|row| scores.row(row, &world.dialogues[row.sample_id]).unwrap()).collect();
    ranking_data(&world.samples, &rows, &scores, &world.responder.tokenizer, RULE).unwrap()
}

fn questions(world: &World) -> Vec<HeldOutQuestion> {
    let question = |sample: &Sample| HeldOutQuestion {
        encoder_ids: sample.encoder_ids.clone(),
        strategy: sample.strategy,
        reference: world.dialogues[sample.dialogue].turns[sample.turn].text.clone(),
        situation: world.dialogues[sample.dialogue].situation.clone(),
        context: context_text(ScorerContext::SeekerBlock, &world.dialogues[sample.dialogue], sample.turn),
    };
    world.samples.iter().map(question).collect()
}

fn answers<'a>(world: &'a World, scorer: Option<&'a helpfulness::HelpfulnessModel>) -> HeldOutAnswers<'a> {
    let answerer = Answerer::new(&world.responder, StrategyMode::Gold, sampling_options(), 3);
    HeldOutAnswers::new(answerer, questions(world), scorer, 3).unwrap()
}

fn held_out(world: &World) -> AlignDataset {
    AlignDataset::HeldOut(SampleDataset::new(world.samples.clone(), &world.responder.tokenizer))
}

fn metric(scores: &SetScores, name: &str) -> Option<f64> {
    scores.metrics.iter().find(|(metric, _)| metric == name).map(|(_, value)| *value)
}

fn evaluate(objective: &AlignObjective<'_>, set: &AlignDataset) -> SetScores {
    let numbers: Vec<usize> = (0..set.lengths().len()).collect();
    objective.evaluate(&mut std::iter::once(set.batch(&numbers))).unwrap()
}

fn objective<'a>(
    world: &World,
    select: Select,
    answers: Option<HeldOutAnswers<'a>>,
    limits: AlignLimits,
) -> Result<AlignObjective<'a>, thtra::Error> {
    let options = AlignmentOptions { margin: 0.02, ..AlignmentOptions::default() };
    AlignObjective::new(world.responder.model.model.clone(), options, select, answers, limits)
}

#[test]
fn every_variable_gets_a_gradient() {
    let world = World::new(Lengths::default());
    let data = ranked_world(&world, &scorer_in_memory(1));
    let objective = objective(&world, Select::Perplexity, None, LIMITS).unwrap();
    let pass = Pass::training(DropoutPass { seed: 1, pass: 0 }, None);
    let batch = AlignBatch::Ranked(data.batch(&[0, 5]).unwrap());
    let parts = objective.loss(&batch, &pass).unwrap();
    let mut gradients = Gradients::default();
    gradients.add(&world.responder.model.parameters, &parts.sum.backward().unwrap()).unwrap();
    for (name, _) in world.responder.model.parameters.iter() {
        let gradient = gradients.get(name).unwrap_or_else(|| panic!("{name} has no gradient"));
        let values: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
        // Softmax does not see what is added to all scores of a query.
        let is_seen = !name.ends_with("k_proj.bias");
        assert!(!is_seen || values.iter().any(|value| *value != 0.0), "the gradient of {name} is zero");
    }
}

#[test]
fn an_evaluation_tells_perplexity_and_what_answers_are_worth() {
    let (world, scorer) = (World::new(Lengths::default()), scorer_in_memory(1));
    let set = held_out(&world);
    let plain = evaluate(&objective(&world, Select::Perplexity, None, LIMITS).unwrap(), &set);
    assert_eq!((metric(&plain, BLEU_4), metric(&plain, WORTH)), (None, None));
    assert!((metric(&plain, "perplexity").unwrap() - plain.loss.exp()).abs() < 1e-9);
    let judged = objective(&world, Select::Helpfulness, Some(answers(&world, Some(&scorer))), LIMITS);
    let found = evaluate(&judged.unwrap(), &set);
    assert_eq!(found.loss, plain.loss);
    let helpfulness = metric(&found, HELPFULNESS).unwrap();
    assert!((0.0..=1.0).contains(&helpfulness) && metric(&found, WORTH) == Some(helpfulness));
    // The same answers each time, so that evaluations can be compared.
    let worth = |batch: usize| {
        let answerer = Answerer::new(&world.responder, StrategyMode::Gold, sampling_options(), 3);
        HeldOutAnswers::new(answerer, questions(&world), Some(&scorer), batch).unwrap().worth().unwrap()
    };
    assert_eq!(worth(1), worth(8));
    assert_eq!(worth(8)[1].1, helpfulness);
}

#[test]
fn an_evaluation_whose_perplexity_is_too_high_is_worth_less_than_any_other() {
    let world = World::new(Lengths::default());
    let set = held_out(&world);
    let limits = AlignLimits { perplexity_factor: 1.01, ..LIMITS };
    let mut objective = objective(&world, Select::Bleu4, Some(answers(&world, None)), limits).unwrap();
    objective.note_first_loss(&set, 4).unwrap();
    let before = evaluate(&objective, &set);
    assert_eq!(metric(&before, WORTH), metric(&before, BLEU_4));
    // The model is spoilt: it gets much surer of what it says.
    for (_, variable) in world.responder.model.parameters.iter() {
        variable.set(&(variable.as_detached_tensor() * 2.0).unwrap()).unwrap();
    }
    let after = evaluate(&objective, &set);
    let factor = (after.loss - before.loss).exp();
    assert!(factor > 1.01, "{factor}");
    assert!((metric(&after, WORTH).unwrap() - (1.01 - factor)).abs() < 1e-9);
}

#[test]
fn a_run_fails_when_the_held_out_loss_is_above_the_limit() {
    let world = World::new(Lengths::default());
    let limits = AlignLimits { loss: 0.5, ..LIMITS };
    let objective = objective(&world, Select::Perplexity, None, limits).unwrap();
    let told = objective.evaluate(&mut std::iter::once(held_out(&world).batch(&[0]))).unwrap_err().to_string();
    assert!(told.contains("above the limit of 0.5"), "{told}");
}

#[test]
fn what_is_selected_by_must_be_measured() {
    let world = World::new(Lengths::default());
    let told = |select, answers| {
        let made = objective(&world, select, answers, LIMITS);
        made.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(told(Select::Bleu4, None).contains("by bleu-4 needs answers"));
    assert!(told(Select::Helpfulness, Some(answers(&world, None))).contains("needs a model of helpfulness"));
    let answerer = Answerer::new(&world.responder, StrategyMode::Gold, sampling_options(), 3);
    assert!(HeldOutAnswers::new(answerer, Vec::new(), None, 3).is_err());
    let ranked = AlignDataset::Ranked(ranked_world(&world, &scorer_in_memory(1)));
    let objective = objective(&world, Select::Perplexity, None, LIMITS).unwrap();
    let told = objective.evaluate(&mut std::iter::once(ranked.batch(&[0]))).unwrap_err().to_string();
    assert!(told.contains("no held-out set"), "{told}");
}

/// Which of two candidates is likelier turns to the more helpful one, and so do the answers.
#[test]
fn a_model_moves_towards_the_answers_that_a_scorer_prefers() {
    let (world, scorer) = (World::new(Lengths::default()), scorer_in_memory(1));
    let data = ranked_world(&world, &scorer);
    let ranked = AlignDataset::Ranked(data);
    // Wide margins and no likelihood of the real responses, so that what is likely is what ranks first.
    let options = AlignmentOptions { margin: 0.1, likelihood_weight: 0.0, ..AlignmentOptions::default() };
    let (model, answers) = (world.responder.model.model.clone(), Some(answers(&world, Some(&scorer))));
    let limits = AlignLimits { loss: f64::INFINITY, ..LIMITS };
    let objective = AlignObjective::new(model, options, Select::Helpfulness, answers, limits).unwrap();
    let ordered = || {
        let numbers: Vec<usize> = (0..ranked.lengths().len()).collect();
        let parts = objective.loss(&ranked.batch(&numbers).unwrap(), &Pass::evaluation()).unwrap();
        let found = parts.metrics.iter().find(|metric| metric.name == ORDERED).unwrap();
        found.sum / found.weight
    };
    let (before, valid) = (ordered(), held_out(&world));
    let helpful_before = metric(&evaluate(&objective, &valid), HELPFULNESS).unwrap();
    let options = TrainerOptions {
        max_steps: Some(60),
        batch: 4,
        learning_rate: 5e-3,
        divergence_factor: 0.0,
        ..TrainerOptions::default()
    };
    let trainer = Trainer { objective: &objective, train: &ranked, evaluation: Vec::new(), options: &options };
    trainer.run(&world.responder.model.parameters, None, false, &mut |_| Ok(Control::Continue)).unwrap();
    let helpful_after = metric(&evaluate(&objective, &valid), HELPFULNESS).unwrap();
    println!("ordered {before} to {}, helpfulness {helpful_before} to {helpful_after}", ordered());
    assert!(ordered() > before.max(0.8), "{} after {before}", ordered());
    assert!(helpful_after > helpful_before, "{helpful_after} after {helpful_before}");
}

/// A place with candidates and their scores.
fn with_candidates() -> Place {
    let place = place();
    let [model, data, out, helpful, bert] =
        ["model", "data", "candidates", "helpful", "bert"].map(|name| place.name(name));
    said(&[
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
        "--limit",
        "12",
        "--candidates",
        "3",
    ]);
    place
}

/// Words that align the model of such a place in a few steps.
fn words(place: &Place, out: &str, further: &[&str]) -> Vec<String> {
    let [model, data, prepared, candidates, out, helpful, bert] =
        ["model", "data", "prepared", "candidates", out, "helpful", "bert"].map(|name| place.name(name));
    let words = [
        "align",
        "--base",
        &model,
        "--data-dir",
        &data,
        "--prepared",
        &prepared,
        "--candidates",
        &candidates,
        "--out",
        &out,
        "--helpfulness",
        &helpful,
        "--helpfulness-encoder",
        &bert,
        "--epochs",
        "2",
        "--accumulate",
        "2",
        "--evaluate-every",
        "4",
        "--warmup-steps",
        "4",
        "--answers",
        "3",
        "--val-limit",
        "6",
        "--loss-limit",
        "20",
    ];
    words.iter().chain(further).map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_program_aligns_and_keeps_the_best_model() {
    let place = with_candidates();
    let told: Value = serde_json::from_str(&said(&strs(&words(&place, "run", &["--format", "json"])))).unwrap();
    assert_eq!((&told["steps"], &told["samples"], &told["of_samples"]), (&12.into(), &12.into(), &56.into()));
    assert_eq!((&told["select"], told["ended"].as_str()), (&"helpfulness".into(), Some("finished")));
    assert!(told["worth"].as_f64().unwrap() > 0.0);
    let events = place.read("run/events.jsonl");
    for name in ["ranking_loss", "eval_valid_helpfulness", "eval_valid_bleu_4", "eval_valid_perplexity"] {
        assert!(events.contains(name), "{name}");
    }
    let model = place.path("run/model");
    assert!(Responder::open(&model, 0, &Device::Cpu).is_ok());
    // The best evaluation decides, be it that of the model to begin with.
    let tables = place.read("run/config.toml");
    assert!(tables.contains("select = \"helpfulness\"") && tables.contains("schedule = \"noam\""), "{tables}");
}

/// Kill -9 at several moments; resumed, the model has the bytes of a run in one go.
#[test]
fn a_killed_alignment_resumes_to_the_same_model() {
    let place = with_candidates();
    let further = ["--save-every", "2", "--resume", "--select", "ppl"];
    said(&strs(&words(&place, "whole", &further)));
    let words = words(&place, "parts", &further);
    for checkpoints in 1..=3 {
        let mut child = thtra(&strs(&words)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while count(&place.path("parts/checkpoints")) < checkpoints && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    said(&strs(&words));
    for file in ["model.safetensors", "config.json", "vocab.json", "merges.txt"] {
        let bytes = |run: &str| std::fs::read(place.path(run).join("model").join(file)).unwrap();
        assert!(bytes("whole") == bytes("parts"), "{file} differs");
    }
    let told = complaint(&strs(&instead(words.clone(), &["--epochs", "3"])), 2);
    assert!(told.contains("begun with other settings"), "{told}");
    let other = instead(words, &["--select", "bleu-4"]);
    assert!(complaint(&strs(&other), 2).contains("begun with other settings"));
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[test]
fn numbers_that_are_none_end_a_run_with_their_place() {
    let place = with_candidates();
    let wild = instead(words(&place, "run", &["--select", "ppl"]), &["--learning-rate", "1e30", "--clip", "0"]);
    let told = complaint(&strs(&wild), 1);
    assert!(told.contains("step 2: the") && told.contains("lower the learning rate"), "{told}");
}

#[test]
fn wrong_words_and_files_get_a_clear_answer() {
    let place = with_candidates();
    let nothing = place.name("nothing");
    let other_data = place.name("other");
    std::fs::create_dir_all(&other_data).unwrap();
    for part in ["train", "valid", "test"] {
        std::fs::copy(place.path(&format!("data/{part}.txt")), place.path(&format!("other/{part}.txt"))).unwrap();
    }
    place.write("other/valid.txt", &place.read("data/test.txt"));
    let empty = place.name("empty");
    std::fs::create_dir_all(&empty).unwrap();
    for name in ["candidates.jsonl", "scores.jsonl"] {
        place.write(&format!("empty/{name}"), "");
    }
    let damaged = place.name("damaged");
    std::fs::create_dir_all(&damaged).unwrap();
    place.write("damaged/candidates.jsonl", &place.read("candidates/candidates.jsonl"));
    place.write("damaged/scores.jsonl", "{\"sample_id\": 0}\n");
    place.write("damaged/few.jsonl", place.read("candidates/scores.jsonl").lines().next().unwrap());
    place.write("damaged/few.jsonl", &(place.read("damaged/few.jsonl") + "\n"));
    let table: [(&[&str], i32, &str); 20] = [
        (&["--base", &nothing], 2, "there is no model at"),
        (&["--prepared", &nothing], 1, "no prepared samples here"),
        (&["--data-dir", &other_data], 1, "valid.txt is not the file that the samples were made of"),
        (&["--candidates", &nothing], 1, "candidates.jsonl"),
        (&["--candidates", &empty], 1, "there are no candidates: make them with `thtra candidates`"),
        (&["--candidates", &damaged], 1, "scores.jsonl, line 1: not a row of scores"),
        (&["--candidates", &damaged, "--scores", "few.jsonl"], 1, "its candidates have no scores"),
        (&["--scores", "none.jsonl"], 1, "none.jsonl"),
        (&["--helpfulness", &nothing], 1, "nothing"),
        (&["--select", "bleu"], 2, "expected ppl, bleu-4, helpfulness"),
        (&["--answers", "0"], 2, "the selection by helpfulness needs answers"),
        (&["--strategy", "best"], 2, "expected argmax, sample, gold or given:NAME"),
        (&["--score-mode", "logit"], 2, "possible values: probability, log"),
        (&["--margin", "-1"], 2, "margin: -1 is not a number of at least 0"),
        (&["--rank-weight", "0", "--lm-weight", "0"], 2, "there is nothing to learn"),
        (&["--length-penalty", "NaN"], 2, "length penalty: NaN"),
        (&["--perplexity-limit", "0.9"], 2, "expected a number from 1 on"),
        (&["--loss-limit", "0"], 2, "expected a number above 0"),
        (&["--learning-rate", "0"], 2, "learning rate: must be a positive number"),
        (&["--loss-limit", "0.1"], 1, "above the limit of 0.1"),
    ];
    for (number, (further, code, says)) in table.into_iter().enumerate() {
        let words = instead(words(&place, &format!("run{number}"), &[]), further);
        let told = complaint(&strs(&words), code);
        assert!(told.contains(says), "{further:?} should say {says}: {told}");
    }
    // Without a model of helpfulness nobody can select by it; without any, perplexity decides.
    let mut without = words(&place, "without", &["--max-steps", "1"]);
    for option in ["--helpfulness", "--helpfulness-encoder"] {
        let place = without.iter().position(|word| word == option).unwrap();
        without.drain(place..place + 2);
    }
    let told = complaint(&strs(&instead(without.clone(), &["--select", "helpfulness"])), 2);
    assert!(told.contains("needs a model of helpfulness"), "{told}");
    assert!(!place.path("without/checkpoints").exists() || place.path("without/config.toml").exists());
}
