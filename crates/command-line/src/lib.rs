//! What the programs of the workspace have in common at the keyboard.
//!
//! A program is a command line and what to do with it ([`run_program`]): common options ([`Common`]), options from a file, log lines ([`console`]),
//! signals that end a job and keep what is finished ([`interrupt`]), a bar or plain lines for long jobs ([`Progress`]), and one way to fail
//! ([`Failure`]). Options that several programs take stand here with what they mean: dialogues ([`dialogues`]), a model on this machine or behind a server
//! ([`Runtime`], [`Server`], [`AnyModel`]), a training loop with its records and their picture
//! ([`UsualLoop`], [`Recorder`], [`open_run`], [`training_figure`]), fine-tuning with LoRA
//! ([`FineTune`], [`fine_tune`]) and folding an adapter into its model ([`Merge`], [`merge`]). Every program tells what it is built from
//! ([`LONG_VERSION`]) and makes its completions and manual pages ([`InstallFiles`]).
//!
//! ```
//! use clap::{Args, Command, FromArgMatches};
//! use command_line::Server;
//!
//! let words = ["ask", "--retries", "2", "--min-delay", "0.5"];
//! let matches = Server::augment_args(Command::new("ask")).try_get_matches_from(words)?;
//! let server = Server::from_arg_matches(&matches)?;
//! assert_eq!((server.retries, server.first_given()), (Some(2), Some("--retries")));
//! # Ok::<(), clap::Error>(())
//! ```

mod any_model;
mod config;
pub mod console;
mod curves;
pub mod dialogues;
mod failure;
mod fine_tuning;
mod heaps;
mod install_files;
pub mod interrupt;
mod load;
mod loop_options;
mod merge;
mod metric_tables;
mod model_options;
pub mod output_place;
mod program;
mod progress;
mod recorder;
mod run_folder;
mod server;
pub mod terminal;
mod version;

pub use any_model::{AnyModel, Delivery, is_remote, must_be_local};
pub use config::option_words;
pub use console::print_json;
pub use curves::{Aim, Curve, Curves, HELD_OUT, Point, training_figure};
pub use failure::Failure;
pub use fine_tuning::{FineTune, Learn, Lora, Shortening, TrainingData, Wording, adapter_folder, fine_tune};
pub use heaps::share_heaps;
pub use install_files::{InstallFiles, ManualPage, gaps_of_manual, manual_pages};
pub use load::{NO_ENGINE, hugging_face_folder, load_engine, load_pretrained, model_source};
pub use loop_options::{Loop, Track, Tracking, UsualLoop, warmup};
pub use merge::{Merge, merge};
pub use metric_tables::MetricTables;
pub use model_options::{Machine, ModelOptions, Runtime};
pub use program::{Common, Format, at_least_one, at_least_zero, run_program, run_step};
pub use progress::Progress;
pub use recorder::Recorder;
pub use run_folder::{Outcome, check_settings, open_run};
pub use server::{Key, Server};
pub use version::{COMMIT, LONG_VERSION, program_version};
