//! `persuasion`: DPO with LoRA on pairs of persuasive and unpersuasive replies.

use std::process::ExitCode;

fn main() -> ExitCode {
    persuasion::program(std::env::args_os().collect())
}
