//! Simulated raters divide in a known way. Which losses find it? Ten seeds, and a diagram of each loss among the temporary files.
//!
//! `cargo run --release -p helpfulness --example known_disagreement`

use std::error::Error;

use candle_core::Device;
use helpfulness::*;
use training::{Control, Trainer, TrainerOptions};

fn main() -> Result<(), Box<dyn Error>> {
    println!("loss          distance from truth    Brier  calibration error");
    for loss in ["rq", "soft", "majority"] {
        let mut sums = [0.0; 3];
        for seed in 0..10 {
            let values = judge(loss.parse()?, seed)?;
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / 10.0);
        }
        println!("{loss:<12} {:>20.3} {:>8.3} {:>18.3}", sums[0], sums[1], sums[2]);
    }
    Ok(())
}

/// How far a model is from the truth, its Brier score, and its calibration error.
fn judge(loss: PreferenceLoss, seed: u64) -> Result<[f64; 3], Box<dyn Error>> {
    let encoder = FrozenEncoder::fresh(&Simulation::words(), 48, seed, &Device::Cpu)?;
    let labels = LabelTable::published(2)?;
    let mut config = HelpfulnessConfig::preference(labels.clone());
    config.network = NetworkOptions { prefix_length: 3, hidden: 24, prefix_dropout: 0.1, ..config.network };
    config.layout.longest = 48;
    let pupil = TrainableHelpfulness::fresh(encoder, config, seed)?;
    let AnyModel::Preference(model) = &pupil.model.model else { return Err("another model".into()) };

    let simulation = Simulation::new(0.8, seed);
    let (train, unseen) = (simulation.records("training", 80, 8), simulation.records("unseen", 60, 6));
    let (layout, tokenizer) = (&pupil.model.config.layout, pupil.model.encoder.tokenizer());
    let train = PreferenceDataset::of_records(train.iter().map(|known| &known.record), &labels, layout, tokenizer)?;
    let objective = PreferenceObjective::new(model.clone(), loss);
    let options = TrainerOptions { max_steps: Some(80), batch: 16, learning_rate: 1e-2, ..TrainerOptions::default() };
    let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
    trainer.run(&pupil.parameters, None, false, &mut |_| Ok(Control::Continue))?;

    let records: Vec<HelpfulnessRecord> = unseen.iter().map(|known| known.record.clone()).collect();
    let forecasts = pupil.model.forecasts(&records, &labels)?;
    let apart = |(forecast, known): (&Forecast, &SimulatedRecord)| {
        (forecast.distribution[0] - simulation.helpful_share(known.kind)).abs()
    };
    let distance = forecasts.iter().zip(&unseen).map(apart).sum::<f64>() / unseen.len() as f64;
    let report = CalibrationReport::new(&forecasts, 10)?;
    let diagram = std::env::temp_dir().join(format!("solace-reliability-{loss}"));
    report.figure(&format!("Trained with {loss}")).write(diagram, &[charts::Format::Svg])?;
    Ok([distance, report.brier, report.calibration_error])
}
