//! `magic`: emotional support with motivation-driven strategy inference and a memory of strategies.

use std::process::ExitCode;

fn main() -> ExitCode {
    magic::program(std::env::args_os().collect())
}
