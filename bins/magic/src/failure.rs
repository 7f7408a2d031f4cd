//! How the program ends when it can't do what was asked: one message, and an exit code.

use std::fmt::Display;
use std::process::ExitCode;

/// A message for the person at the keyboard and the exit code that goes with it.
pub(crate) enum Failure {
    /// Exit code 1: the work failed.
    Work(String),
    /// Exit code 2: it was asked for in a way that makes no sense.
    Usage(String),
    /// What clap has to say: an error of use, or the help that was asked for.
    Clap(clap::Error),
}

impl Failure {
    pub(crate) fn work(error: impl Display) -> Self {
        Self::Work(error.to_string())
    }

    pub(crate) fn wrong_use(error: impl Display) -> Self {
        Self::Usage(error.to_string())
    }

    pub(crate) fn usage(error: clap::Error) -> Self {
        Self::Clap(error)
    }

    /// Prints the message to standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Work(message) => {
                eprintln!("error: {message}");
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                eprintln!("error: {message}\n\nSee `magic --help`.");
                ExitCode::from(2)
            }
            Self::Clap(error) => {
                // A closed pipe behind `magic --help | head` is no failure.
                let _ = error.print();
                ExitCode::from(if error.use_stderr() { 2 } else { 0 })
            }
        }
    }
}

impl From<magic::Error> for Failure {
    fn from(error: magic::Error) -> Self {
        match error {
            magic::Error::Model(error) => error.into(),
            other => Self::work(other),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::work(error)
    }
}

impl From<llm_runtime::Error> for Failure {
    fn from(error: llm_runtime::Error) -> Self {
        match error {
            llm_runtime::Error::Invalid(message) => Self::Usage(message),
            other => Self::work(other),
        }
    }
}

/// A folder that can't be made, say.
pub(crate) fn about(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::work(format!("{}: {error}", path.display()))
}
