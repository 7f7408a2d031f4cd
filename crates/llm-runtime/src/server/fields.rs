//! A request's JSON object, read field by field, so that every error names its parameter and nothing is passed over unseen.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::errors::ApiError;

/// The fields of an object that nobody has taken yet. A field that is `null` counts as absent.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// # Errors
    /// The bytes are no JSON object.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::invalid(StatusCode::BAD_REQUEST, "the body is not a JSON object")),
            Err(error) => Err(ApiError::invalid(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}"))),
        }
    }

    /// A field as it is.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        // Order does not matter here, and moving all later fields would cost.
        self.0.swap_remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(expected(name, "a string", &other)),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(expected(name, "true or false", &other)),
        }
    }

    pub(super) fn number(&mut self, name: &str, low: f64, high: f64) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if (low..=high).contains(&number) => Ok(Some(number as f32)),
            _ => Err(expected(name, &format!("a number in {low}..={high}"), &value)),
        }
    }

    pub(super) fn count(&mut self, name: &str, low: usize, high: usize) -> Result<Option<usize>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64().and_then(|number| usize::try_from(number).ok()) {
            Some(number) if (low..=high).contains(&number) => Ok(Some(number)),
            _ if high == usize::MAX => Err(expected(name, &format!("an integer from {low} on"), &value)),
            _ => Err(expected(name, &format!("an integer in {low}..={high}"), &value)),
        }
    }

    /// Fields that may be there as long as they ask for nothing.
    ///
    /// # Errors
    /// One asks for something.
    pub(super) fn refuse_unless(&mut self, names: &[&str], asks_nothing: fn(&Value) -> bool) -> Result<(), ApiError> {
        for name in names {
            if self.take(name).is_some_and(|value| !asks_nothing(&value)) {
                return Err(ApiError::parameter(*name, "this server can't do that: leave it out"));
            }
        }
        Ok(())
    }

    /// # Errors
    /// A field is left that nobody knows.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.0.into_iter().find(|(_, value)| !value.is_null()) {
            Some((name, _)) => Err(ApiError::parameter(name, "unknown parameter")),
            None => Ok(()),
        }
    }
}

/// A parameter is something else.
pub(super) fn expected(name: &str, what: &str, found: &Value) -> ApiError {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a truth value".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ApiError::parameter(name, format!("expected {what}, found {found}"))
}
