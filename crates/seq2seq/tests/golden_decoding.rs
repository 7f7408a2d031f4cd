//! Tiny models decode what transformers 4.38.1 decodes in f64: every line of `generate.jsonl` of the golden families `bart` and `blenderbot-small`.

use llm_runtime::EarlyStopping;
use seq2seq::search::{Decoded, DecodingIds, DecodingOptions, DecodingRow, StepModel, decode};
use seq2seq::{HiddenStates, Seq2SeqError, Seq2SeqModel, TokenBatch};
use serde_json::{Map, Value};
use training::Pass;

use crate::golden::{Golden, device};
use crate::goldens::family;

/// Largest difference of a log-probability or a score.
const TOLERANCE: f64 = 1e-4;

struct Case {
    name: String,
    options: DecodingOptions,
    /// Rows of the batch times returned sequences, padded.
    sequences: Vec<Vec<u32>>,
    scores: Option<Vec<f64>>,
    token_logprobs: Option<Vec<Vec<f64>>>,
}

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

impl Case {
    fn read(line: &str, model: &Seq2SeqModel) -> Self {
        let line: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| line.get(name);
        Self {
            name: parsed(&line["name"]),
            options: options(line["args"].as_object().unwrap(), model),
            sequences: parsed(&line["sequences"]),
            scores: field("sequences_scores").map(parsed),
            token_logprobs: field("token_logprobs").map(parsed),
        }
    }
}

/// The model's own settings, and over them those of a case; one that is not known fails.
fn options(args: &Map<String, Value>, model: &Seq2SeqModel) -> DecodingOptions {
    let mut options = DecodingOptions::of_model(model.config());
    let size = |value: &Value| value.as_u64().unwrap() as usize;
    let number = |value: &Value| value.as_f64().unwrap() as f32;
    let id = |value: &Value| value.as_u64().map(|id| id as u32);
    for (name, value) in args {
        match name.as_str() {
            // With the start id.
            "max_length" => options.max_new_tokens = size(value) - 1,
            "min_length" => options.min_length = size(value),
            "do_sample" => assert_eq!(value, false),
            "num_beams" => options.beam_width = size(value),
            "num_beam_groups" => options.beam_groups = size(value),
            "diversity_penalty" => options.diversity_penalty = number(value),
            "length_penalty" => options.length_penalty = number(value),
            "early_stopping" => {
                options.early_stopping = match value {
                    Value::Bool(true) => EarlyStopping::Yes,
                    Value::Bool(false) => EarlyStopping::No,
                    never => {
                        assert_eq!(never, "never");
                        EarlyStopping::Never
                    }
                }
            }
            "no_repeat_ngram_size" => options.no_repeat_ngram_size = size(value),
            "encoder_no_repeat_ngram_size" => options.encoder_no_repeat_ngram_size = size(value),
            "repetition_penalty" => options.repetition_penalty = number(value),
            "bad_words_ids" => options.bad_words = parsed(value),
            "forced_bos_token_id" => options.forced_first_id = id(value),
            "forced_eos_token_id" => options.forced_last_id = id(value),
            "num_return_sequences" => options.num_return_sequences = size(value),
            _ => panic!("the setting {name} of a golden case is not known"),
        }
    }
    options
}

struct Family {
    model: Seq2SeqModel,
    /// The rows of the golden batch without padding.
    rows: Vec<DecodingRow>,
    /// With padding, which the library's rule for the encoder's n-grams takes for text. Only there a row depends on those beside it.
    padded_rows: Vec<DecodingRow>,
    cases: Vec<Case>,
}

impl Family {
    fn open(name: &str) -> Option<Self> {
        let folder = family(name)?;
        let model = Seq2SeqModel::open(&folder.join("model"), &device()).unwrap();
        let golden = Golden::read(&folder);
        let length = |mask: &[bool]| mask.iter().filter(|seen| **seen).count();
        let inputs = golden.inputs.iter().zip(&golden.mask);
        let rows = inputs.map(|(ids, mask)| model.decoding_row(&ids[..length(mask)])).collect();
        let padded_rows = golden.inputs.iter().map(|ids| model.decoding_row(ids)).collect();
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
        let cases: Vec<Case> = read("generate.jsonl").lines().map(|line| Case::read(line, &model)).collect();
        let summary: Value = serde_json::from_str(&read("summary.json")).unwrap();
        assert_eq!(summary["cases"], cases.len());
        Some(Self { model, rows, padded_rows, cases })
    }

    /// What the encoder makes of the rows.
    fn memory(&self) -> HiddenStates {
        let inputs = TokenBatch::of(self.rows.iter().map(|row| &row.encoder_ids[..]));
        self.model.encoder().forward(&inputs, &Pass::evaluation()).unwrap()
    }
}

/// Start id, new ids and padding, as long as the golden sequence.
fn padded(found: &Decoded, model: &Seq2SeqModel, length: usize) -> Vec<u32> {
    let config = model.config();
    let mut ids = [&[config.generation.decoder_start_id], &found.ids[..]].concat();
    assert!(ids.len() <= length, "{ids:?}");
    ids.resize(length, config.pad_id);
    ids
}

fn assert_close(what: &str, found: f32, expected: f64) {
    let error = (f64::from(found) - expected).abs();
    assert!(error <= TOLERANCE, "{what}: {found} is not {expected}");
}

/// Checks sequences, scores and log-probabilities of all rows, in one batch.
fn check_sequences(name: &str) {
    let Some(family) = Family::open(name) else { return };
    let (model, memory) = (&family.model, family.memory());
    for case in &family.cases {
        let found = model.generate_over(&memory, &family.padded_rows, &case.options).unwrap();
        assert!(found.iter().all(|row| row.len() == case.options.num_return_sequences), "{}", case.name);
        let found = found.concat();
        assert_eq!(found.len(), case.sequences.len(), "{}", case.name);
        for (number, (found, expected)) in found.iter().zip(&case.sequences).enumerate() {
            let what = format!("{}, sequence {number}", case.name);
            assert_eq!(&padded(found, model, expected.len()), expected, "{what}");
            if let Some(scores) = &case.scores {
                assert_close(&what, found.score, scores[number]);
            }
            if let Some(logprobs) = &case.token_logprobs {
                for (place, expected) in logprobs[number].iter().enumerate() {
                    let found = found.token_logprobs.get(place).copied().unwrap_or(0.0);
                    assert_close(&format!("{what}, place {place}"), found, *expected);
                }
            }
        }
        assert!(case.scores.is_some() || case.token_logprobs.is_some(), "{}: nothing else to compare", case.name);
    }
}

#[test]
fn golden_bart_decoding() {
    check_sequences("bart");
}

#[test]
fn golden_blenderbot_small_decoding() {
    check_sequences("blenderbot-small");
}

/// A row without padding finds what it finds in the padded batch, alone and among others.
fn check_rows_alone(name: &str) {
    let Some(Family { model, rows, cases, .. }) = Family::open(name) else { return };
    for case in &cases {
        let together = model.generate(&rows, &case.options).unwrap();
        let alone = rows.iter().map(|row| model.generate(std::slice::from_ref(row), &case.options).unwrap().concat());
        for found in [alone.collect::<Vec<_>>().concat(), together.concat()] {
            for (found, expected) in found.iter().zip(&case.sequences) {
                assert_eq!(&padded(found, &model, expected.len()), expected, "{}", case.name);
            }
        }
    }
}

#[test]
fn golden_bart_rows_decode_alike_alone_and_together() {
    check_rows_alone("bart");
}

#[test]
fn golden_blenderbot_small_rows_decode_alike_alone_and_together() {
    check_rows_alone("blenderbot-small");
}

/// The model without a cache: outputs are computed from their first id on at every step, over a memory of their own.
struct Uncached<'a> {
    model: &'a Seq2SeqModel,
    outputs: Vec<(Vec<u32>, Vec<u32>)>,
}

impl StepModel for Uncached<'_> {
    fn vocabulary_size(&self) -> usize {
        self.model.config().vocabulary_size
    }

    fn step(&mut self, last_ids: &[u32]) -> Result<Vec<f32>, Seq2SeqError> {
        self.outputs.iter_mut().zip(last_ids).for_each(|((_, output), id)| output.push(*id));
        let inputs = TokenBatch::of(self.outputs.iter().map(|(input, _)| &input[..]));
        let outputs = TokenBatch::of(self.outputs.iter().map(|(_, output)| &output[..]));
        let states: HiddenStates = self.model.forward(&inputs, &outputs, &Pass::evaluation())?;
        // All outputs are of one length: `[sequences, length, vocabulary]`.
        let shape = (self.outputs.len(), (), self.vocabulary_size());
        let logits = self.model.logits(states.states())?.reshape(shape)?;
        Ok(logits.narrow(1, logits.dim(1)? - 1, 1)?.flatten_all()?.to_vec1()?)
    }

    fn reorder(&mut self, from: &[usize]) -> Result<(), Seq2SeqError> {
        self.outputs = from.iter().map(|from| self.outputs[*from].clone()).collect();
        Ok(())
    }
}

fn check_without_a_cache(name: &str) {
    let Some(Family { model, rows, cases, .. }) = Family::open(name) else { return };
    let config = model.config();
    for case in &cases {
        let outputs = rows.iter().map(|row| (row.encoder_ids.clone(), Vec::new())).collect();
        let ids = DecodingIds { eos: config.eos_id, pad: config.pad_id };
        let found = decode(&mut Uncached { model: &model, outputs }, &rows, ids, &case.options).unwrap();
        for (found, expected) in found.concat().iter().zip(&case.sequences) {
            assert_eq!(&padded(found, &model, expected.len()), expected, "{}", case.name);
        }
    }
}

#[test]
fn golden_bart_decodes_alike_without_a_cache() {
    check_without_a_cache("bart");
}

#[test]
fn golden_blenderbot_small_decodes_alike_without_a_cache() {
    check_without_a_cache("blenderbot-small");
}

#[test]
fn golden_bart_rows_draw_alike_alone_and_together() {
    let Some(Family { model, rows, .. }) = Family::open("bart") else { return };
    let rows: Vec<DecodingRow> = (0..).zip(rows).map(|(stream, row)| DecodingRow { stream, ..row }).collect();
    let base = DecodingOptions { max_new_tokens: 12, ..DecodingOptions::of_model(model.config()) };
    let options = DecodingOptions { temperature: 0.8, top_p: 0.9, seed: 3, num_return_sequences: 4, ..base };
    let together = model.generate(&rows, &options).unwrap();
    for (row, together) in rows.iter().zip(&together) {
        let alone = model.generate(std::slice::from_ref(row), &options).unwrap().concat();
        for (alone, together) in alone.iter().zip(together) {
            assert_eq!(alone.ids, together.ids);
        }
    }
}

#[test]
fn golden_bart_refuses_what_does_not_fit() {
    let Some(family) = Family::open("bart") else { return };
    let Family { model, rows, .. } = &family;
    let positions = model.config().max_positions;
    let problem =
        |rows: &[DecodingRow], options: &DecodingOptions| model.generate(rows, options).unwrap_err().to_string();
    let fitting = DecodingOptions { max_new_tokens: positions, ..DecodingOptions::default() };
    model.generate(rows, &fitting).unwrap();
    let too_long = problem(rows, &DecodingOptions { max_new_tokens: positions + 1, ..fitting.clone() });
    assert!(too_long.contains(&format!("behind a prompt of 1 the model has places for {positions}")), "{too_long}");
    let empty = problem(&[DecodingRow { encoder_ids: Vec::new(), ..rows[0].clone() }], &fitting);
    assert!(empty.contains("at least one token"), "{empty}");
    assert!(model.generate(&[], &fitting).unwrap().is_empty());
    let fewer = model.generate_over(&family.memory(), &rows[1..], &fitting).unwrap_err().to_string();
    assert!(fewer.contains("2 rows to decode over a memory of 3 sequences"), "{fewer}");
}
