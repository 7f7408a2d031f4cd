//! The library on real files, and the program as a user runs it: one test binary, a module per subject.

mod bad_input;
mod collect_motivations;
mod command_line;
mod faults;
mod finetune;
mod generator;
mod goldens;
mod infer_strategy;
mod preprocess;
mod program;
mod prompts;
mod scripted_server;
#[path = "../../sra/tests/surroundings.rs"]
mod surroundings;
