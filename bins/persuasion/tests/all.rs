//! The library and the program as a user runs it: one test binary, a module per subject.

mod cleaning;
mod command_line;
mod compare;
mod corpora;
mod demo;
mod eval;
mod eval_bad_input;
mod faults;
mod generate;
mod golden_dpo;
mod prepare;
mod prepare_bad_input;
mod report;
mod report_browser;
mod report_folder;
#[path = "../../sra/tests/scripted_judge.rs"]
mod scripted_judge;
#[path = "../../sra/tests/surroundings.rs"]
mod surroundings;
mod threads;
mod train;
mod trained;
