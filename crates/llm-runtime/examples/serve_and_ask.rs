//! Serves the tiny model to itself: the engine behind OpenAI's API on one side, a remote model on the other.
//!
//! `cargo run -p llm-runtime --features serve --example serve_and_ask`

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::mpsc::channel;
use std::thread;

use llm_runtime::server::{ServerOptions, serve};
use llm_runtime::{
    CancelToken, Engine, Error, Event, GenerationOptions, LoadOptions, Message, Prompt, RemoteAddress, RemoteModel,
    RemoteOptions, Request, TextModel,
};

fn main() -> Result<(), Error> {
    let (stop, (sender, addresses)) = (CancelToken::new(), channel());
    let stopped = stop.clone();
    let server = thread::spawn(move || {
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-llama");
        let mut engine = Engine::load(&LoadOptions::new(model), &|_| ())?;
        // Port 0 takes a free one.
        let options = ServerOptions { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..ServerOptions::new("tiny") };
        serve(&mut engine, &options, &stopped, |address| {
            let _ = sender.send(address);
        })
    });
    if let Ok(address) = addresses.recv() {
        ask(&format!("http://{address}/v1"))?;
    }
    stop.cancel();
    if let Ok(statistics) = server.join() {
        println!("the server made {} new tokens", statistics?.generated_tokens);
    }
    Ok(())
}

fn ask(url: &str) -> Result<(), Error> {
    let mut model = RemoteModel::new(RemoteOptions::new(RemoteAddress::new("tiny", url)?))?;
    println!("asking {}", model.identity().name);
    let questions = ["How are you?", "What could I do today?", "Who can I talk to?"];
    let mut requests = questions.iter().zip(0..).map(|(question, key)| {
        let options = GenerationOptions { max_new_tokens: 12, seed: key, ..GenerationOptions::default() };
        Request::new(key, Prompt::Chat(vec![Message::user(*question)]), options)
    });
    model.generate(&mut requests, &mut |event| {
        if let Event::Finished(completion) = event {
            println!("{}: {:?}", completion.key, completion.text);
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}
