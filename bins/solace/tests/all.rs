//! The program as its users run it.

mod demo;
mod faults;
mod pipeline;
mod program;
#[path = "../../sra/tests/surroundings.rs"]
mod surroundings;
