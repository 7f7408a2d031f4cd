//! `thtra`: emotional support that looks ahead, knows the situation and is aligned to helpfulness.

use std::process::ExitCode;

fn main() -> ExitCode {
    thtra::program(std::env::args_os().collect())
}
