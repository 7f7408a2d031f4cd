//! Simulated raters divide in a known way. Which losses find it? Ten seeds, and a diagram of each loss among the temporary files.
//!
//! `cargo run --release -p helpfulness --example known_disagreement`

use std::error::Error;

use candle_core::Device;
use helpfulness::*;
use text_encoder::{EncoderConfig, EncoderTokenizer, EncoderWeights, TextEncoder, learn_pieces};
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
    let tokenizer = EncoderTokenizer::word_piece(&learn_pieces(&Simulation::words(), 300)?)?;
    let shape = EncoderConfig { hidden_size: 32, ..EncoderConfig::tiny(tokenizer.vocabulary_size(), 0) };
    let weights = EncoderWeights::fresh(&shape, &Device::Cpu, seed);
    let encoder = FrozenEncoder::new(TextEncoder::load(&weights, &shape, &Device::Cpu)?, tokenizer);
    let network = NetworkOptions { prefix_length: 3, hidden: 24, prefix_dropout: 0.1, ..NetworkOptions::default() };
    let layout = ExchangeLayout { longest: 48, ..ExchangeLayout::default() };
    let config = HelpfulnessConfig { network, layout, ..HelpfulnessConfig::preference() };
    let pupil = TrainableHelpfulness::fresh(encoder, config, seed)?;
    let AnyModel::Preference(model) = &pupil.model.model else { return Err("another model".into()) };

    let (simulation, table) = (Simulation::new(0.8, seed), LabelTable::published(2)?);
    let (train, unseen) = (simulation.records("training", 60, 8), simulation.records("unseen", 60, 6));
    let (tokenizer, records) = (pupil.model.encoder.tokenizer(), train.iter().map(|known| &known.record));
    let train = PreferenceDataset::of_records(records, &table, &layout, tokenizer)?;
    let objective = PreferenceObjective::new(model.clone(), loss);
    let options = TrainerOptions { max_steps: Some(90), batch: 16, learning_rate: 4e-3, ..TrainerOptions::default() };
    let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
    trainer.run(&pupil.parameters, None, false, &mut |_| Ok(Control::Continue))?;

    let (mut distance, mut forecasts) = (0.0, Vec::new());
    for known in &unseen {
        let (context, response) = (known.record.context_text(), &known.record.responses[0]);
        let exchange = Exchange { situation: &known.record.situation, context: &context, response: &response.text };
        let score = pupil.model.score(&[exchange])?.remove(0);
        distance += (f64::from(score.helpfulness) - simulation.helpful_share(known.kind)).abs() / unseen.len() as f64;
        let classes = response.annotations.iter().map(|label| table.class(label.as_deref()));
        forecasts.push(Forecast::new(&score, classes.collect::<Result<_, _>>()?));
    }
    let report = CalibrationReport::new(&forecasts, 10)?;
    let stem = std::env::temp_dir().join(format!("solace-reliability-{loss}"));
    report.figure(&format!("Trained with {loss}")).write(stem, &[charts::Format::Svg])?;
    Ok([distance, report.brier, report.calibration_error])
}
