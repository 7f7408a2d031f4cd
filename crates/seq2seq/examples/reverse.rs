//! A small BART learns, from nothing, to say words backwards; then it is saved, opened and asked: `cargo run -p seq2seq --example reverse`

use std::error::Error;

use candle_core::Device;
use seq2seq::{
    Architecture, Seq2SeqConfig, Seq2SeqDataset, Seq2SeqModel, Seq2SeqObjective, TokenBatch, TrainableSeq2Seq,
};
use training::{Control, TrainEvent, Trainer, TrainerOptions};

const WORDS: &str = "hope near step calm talk mind road warm hand rest sleep friend listen better alone dream spark water \
                     stone light plant money paper river small green table night world seven story heart voice smile";

/// Letters follow the four special tokens.
fn tokens(word: &str) -> Vec<u32> {
    word.bytes().map(|letter| 4 + u32::from(letter - b'a')).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = Seq2SeqConfig { max_positions: 12, ..Seq2SeqConfig::tiny(Architecture::Bart, 4 + 26) };
    let pupil = TrainableSeq2Seq::fresh(&config, 1, &Device::Cpu)?;
    let mut lessons = Seq2SeqDataset::new(&config);
    for word in WORDS.split_whitespace() {
        let backwards: Vec<u32> = tokens(word).into_iter().rev().chain([config.eos_id]).collect();
        lessons.push(tokens(word), &backwards);
    }
    let objective = Seq2SeqObjective::new(pupil.model.clone());
    let options = TrainerOptions { max_steps: Some(250), learning_rate: 3e-3, batch: 16, ..TrainerOptions::default() };
    let trainer = Trainer { objective: &objective, train: &lessons, evaluation: Vec::new(), options: &options };
    trainer.run(&pupil.parameters, None, false, &mut |event| {
        if let TrainEvent::Step(step) = event
            && step.step % 50 == 0
        {
            println!("step {}: loss {:.3}", step.step, step.loss);
        }
        Ok(Control::Continue)
    })?;

    let folder = std::env::temp_dir().join("solace-reverse-example");
    pupil.save(&folder)?;
    let model = Seq2SeqModel::open(&folder, &Device::Cpu)?;
    for word in ["hope", "listen", "dream"] {
        println!("{word:<8}{}", backwards(&model, word)?);
    }
    Ok(())
}

/// The most probable letter, again and again.
fn backwards(model: &Seq2SeqModel, word: &str) -> Result<String, Box<dyn Error>> {
    let mut cache = model.start(&TokenBatch::of([tokens(word).as_slice()]))?;
    let (mut said, mut next) = (String::new(), model.config().generation.decoder_start_id);
    while said.len() < 10 {
        next = model.step(&[next], &mut cache)?.argmax(1)?.to_vec1::<u32>()?[0];
        let Some(letter) = next.checked_sub(4) else { break };
        said.push(char::from(b'a' + letter as u8));
    }
    Ok(said)
}
