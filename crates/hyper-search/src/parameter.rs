//! Values of parameters: as samplers know them, and as objectives do.

use serde_json::{Number, Value, json};

use crate::{Distribution, SearchError};

/// How far a value may lie beside the grid of its steps, in steps.
const OFF_GRID: f64 = 1e-8;

/// Whether there is something to draw.
///
/// # Errors
///
/// If there is not, with the reason.
pub(crate) fn check(name: &str, distribution: &Distribution) -> Result<(), SearchError> {
    let problem = match distribution {
        Distribution::Float { low, high, .. } if !(low.is_finite() && high.is_finite() && low <= high) => {
            format!("{low} to {high} is no range")
        }
        Distribution::Float { low, log: true, .. } if *low <= 0.0 => {
            format!("its smallest value is {low}; a logarithm needs one above 0")
        }
        Distribution::Float { step: Some(step), log: true, .. } => {
            format!("has steps of {step} and a logarithm; choose one of them")
        }
        Distribution::Float { step: Some(step), .. } if !(step.is_finite() && *step > 0.0) => {
            format!("its step is {step}; it must be above 0")
        }
        Distribution::Int { low, high, .. } if low > high => format!("{low} to {high} is no range"),
        Distribution::Int { step, .. } if *step < 1 => format!("its step is {step}; it must be at least 1"),
        Distribution::Int { low, log: true, .. } if *low < 1 => {
            format!("its smallest value is {low}; a logarithm needs at least 1")
        }
        Distribution::Int { step, log: true, .. } if *step != 1 => {
            format!("has steps of {step} and a logarithm; choose one of them")
        }
        Distribution::Categorical { choices } if choices.is_empty() => String::from("has no choices"),
        Distribution::Categorical { choices }
            if choices.iter().any(|choice| choice.is_array() || choice.is_object()) =>
        {
            String::from("choices are null, booleans, numbers or strings")
        }
        _ => return Ok(()),
    };
    Err(SearchError::distribution(name, problem))
}

/// Whether values of one can be told to a sampler beside values of the other.
///
/// # Errors
///
/// If they can't, with the reason.
pub(crate) fn check_compatible(name: &str, known: &Distribution, new: &Distribution) -> Result<(), SearchError> {
    let problem = match (known, new) {
        (Distribution::Float { log, .. }, Distribution::Float { log: new_log, .. })
        | (Distribution::Int { log, .. }, Distribution::Int { log: new_log, .. })
            if log == new_log =>
        {
            return Ok(());
        }
        (Distribution::Categorical { choices }, Distribution::Categorical { choices: new_choices }) => {
            if choices == new_choices {
                return Ok(());
            }
            let shown = |choices: &[Value]| Value::from(choices.to_vec());
            format!("had the choices {} before, now {}", shown(choices), shown(new_choices))
        }
        _ => format!("was {} before, now it is {}", kind(known), kind(new)),
    };
    Err(SearchError::distribution(name, format!("{problem}; give it another name, or begin another study")))
}

fn kind(distribution: &Distribution) -> &'static str {
    match distribution {
        Distribution::Float { log: false, .. } => "a real number",
        Distribution::Float { log: true, .. } => "the logarithm of a real number",
        Distribution::Int { log: false, .. } => "a whole number",
        Distribution::Int { log: true, .. } => "the logarithm of a whole number",
        Distribution::Categorical { .. } => "a choice",
    }
}

/// Whether an internal value is one of the distribution's.
pub(crate) fn contains(distribution: &Distribution, internal: f64) -> bool {
    match distribution {
        Distribution::Float { low, high, step: None, .. } => (*low..=*high).contains(&internal),
        Distribution::Float { low, high, step: Some(step), .. } => {
            let place = (internal - low) / step;
            let last = (high - low) / step + OFF_GRID;
            (-OFF_GRID..=last).contains(&place) && (place - place.round()).abs() < OFF_GRID
        }
        Distribution::Int { low, high, step, .. } => {
            let is_inside = (*low as f64..=*high as f64).contains(&internal);
            is_inside && internal.fract() == 0.0 && (internal - *low as f64) % *step as f64 == 0.0
        }
        Distribution::Categorical { choices } => {
            internal.fract() == 0.0 && (0.0..choices.len() as f64).contains(&internal)
        }
    }
}

/// What the objective sees of an internal value.
pub(crate) fn external(distribution: &Distribution, internal: f64) -> Option<Value> {
    match distribution {
        Distribution::Float { .. } => Number::from_f64(internal).map(Value::Number),
        Distribution::Int { .. } => Some(Value::from(internal as i64)),
        Distribution::Categorical { choices } => choices.get(internal as usize).cloned(),
    }
}

/// What samplers see of a value; none if it is not one of the distribution's.
pub(crate) fn internal(distribution: &Distribution, external: &Value) -> Option<f64> {
    let internal = match distribution {
        Distribution::Float { .. } | Distribution::Int { .. } => external.as_f64()?,
        Distribution::Categorical { choices } => choices.iter().position(|choice| is_same(choice, external))? as f64,
    };
    contains(distribution, internal).then_some(internal)
}

/// Whether two values are the same; `1` and `1.0` are.
pub(crate) fn is_same(left: &Value, right: &Value) -> bool {
    left == right || left.as_f64().is_some_and(|number| Some(number) == right.as_f64())
}

/// A distribution in JSON, as Optuna has it too.
pub(crate) fn to_json(distribution: &Distribution) -> Value {
    let (name, attributes) = match distribution {
        Distribution::Float { low, high, step, log } => {
            ("FloatDistribution", json!({"step": step, "low": low, "high": high, "log": log}))
        }
        Distribution::Int { low, high, step, log } => {
            ("IntDistribution", json!({"log": log, "step": step, "low": low, "high": high}))
        }
        Distribution::Categorical { choices } => ("CategoricalDistribution", json!({"choices": choices})),
    };
    json!({"name": name, "attributes": attributes})
}

/// Reads what [`to_json`] has written.
///
/// # Errors
///
/// If it is something else, with the reason.
pub(crate) fn from_json(value: &Value) -> Result<Distribution, String> {
    let attributes = value.get("attributes").unwrap_or(&Value::Null);
    let missing = |field: &str| format!("the distribution {value} has no `{field}`");
    let float = |field: &str| attributes.get(field).and_then(Value::as_f64).ok_or_else(|| missing(field));
    let whole = |field: &str| attributes.get(field).and_then(Value::as_i64).ok_or_else(|| missing(field));
    let log = attributes.get("log").and_then(Value::as_bool).unwrap_or(false);
    match value.get("name").and_then(Value::as_str) {
        Some("FloatDistribution") => Ok(Distribution::Float {
            low: float("low")?,
            high: float("high")?,
            step: attributes.get("step").and_then(Value::as_f64),
            log,
        }),
        Some("IntDistribution") => {
            Ok(Distribution::Int { low: whole("low")?, high: whole("high")?, step: whole("step")?, log })
        }
        Some("CategoricalDistribution") => {
            let choices = attributes.get("choices").and_then(Value::as_array).ok_or_else(|| missing("choices"))?;
            Ok(Distribution::Categorical { choices: choices.clone() })
        }
        _ => Err(format!("{value} is no distribution (known: float, int, categorical)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(low: f64, high: f64, step: Option<f64>, log: bool) -> Distribution {
        Distribution::Float { low, high, step, log }
    }

    fn int(low: i64, high: i64, step: i64, log: bool) -> Distribution {
        Distribution::Int { low, high, step, log }
    }

    #[test]
    fn what_can_not_be_drawn_is_refused() {
        let refused = [
            (float(2.0, 1.0, None, false), "2 to 1 is no range"),
            (float(0.0, f64::INFINITY, None, false), "0 to inf is no range"),
            (float(0.0, 1.0, None, true), "a logarithm needs one above 0"),
            (float(0.1, 1.0, Some(0.1), true), "choose one of them"),
            (float(0.1, 1.0, Some(0.0), false), "its step is 0"),
            (int(3, 2, 1, false), "3 to 2 is no range"),
            (int(1, 2, 0, false), "its step is 0"),
            (int(0, 2, 1, true), "a logarithm needs at least 1"),
            (int(1, 9, 2, true), "choose one of them"),
            (Distribution::Categorical { choices: vec![] }, "has no choices"),
            (Distribution::Categorical { choices: vec![json!([1])] }, "null, booleans, numbers or strings"),
        ];
        for (distribution, problem) in refused {
            let told = check("x", &distribution).unwrap_err().to_string();
            assert!(told.starts_with("the parameter `x`: ") && told.contains(problem), "{told}");
        }
    }

    #[test]
    fn values_go_to_samplers_and_back() {
        let choices = Distribution::Categorical { choices: vec![json!("a"), json!(2), json!(null)] };
        for (distribution, value, number) in [
            (float(0.0, 1.0, Some(0.1), false), json!(0.3), 0.3),
            (float(0.0, 0.3, Some(0.1), false), json!(0.1 * 3.0), 0.1 * 3.0),
            (int(2, 8, 3, false), json!(5), 5.0),
            (choices.clone(), json!(null), 2.0),
        ] {
            assert_eq!(internal(&distribution, &value), Some(number));
            assert_eq!(external(&distribution, number), Some(value));
            assert_eq!(from_json(&to_json(&distribution)).unwrap(), distribution);
        }
        assert_eq!(internal(&choices, &json!(2.0)), Some(1.0));
        for (distribution, value) in [
            (float(0.0, 1.0, Some(0.1), false), json!(0.35)),
            (float(0.0, 1.0, None, false), json!("0.5")),
            (int(2, 8, 3, false), json!(6)),
            (int(2, 8, 3, false), json!(2.5)),
            (choices, json!("b")),
        ] {
            assert_eq!(internal(&distribution, &value), None);
        }
    }
}
