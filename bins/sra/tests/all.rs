//! The program as a user runs it: one test binary, a module per subject.

mod attention;
mod attention_reports;
mod bad_input;
mod chat;
mod chat_monitor;
mod classifier;
mod closed_pipes;
mod command_line;
mod demo;
mod full_disk;
mod head_to_head;
mod hub;
mod judge;
mod kill_and_resume;
mod odd_files;
mod output_places;
mod program;
mod real_data;
mod remote;
mod score;
mod scripted_judge;
mod secrets;
mod surroundings;
mod training;
