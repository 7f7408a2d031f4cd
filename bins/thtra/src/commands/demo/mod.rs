//! `thtra demo`
mod corpus;
mod stages;

use std::process::ExitCode;

use command_line::{Failure, Format};

pub(crate) fn run(_format: Format) -> Result<ExitCode, Failure> {
    let env = |name: &str, usual: f64| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual);
    stages::experiment(
        env("SEEDS", 2.0) as u64,
        env("STEPS", 300.0) as u64,
        env("LR", 5e-3),
        env("W", 0.1),
        env("DIALOGUES", 400.0) as u64,
    )?;
    Ok(ExitCode::SUCCESS)
}
