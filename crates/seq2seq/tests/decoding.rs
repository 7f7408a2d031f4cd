//! Outputs that grow token by token give what whole outputs give, however their rows are repeated, permuted and dropped.

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use seq2seq::{Architecture, HiddenStates, Seq2SeqModel, TokenBatch};
use training::Pass;

use crate::small::{BOTH, assert_close, batch, config, sequence, trainable, values};

/// Attention of a step sums in another order than that of a whole output: f32 logits of about 1 then differ by up to 3e-6.
const TOLERANCE: f64 = 1e-5;

/// Logits of every place of whole outputs, `[rows]` of `[vocabulary]`.
fn uncached(model: &Seq2SeqModel, memory: &HiddenStates, outputs: &[Vec<u32>]) -> Vec<Vec<f64>> {
    let outputs = TokenBatch::of(outputs.iter().map(Vec::as_slice));
    let states = model.decoder().forward(&outputs, memory, &Pass::evaluation()).unwrap();
    let logits = values(&model.logits(states.states()).unwrap());
    logits.chunks(model.config().vocabulary_size).map(<[f64]>::to_vec).collect()
}

#[test]
fn steps_give_the_logits_of_whole_outputs() {
    for architecture in BOTH {
        let model = trainable(&config(architecture)).model;
        let inputs = batch(0, &[5, 9, 1]);
        let outputs: Vec<Vec<u32>> = (0..3).map(|number| sequence(10 + number, 20)).collect();
        let memory = model.encoder().forward(&inputs, &Pass::evaluation()).unwrap();
        let whole = uncached(&model, &memory, &outputs);
        let mut cache = model.start(&inputs).unwrap();
        for place in 0..20 {
            assert_eq!((cache.rows(), cache.length()), (3, place));
            let ids: Vec<u32> = outputs.iter().map(|output| output[place]).collect();
            let logits = model.step(&ids, &mut cache).unwrap();
            let expected: Vec<f64> = (0..3).flat_map(|row| whole[row * 20 + place].clone()).collect();
            assert_close("logits", &values(&logits), &expected, TOLERANCE);
        }
    }
}

/// What the cache must amount to: the tokens of each row, and its input.
struct Plain {
    rows: Vec<(usize, Vec<u32>)>,
}

impl Plain {
    fn reorder(&mut self, parents: &[u32]) {
        self.rows = parents.iter().map(|parent| self.rows[*parent as usize].clone()).collect();
    }

    /// The last logits of each row, each computed alone.
    fn logits(&self, model: &Seq2SeqModel) -> Vec<f64> {
        let of_row = |(input, output): &(usize, Vec<u32>)| {
            let memory = model.encoder().forward(&batch(*input, &[lengths()[*input]]), &Pass::evaluation()).unwrap();
            uncached(model, &memory, std::slice::from_ref(output)).pop().unwrap()
        };
        self.rows.iter().flat_map(of_row).collect()
    }
}

fn lengths() -> [usize; 3] {
    [6, 2, 9]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Repeats, permutations and losses of rows and of whole inputs, at any step.
    #[test]
    fn reordered_rows_go_on_like_their_parents(
        orders in prop::collection::vec(prop::collection::vec(0usize..100, 1..6), 1..7),
        bart: bool,
    ) {
        let architecture = if bart { Architecture::Bart } else { Architecture::BlenderbotSmall };
        let model = trainable(&config(architecture)).model;
        let mut cache = model.start(&batch(0, &lengths())).unwrap();
        let mut plain = Plain { rows: (0..3).map(|input| (input, Vec::new())).collect() };
        for (step, order) in orders.iter().enumerate() {
            let parents: Vec<u32> = order.iter().map(|number| (number % plain.rows.len()) as u32).collect();
            cache.reorder(&parents).unwrap();
            plain.reorder(&parents);
            let ids: Vec<u32> = (0..plain.rows.len()).map(|row| 3 + ((step * 17 + row * 5) % 47) as u32).collect();
            let logits = model.step(&ids, &mut cache).unwrap();
            plain.rows.iter_mut().zip(&ids).for_each(|((_, output), id)| output.push(*id));
            assert_close("logits", &values(&logits), &plain.logits(&model), TOLERANCE);
        }
    }
}

#[test]
fn rows_keep_their_sources() {
    let model = trainable(&config(Architecture::Bart)).model;
    let mut cache = model.start(&batch(0, &lengths())).unwrap();
    assert_eq!(cache.sources(), [0, 1, 2]);
    cache.reorder(&[2, 0, 0]).unwrap();
    assert_eq!(cache.sources(), [2, 0, 0]);
    cache.reorder(&[1, 0]).unwrap();
    assert_eq!(cache.sources(), [0, 2]);
}

#[test]
fn steps_that_do_not_fit_are_refused_and_change_nothing() {
    let config = config(Architecture::Bart);
    let model = trainable(&config).model;
    let mut cache = model.start(&batch(0, &[4, 3])).unwrap();
    let says = |error: seq2seq::Seq2SeqError, says: &str| {
        let error = error.to_string();
        assert!(error.contains(says), "{error}");
    };
    says(model.step(&[2], &mut cache).unwrap_err(), "1 tokens for 2 rows");
    says(model.step(&[2, 50], &mut cache).unwrap_err(), "the token 50 is outside");
    says(cache.reorder(&[0, 2]).unwrap_err(), "no row 2 among 2");
    says(cache.reorder(&[]).unwrap_err(), "at least one row");
    let first = values(&model.step(&[2, 2], &mut cache).unwrap());
    let mut fresh = model.start(&batch(0, &[4, 3])).unwrap();
    assert_eq!(first, values(&model.step(&[2, 2], &mut fresh).unwrap()));
    for _ in 1..config.max_positions {
        model.step(&[5, 6], &mut cache).unwrap();
    }
    says(model.step(&[5, 6], &mut cache).unwrap_err(), "the model takes no more");
}

/// A memory of states from anywhere, padded, with a mask: what is hidden has no influence, and a memory of which nothing is seen gives
/// numbers.
#[test]
fn a_decoder_looks_at_any_states() {
    for architecture in BOTH {
        let model = trainable(&config(architecture)).model;
        let memory = model.encoder().forward(&batch(0, &[4, 7]), &Pass::evaluation()).unwrap();
        let (padded, mask) = memory.padded().unwrap();
        assert_eq!((padded.dims(), mask.iter().filter(|seen| **seen).count()), (&[2, 7, 16][..], 11));
        let outputs: Vec<Vec<u32>> = vec![sequence(3, 5), sequence(4, 5)];
        let expected = uncached(&model, &memory, &outputs).concat();
        let noise = training::normal_values(1, "noise", 2 * 16, 1.0);
        let longer = Tensor::cat(&[&padded, &Tensor::from_vec(noise, (2, 1, 16), &Device::Cpu).unwrap()], 1).unwrap();
        let longer_mask: Vec<bool> = mask.chunks(7).flat_map(|row| [row, &[false]].concat()).collect();
        let again = HiddenStates::from_padded(&longer, &longer_mask).unwrap();
        assert_eq!(again.lengths(), [4, 7]);
        assert_close("logits", &uncached(&model, &again, &outputs).concat(), &expected, 0.0);

        let blind = HiddenStates::from_padded(&longer, &[false; 16]).unwrap();
        assert!(uncached(&model, &blind, &outputs).concat().iter().all(|logit| logit.is_finite()));
        let mut hidden = TokenBatch::new();
        hidden.push_masked(&sequence(0, 4), &[false; 4]);
        let states = model.encoder().forward(&hidden, &Pass::evaluation()).unwrap();
        let mut cache = model.decoder().start(&states).unwrap();
        assert!(values(&model.step(&[2], &mut cache).unwrap()).iter().all(|logit| logit.is_finite()));
    }
}
