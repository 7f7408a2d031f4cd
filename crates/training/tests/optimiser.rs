//! The optimiser beside a model: half-precision parameters, groups, state on disk.

use candle_core::{DType, Device, Tensor, Var};
use training::{AdamW, AdamWOptions, Gradients, ParameterGroup, Parameters};

/// Parameters of ones, and a store with the gradient of their weighted sum.
fn ones(names: &[&str], dtype: DType) -> Parameters {
    let mut parameters = Parameters::new();
    for name in names {
        let ones = Tensor::ones(4, dtype, &Device::Cpu).unwrap();
        parameters.insert(*name, Var::from_tensor(&ones).unwrap()).unwrap();
    }
    parameters
}

fn gradients(parameters: &Parameters, factor: f64) -> Gradients {
    let mut gradients = Gradients::default();
    for (_, variable) in parameters.iter() {
        let loss = (variable.as_tensor().to_dtype(DType::F32).unwrap() * factor).unwrap().sum_all().unwrap();
        gradients.add(parameters, &loss.backward().unwrap()).unwrap();
    }
    gradients
}

fn first(parameters: &Parameters, name: &str) -> f32 {
    parameters.get(name).unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap()[0]
}

/// A bf16 value of 1 can't hold 0.9999, so a hundred such steps would be lost without the f32 copy.
#[test]
fn small_steps_of_half_precision_parameters_add_up() {
    for dtype in [DType::BF16, DType::F16, DType::F32] {
        let parameters = ones(&["a"], dtype);
        let mut adamw = AdamW::new(parameters.clone(), AdamWOptions::default()).unwrap();
        for _ in 0..100 {
            adamw.step(&gradients(&parameters, 1.0), 1e-4).unwrap();
        }
        assert!((first(&parameters, "a") - 0.99).abs() < 3e-3, "{dtype:?}: {}", first(&parameters, "a"));
        assert_eq!(parameters.get("a").unwrap().dtype(), dtype);
    }
}

#[test]
fn groups_have_their_own_rate_and_decay() {
    let parameters = ones(&["bias", "weight"], DType::F32);
    let group = ParameterGroup { contains: "bias".into(), weight_decay: Some(0.0), learning_rate_factor: 0.5 };
    let options = AdamWOptions { weight_decay: 0.1, groups: vec![group], ..AdamWOptions::default() };
    let mut adamw = AdamW::new(parameters.clone(), options).unwrap();
    adamw.step(&gradients(&parameters, 3.0), 0.1).unwrap();
    // The first step of AdamW is the rate, whatever the gradient.
    assert!((first(&parameters, "bias") - (1.0 - 0.05)).abs() < 1e-6);
    assert!((first(&parameters, "weight") - (1.0 - 0.01 - 0.1)).abs() < 1e-6);
}

#[test]
fn the_state_goes_on_from_disk_and_refuses_other_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("optimizer.safetensors");
    for dtype in [DType::F32, DType::BF16] {
        let run = |split: bool| {
            let parameters = ones(&["a", "b"], dtype);
            let mut adamw = AdamW::new(parameters.clone(), AdamWOptions::default()).unwrap();
            for step in 0..6 {
                if split && step == 3 {
                    adamw.save(&file).unwrap();
                    adamw = AdamW::new(parameters.clone(), AdamWOptions::default()).unwrap();
                    adamw.restore(&file).unwrap();
                    assert_eq!(adamw.steps(), 3);
                }
                adamw.step(&gradients(&parameters, f64::from(step) - 2.0), 0.01).unwrap();
            }
            first(&parameters, "b").to_bits()
        };
        assert_eq!(run(true), run(false));
    }
    let mut other = AdamW::new(ones(&["a", "c"], DType::F32), AdamWOptions::default()).unwrap();
    let error = other.restore(&file).unwrap_err().to_string();
    assert!(error.contains("optimizer.safetensors") && error.contains("mean.c"), "{error}");
    assert_eq!(other.steps(), 0);
}

#[test]
fn clipping_is_by_the_norm_over_all() {
    let parameters = ones(&["a", "b"], DType::F32);
    let mut gradients = gradients(&parameters, 3.0);
    let norm = gradients.clip(1.0).unwrap();
    assert!((norm - (8.0f64 * 9.0).sqrt()).abs() < 1e-9);
    assert!((gradients.global_norm().unwrap() - 1.0).abs() < 1e-5);
    assert!((gradients.clip(2.0).unwrap() - 1.0).abs() < 1e-5, "a smaller norm stays");
}
