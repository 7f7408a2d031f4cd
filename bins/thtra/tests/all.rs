//! The library on real files, and the program as a user runs it: one test binary, a module per subject.

mod align;
mod answering;
mod bad_input;
mod batches;
mod candidates;
mod chat;
mod command_line;
mod demo;
mod faults;
mod golden_joint;
mod goldens;
mod helpfulness_bad_input;
mod helpfulness_program;
mod infer_eval;
mod prepare;
mod process;
mod program;
mod real_data;
mod run;
mod samples;
mod small_scorer;
mod stages;
#[path = "../../sra/tests/surroundings.rs"]
mod surroundings;
