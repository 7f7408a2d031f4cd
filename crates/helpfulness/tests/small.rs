//! Small models that tests share.

use candle_core::{DType, Device, Tensor};
use helpfulness::{
    AnyModel, FrozenEncoder, HelpfulnessConfig, LabelTable, NetworkOptions, OrdinalModel, PreferenceModel, Simulation,
    TrainableHelpfulness,
};
use std::sync::Arc;
use text_encoder::{EncoderConfig, EncoderTokenizer, EncoderWeights, TextEncoder, learn_pieces};
use training::Parameters;

/// A random BERT of two layers of width 32 that knows the words of simulations.
pub(crate) fn encoder(seed: u64) -> FrozenEncoder {
    let tokenizer = EncoderTokenizer::word_piece(&learn_pieces(&Simulation::words(), 300).unwrap()).unwrap();
    let config = EncoderConfig {
        hidden_size: 32,
        intermediate_size: 48,
        max_positions: 48,
        ..EncoderConfig::tiny(tokenizer.vocabulary_size(), 0)
    };
    let weights = EncoderWeights::fresh(&config, &Device::Cpu, seed);
    FrozenEncoder::new(TextEncoder::load(&weights, &config, &Device::Cpu).unwrap(), tokenizer)
}

/// One whose words can be told apart by what learns on top of it.
pub(crate) fn learner(config: HelpfulnessConfig, seed: u64) -> TrainableHelpfulness {
    let encoder = FrozenEncoder::fresh(&Simulation::words(), 48, seed, &Device::Cpu).unwrap();
    TrainableHelpfulness::fresh(encoder, small(config), seed).unwrap()
}

pub(crate) fn small(config: HelpfulnessConfig) -> HelpfulnessConfig {
    let network = NetworkOptions { prefix_length: 3, hidden: 24, prefix_dropout: 0.1, ..config.network };
    let mut config = HelpfulnessConfig { network, ..config };
    config.layout.longest = 48;
    config
}

/// Helpful or not.
pub(crate) fn labels() -> LabelTable {
    LabelTable::published(2).unwrap()
}

pub(crate) fn raters(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("rater {number}")).collect()
}

pub(crate) fn preference(seed: u64) -> (TrainableHelpfulness, Arc<PreferenceModel>) {
    let pupil =
        TrainableHelpfulness::fresh(encoder(seed), small(HelpfulnessConfig::preference(labels())), seed).unwrap();
    let AnyModel::Preference(model) = pupil.model.model.clone() else { panic!("another model") };
    (pupil, model)
}

pub(crate) fn ordinal(seed: u64, raters: Vec<String>) -> (TrainableHelpfulness, Arc<OrdinalModel>) {
    let pupil =
        TrainableHelpfulness::fresh(encoder(seed), small(HelpfulnessConfig::ordinal(labels(), raters)), seed).unwrap();
    let AnyModel::Ordinal(model) = pupil.model.model.clone() else { panic!("another model") };
    (pupil, model)
}

/// Values that are not zero for what begins at zero, so that nothing is at a special place.
pub(crate) fn stir(parameters: &Parameters) {
    for (name, variable) in parameters.iter() {
        let noise = training::normal_values(3, name, variable.elem_count(), 0.1);
        let noise = Tensor::from_vec(noise, variable.shape(), &Device::Cpu).unwrap();
        variable.set(&(variable.as_detached_tensor() + noise).unwrap()).unwrap();
    }
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}
