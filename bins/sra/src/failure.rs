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

    /// The same failure of the work, and what it is about.
    pub(crate) fn about(self, what: &str) -> Self {
        match self {
            Self::Work(message) => Self::Work(format!("{what}: {message}")),
            other => other,
        }
    }

    /// What went wrong.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Work(message) | Self::Usage(message) => message.clone(),
            Self::Clap(error) => error.to_string(),
        }
    }

    /// Prints the message to standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Work(message) => {
                eprintln!("error: {message}");
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                eprintln!("error: {message}\n\nSee `sra --help`.");
                ExitCode::from(2)
            }
            Self::Clap(error) => {
                // A closed pipe behind `sra --help | head` is no failure.
                let _ = error.print();
                ExitCode::from(if error.use_stderr() { 2 } else { 0 })
            }
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

impl From<strategy_prompting::Error> for Failure {
    fn from(error: strategy_prompting::Error) -> Self {
        Self::work(error)
    }
}

impl From<esconv_data::Error> for Failure {
    fn from(error: esconv_data::Error) -> Self {
        Self::work(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::work(error)
    }
}

impl From<training::TrainingError> for Failure {
    fn from(error: training::TrainingError) -> Self {
        match error {
            error @ training::TrainingError::Setting { .. } => Self::wrong_use(error),
            other => Self::work(other),
        }
    }
}

impl From<text_encoder::EncoderError> for Failure {
    fn from(error: text_encoder::EncoderError) -> Self {
        match error {
            error @ text_encoder::EncoderError::Invalid(_) => Self::wrong_use(error),
            text_encoder::EncoderError::Model(error) => error.into(),
            text_encoder::EncoderError::Training(error) => error.into(),
            other => Self::work(other),
        }
    }
}

impl From<lora::LoraError> for Failure {
    fn from(error: lora::LoraError) -> Self {
        match error {
            error @ (lora::LoraError::Invalid(_) | lora::LoraError::UnknownAdapter { .. }) => Self::wrong_use(error),
            other => Self::work(other),
        }
    }
}

impl From<lora::sft::SftError> for Failure {
    fn from(error: lora::sft::SftError) -> Self {
        Self::work(error)
    }
}
