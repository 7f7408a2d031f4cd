//! What a row gives does not depend on what stands beside it.

use proptest::prelude::*;
use seq2seq::{Architecture, Seq2SeqModel, TokenBatch};
use training::Pass;

use crate::small::{assert_close, batch, config, sequence, trainable, values};

/// Hidden tokens weigh nothing, but sums with them are made in another order.
const TOLERANCE: f64 = 1e-5;

fn architecture(bart: bool) -> Architecture {
    if bart { Architecture::Bart } else { Architecture::BlenderbotSmall }
}

fn logits(model: &Seq2SeqModel, inputs: &TokenBatch, outputs: &TokenBatch) -> Vec<f64> {
    values(&model.logits(model.forward(inputs, outputs, &Pass::evaluation()).unwrap().states()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// To the last bit.
    #[test]
    fn logits_are_the_same_alone_and_in_a_batch(
        lengths in prop::collection::vec((1usize..24, 1usize..24), 1..6),
        bart: bool,
    ) {
        let model = trainable(&config(architecture(bart))).model;
        let (inputs, outputs): (Vec<usize>, Vec<usize>) = lengths.iter().copied().unzip();
        let together = logits(&model, &batch(0, &inputs), &batch(20, &outputs));
        let mut rest = together.as_slice();
        for (number, (input, output)) in lengths.iter().enumerate() {
            let (own, later) = rest.split_at(output * model.config().vocabulary_size);
            rest = later;
            assert_close("logits", &logits(&model, &batch(number, &[*input]), &batch(20 + number, &[*output])), own, 0.0);
        }
    }

    /// Padding as tokens of its own, which no other looks at, as other libraries have it.
    #[test]
    fn explicit_padding_changes_nothing(input in 1usize..14, output in 1usize..14, padding in 0usize..9, bart: bool) {
        let config = config(architecture(bart));
        let model = trainable(&config).model;
        let padded = |number: usize, length: usize| {
            let ids: Vec<u32> = sequence(number, length).into_iter().chain(vec![config.pad_id; padding]).collect();
            let attended: Vec<bool> = (0..length + padding).map(|place| place < length).collect();
            let mut batch = TokenBatch::new();
            batch.push_masked(&ids, &attended);
            batch
        };
        let bare = logits(&model, &batch(1, &[input]), &batch(2, &[output]));
        let found = logits(&model, &padded(1, input), &padded(2, output));
        assert_close("logits", &found[..bare.len()], &bare, TOLERANCE);
        prop_assert!(found.iter().all(|logit| logit.is_finite()));
    }
}

/// A token sees the ones before it and none behind it.
#[test]
fn a_decoder_does_not_look_ahead() {
    let model = trainable(&config(Architecture::Bart)).model;
    let (inputs, width) = (batch(0, &[5]), model.config().vocabulary_size);
    let with_last = |last: u32| {
        let mut ids = sequence(1, 6);
        ids.push(last);
        logits(&model, &inputs, &TokenBatch::of([ids.as_slice()]))
    };
    let (first, second) = (with_last(7), with_last(8));
    assert_close("earlier logits", &first[..6 * width], &second[..6 * width], 0.0);
    assert!(first[6 * width..] != second[6 * width..]);
}

/// A hidden token of an output has no influence on those behind it.
#[test]
fn hidden_tokens_of_an_output_are_not_seen() {
    let model = trainable(&config(Architecture::BlenderbotSmall)).model;
    let (inputs, width) = (batch(0, &[5]), model.config().vocabulary_size);
    let with_second = |second: u32, seen: bool| {
        let mut outputs = TokenBatch::new();
        outputs.push_masked(&[1, second, 9, 10], &[true, seen, true, true]);
        logits(&model, &inputs, &outputs)[2 * width..].to_vec()
    };
    assert_close("later logits", &with_second(7, false), &with_second(8, false), 0.0);
    assert!(with_second(7, true) != with_second(8, true));
}
