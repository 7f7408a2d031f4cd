//! Small models that tests share.

use candle_core::{DType, Device, Tensor, Var};
use text_encoder::{
    Architecture, EncoderConfig, EncoderTokenizer, EncoderWeights, SequenceClassifier, TrainableClassifier,
    learn_pieces,
};
use training::{Parameters, VariableLoader};

/// Two layers of width 16 with four heads; weights large enough for gradients to be seen.
pub(crate) fn config(architecture: Architecture) -> EncoderConfig {
    EncoderConfig {
        architecture,
        hidden_size: 16,
        intermediate_size: 24,
        max_positions: 40,
        pad_id: 1,
        initializer_range: 0.3,
        ..EncoderConfig::tiny(50, 0)
    }
}

/// A fresh classifier with biases that are not zero, and its variables.
pub(crate) fn trainable(config: &EncoderConfig, classes: usize) -> (SequenceClassifier, Parameters) {
    let weights = EncoderWeights::fresh(config, &Device::Cpu, 7);
    let variables = VariableLoader::new(&weights);
    let model = SequenceClassifier::load(&variables, config, classes, &Device::Cpu).unwrap();
    let parameters = variables.into_parameters();
    for (name, variable) in parameters.iter().filter(|(name, _)| name.ends_with("bias")) {
        let values = training::normal_values(3, name, variable.elem_count(), 0.1);
        variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    (model, parameters)
}

/// A sequence of this length; no token is the padding one.
pub(crate) fn sequence(number: usize, length: usize) -> Vec<u32> {
    (0..length).map(|place| 2 + ((number * 13 + place * 7) % 48) as u32).collect()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn bits(parameters: &Parameters) -> Vec<u64> {
    parameters.iter().flat_map(|(_, variable): (&str, &Var)| values(variable.as_tensor())).map(f64::to_bits).collect()
}

/// Texts whose class is told by one word, with fillers, and the number of each one's class.
pub(crate) fn lessons(count: usize, first: usize) -> Vec<(String, usize)> {
    const TELLING: [&str; 3] = ["tomorrow", "sounds", "maybe"];
    const FILLERS: [&str; 8] = ["things", "feel", "heavy", "for", "you", "and", "others", "now"];
    let text = |number: usize| {
        let class = number % 3;
        let length = 3 + number * 5 % 9;
        let mut words: Vec<&str> = (0..length).map(|place| FILLERS[(number * 7 + place * 3) % 8]).collect();
        words.insert(number * 11 % (length + 1), TELLING[class]);
        (words.join(" "), class)
    };
    (first..first + count).map(text).collect()
}

pub(crate) fn labels() -> Vec<String> {
    ["hope", "reflection", "suggestion"].map(str::to_owned).to_vec()
}

/// A fresh classifier for [`lessons`].
pub(crate) fn pupil() -> TrainableClassifier {
    let texts = lessons(60, 0);
    let texts: Vec<&str> = texts.iter().map(|(text, _)| text.as_str()).collect();
    let tokenizer = EncoderTokenizer::word_piece(&learn_pieces(&texts, 120).unwrap()).unwrap();
    let config = EncoderConfig {
        hidden_size: 32,
        intermediate_size: 48,
        max_positions: 24,
        ..EncoderConfig::tiny(tokenizer.vocabulary_size(), 0)
    };
    TrainableClassifier::fresh(config, tokenizer, labels(), 5, &Device::Cpu).unwrap()
}
