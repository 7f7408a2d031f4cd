//! Errors as clients of OpenAI's API read them: a status, and an object that names the parameter.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::parameters::Form;
use crate::text_model::RequestError;

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    kind: &'static str,
    pub(super) message: String,
    parameter: Option<String>,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), parameter: None, code }
    }

    /// A parameter is not what it should be.
    pub(super) fn parameter(name: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        let name = name.into();
        let message = format!("`{name}`: {problem}");
        Self { parameter: Some(name), ..Self::new(StatusCode::BAD_REQUEST, INVALID, None, message) }
    }

    /// The request as a whole is not what it should be.
    pub(super) fn invalid(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, INVALID, None, message)
    }

    pub(super) fn unknown_model(asked: &str, served: &str) -> Self {
        let message = format!("the model `{asked}` is not served here; `{served}` is");
        Self {
            parameter: Some("model".into()),
            ..Self::new(StatusCode::NOT_FOUND, INVALID, Some("model_not_found"), message)
        }
    }

    pub(super) fn wrong_key() -> Self {
        let message = "the request needs the server's API key, as `Authorization: Bearer KEY`";
        Self::new(StatusCode::UNAUTHORIZED, INVALID, Some("invalid_api_key"), message)
    }

    /// More requests than the server holds.
    pub(super) fn overloaded() -> Self {
        let message = "the queue is full: try again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", Some("queue_full"), message)
    }

    pub(super) fn shutting_down() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("shutting_down"), "the server is shutting down")
    }

    /// What the engine says about a request of this form; all but damage is the client's to mend.
    pub(super) fn request(form: Form, error: &RequestError) -> Self {
        let prompt = match form {
            Form::Chat => "messages",
            Form::Completions => "prompt",
        };
        let bad = |code, parameter: &str| Self {
            parameter: Some(parameter.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, INVALID, code, error.to_string())
        };
        match error {
            RequestError::ContextTooLong { .. } | RequestError::CacheTooSmall { .. } => {
                bad(Some("context_length_exceeded"), prompt)
            }
            RequestError::Options(invalid) => bad(None, parameter_of(invalid.option)),
            RequestError::Template(_) => bad(None, "messages"),
            RequestError::EmptyPrompt | RequestError::UnknownToken { .. } => bad(None, prompt),
            RequestError::Unsupported(_) => Self::invalid(StatusCode::BAD_REQUEST, error.to_string()),
            RequestError::Tokenizer(_) | RequestError::NotFinite { .. } | RequestError::Remote(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, error.to_string())
            }
        }
    }

    /// The object that clients read.
    pub(super) fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.parameter, "code": self.code}})
    }
}

const INVALID: &str = "invalid_request_error";

/// An option's name in the API.
fn parameter_of(option: &str) -> &str {
    match option {
        "max_new_tokens" => "max_tokens",
        "min_new_tokens" => "min_tokens",
        other => other,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}
