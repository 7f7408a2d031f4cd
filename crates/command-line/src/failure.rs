//! How a program ends when it can't do what was asked: one message, and an exit code.

use std::error::Error;
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use crate::console;

/// A message for the person at the keyboard and the exit code that goes with it.
///
/// It is made of any error with `?`: an error that says that something was asked for in a wrong way becomes [`Self::Usage`], every other
/// one [`Self::Work`].
#[derive(Debug)]
pub enum Failure {
    /// Exit code 1: the work failed.
    Work(String),
    /// Exit code 2: it was asked for in a way that makes no sense.
    Usage(String),
    /// What clap has to say: an error of use, or the help that was asked for.
    Clap(clap::Error),
}

impl Failure {
    /// The work failed.
    pub fn work(error: impl Display) -> Self {
        Self::Work(error.to_string())
    }

    /// It was asked for in a way that makes no sense.
    pub fn wrong_use(error: impl Display) -> Self {
        Self::Usage(error.to_string())
    }

    /// A file or folder that can't be read or written.
    pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::work(format!("{}: {error}", path.display()))
    }

    /// The same failure of the work, and what it is about.
    pub fn about(self, what: &str) -> Self {
        match self {
            Self::Work(message) => Self::Work(format!("{what}: {message}")),
            other => other,
        }
    }

    /// What went wrong.
    pub fn message(&self) -> String {
        match self {
            Self::Work(message) | Self::Usage(message) => message.clone(),
            Self::Clap(error) => error.to_string(),
        }
    }

    /// Whether the operating system refused something (a full disk, a folder that is gone), so that what was asked for may be as good as ever.
    pub fn is_of_the_system(&self) -> bool {
        matches!(self, Self::Work(message) if error_code(message).is_some())
    }

    /// Prints the message to standard error, with what to do where that is known, and gives the exit code.
    pub fn report(self, program: &str) -> ExitCode {
        match self {
            Self::Work(message) => {
                match error_code(&message).and_then(advice).filter(|_| !message.contains("resume")) {
                    Some(advice) => console::complain(format_args!("{message}\n\n{advice}")),
                    None => console::complain(&message),
                }
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                console::complain(format_args!("{message}\n\nSee `{program} --help`."));
                ExitCode::from(2)
            }
            Self::Clap(error) => {
                // A closed pipe behind `… --help | head` is no failure.
                let _ = error.print();
                ExitCode::from(if error.use_stderr() { 2 } else { 0 })
            }
        }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let error: Box<dyn Error> = Box::new(error);
        match error.downcast::<clap::Error>() {
            Ok(error) => Self::Clap(*error),
            Err(error) if is_wrong_use(error.as_ref()) => Self::wrong_use(error),
            Err(error) => Self::work(error),
        }
    }
}

/// The operating system's code of the last of its errors that a message tells, in the standard library's form of them. Messages are all that is left of
/// errors here: crates put them into their own, and those into others.
fn error_code(message: &str) -> Option<i32> {
    let (_, rest) = message.rsplit_once("(os error ")?;
    rest.split_once(')')?.0.parse().ok()
}

/// What to do about an error of the disk.
fn advice(code: i32) -> Option<&'static str> {
    match code {
        libc::ENOSPC | libc::EDQUOT => Some(
            "Make room there, or name another place. What was finished is kept: where the command knows --resume, it goes on from there.",
        ),
        libc::EFBIG => Some(
            "Files may not grow so large here (`ulimit -f`, or the file system's own limit): raise the limit, or name another place. What was finished is \
             kept: where the command knows --resume, it goes on from there.",
        ),
        libc::EROFS | libc::EACCES | libc::EPERM => Some("Name another place, or ask for the right to this one."),
        libc::EMFILE => Some("This process may not open so many files: raise the limit (`ulimit -n`)."),
        _ => None,
    }
}

/// Whether an error, or one that it comes from, is about how something was asked for.
fn is_wrong_use(error: &(dyn Error + 'static)) -> bool {
    is_invalid_model_use(error)
        || is_invalid_training(error)
        || is_invalid_adapter(error)
        || is_invalid_encoder(error)
        || error.source().is_some_and(is_wrong_use)
}

fn is_invalid_model_use(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(llm_runtime::Error::Invalid(_)))
}

fn is_invalid_training(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(training::TrainingError::Setting { .. }))
}

fn is_invalid_adapter(error: &(dyn Error + 'static)) -> bool {
    use lora::LoraError;
    matches!(error.downcast_ref(), Some(LoraError::Invalid(_) | LoraError::UnknownAdapter { .. }))
}

fn is_invalid_encoder(error: &(dyn Error + 'static)) -> bool {
    use text_encoder::EncoderError;
    match error.downcast_ref() {
        Some(EncoderError::Invalid(_)) => true,
        // These show what they hold as if it were themselves, and so it is in no chain of sources.
        Some(EncoderError::Model(inner)) => is_invalid_model_use(inner),
        Some(EncoderError::Training(inner)) => is_invalid_training(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn what_was_asked_for_in_a_wrong_way_is_told_apart_from_work_that_failed() {
        let invalid = || llm_runtime::Error::Invalid("no such width".into());
        assert!(matches!(Failure::from(invalid()), Failure::Usage(_)));
        assert!(matches!(Failure::from(text_encoder::EncoderError::Model(invalid())), Failure::Usage(_)));
        assert!(matches!(Failure::from(std::io::Error::other("disk")), Failure::Work(_)));
        let full = std::io::Error::from_raw_os_error(libc::ENOSPC);
        let failure = Failure::at(std::path::Path::new("run/rows.jsonl"))(full);
        assert!(failure.is_of_the_system() && !Failure::work("no pair is left").is_of_the_system());
        assert!(
            super::error_code(&failure.message()).and_then(super::advice).is_some_and(|what| what.contains("--resume"))
        );
        let help = clap::Command::new("p").try_get_matches_from(["p", "--help"]);
        assert!(matches!(help.map_err(Failure::from), Err(Failure::Clap(_))));
    }
}
