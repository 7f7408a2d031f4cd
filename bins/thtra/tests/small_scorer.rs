//! A model of helpfulness with arbitrary weights, in memory or as a folder.

use std::path::Path;

use candle_core::{Device, Tensor};
use helpfulness::{
    FrozenEncoder, HelpfulnessConfig, HelpfulnessModel, LabelTable, NetworkOptions, TrainableHelpfulness,
};
use text_encoder::{EncoderConfig, EncoderTokenizer, TrainableClassifier, learn_pieces};

/// Writes a BERT of one layer that spells words by their letters.
pub(crate) fn write_encoder(folder: &Path) {
    let letters: Vec<String> = ('a'..='z').chain('0'..='9').map(String::from).collect();
    let words = [letters.join(" "), letters.concat(), ". , ! ? ( ) ' [ ] _".to_owned()];
    let texts: Vec<&str> = words.iter().map(String::as_str).collect();
    let tokenizer = EncoderTokenizer::word_piece(&learn_pieces(&texts, 1).unwrap()).unwrap();
    let config = EncoderConfig {
        hidden_size: 16,
        intermediate_size: 24,
        max_positions: 160,
        ..EncoderConfig::tiny(tokenizer.vocabulary_size(), 0)
    };
    let labels = ["yes", "no"].map(str::to_owned).to_vec();
    TrainableClassifier::fresh(config, tokenizer, labels, 1, &Device::Cpu).unwrap().save(folder).unwrap();
}

/// On top of it, a model whose scores differ from text to text.
pub(crate) fn scorer(encoder: &Path, seed: u64) -> TrainableHelpfulness {
    let encoder = FrozenEncoder::open(encoder, &Device::Cpu).unwrap();
    let network = NetworkOptions { prefix_length: 2, hidden: 8, prefix_dropout: 0.0, ..NetworkOptions::default() };
    let config = HelpfulnessConfig { network, ..HelpfulnessConfig::preference(LabelTable::published(2).unwrap()) };
    let pupil = TrainableHelpfulness::fresh(encoder, config, seed).unwrap();
    for (name, variable) in pupil.parameters.iter() {
        let values = training::normal_values(seed, name, variable.elem_count(), 0.5);
        variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    pupil
}

/// That model on an encoder that vanishes.
pub(crate) fn scorer_in_memory(seed: u64) -> HelpfulnessModel {
    let folder = tempfile::tempdir().unwrap();
    write_encoder(folder.path());
    scorer(folder.path(), seed).model
}
