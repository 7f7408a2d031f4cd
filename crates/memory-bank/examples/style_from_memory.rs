//! Each strategy has a style, shown nowhere but in the memory: with it the generator answers in the right one, without it it can't. `cargo run -p memory-bank --example style_from_memory`

use std::error::Error;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use memory_bank::*;
use seq2seq::{Architecture, Seq2SeqConfig, Seq2SeqWeights};
use training::{Control, Trainer, TrainerOptions};

const STRATEGIES: usize = 8;

/// Answers are one word, the strategy's style; the question tells nothing of it. Styles follow the four special tokens.
fn sample(number: usize) -> Sample {
    let strategy = number % STRATEGIES;
    let (style, question) = (4 + strategy as u32, 12 + (number / STRATEGIES % 20) as u32);
    let place = |turn| Place { dialogue: format!("dialogue {number}"), turn };
    let tokens = vec![0, style, 32 + (number % 8) as u32, 2];
    let said = Response { text: format!("{tokens:?}"), tokens, strategy, place: place(1), feedback: None };
    Sample {
        input: vec![0, question, 2],
        motivation: vec![0, 2],
        output: vec![0, style],
        labels: vec![style, 2],
        strategy,
        place: place(3),
        history: vec![Arc::new(said)],
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = Seq2SeqConfig { width: 32, ..Seq2SeqConfig::tiny(Architecture::Bart, 40) };
    let bart = Seq2SeqWeights::fresh(&config, &Device::Cpu, 1);
    let options = GeneratorOptions { motivation: MotivationFusion::None, ..GeneratorOptions::default() };
    let model = TrainableMagic::new(&bart, &config, STRATEGIES, options, 1, &Device::Cpu)?;
    let bank = StrategyBank::new(STRATEGIES, config.width, BankOptions::default(), &Device::Cpu)?;
    let objective = MagicObjective::new(model.generator.clone(), bank, 0.2);

    let train = MagicDataset::new((0..400).map(sample).collect(), None);
    let settings = TrainerOptions { max_steps: Some(150), learning_rate: 2e-3, batch: 16, ..TrainerOptions::default() };
    let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &settings };
    trainer.run(&model.parameters, None, false, &mut |_| Ok(Control::Continue))?;

    let held_out = MagicBatch::new(&(400..480).map(sample).collect::<Vec<_>>(), None)?;
    let memories = held_out.strategies.iter().map(|strategy| objective.bank().read(*strategy, None));
    let with = memories.collect::<Result<Vec<_>, _>>()?;
    println!("right style with the memory: {:.0} %", right(&model.generator, &held_out, &with)?);
    println!("without it: {:.0} %", right(&model.generator, &held_out, &vec![None; held_out.len()])?);
    Ok(())
}

/// How many first words are of the right style, in percent.
fn right(model: &MagicGenerator, batch: &MagicBatch, memories: &[Option<Tensor>]) -> Result<f64, Box<dyn Error>> {
    let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories };
    let mut cache = model.start(&sources)?;
    let said = model.step(&vec![0; batch.len()], &mut cache)?.argmax(1)?.to_vec1::<u32>()?;
    let hits = said.iter().zip(&batch.strategies).filter(|(said, strategy)| **said as usize == 4 + **strategy).count();
    Ok(100.0 * hits as f64 / batch.len() as f64)
}
