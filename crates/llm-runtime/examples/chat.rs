//! Asks a model one question and streams the answer.
//!
//! `cargo run -p llm-runtime --example chat -- MODEL "question"`; without arguments it asks the shipped tiny model.

use std::io::Write;
use std::ops::ControlFlow;

use llm_runtime::{Engine, Event, GenerationOptions, LoadOptions, Message, Prompt, Request, TextModel};

fn main() -> Result<(), llm_runtime::Error> {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-llama");
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| shipped.into());
    let question = arguments.next().unwrap_or_else(|| "I can't sleep before my exam. What could I do?".into());

    let mut engine = Engine::load(&LoadOptions::new(model), &|_| ())?;
    let config = engine.model().config();
    println!("{} parameters, {} layers", config.parameters(), config.layers);

    let messages = vec![Message::system("You are a kind listener."), Message::user(question)];
    let options = GenerationOptions { max_new_tokens: 40, temperature: 0.8, seed: 7, ..GenerationOptions::default() };
    let request = Request::new(0, Prompt::Chat(messages), options);
    let statistics = engine.generate(&mut std::iter::once(request), &mut |event| {
        match event {
            Event::Text { delta, .. } => print!("{delta}"),
            Event::Finished(completion) => println!("\n[{:?}]", completion.finish_reason),
            Event::Failed { error, .. } => println!("failed: {error}"),
        }
        // A closed pipe ends the generation.
        if std::io::stdout().flush().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    println!("{} prompt tokens, {} new ones", statistics.prompt_tokens, statistics.generated_tokens);
    Ok(())
}
