//! The training loop on something that is no language model: a straight line through noisy points.
//!
//! `cargo run -p training --example fit_a_line`

use candle_core::{Device, Tensor, Var};
use training::{
    Control, Dataset, LossParts, Objective, Parameters, Pass, TrainEvent, Trainer, TrainerOptions, TrainingError,
    normal_values,
};

/// Points of a plane.
struct Points(Vec<[f32; 2]>);

impl Dataset for Points {
    type Batch = Vec<[f32; 2]>;

    fn lengths(&self) -> Vec<usize> {
        vec![1; self.0.len()]
    }

    fn batch(&self, examples: &[usize]) -> Result<Self::Batch, TrainingError> {
        Ok(examples.iter().map(|example| self.0[*example]).collect())
    }
}

/// Slope and intercept, `[2]`.
struct Line(Var);

impl Objective for Line {
    type Batch = Vec<[f32; 2]>;

    fn loss(&self, batch: &Self::Batch, _pass: &Pass) -> Result<LossParts, TrainingError> {
        let points = Tensor::from_slice(batch.as_flattened(), (batch.len(), 2), &Device::Cpu)?;
        let (x, y) = (points.get_on_dim(1, 0)?, points.get_on_dim(1, 1)?);
        let predicted = x.broadcast_mul(&self.0.get(0)?)?.broadcast_add(&self.0.get(1)?)?;
        let sum = (predicted - y)?.sqr()?.sum_all()?;
        Ok(LossParts { sum, weight: batch.len() as f64, tokens: batch.len(), metrics: Vec::new() })
    }
}

fn main() -> Result<(), TrainingError> {
    let point = |(x, noise): (f32, f32)| [x, 3.0 * x + 0.5 + noise];
    let noise = normal_values(1, "noise", 200, 0.1);
    let points = Points((-100..100).map(|x| x as f32 / 100.0).zip(noise).map(point).collect());
    let line = Line(Var::new(&[0f32, 0.0], &Device::Cpu)?);
    let mut parameters = Parameters::new();
    parameters.insert("line", line.0.clone())?;
    let options = TrainerOptions { epochs: 20.0, learning_rate: 0.05, ..TrainerOptions::default() };
    let trainer = Trainer { objective: &line, train: &points, evaluation: Vec::new(), options: &options };
    trainer.run(&parameters, None, false, &mut |event| {
        match event {
            TrainEvent::Step(step) if step.step % 100 == 0 => println!("step {}: loss {:.4}", step.step, step.loss),
            _ => {}
        }
        Ok(Control::Continue)
    })?;
    println!("slope and intercept: {:.2?}", line.0.to_vec1::<f32>()?);
    Ok(())
}
