//! A fresh two-layer Llama learns to prefer one of two completions: a pair, an objective, a training loop.

use std::sync::Arc;

use candle_core::Device;
use dpo::{EncodedPair, Loss, PairDataset, Preference, PreferenceObjective, PreferenceOptions};
use llm_runtime::{Llama, LlamaConfig, RopeScaling};
use training::{Control, FreshWeights, Schedule, TrainEvent, Trainer, TrainerOptions, VariableLoader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = LlamaConfig {
        hidden_size: 32,
        intermediate_size: 48,
        layers: 2,
        heads: 4,
        key_value_heads: 2,
        head_dim: 8,
        vocabulary_size: 40,
        context_length: 64,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        sliding_window: None,
        tied_head: false,
        attention_bias: false,
        mlp_bias: false,
    };
    let fresh = FreshWeights::new(7, 0.05, &Device::Cpu);
    let loader = VariableLoader::new(&fresh);
    let policy = Llama::load(&loader, config, &Device::Cpu)?;
    let parameters = loader.into_parameters();

    let pair = EncodedPair { prompt: vec![1, 5, 6], chosen: vec![7, 8, 2], rejected: vec![9, 10, 11, 2] };
    let pairs = PairDataset::new(vec![Arc::new(pair)]);
    // SimPO needs no reference: the policy's own mean log-probabilities are the rewards.
    let preference = Preference { beta: 2.0, ..Preference::from(Loss::Simpo) };
    let options = PreferenceOptions { preference, ..PreferenceOptions::default() };
    let objective = PreferenceObjective::new(policy, None, options, &Device::Cpu)?;

    let schedule = Schedule::Constant;
    let options =
        TrainerOptions { batch: 1, max_steps: Some(30), learning_rate: 1e-2, schedule, ..TrainerOptions::default() };
    let trainer = Trainer { objective: &objective, train: &pairs, evaluation: Vec::new(), options: &options };
    trainer.run(&parameters, None, false, &mut |event| {
        if let TrainEvent::Step(step) = event
            && step.step % 10 == 0
        {
            let margin = step.metrics.iter().find(|(name, _)| name == "rewards/margins");
            println!(
                "step {:>2}  loss {:.4}  margin {:.3}",
                step.step,
                step.loss,
                margin.map_or(0.0, |(_, value)| *value)
            );
        }
        Ok(Control::Continue)
    })?;
    Ok(())
}
