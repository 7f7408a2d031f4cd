//! `sra serve`: a model behind OpenAI's API, for any client that speaks it.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use command_line::{Failure, interrupt, load_engine, must_be_local, share_heaps};
use llm_runtime::CancelToken;
use llm_runtime::server::{ServerOptions, serve};

use crate::serve_arguments::Serve;

/// How soon an interrupt is noticed.
const LOOK_UP_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn run(options: &Serve) -> Result<ExitCode, Failure> {
    must_be_local(&options.model, "`sra serve` computes with the model's weights")?;
    let settings = ServerOptions {
        address: options.address,
        hosts: options.allow_host.clone(),
        key: options.key()?,
        queue: options.queue,
        largest_body: usize::try_from(options.largest_request).unwrap_or(usize::MAX),
        ..ServerOptions::new(options.name())
    };
    if settings.key.is_none() && !options.address.ip().is_loopback() {
        tracing::warn!(
            "everybody who can reach {} can use the model: ask for a key with --api-key-env",
            options.address
        );
    }
    share_heaps();
    let mut engine = load_engine(&options.model, &options.runtime)?;
    let stop = CancelToken::new();
    interrupt::listen();
    watch(stop.clone());
    let name = settings.name.clone();
    let statistics = serve(&mut engine, &settings, &stop, |address| {
        println!("http://{address}/v1  serves {name}  (Ctrl-C ends)");
    })?;
    tracing::info!("{} requests, {} new tokens", statistics.requests, statistics.generated_tokens);
    Ok(ExitCode::SUCCESS)
}

/// Ends the server when somebody asks for it.
fn watch(stop: CancelToken) {
    thread::spawn(move || {
        while !interrupt::was_asked_to_end() {
            thread::sleep(LOOK_UP_EVERY);
        }
        stop.cancel();
    });
}
