//! A small encoder learns, from nothing, to tell three ways to answer apart; then it is saved, opened again and asked.
//!
//! `cargo run -p text-encoder --example tell_apart`

use std::error::Error;

use candle_core::Device;
use text_encoder::{
    ClassificationDataset, ClassificationObjective, EncoderConfig, EncoderTokenizer, ReadingOptions, SentenceEncoder,
    TextClassifier, TrainableClassifier, learn_pieces,
};
use training::{Control, TrainEvent, Trainer, TrainerOptions};

const LESSONS: [(&str, &str); 7] = [
    ("Better days will come.", "hope"),
    ("Things will look brighter soon.", "hope"),
    ("You sound worried about your exam.", "reflection"),
    ("You sound as if nobody listened.", "reflection"),
    ("Have you tried to talk to a friend?", "suggestion"),
    ("You could take a short walk.", "suggestion"),
    ("Have you tried to write it down?", "suggestion"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let texts: Vec<&str> = LESSONS.iter().map(|(text, _)| *text).collect();
    let tokenizer = EncoderTokenizer::word_piece(&learn_pieces(&texts, 500)?)?;
    let labels = ["hope", "reflection", "suggestion"].map(str::to_owned).to_vec();
    let config = EncoderConfig::tiny(tokenizer.vocabulary_size(), 0);
    let model = TrainableClassifier::fresh(config, tokenizer, labels.clone(), 1, &Device::Cpu)?;

    let mut lessons = ClassificationDataset::new();
    for (text, label) in LESSONS {
        let class = labels.iter().position(|known| known == label).ok_or("a label without a number")?;
        lessons.push(model.classifier.tokenizer.encode(text, 128)?, class);
    }
    let objective = ClassificationObjective::new(model.classifier.model.clone());
    let options = TrainerOptions { max_steps: Some(60), learning_rate: 3e-3, ..TrainerOptions::default() };
    let trainer = Trainer { objective: &objective, train: &lessons, evaluation: Vec::new(), options: &options };
    trainer.run(&model.parameters, None, false, &mut |event| {
        if let TrainEvent::Step(step) = event
            && step.step % 20 == 0
        {
            println!("step {}: loss {:.3}", step.step, step.loss);
        }
        Ok(Control::Continue)
    })?;

    let folder = std::env::temp_dir().join("solace-tell-apart-example");
    model.save(&folder)?;
    let classifier = TextClassifier::open(&folder, &Device::Cpu)?;
    let asked = ["Brighter days will come soon.", "You sound worried.", "You could talk to a friend."];
    let vectors = SentenceEncoder::open(&folder, &Device::Cpu)?.embed(&asked, &ReadingOptions::default())?;
    for (text, found) in asked.iter().zip(classifier.predict(&asked, &ReadingOptions::default())?) {
        println!("{text:<32} {} ({:.2})", classifier.labels[found.class], found.probabilities[found.class]);
    }
    println!("each text is a vector of {} numbers, too", vectors[0].len());
    Ok(())
}
