//! Weights that published code has trained: `tests/data/published.bin`, as torch saves them, and the same as safetensors (`make_published.py` beside them).

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use helpfulness::{
    Exchange, HelpfulnessConfig, HelpfulnessError, LabelTable, Mask, NetworkOptions, TrainableHelpfulness,
};
use training::Parameters;

use crate::small::{encoder, small};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn import(weights: &Path, classes: usize) -> Result<TrainableHelpfulness, HelpfulnessError> {
    let base = small(HelpfulnessConfig::preference(LabelTable::published(classes).unwrap()));
    let network = NetworkOptions { mask: Mask::Inverted, ..base.network };
    TrainableHelpfulness::import(weights, encoder(5), HelpfulnessConfig { network, ..base })
}

fn all(parameters: &Parameters) -> Vec<(String, Vec<f32>)> {
    let value = |variable: &candle_core::Var| variable.as_tensor().flatten_all().unwrap().to_vec1().unwrap();
    parameters.iter().map(|(name, variable)| (name.to_owned(), value(variable))).collect()
}

#[test]
fn weights_of_torch_and_safetensors_are_the_same_model() {
    let models = ["published.bin", "published.safetensors"].map(|name| import(&file(name), 4).unwrap());
    for TrainableHelpfulness { model, parameters } in &models {
        let NetworkOptions { prefix_length, hidden, mask, .. } = model.config.network;
        assert_eq!((prefix_length, hidden, mask), (5, 12, Mask::Inverted));
        assert_eq!(parameters.len(), 9);
    }
    let [torch, safetensors] = &models;
    assert_eq!(all(&torch.parameters), all(&safetensors.parameters));
    let exchange = Exchange { situation: "work", context: "you feel", response: "listen" };
    let score = torch.model.score(&[exchange]).unwrap().remove(0);
    assert_eq!(score.distribution.len(), 4);
    assert!((score.unhelpfulness - score.distribution[3]).abs() < 1e-7);
}

/// The published code's other variants name the network otherwise.
#[test]
fn the_names_of_other_variants_are_known() {
    let scratch = tempfile::tempdir().unwrap();
    let renamed = scratch.path().join("best.safetensors");
    let tensors = candle_core::safetensors::load(file("published.safetensors"), &Device::Cpu).unwrap();
    let rename = |(name, tensor): (String, Tensor)| (name.replace(".posterior.", ".prediction."), tensor);
    let tensors: std::collections::HashMap<_, _> = tensors.into_iter().map(rename).collect();
    candle_core::safetensors::save(&tensors, &renamed).unwrap();
    let expected = import(&file("published.bin"), 4).unwrap();
    assert_eq!(all(&import(&renamed, 4).unwrap().parameters), all(&expected.parameters));
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let told = |weights: &Path, classes| import(weights, classes).err().unwrap().to_string();
    assert!(told(&file("published.bin"), 3).contains("trained with 4 classes, the table of labels has 3"));
    assert!(told(&file("absent.bin"), 4).contains("absent.bin"));
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("other.safetensors");
    let other = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    candle_core::safetensors::save(&[("weight".to_owned(), other)].into(), &path).unwrap();
    let error = told(&path, 4);
    assert!(error.contains("`multi_prefix.posterior.mlp.2.weight` is missing"), "{error}");
}
