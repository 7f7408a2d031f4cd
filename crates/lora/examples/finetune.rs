//! Fine-tunes the shipped model with random weights on two chats and saves the adapter as a PEFT folder.
//!
//! `cargo run -p lora --example finetune`

use std::error::Error;
use std::path::Path;

use candle_core::Device;
use llm_runtime::{Llama, LoadOptions, Message, PretrainedModel};
use lora::sft::{BadRecords, EncodeOptions, Place, SftEncoder, SftRecord, SftTemplate};
use lora::{Adapters, LoraConfig, SftDataset, SftObjective};
use training::{Control, TrainEvent, Trainer, TrainerOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-llama");
    let adapters = Adapters::new();
    let model =
        PretrainedModel::load_through(&LoadOptions::new(folder), &|_| (), &|loader, config, device: &Device| {
            Llama::load(&adapters.wrap(loader), config, device)
        })?;
    adapters.add("mine", &LoraConfig { rank: 4, ..LoraConfig::default() }, 1)?;

    let chat = |number, question, answer| {
        SftRecord::chat(Place::item("here", number), vec![Message::user(question), Message::assistant(answer)])
    };
    let records = [
        chat(1, "I feel lost.", "I am here with you. What happened?"),
        chat(2, "I failed my exam.", "That hurts. You worked hard for it."),
    ];
    let template = SftTemplate::from(model.template.clone().ok_or("the model has no chat template")?);
    let encoder = SftEncoder::new(&model.tokenizer, &template, EncodeOptions::default())?;
    let (examples, summary) = encoder.encode_all(&records, BadRecords::Fail)?;
    println!("{} tokens, {} of them learned", summary.tokens, summary.learned_tokens);

    let objective = SftObjective::new(model.llama.clone(), Some(adapters.clone()));
    let options = TrainerOptions { max_steps: Some(20), learning_rate: 1e-2, ..TrainerOptions::default() };
    let train = SftDataset::new(examples);
    let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
    trainer.run(&adapters.parameters("mine")?, None, false, &mut |event| {
        if let TrainEvent::Step(step) = event {
            println!("step {:>2}: loss {:.3}", step.step, step.loss);
        }
        Ok(Control::Continue)
    })?;
    let out = std::env::temp_dir().join("solace-finetune-example");
    adapters.save("mine", &out, folder)?;
    println!("{}", Path::new(&out).display());
    Ok(())
}
