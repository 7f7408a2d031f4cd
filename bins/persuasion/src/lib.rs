//! Persuasive replies: from posts and replies to pairs, from pairs to a model, and to what it is worth.

// The program's own files name the library as everybody does.
extern crate self as persuasion;

mod arguments;
pub mod best_trial;
mod commands;
pub mod corpus;
mod demo_arguments;
mod eval_arguments;
mod generate_arguments;
mod pair_draw;
mod prepare_arguments;
mod program;
mod replies;
pub mod report;
mod report_arguments;
mod run_settings;
mod search_arguments;
mod subject;
mod subject_arguments;
mod threads_arguments;
mod train_arguments;
mod wordings;
mod written_replies;

pub use program::{program, step};
