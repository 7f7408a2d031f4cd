//! `random-model`: writes a GGUF file of a published model's shape with random weights, for measurements by any program.

use std::path::PathBuf;
use std::process::ExitCode;

use benches::random_model::{self, FileType};
use benches::shape::Shape;
use clap::Parser;

/// Write a GGUF file of a published model's shape with random weights
#[derive(Debug, Parser)]
#[command(
    name = "random-model",
    version,
    after_help = "Example:\n  random-model --shape tinyllama-1.1b --type q4_k_m tinyllama.gguf"
)]
struct Arguments {
    /// tiny, small, tinyllama-1.1b, llama-2-7b, llama-2-13b, llama-2-70b or llama-3-8b
    #[arg(long)]
    shape: Shape,
    /// f16, q8_0, q6_k, q4_k_m or q4_0
    #[arg(long = "type", default_value_t = FileType::Q4KM)]
    file_type: FileType,
    /// The file
    path: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { shape, file_type, path } = Arguments::parse();
    match random_model::write(&shape, file_type, &path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
