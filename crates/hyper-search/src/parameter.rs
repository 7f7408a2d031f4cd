//! A parameter through the trials of a study.

use serde_json::Value;

use crate::{Distribution, SearchError};

/// Whether values of one can be told to a sampler beside values of the other. Ranges may change, what a parameter is may not.
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
