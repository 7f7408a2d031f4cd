//! `magic demo`: what the memory and the motivation are good for, on built-in dialogues, in minutes.
//!
//! Two tables. In the first a small generator is trained from nothing with and without memory, with and without motivations, over several seeds. The
//! second is a proof: each strategy has a style that nothing but the memory shows.

mod comparison;
mod corpus;
mod proof;

use std::process::ExitCode;
use std::time::Instant;

use command_line::{Failure, Format, interrupt, print_json};
use serde::Serialize;

use self::comparison::Trial;
use self::proof::Proof;
use crate::generator_arguments::Demo;

/// What the demonstration found.
#[derive(Serialize)]
struct Found {
    trials: Vec<Trial>,
    proof: Vec<Proof>,
    seconds: f64,
}

pub(crate) fn run(options: &Demo, format: Format) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    interrupt::listen();
    let seeds: Vec<u64> = (1..=options.seeds).collect();
    let Some(proof) = proof::prove(&seeds)? else { return Ok(ExitCode::from(interrupt::EXIT_CODE)) };
    let Some(trials) = comparison::compare(&seeds, options.steps)? else {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    };
    let found = Found { trials, proof, seconds: begun.elapsed().as_secs_f64() };
    match format {
        Format::Json => print_json(&found)?,
        Format::Text => {
            comparison::print(&found.trials);
            proof::print(&found.proof);
            println!("\n{:.0} s", found.seconds);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Mean and standard deviation, for tables: `12.3 ± 0.4`; of one value there is no deviation.
fn spread(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    match values.len() {
        0 | 1 => format!("{mean:.1}"),
        _ => format!("{mean:.1} ± {:.1}", (squares / (count - 1.0)).sqrt()),
    }
}
