//! What a text gives does not depend on what stands beside it.

use candle_core::Device;
use proptest::prelude::*;
use text_encoder::{
    Architecture, EncoderBatch, EncoderTokenizer, EncoderWeights, ReadingOptions, SentenceEncoder, TextEncoder,
};
use training::Pass;

use crate::small::{config, lessons, pupil, sequence, trainable, values};

fn assert_close(left: &[f64], right: &[f64], tolerance: f64) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert!((left - right).abs() <= tolerance, "{left} is not {right}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn logits_are_the_same_alone_and_in_a_batch(lengths in prop::collection::vec(1usize..38, 1..9), bert: bool) {
        let architecture = if bert { Architecture::Bert } else { Architecture::Roberta };
        let (model, _) = trainable(&config(architecture), 4);
        let sequences: Vec<Vec<u32>> = lengths.iter().enumerate().map(|(number, length)| sequence(number, *length)).collect();
        let together = EncoderBatch::of(sequences.iter().map(Vec::as_slice));
        let together = values(&model.logits(&together, &Pass::evaluation()).unwrap());
        for (ids, together) in sequences.iter().zip(together.chunks(4)) {
            let alone = EncoderBatch::of([ids.as_slice()]);
            assert_close(&values(&model.logits(&alone, &Pass::evaluation()).unwrap()), together, 1e-6);
        }
    }

    /// Padding as tokens of its own, which no other looks at, as other libraries have it.
    #[test]
    fn explicit_padding_changes_nothing(length in 1usize..20, padding in 0usize..18, bert: bool) {
        let architecture = if bert { Architecture::Bert } else { Architecture::Roberta };
        let config = config(architecture);
        let (model, _) = trainable(&config, 4);
        let ids = sequence(1, length);
        let mut padded = EncoderBatch::new();
        let with_padding: Vec<u32> = ids.iter().copied().chain(vec![config.pad_id; padding]).collect();
        let attended: Vec<bool> = (0..length + padding).map(|place| place < length).collect();
        padded.push_masked(&with_padding, &[], &attended);
        let bare = values(&model.logits(&EncoderBatch::of([ids.as_slice()]), &Pass::evaluation()).unwrap());
        assert_close(&values(&model.logits(&padded, &Pass::evaluation()).unwrap()), &bare, 1e-6);
    }
}

#[test]
fn predictions_come_in_the_order_of_the_texts_whatever_the_batches() {
    let model = pupil();
    let texts: Vec<String> = lessons(40, 3).into_iter().map(|(text, _)| text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let predict = |batch_tokens| {
        let options = ReadingOptions { batch_tokens, ..ReadingOptions::default() };
        model.classifier.predict(&texts, &options).unwrap()
    };
    let alone = predict(1);
    for (alone, together) in alone.iter().zip(predict(4096)) {
        let close = alone.probabilities.iter().zip(&together.probabilities).all(|(a, b)| (a - b).abs() <= 1e-6);
        assert!(close, "{alone:?} is not {together:?}");
        assert!((alone.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
    assert!(alone.windows(2).any(|pair| pair[0] != pair[1]), "texts are told apart");
    assert!(model.classifier.predict(&[], &ReadingOptions::default()).unwrap().is_empty());
}

#[test]
fn sentence_vectors_are_the_normed_means_of_hidden_states() {
    let pieces: Vec<String> =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hope", "near"].map(str::to_owned).to_vec();
    let tokenizer = EncoderTokenizer::word_piece(&pieces).unwrap();
    let config = config(Architecture::Bert);
    let encoder = || {
        let weights = EncoderWeights::fresh(&config, &Device::Cpu, 7);
        TextEncoder::load(&weights, &config, &Device::Cpu).unwrap()
    };
    let ids = [2, 5, 6, 3];
    let states = encoder().forward(&EncoderBatch::of([&ids[..]]), &Pass::evaluation()).unwrap();
    let mean: Vec<f64> = values(&states.states().mean(0).unwrap());
    let norm = mean.iter().map(|value| value * value).sum::<f64>().sqrt();
    let expected: Vec<f64> = mean.iter().map(|value| value / norm).collect();
    let sentences = SentenceEncoder::new(encoder(), tokenizer);
    let found = sentences.embed(&["near near near near", "hope near"], &ReadingOptions::default()).unwrap();
    assert_eq!((found.len(), found[0].len()), (2, sentences.width()));
    let found: Vec<f64> = found[1].iter().map(|value| f64::from(*value)).collect();
    assert_close(&found, &expected, 1e-6);
}
