//! Numbers in JSON, which has no names for those that are not finite.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A number; what is not finite is a string.
pub(crate) fn as_value(number: f64) -> Value {
    match number {
        _ if number.is_finite() => Value::from(number),
        _ if number.is_nan() => Value::from("NaN"),
        _ if number > 0.0 => Value::from("Infinity"),
        _ => Value::from("-Infinity"),
    }
}

/// What [`as_value`] has written.
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        other => other.as_f64(),
    }
}

/// For fields of records.
pub(crate) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    as_value(*number).serialize(serializer)
}

/// For fields of records.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    as_number(&value).ok_or_else(|| D::Error::custom(format!("expected a number, found {value}")))
}
