//! Prefixes in the upper layers: whom they change, and that gradients reach them through a frozen encoder.

use candle_core::{Device, Tensor, Var};
use llm_runtime::{Checkpoints, DropoutPass};
use text_encoder::{Architecture, EncoderBatch, EncoderConfig, EncoderWeights, LayerPrefix, Prefixes, TextEncoder};
use training::Pass;

use crate::small::{config, sequence, values};

const LENGTH: usize = 3;

fn encoder(config: &EncoderConfig) -> TextEncoder {
    TextEncoder::load(&EncoderWeights::fresh(config, &Device::Cpu, 7), config, &Device::Cpu).unwrap()
}

fn layer(rows: usize, width: usize, seed: u64) -> LayerPrefix {
    let tensor = |name: &str| {
        let drawn = training::normal_values(seed, name, rows * width, 1.0);
        Tensor::from_vec(drawn, (rows, width), &Device::Cpu).unwrap()
    };
    LayerPrefix { keys: tensor("keys"), values: tensor("values") }
}

fn prefixes(layers: usize, width: usize) -> Prefixes {
    Prefixes::new((0..layers).map(|number| layer(LENGTH, width, number as u64)).collect(), LENGTH).unwrap()
}

fn batch(lengths: &[usize]) -> EncoderBatch {
    let sequences: Vec<Vec<u32>> =
        lengths.iter().enumerate().map(|(number, length)| sequence(number, *length)).collect();
    EncoderBatch::of(sequences.iter().map(Vec::as_slice))
}

fn states(encoder: &TextEncoder, batch: &EncoderBatch, prefixes: &Prefixes) -> Vec<f64> {
    values(encoder.forward_with_prefixes(batch, prefixes, &Pass::evaluation()).unwrap().states())
}

/// Bit for bit.
#[test]
fn a_sequence_with_a_prefix_is_the_same_alone_and_in_a_batch() {
    let config = config(Architecture::Bert);
    let (encoder, prefixes) = (encoder(&config), prefixes(1, config.hidden_size));
    let together = states(&encoder, &batch(&[5, 1, 12]), &prefixes);
    let alone: Vec<f64> = [5, 1, 12]
        .into_iter()
        .enumerate()
        .flat_map(|(number, length)| {
            let ids = sequence(number, length);
            states(&encoder, &EncoderBatch::of([ids.as_slice()]), &prefixes)
        })
        .collect();
    assert_eq!(alone, together);
}

#[test]
fn one_prefix_for_all_equals_one_for_each() {
    let config = config(Architecture::Bert);
    let encoder = encoder(&config);
    let shared = layer(LENGTH, config.hidden_size, 5);
    let twice = |tensor: &Tensor| Tensor::cat(&[tensor, tensor], 0).unwrap();
    let each = LayerPrefix { keys: twice(&shared.keys), values: twice(&shared.values) };
    let batch = batch(&[4, 7]);
    let of = |layer: LayerPrefix| states(&encoder, &batch, &Prefixes::new(vec![layer], LENGTH).unwrap());
    assert_eq!(of(shared), of(each));
}

/// What no token looks at changes nothing: own tokens hidden in layers with prefixes leave the prefix alone to be looked at.
#[test]
fn a_mask_of_its_own_counts_in_layers_with_prefixes_only() {
    let config = config(Architecture::Bert);
    let (encoder, prefixes) = (encoder(&config), prefixes(1, config.hidden_size));
    let batch = batch(&[4, 7]);
    let seen = states(&encoder, &batch, &prefixes.clone().with_attended(vec![true; 11]));
    assert_eq!(seen, states(&encoder, &batch, &prefixes));
    let hidden = states(&encoder, &batch, &prefixes.with_attended(vec![false; 11]));
    assert_ne!(hidden, seen);
    assert!(hidden.iter().all(|value| value.is_finite()));
}

#[test]
fn gradients_reach_prefixes_through_a_frozen_encoder_kept_or_computed_again() {
    let config = config(Architecture::Bert);
    let encoder = encoder(&config);
    let variables: Vec<Var> =
        (0..4).map(|number| Var::from_tensor(&layer(LENGTH, config.hidden_size, number).keys).unwrap()).collect();
    let layers = variables
        .chunks(2)
        .map(|pair| LayerPrefix { keys: pair[0].as_tensor().clone(), values: pair[1].as_tensor().clone() });
    let prefixes = Prefixes::new(layers.collect(), LENGTH).unwrap();
    let gradients = |checkpoints| -> Vec<Vec<f64>> {
        let pass = Pass::training(DropoutPass { seed: 1, pass: 2 }, checkpoints);
        let output = encoder.forward_with_prefixes(&batch(&[4, 7]), &prefixes, &pass).unwrap();
        let store = output.states().sqr().unwrap().narrow(1, 0, 5).unwrap().sum_all().unwrap().backward().unwrap();
        variables.iter().map(|variable| values(store.get(variable).unwrap())).collect()
    };
    let (kept, again) = (gradients(None), gradients(Some(Checkpoints::default())));
    for (kept, again) in kept.iter().zip(&again) {
        assert!(kept.iter().any(|value| value.abs() > 1e-6));
        assert!(kept.iter().zip(again).all(|(kept, again)| (kept - again).abs() <= 1e-5 * (1.0 + kept.abs())));
    }
}

#[test]
fn the_mean_over_counted_tokens_leaves_the_others_out() {
    let config = config(Architecture::Bert);
    let encoder = encoder(&config);
    let output = encoder.forward(&batch(&[2, 3]), &Pass::evaluation()).unwrap();
    let rows = output.states().to_vec2::<f32>().unwrap();
    let means = output.mean_over(&[false, true, true, true, false]).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(means[0], rows[1]);
    for (place, mean) in means[1].iter().enumerate() {
        assert!((mean - (rows[2][place] + rows[3][place]) / 2.0).abs() < 1e-6);
    }
    assert!(output.mean_over(&[true; 4]).is_err());
    let error = output.mean_over(&[true, true, false, false, false]).unwrap_err().to_string();
    assert_eq!(error, "sequence 1 of the batch has no token to be counted");
}

#[test]
fn prefixes_that_do_not_fit_are_refused() {
    let config = config(Architecture::Bert);
    let (encoder, width) = (encoder(&config), config.hidden_size);
    assert!(Prefixes::new(Vec::new(), LENGTH).is_err());
    assert!(Prefixes::new(vec![layer(LENGTH, width, 0)], 0).is_err());
    assert!(Prefixes::new(vec![layer(LENGTH, width, 0)], 2).is_err());
    assert!(Prefixes::new(vec![layer(LENGTH, width, 0), layer(LENGTH, width + 4, 0)], LENGTH).is_err());
    let batch = batch(&[4, 7]);
    let refused = |prefixes: Prefixes, expected: &str| {
        let error = encoder.forward_with_prefixes(&batch, &prefixes, &Pass::evaluation()).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(prefixes(9, width), "prefixes for 9 layers: the encoder has 2");
    refused(prefixes(1, width + 4), "prefixes of width 20 for an encoder of width 16");
    let three = Prefixes::new(vec![layer(3 * LENGTH, width, 0)], LENGTH).unwrap();
    refused(three, "prefixes of 9 rows, 3 a sequence, for 2 sequences");
    refused(prefixes(1, width).with_attended(vec![true]), "a mask of 1 values for 11 tokens");
}
