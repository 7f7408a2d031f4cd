//! What goes wrong in one attempt to download a file, and whether another one could succeed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use hf_hub::api::sync::ApiError;

/// What went wrong in one attempt.
#[derive(Debug)]
pub(super) enum Failure {
    Status(u16),
    /// The connection or the answer ended early.
    Dropped(String),
    /// There is no connection to be had.
    Unreachable(String),
    /// What is left of an earlier attempt is larger than the file.
    UnusablePart,
    Protocol(String),
    Disk(String),
    Locked(PathBuf),
}

impl Failure {
    /// Whether another attempt could succeed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 408 | 416 | 429 | 500..=599),
            Self::Dropped(_) | Self::UnusablePart => true,
            Self::Unreachable(_) | Self::Protocol(_) | Self::Disk(_) | Self::Locked(_) => false,
        }
    }

    pub(super) fn problem(&self) -> String {
        match self {
            Self::Status(status) => format!("status {status}"),
            Self::Dropped(problem) | Self::Unreachable(problem) | Self::Protocol(problem) | Self::Disk(problem) => {
                problem.clone()
            }
            Self::UnusablePart => "the part left by an earlier download can't be continued".to_string(),
            Self::Locked(lock) => format!("{} is locked", lock.display()),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::RequestError(request) => {
                // The HTTP client is hf-hub's own; its error can only be told apart by its text and its I/O cause.
                let text = request.to_string();
                if let Some(status) = text.strip_prefix("http status: ").and_then(|status| status.parse().ok()) {
                    return Self::Status(status);
                }
                if text.starts_with("bad uri") || text.starts_with("http: ") {
                    // The client's text would repeat the address with a password in it.
                    return Self::Protocol("the endpoint or the token is malformed".to_string());
                }
                match request.into_io().kind() {
                    std::io::ErrorKind::ConnectionRefused => Self::Unreachable(text),
                    _ if text == "host not found" => Self::Unreachable(text),
                    _ => Self::Dropped(text),
                }
            }
            ApiError::IoError(error) => {
                use std::io::ErrorKind as Kind;
                let network = matches!(
                    error.kind(),
                    Kind::ConnectionReset
                        | Kind::ConnectionAborted
                        | Kind::BrokenPipe
                        | Kind::TimedOut
                        | Kind::WouldBlock
                );
                // An error that the operating system did not number comes from the reader of the answer.
                match error.raw_os_error() {
                    Some(_) if !network => Self::Disk(error.to_string()),
                    _ => Self::Dropped(error.to_string()),
                }
            }
            ApiError::InvalidResume => Self::UnusablePart,
            ApiError::LockAcquisition(lock) => Self::Locked(lock),
            ApiError::TooManyRetries(error) => (*error).into(),
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// Runs a call into hf-hub, which panics on some answers (a redirect without a target, say).
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, ApiError>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(_) => Err(Failure::Protocol("the download library could not handle it".to_string())),
    }
}
