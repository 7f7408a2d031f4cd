//! The program as its users run it.

mod demo;
mod pipeline;
mod program;
