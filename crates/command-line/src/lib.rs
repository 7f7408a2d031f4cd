//! What the programs of the workspace have in common at the keyboard.
//!
//! Log lines and colours ([`console`]), a bar or plain lines for long jobs ([`Progress`]), signals that end a job and keep what is finished
//! ([`interrupt`]), and the options of a model behind a server ([`Server`], [`Key`]):
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

pub mod console;
pub mod interrupt;
mod progress;
mod server;

pub use console::print_json;
pub use progress::Progress;
pub use server::{Key, Server};
