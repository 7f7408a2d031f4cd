//! Answers of a tiny model that begins with nothing, and of the golden one.

use candle_core::Device;
use golden_files::family;
use seq2seq::TrainableSeq2Seq;
use seq2seq::search::DecodingOptions;
use serde_json::{Value, json};
use thtra::{
    Answer, Answerer, DialogueTokenizer, Error, Question, Responder, Sample, SampleDataset, Size, StageObjective,
    Strategy, StrategyMode, candidate_options, sampling_options,
};
use training::Dataset;

use crate::program::{tokenizer, write_tokenizer_of};

const LONGEST: usize = 64;

fn responder() -> Responder {
    Responder::fresh(Size::Tiny, tokenizer(), LONGEST, 7, &Device::Cpu).unwrap()
}

/// What the encoder reads in so many questions of different lengths.
fn dialogues(tokenizer: &DialogueTokenizer, count: usize) -> Vec<Vec<u32>> {
    let words = ["i failed", "my exam was bad", "hello", "what shall i do now?", "nobody likes me, i think"];
    (0..count).map(|number| tokenizer.encode(&format!("{} {number}", words[number % words.len()])).unwrap()).collect()
}

fn questions<'a>(dialogues: &'a [Vec<u32>], gold: Option<Strategy>) -> Vec<Question<'a>> {
    let numbered = dialogues.iter().enumerate();
    numbered.map(|(number, ids)| Question { encoder_ids: ids, gold, stream: number as u64 }).collect()
}

fn answers(responder: &Responder, mode: StrategyMode, options: DecodingOptions, count: usize) -> Vec<Answer> {
    let dialogues = dialogues(&responder.tokenizer, count);
    let answerer = Answerer::new(responder, mode, options, 0);
    answerer.answer(&questions(&dialogues, Some(Strategy::Information))).unwrap()
}

fn chosen(answers: &[Answer]) -> Vec<Strategy> {
    answers.iter().map(|answer| answer.strategy.as_ref().unwrap().chosen).collect()
}

/// Every token is about as likely as any other.
fn hot() -> DecodingOptions {
    DecodingOptions { temperature: 1000.0, top_p: 1.0, ..sampling_options() }
}

#[test]
fn the_mode_says_who_chooses_the_strategy() {
    let responder = responder();
    let found = |mode| answers(&responder, mode, sampling_options(), 12);
    let given = StrategyMode::Given(Strategy::Restatement);
    assert_eq!(chosen(&found(given)), [Strategy::Restatement; 12]);
    assert_eq!(chosen(&found(StrategyMode::Gold)), [Strategy::Information; 12]);
    for answer in found(StrategyMode::Argmax) {
        let strategy = answer.strategy.unwrap();
        assert_eq!(strategy.chosen, strategy.ranked()[0]);
        let probabilities = strategy.probabilities();
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(probabilities.iter().all(|one| *one <= probabilities[strategy.chosen.index()]));
    }
}

#[test]
fn a_drawn_strategy_is_one_of_the_likely_ones() {
    let responder = responder();
    let dialogue = dialogues(&responder.tokenizer, 1).remove(0);
    let streams = 0..200u64;
    let questions: Vec<Question> =
        streams.map(|stream| Question { encoder_ids: &dialogue, gold: None, stream }).collect();
    let shortest = DecodingOptions { max_new_tokens: 1, ..sampling_options() };
    let answers = Answerer::new(&responder, StrategyMode::Sample, shortest, 3).answer(&questions).unwrap();
    let prediction = answers[0].strategy.clone().unwrap();
    let (ranked, probabilities) = (prediction.ranked(), prediction.probabilities());
    // The one that passes 0.9 is still drawn.
    let mut before = 0.0;
    let likely = ranked.iter().take_while(|strategy| {
        let is_within = before < 0.9;
        before += probabilities[strategy.index()];
        is_within
    });
    let likely: Vec<&Strategy> = likely.collect();
    let drawn = chosen(&answers);
    assert!(drawn.iter().all(|strategy| likely.contains(&strategy)));
    // 200 draws at about equal odds leave none out.
    assert!(likely.len() > 1 && likely.iter().all(|strategy| drawn.contains(strategy)), "{likely:?}");
    let share = drawn.iter().filter(|strategy| **strategy == ranked[0]).count() as f32 / 200.0;
    let expected = probabilities[ranked[0].index()] / likely.iter().map(|one| probabilities[one.index()]).sum::<f32>();
    assert!((share - expected).abs() < 0.15, "{share} instead of {expected}");
}

#[test]
fn answers_say_no_strategy_and_end_between_the_ninth_and_the_fortieth_token() {
    let responder = responder();
    let tokenizer = &responder.tokenizer;
    let found = answers(&responder, StrategyMode::Argmax, hot(), 100);
    let ids: Vec<&[u32]> = found.iter().map(|answer| answer.responses[0].ids.as_slice()).collect();
    assert!(ids.iter().copied().flatten().all(|id| tokenizer.strategy_of(*id).is_none()));
    let end = |ids: &&[u32]| ids.iter().position(|id| *id == tokenizer.eos()).unwrap();
    let ends: Vec<usize> = ids.iter().map(end).collect();
    assert!(ends.iter().all(|end| (8..40).contains(end)), "{ends:?}");
    assert!(ends.contains(&39) && ends.iter().any(|end| *end < 39), "{ends:?}");
    let unbound = DecodingOptions { min_length: 0, ..hot() };
    let found = answers(&responder, StrategyMode::Argmax, unbound, 100);
    assert!(found.iter().any(|answer| answer.responses[0].ids.len() <= 8));
}

#[test]
fn an_answer_is_the_same_alone_and_in_a_batch_and_by_its_seed() {
    let responder = responder();
    let dialogues = dialogues(&responder.tokenizer, 9);
    let questions = questions(&dialogues, None);
    for (mode, options) in [
        (StrategyMode::Sample, sampling_options()),
        (StrategyMode::Sample, hot()),
        (StrategyMode::Argmax, candidate_options(4)),
    ] {
        let answer = |seed, questions: &[Question]| {
            Answerer::new(&responder, mode, options.clone(), seed).answer(questions).unwrap()
        };
        let together = answer(5, &questions);
        let alone: Vec<Answer> = questions.iter().flat_map(|question| answer(5, &[*question])).collect();
        assert_eq!(together, alone);
        let reversed: Vec<Question> = questions.iter().rev().copied().collect();
        assert!(answer(5, &reversed).iter().rev().eq(&together));
        assert_eq!(answer(6, &questions) == together, !options.samples());
    }
    assert!(Answerer::new(&responder, StrategyMode::Argmax, hot(), 0).answer(&[]).unwrap().is_empty());
}

#[test]
fn candidates_are_as_many_as_asked_for_and_differ() {
    let responder = responder();
    for answer in answers(&responder, StrategyMode::Gold, candidate_options(6), 3) {
        let first: std::collections::BTreeSet<u32> = answer.responses.iter().map(|response| response.ids[0]).collect();
        // No earlier group's token is as good as any other.
        assert_eq!((answer.responses.len(), first.len()), (6, 6));
        assert!(answer.responses.is_sorted_by(|a, b| a.score >= b.score));
    }
    let one = answers(&responder, StrategyMode::Gold, candidate_options(1), 1);
    assert_eq!(one[0].responses.len(), 1);
}

#[test]
fn a_model_without_strategies_answers_from_the_beginning() {
    let responder = responder();
    let dialogues = dialogues(&responder.tokenizer, 3);
    let answerer = Answerer::without_strategies(&responder, candidate_options(1), 0);
    let found = answerer.answer(&questions(&dialogues, None)).unwrap();
    let rows: Vec<_> = dialogues.iter().map(|ids| responder.model.model.decoding_row(ids)).collect();
    let expected = responder.model.model.generate(&rows, answerer.options()).unwrap();
    assert!(found.iter().all(|answer| answer.strategy.is_none()));
    assert!(found.iter().map(|answer| &answer.responses).eq(&expected));
}

#[test]
fn the_strategys_logits_are_those_that_samples_are_scored_by() {
    let responder = responder();
    let tokenizer = &responder.tokenizer;
    let samples: Vec<Sample> = dialogues(tokenizer, 3)
        .into_iter()
        .map(|encoder_ids| Sample {
            dialogue: 0,
            turn: 1,
            strategy: Strategy::Others,
            encoder_ids,
            labels: vec![tokenizer.strategy_id(Strategy::Others), tokenizer.encode("oh").unwrap()[0], tokenizer.eos()],
            situation_labels: Vec::new(),
            look_ahead: false,
        })
        .collect();
    let batch = SampleDataset::new(samples, tokenizer).batch(&[0, 1, 2]).unwrap();
    let scored = StageObjective::new(responder.model.model.clone()).unwrap().scores(&batch).unwrap().strategy_logits;
    for (answer, scored) in answers(&responder, StrategyMode::Argmax, sampling_options(), 3).iter().zip(scored) {
        for (found, scored) in answer.strategy.as_ref().unwrap().logits.iter().zip(scored) {
            assert!((found - scored).abs() < 1e-5, "{found} {scored}");
        }
    }
}

#[test]
fn the_text_ends_where_the_answer_does() {
    let responder = responder();
    let tokenizer = &responder.tokenizer;
    let answerer = Answerer::new(&responder, StrategyMode::Argmax, sampling_options(), 0);
    let said = tokenizer.encode("I'm  fine, aren't you?").unwrap();
    let ids = [&[tokenizer.bos()], &said[..], &[tokenizer.eos()], &said[..]].concat();
    assert_eq!(answerer.text(&ids).unwrap(), "i'm fine, aren't you?");
    assert_eq!(answerer.text(&[]).unwrap(), "");
    assert!(answerer.text(&[9999]).unwrap_err().to_string().contains("9999"));
}

#[test]
fn what_makes_no_sense_is_told() {
    let responder = responder();
    let dialogues = [dialogues(&responder.tokenizer, 1).remove(0), vec![9; LONGEST + 1]];
    let fails = |mode, options, dialogues: &[Vec<u32>]| -> Error {
        Answerer::new(&responder, mode, options, 0).answer(&questions(dialogues, None)).unwrap_err()
    };
    let (argmax, fine) = (StrategyMode::Argmax, sampling_options);
    let table = [
        (fails(StrategyMode::Gold, fine(), &dialogues[..1]), "question 0 has no annotated strategy"),
        (fails(argmax, DecodingOptions { top_p: 2.0, ..fine() }, &dialogues[..1]), "`top_p`: 2 is not in 0..=1"),
        (fails(argmax, DecodingOptions { max_new_tokens: LONGEST, ..fine() }, &dialogues[..1]), "has places for 63"),
        (fails(argmax, candidate_options(0), &dialogues[..1]), "beam_width"),
        (fails(argmax, fine(), &dialogues), "65"),
    ];
    for (error, says) in table {
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
}

/// The golden model with a tokenizer of as many tokens.
fn golden_responder(folder: &std::path::Path) -> Responder {
    let model = TrainableSeq2Seq::open(&folder.join("model"), &Device::Cpu).unwrap();
    let place = tempfile::tempdir().unwrap();
    write_tokenizer_of(place.path(), model.model.config().vocabulary_size - Strategy::ALL.len());
    Responder { model, tokenizer: DialogueTokenizer::open(place.path()).unwrap() }
}

/// The answerer's options for a golden case, whose lengths count a prompt of two.
fn golden_options(args: &Value) -> DecodingOptions {
    let size = |name: &str, otherwise| args[name].as_u64().map_or(otherwise, |size| size as usize);
    let known = [
        "max_length",
        "min_length",
        "num_beams",
        "num_beam_groups",
        "num_return_sequences",
        "diversity_penalty",
        "length_penalty",
        "repetition_penalty",
        "no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size",
        "early_stopping",
    ];
    assert!(args.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())), "{args}");
    assert!(args["repetition_penalty"].as_f64().is_none_or(|penalty| penalty == 1.0));
    DecodingOptions {
        max_new_tokens: size("max_length", 0) - 2,
        min_length: size("min_length", 0),
        beam_width: size("num_beams", 1),
        beam_groups: size("num_beam_groups", 1),
        num_return_sequences: size("num_return_sequences", 1),
        diversity_penalty: args["diversity_penalty"].as_f64().unwrap_or(0.0) as f32,
        no_repeat_ngram_size: size("no_repeat_ngram_size", 0),
        encoder_no_repeat_ngram_size: size("encoder_no_repeat_ngram_size", 0),
        early_stopping: match args["early_stopping"] == json!(true) {
            true => llm_runtime::EarlyStopping::Yes,
            false => llm_runtime::EarlyStopping::No,
        },
        ..DecodingOptions::default()
    }
}

#[test]
fn golden_thtra_answers_behind_a_strategy() {
    let Some(folder) = family("thtra").map(|family| family.join("joint")) else { return };
    let responder = golden_responder(&folder);
    let batches = candle_core::safetensors::load(folder.join("batches.safetensors"), &Device::Cpu).unwrap();
    let inputs: Vec<Vec<i64>> = batches["strat.input_ids"].to_vec2().unwrap();
    let mask: Vec<Vec<f32>> = batches["strat.attention_mask"].to_vec2().unwrap();
    let inputs: Vec<Vec<u32>> = inputs
        .iter()
        .zip(&mask)
        .map(|(ids, mask)| ids.iter().zip(mask).filter(|(_, seen)| **seen > 0.0).map(|(id, _)| *id as u32).collect())
        .collect();
    let cases = std::fs::read_to_string(folder.join("generate.jsonl")).unwrap();
    assert!(cases.lines().count() > 0);
    for case in cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let prompts: Vec<Vec<u32>> = serde_json::from_value(case["decoder_prompt"].clone()).unwrap();
        let strategies = prompts.iter().map(|prompt| responder.tokenizer.strategy_of(prompt[1]));
        let questions = inputs.iter().zip(strategies).zip(0..);
        let questions: Vec<Question> =
            questions.map(|((encoder_ids, gold), stream)| Question { encoder_ids, gold, stream }).collect();
        let answerer = Answerer::new(&responder, StrategyMode::Gold, golden_options(&case["args"]), 0);
        let answers = answerer.answer(&questions).unwrap();
        let found: Vec<_> = answers.iter().flat_map(|answer| &answer.responses).collect();
        let expected: Vec<Vec<u32>> = serde_json::from_value(case["sequences"].clone()).unwrap();
        let name = &case["name"];
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            let (new, padding) = expected[2..].split_at(found.ids.len());
            assert_eq!(found.ids, new, "{name}");
            assert!(padding.iter().all(|id| *id == responder.tokenizer.pad()), "{name}");
        }
        if let Some(scores) = case["sequences_scores"].as_array() {
            for (found, expected) in found.iter().zip(scores) {
                let (found, expected) = (f64::from(found.score), expected.as_f64().unwrap());
                assert!((found - expected).abs() < 1e-4, "{name}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn golden_thtra_the_likeliest_strategy() {
    let Some(folder) = family("thtra").map(|family| family.join("joint")) else { return };
    let responder = golden_responder(&folder);
    let batches = candle_core::safetensors::load(folder.join("batches.safetensors"), &Device::Cpu).unwrap();
    let losses: Value = serde_json::from_slice(&std::fs::read(folder.join("losses.json")).unwrap()).unwrap();
    for name in ["strat", "strat_with_predict"] {
        let inputs: Vec<Vec<i64>> = batches[&format!("{name}.input_ids")].to_vec2().unwrap();
        let mask: Vec<Vec<f32>> = batches[&format!("{name}.attention_mask")].to_vec2().unwrap();
        let dialogues: Vec<Vec<u32>> = inputs
            .iter()
            .zip(&mask)
            .map(|(ids, mask)| {
                ids[..mask.iter().filter(|seen| **seen > 0.0).count()].iter().map(|id| *id as u32).collect()
            })
            .collect();
        let answerer = Answerer::new(&responder, StrategyMode::Argmax, candidate_options(1), 0);
        let answers = answerer.answer(&questions(&dialogues, None)).unwrap();
        let expected: Vec<usize> = serde_json::from_value(losses[name]["strategy_argmax"].clone()).unwrap();
        assert_eq!(chosen(&answers).into_iter().map(Strategy::index).collect::<Vec<_>>(), expected);
    }
}
