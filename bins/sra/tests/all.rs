//! The program as a user runs it: one test binary, a module per subject.

mod attention;
mod attention_reports;
mod bad_input;
mod chat;
mod command_line;
mod demo;
mod hub;
mod kill_and_resume;
mod program;
mod real_data;
mod training;
