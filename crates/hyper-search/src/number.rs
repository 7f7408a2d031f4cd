//! Numbers in JSON, which has no names for those that are not finite.

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
