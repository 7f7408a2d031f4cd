//! Small models that tests share.

use candle_core::{DType, Device, Tensor, Var};
use seq2seq::{Architecture, Seq2SeqConfig, StackConfig, TokenBatch, TrainableSeq2Seq};
use training::Parameters;

/// Two layers on one side and one on the other, different heads and widths, weights large enough for gradients to be seen.
pub(crate) fn config(architecture: Architecture) -> Seq2SeqConfig {
    Seq2SeqConfig {
        width: 16,
        encoder: StackConfig { layers: 2, heads: 4, inner_width: 24 },
        decoder: StackConfig { layers: 2, heads: 2, inner_width: 20 },
        max_positions: 24,
        scale_embedding: architecture == Architecture::BlenderbotSmall,
        initializer_range: 0.3,
        ..Seq2SeqConfig::tiny(architecture, 50)
    }
}

pub(crate) const BOTH: [Architecture; 2] = [Architecture::Bart, Architecture::BlenderbotSmall];

/// A fresh model with biases that are not zero, and its variables.
pub(crate) fn trainable(config: &Seq2SeqConfig) -> TrainableSeq2Seq {
    let trainable = TrainableSeq2Seq::fresh(config, 7, &Device::Cpu).unwrap();
    for (name, variable) in trainable.parameters.iter().filter(|(name, _)| name.ends_with("bias")) {
        let values = training::normal_values(3, name, variable.elem_count(), 0.1);
        variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    trainable
}

/// A sequence of this length without special tokens.
pub(crate) fn sequence(number: usize, length: usize) -> Vec<u32> {
    (0..length).map(|place| 3 + ((number * 13 + place * 7) % 47) as u32).collect()
}

/// Sequences of these lengths.
pub(crate) fn batch(first: usize, lengths: &[usize]) -> TokenBatch {
    let sequences: Vec<Vec<u32>> =
        lengths.iter().enumerate().map(|(number, length)| sequence(first + number, *length)).collect();
    TokenBatch::of(sequences.iter().map(Vec::as_slice))
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn bits(parameters: &Parameters) -> Vec<u64> {
    parameters.iter().flat_map(|(_, variable): (&str, &Var)| values(variable.as_tensor())).map(f64::to_bits).collect()
}

/// Checks `|left − right| ≤ tolerance` everywhere.
#[track_caller]
pub(crate) fn assert_close(what: &str, left: &[f64], right: &[f64], tolerance: f64) {
    assert_eq!(left.len(), right.len(), "{what}: lengths");
    for (place, (left, right)) in left.iter().zip(right).enumerate() {
        assert!((left - right).abs() <= tolerance, "{what} at {place}: {left} is not {right}");
    }
}
