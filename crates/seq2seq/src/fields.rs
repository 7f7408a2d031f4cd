//! Fields of a Hugging Face JSON file, with problems that name them.

use std::path::Path;

use llm_runtime::input_file;
use serde_json::{Map, Value};

use crate::Seq2SeqError;

pub(crate) struct Fields<'a> {
    pub(crate) path: &'a Path,
    pub(crate) json: &'a Value,
}

impl Fields<'_> {
    /// The value in a file.
    pub(crate) fn read(path: &Path) -> Result<Value, Seq2SeqError> {
        let text = input_file::read_text(path).map_err(Seq2SeqError::io(path))?;
        let json: Value = serde_json::from_str(&text)
            .map_err(|error| Seq2SeqError::file(path, format!("not a JSON file: {error}")))?;
        match json.is_object() {
            true => Ok(json),
            false => Err(Seq2SeqError::file(path, "expected a JSON object")),
        }
    }

    pub(crate) fn problem(&self, problem: impl std::fmt::Display) -> Seq2SeqError {
        Seq2SeqError::file(self.path, problem)
    }

    /// Whether the field is there; it may be null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.json.get(name).is_some()
    }

    pub(crate) fn size(&self, name: &str) -> Result<usize, Seq2SeqError> {
        self.optional_size(name)?.ok_or_else(|| self.problem(format!("`{name}` is missing: expected a number")))
    }

    pub(crate) fn optional_size(&self, name: &str) -> Result<Option<usize>, Seq2SeqError> {
        // A model of more than 2³² of anything does not exist, and products of two sizes must not overflow.
        let size = |value: &Value| value.as_u64().filter(|size| *size < 1 << 32).map(|size| size as usize);
        self.optional(name, size, "a number")
    }

    pub(crate) fn id(&self, name: &str) -> Result<Option<u32>, Seq2SeqError> {
        self.optional(name, |value| value.as_u64().and_then(|id| u32::try_from(id).ok()), "one token id")
    }

    pub(crate) fn number(&self, name: &str, default: f64) -> Result<f64, Seq2SeqError> {
        Ok(self.optional_number(name)?.unwrap_or(default))
    }

    pub(crate) fn optional_number(&self, name: &str) -> Result<Option<f64>, Seq2SeqError> {
        self.optional(name, Value::as_f64, "a number")
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, Seq2SeqError> {
        Ok(self.optional(name, Value::as_bool, "true or false")?.unwrap_or(default))
    }

    /// `None` where the field is missing or null.
    fn optional<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
        expected: &str,
    ) -> Result<Option<T>, Seq2SeqError> {
        match &self.json[name] {
            Value::Null => Ok(None),
            value => match parse(value) {
                Some(parsed) => Ok(Some(parsed)),
                None => Err(self.problem(format!("`{name}` is {value}: expected {expected}"))),
            },
        }
    }

    /// Fields that are in neither list.
    pub(crate) fn other(&self, own: &[&str], more: &[&str]) -> Map<String, Value> {
        let all = self.json.as_object().into_iter().flatten();
        all.filter(|(name, _)| !own.contains(&name.as_str()) && !more.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// A probability with the digits people gave it: 0.1 and not 0.10000000149.
pub(crate) fn written(probability: f32) -> f64 {
    probability.to_string().parse().unwrap_or_else(|_| f64::from(probability))
}
