//! What holds for the models: whose gradients there are, and what a score depends on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use helpfulness::{
    AnyModel, EncodedExchange, Exchange, FrozenEncoder, HelpfulnessConfig, HelpfulnessError, Mask, NetworkOptions,
    OrdinalObjective, PreferenceBatch, PreferenceLoss, PreferenceObjective, RatedExample, Score, TrainableHelpfulness,
    Votes,
};
use llm_runtime::{Checkpoints, DenseLinear, DropoutPass, Embedding, Linear, LinearLoader};
use text_encoder::{EncoderWeights, TextEncoder};
use training::{Objective, Parameters, Pass};

use crate::small::{encoder, labels, ordinal, preference, raters, small, stir, values};

/// Sequences of different lengths; those from half on are the response.
fn inputs() -> Vec<EncodedExchange> {
    [9, 4, 14, 2]
        .into_iter()
        .enumerate()
        .map(|(number, length)| {
            let ids = (0..length).map(|place| 5 + ((number * 13 + place * 7) % 20) as u32).collect();
            EncodedExchange::new(ids, length / 2).unwrap()
        })
        .collect()
}

fn batch() -> PreferenceBatch {
    let votes = [[4, 1], [0, 3], [2, 3], [5, 0]].map(|counts: [usize; 2]| {
        let annotations: Vec<_> = (0..2).flat_map(|class| vec![Some(class); counts[class]]).collect();
        Votes::of(&annotations, 2).unwrap()
    });
    PreferenceBatch { inputs: inputs(), votes: votes.to_vec() }
}

fn singly_annotated() -> PreferenceBatch {
    let votes = [0, 1, 1, 0].map(|class| Votes::of(&[Some(class)], 2).unwrap());
    PreferenceBatch { inputs: inputs(), votes: votes.to_vec() }
}

/// By three raters, each of whom rates something, and by one whom the model does not know.
fn ratings() -> Vec<RatedExample> {
    let rated = inputs().into_iter().zip([Some(0), Some(2), Some(1), None]).zip([4, 0, 2, 3]);
    rated.map(|((input, rater), rating)| RatedExample { input, rater, rating }).collect()
}

fn training_pass() -> Pass {
    Pass::training(DropoutPass { seed: 1, pass: 4 }, None)
}

const LOSSES: [PreferenceLoss; 6] = [
    PreferenceLoss::Rq,
    PreferenceLoss::Qr,
    PreferenceLoss::Combination,
    PreferenceLoss::Soft,
    PreferenceLoss::Majority,
    PreferenceLoss::Single,
];

/// Backward and central differences of the loss agree along a random direction in each tensor, and none is zero. What is not among the parameters has
/// no variable, so no gradient can reach it.
fn check_gradients(parameters: &Parameters, loss: &dyn Fn() -> Tensor) {
    let store = loss().backward().unwrap();
    for (name, variable) in parameters.iter() {
        let gradient = store.get(variable).unwrap_or_else(|| panic!("{name} has no gradient")).detach();
        let largest = values(&gradient).into_iter().map(f64::abs).fold(0.0, f64::max);
        assert!(largest > 1e-7, "the gradient of {name} is zero");
        let direction = training::normal_values(3, &format!("direction/{name}"), gradient.elem_count(), 1.0);
        let norm = direction.iter().map(|value| value * value).sum::<f32>().sqrt();
        let direction: Vec<f32> = direction.into_iter().map(|value| value / norm).collect();
        let direction = Tensor::from_vec(direction, gradient.shape(), &Device::Cpu).unwrap();
        let begin = variable.as_detached_tensor().copy().unwrap();
        let at = |step: f64| {
            variable.set(&(&begin + (&direction * step).unwrap()).unwrap()).unwrap();
            values(&loss())[0]
        };
        const STEP: f64 = 1e-2;
        let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        variable.set(&begin).unwrap();
        let expected = values(&(&gradient * &direction).unwrap().sum_all().unwrap())[0];
        // Sums of f32 differ by 1e-6, which the step divides.
        assert!((slope - expected).abs() <= 4e-4 + 0.02 * expected.abs(), "{name}: {slope} is not {expected}");
    }
}

#[test]
fn every_trained_tensor_of_d_pm_has_its_gradient() {
    for loss in LOSSES {
        let (pupil, model) = preference(7);
        stir(&pupil.parameters);
        assert!(pupil.parameters.iter().all(|(name, _)| name.starts_with("multi_prefix.posterior.")));
        let objective = PreferenceObjective::new(model, loss);
        let batch = if loss == PreferenceLoss::Single { singly_annotated() } else { batch() };
        check_gradients(&pupil.parameters, &|| objective.loss(&batch, &training_pass()).unwrap().sum);
    }
}

/// Remembers the tensors that it gives a model.
struct Remembering<'a> {
    inner: &'a EncoderWeights,
    given: RefCell<Vec<(String, Tensor)>>,
}

impl Remembering<'_> {
    fn give(&self, name: String, tensor: Tensor) -> Tensor {
        self.given.borrow_mut().push((name, tensor.clone()));
        tensor
    }
}

impl LinearLoader for Remembering<'_> {
    fn linear(&self, name: &str, from: usize, to: usize) -> Result<Arc<dyn Linear>, llm_runtime::Error> {
        let layer = self.inner.linear(name, from, to)?;
        let weight = self.give(format!("{name}.weight"), layer.weight()?);
        let bias = layer.bias().map(|bias| self.give(format!("{name}.bias"), bias.clone()));
        Ok(Arc::new(DenseLinear::new(weight, bias)?))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, llm_runtime::Error> {
        Ok(self.give(name.to_owned(), self.inner.tensor(name, shape)?))
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, llm_runtime::Error> {
        let Embedding::Dense(table) = self.inner.embedding(name, vocabulary, width)? else { panic!("quantised") };
        Ok(Embedding::Dense(self.give(format!("{name}.weight"), table)))
    }

    fn contains(&self, name: &str) -> bool {
        self.inner.contains(name)
    }
}

#[test]
fn nothing_of_the_encoder_gets_a_gradient() {
    let known = encoder(7);
    let config = known.encoder().config().clone();
    let weights = EncoderWeights::fresh(&config, &Device::Cpu, 7);
    let loader = Remembering { inner: &weights, given: RefCell::default() };
    let bert = TextEncoder::load(&loader, &config, &Device::Cpu).unwrap();
    let frozen = FrozenEncoder::new(bert, known.tokenizer().clone());
    let pupil = TrainableHelpfulness::fresh(frozen, small(HelpfulnessConfig::preference(labels())), 7).unwrap();
    let AnyModel::Preference(model) = &pupil.model.model else { panic!("another model") };
    let objective = PreferenceObjective::new(model.clone(), PreferenceLoss::Rq);
    let store = objective.loss(&batch(), &training_pass()).unwrap().sum.backward().unwrap();
    let given = loader.given.into_inner();
    assert!(given.len() > 30, "all tensors of two layers: {}", given.len());
    for (name, tensor) in given {
        assert!(!tensor.is_variable() && store.get(&tensor).is_none(), "{name} has a gradient");
    }
}

#[test]
fn every_trained_tensor_of_the_ordinal_model_has_its_gradient() {
    let (pupil, model) = ordinal(7, raters(3));
    stir(&pupil.parameters);
    assert!(pupil.parameters.iter().all(|(name, _)| name.starts_with("multi_prefix.ordinal.")));
    let objective = OrdinalObjective::new(model, 12);
    check_gradients(&pupil.parameters, &|| objective.loss(&ratings(), &training_pass()).unwrap().sum);
}

#[test]
fn checkpointed_layers_give_the_same_gradients() {
    let (pupil, model) = preference(7);
    let objective = PreferenceObjective::new(model, PreferenceLoss::Rq);
    let gradients = |checkpoints: Option<Checkpoints>| -> BTreeMap<String, Vec<f64>> {
        let pass = Pass { checkpoints, ..training_pass() };
        let store = objective.loss(&batch(), &pass).unwrap().sum.backward().unwrap();
        let gradient =
            |(name, variable): (&str, &candle_core::Var)| (name.to_owned(), values(store.get(variable).unwrap()));
        pupil.parameters.iter().map(gradient).collect()
    };
    let (kept, again) = (gradients(None), gradients(Some(Checkpoints::default())));
    for (name, kept) in kept {
        for (kept, again) in kept.iter().zip(&again[&name]) {
            assert!((kept - again).abs() <= 1e-6 + 1e-5 * kept.abs(), "{name}: {again} is not {kept}");
        }
    }
}

fn bits(scores: &[Score]) -> Vec<u32> {
    let of_score = |score: &Score| {
        let rest = [score.helpfulness, score.unhelpfulness, score.rating];
        score.distribution.iter().copied().chain(rest).map(f32::to_bits).collect::<Vec<_>>()
    };
    scores.iter().flat_map(of_score).collect()
}

/// Bit for bit.
#[test]
fn a_score_is_the_same_alone_and_in_any_batch() {
    let texts = ["listen you feel", "shame", "maybe this work and sleep today you", "whatever friend", "fault fault"];
    let long = "together ".repeat(30);
    let exchanges: Vec<Exchange<'_>> = texts
        .into_iter()
        .chain([long.as_str()])
        .map(|response| Exchange { situation: "work", context: "you feel today", response })
        .collect();
    for pupil in [preference(5).0, ordinal(5, raters(2)).0] {
        stir(&pupil.parameters);
        let together = pupil.model.score(&exchanges).unwrap();
        assert!(together.windows(2).any(|pair| pair[0] != pair[1]), "responses are told apart");
        for (number, exchange) in exchanges.iter().enumerate() {
            let alone = pupil.model.score(&[*exchange]).unwrap();
            assert_eq!(bits(&alone), bits(&together[number..=number]), "{exchange:?}");
        }
        let reversed: Vec<Exchange<'_>> = exchanges.iter().rev().copied().collect();
        let mut reversed = pupil.model.score(&reversed).unwrap();
        reversed.reverse();
        assert_eq!(bits(&reversed), bits(&together));
        assert!(pupil.model.score(&[]).unwrap().is_empty());
    }
}

/// This documents the published defect.
#[test]
fn under_the_inverted_mask_a_score_changes_with_its_neighbours() {
    let config = small(HelpfulnessConfig::preference(labels()));
    let config = HelpfulnessConfig { network: NetworkOptions { mask: Mask::Inverted, ..config.network }, ..config };
    let pupil = TrainableHelpfulness::fresh(encoder(5), config, 5).unwrap();
    stir(&pupil.parameters);
    let exchange = |response| Exchange { situation: "work", context: "you feel", response };
    let (short, long) = (exchange("listen"), exchange("shame and nonsense you feel today"));
    let alone = pupil.model.score(&[short]).unwrap();
    let beside = pupil.model.score(&[short, long]).unwrap();
    assert!((alone[0].helpfulness - beside[0].helpfulness).abs() > 1e-6, "{alone:?} {beside:?}");
}

#[test]
fn tokens_outside_the_response_are_not_pooled() {
    let (pupil, model) = preference(7);
    stir(&pupil.parameters);
    let pooled = |response: usize| {
        let input = EncodedExchange::new(vec![6, 7, 8, 9], response).unwrap();
        values(&model.network().pooled(&[&input], &Pass::evaluation()).unwrap())
    };
    assert_ne!(pooled(1), pooled(3));
    assert_eq!(pooled(1).len(), 32);
}

#[test]
fn prefixes_stand_in_the_upper_half_only() {
    let (_, model) = preference(7);
    let prefixes = model.network().prefixes(3, &Pass::evaluation()).unwrap();
    assert_eq!((prefixes.layers().len(), prefixes.length()), (1, 3));
    // In training each sequence has a dropout of its own.
    let dropped = model.network().prefixes(2, &training_pass()).unwrap();
    assert_eq!(dropped.layers()[0].keys.dims(), [6, 32]);
    let rows = dropped.layers()[0].keys.to_vec2::<f32>().unwrap();
    assert_ne!(rows[..3], rows[3..]);
}

#[test]
fn who_rates_matters_to_the_ordinal_model() {
    let (pupil, model) = ordinal(7, raters(2));
    let severity = pupil.parameters.get("multi_prefix.ordinal.severity").unwrap();
    severity.set(&Tensor::new(&[1f32, -1.0], &Device::Cpu).unwrap()).unwrap();
    let input = EncodedExchange::new(vec![6, 7, 8, 9], 2).unwrap();
    let expected = |rater: Option<usize>| {
        let row = values(&model.log_distribution(&[&input], &[rater], &Pass::evaluation()).unwrap());
        assert!((row.iter().map(|value| value.exp()).sum::<f64>() - 1.0).abs() < 1e-5);
        row.iter().enumerate().map(|(step, value)| step as f64 * value.exp()).sum::<f64>()
    };
    assert!(expected(Some(0)) < expected(None) && expected(None) < expected(Some(1)));
    assert_eq!(model.severities().unwrap(), [1.0, -1.0]);
    assert_eq!(model.discriminations().unwrap(), [1.0, 1.0]);
    let thresholds = values(&model.thresholds().unwrap());
    assert!(thresholds.windows(2).all(|pair| pair[0] < pair[1]), "{thresholds:?}");
    assert!(model.log_distribution(&[&input], &[Some(2)], &Pass::evaluation()).is_err());
    assert!(model.log_distribution(&[&input], &[], &Pass::evaluation()).is_err());
}

#[test]
fn saved_models_give_the_same_scores() {
    let folder = tempfile::tempdir().unwrap();
    let exchanges = [Exchange { situation: "work", context: "you feel", response: "listen" }];
    for pupil in [preference(5).0, ordinal(5, raters(2)).0] {
        stir(&pupil.parameters);
        pupil.save(folder.path()).unwrap();
        let expected = bits(&pupil.model.score(&exchanges).unwrap());
        let opened = helpfulness::HelpfulnessModel::open(folder.path(), encoder(5)).unwrap();
        assert_eq!(opened.config, pupil.model.config);
        assert_eq!(bits(&opened.score(&exchanges).unwrap()), expected);
        let again = TrainableHelpfulness::open(folder.path(), encoder(5)).unwrap();
        assert_eq!(bits(&again.model.score(&exchanges).unwrap()), expected);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let base = small(HelpfulnessConfig::preference(labels()));
    let network = |options: NetworkOptions| HelpfulnessConfig { network: options, ..base.clone() };
    let refused = |config: HelpfulnessConfig, expected: &str| {
        let error = TrainableHelpfulness::fresh(encoder(1), config, 1).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let options = base.network.clone();
    refused(network(NetworkOptions { prefix_length: 0, ..options.clone() }), "a length and a width of at least 1");
    refused(network(NetworkOptions { prefix_dropout: 1.0, ..options }), "expected a number in [0, 1)");
    let mut long = base.clone();
    long.layout.longest = 160;
    refused(long, "inputs of up to 160 tokens: the encoder takes 48");
    refused(small(HelpfulnessConfig::ordinal(labels(), Vec::new())), "no rater");

    let folder = tempfile::tempdir().unwrap();
    let open = || helpfulness::HelpfulnessModel::open(folder.path(), encoder(5)).err().unwrap();
    assert!(matches!(open(), HelpfulnessError::Io { .. }));
    std::fs::write(folder.path().join("helpfulness.json"), "{}").unwrap();
    assert!(open().to_string().contains("not a helpfulness model's configuration"));
    preference(5).0.save(folder.path()).unwrap();
    std::fs::write(folder.path().join("helpfulness.safetensors"), "torn").unwrap();
    assert!(open().to_string().contains("helpfulness.safetensors"));
}
