//! Optuna's journals: studies go there and come from there.
//!
//! A journal of Optuna (`JournalStorage` of Optuna 3 to 5) is a file of JSON Lines, one for each operation, named by `op_code`. It can hold
//! several studies; trials are counted over all of them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::calendar::{from_iso, to_iso};
use crate::number::{as_number, as_value};
use crate::record::{Ending, Record};
use crate::study::Desk;
use crate::{Direction, Distribution, SearchError, Study, Trial, TrialState};

const CREATE_STUDY: u64 = 0;
const DELETE_STUDY: u64 = 1;
const CREATE_TRIAL: u64 = 4;
const SET_PARAMETER: u64 = 5;
const SET_STATE: u64 = 6;
const SET_REPORT: u64 = 7;
const SET_ATTRIBUTE: u64 = 8;
const SET_SYSTEM_ATTRIBUTE: u64 = 9;
/// Attributes of studies, and what only one of Optuna's backends knows.
const WITHOUT_MEANING_HERE: [u64; 3] = [2, 3, 10];

impl Study {
    /// Writes the study as a journal of Optuna, for its dashboard for instance. Reports that are not finite are left out: JSON has no
    /// numbers for them.
    ///
    /// # Errors
    ///
    /// If the study's journal can't be read, or the file can't be written.
    pub fn export_optuna(&self, path: impl AsRef<Path>) -> Result<(), SearchError> {
        let path = path.as_ref();
        let text = self.with_history(|history| {
            let direction = if history.direction == Direction::Minimize { 1 } else { 2 };
            let study = json!({
                "op_code": CREATE_STUDY,
                "worker_id": "hyper-search",
                "study_name": history.study,
                "directions": [direction],
            });
            let trials = history.trials.iter().map(exported);
            std::iter::once(study).chain(trials).map(|line| format!("{line}\n")).collect::<String>()
        })?;
        std::fs::write(path, text).map_err(SearchError::io(path))
    }

    /// Takes over the trials of a study in a journal of Optuna, in their order, with new numbers. Trials that are running there come as
    /// failed. `name` says which study; `None` is the only one. The answer is how many trials came.
    ///
    /// # Errors
    ///
    /// If there is no such study, it has another direction or several objectives, or a line is not one of such a journal. Then nothing was
    /// taken over.
    pub fn import_optuna(&self, path: impl AsRef<Path>, name: Option<&str>) -> Result<usize, SearchError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(SearchError::io(path))?;
        let mut journal = OptunaJournal::default();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            journal.apply(line).map_err(|problem| SearchError::format(path, number, problem))?;
        }
        let study =
            journal.chosen(name).map_err(|problem| SearchError::Search(format!("{}: {problem}", path.display())))?;
        if study.directions != [self.direction()] {
            let problem = format!("{}: `{}` has the directions", path.display(), study.name);
            return Err(SearchError::Search(format!(
                "{problem} {:?}, this study has {:?}",
                study.directions,
                self.direction()
            )));
        }
        let mut desk = self.desk();
        let trials = study.trials.iter().filter_map(|id| journal.trials.get(*id));
        trials.map(|trial| take_over(&mut desk, trial)).sum()
    }
}

fn exported(trial: &Trial) -> Value {
    let distributions: Map<String, Value> = trial
        .distributions
        .iter()
        .map(|(name, distribution)| (name.clone(), json!(distribution).to_string().into()))
        .collect();
    let parameters: Map<String, Value> =
        trial.parameters.iter().map(|(name, value)| (name.clone(), as_value(*value))).collect();
    let finite = trial.reports.iter().filter(|(_, value)| value.is_finite());
    let reports: Map<String, Value> = finite.map(|(step, value)| (step.to_string(), as_value(*value))).collect();
    let mut line = json!({
        "op_code": CREATE_TRIAL,
        "worker_id": "hyper-search",
        "study_id": 0,
        "datetime_start": trial.started.map(to_iso),
        "state": number_of(trial.state),
        "value": trial.value,
        "values": null,
        "distributions": distributions,
        "params": parameters,
        "user_attrs": trial.attributes,
        "system_attrs": trial.system_attributes,
        "intermediate_values": reports,
    });
    if let (Some(ended), Some(fields)) = (trial.ended, line.as_object_mut()) {
        fields.insert("datetime_complete".into(), to_iso(ended).into());
    }
    line
}

fn number_of(state: TrialState) -> u64 {
    match state {
        TrialState::Running => 0,
        TrialState::Complete => 1,
        TrialState::Pruned => 2,
        TrialState::Failed => 3,
        TrialState::Waiting => 4,
    }
}

fn state_of(number: u64) -> Result<TrialState, String> {
    let states =
        [TrialState::Running, TrialState::Complete, TrialState::Pruned, TrialState::Failed, TrialState::Waiting];
    let known = states.into_iter().find(|state| number_of(*state) == number);
    known.ok_or_else(|| format!("{number} is no state of a trial"))
}

/// Writes a trial down as if it had just been run, with its own times.
fn take_over(desk: &mut Desk, trial: &Trial) -> Result<usize, SearchError> {
    let started = trial.started.unwrap_or_else(crate::worker::now);
    if trial.state == TrialState::Waiting {
        let fixed = trial.system_attributes.get(crate::ledger::FIXED).and_then(Value::as_object).cloned();
        let fixed = fixed.unwrap_or_else(|| trial.external_parameters());
        desk.write_at(started, vec![Record::Trial { waits: true, fixed, at_most: None, once: false }])?;
        return Ok(1);
    }
    desk.write_at(started, vec![Record::Trial { waits: false, fixed: Map::new(), at_most: None, once: false }])?;
    let Some(number) = desk.newest() else { return Ok(0) };
    let parameters = trial.parameters.iter().filter_map(|(name, value)| {
        let distribution = trial.distributions.get(name)?.clone();
        Some(Record::Parameter { trial: number, name: name.clone(), value: *value, distribution })
    });
    let reports =
        trial.reports.iter().map(|(step, value)| Record::Report { trial: number, step: *step, value: *value });
    let named = |(name, value): (&String, &Value)| (name.clone(), value.clone());
    let attributes =
        trial.attributes.iter().map(named).map(|(name, value)| Record::Attribute { trial: number, name, value });
    let system_attributes = trial.system_attributes.iter().map(named).map(|(name, value)| Record::SystemAttribute {
        trial: number,
        name,
        value,
    });
    let (state, reason) = match trial.state {
        TrialState::Complete if trial.value.is_some_and(f64::is_finite) => (Ending::Complete, None),
        TrialState::Complete => (Ending::Failed, Some(String::from("its value is not finite"))),
        TrialState::Pruned => (Ending::Pruned, None),
        TrialState::Running | TrialState::Waiting => {
            (Ending::Failed, Some(String::from("it was running when it was taken over")))
        }
        TrialState::Failed => (Ending::Failed, None),
    };
    let value = trial.value.filter(|value| value.is_finite() && state != Ending::Failed);
    let records = parameters.chain(reports).chain(attributes).chain(system_attributes).collect();
    desk.write_at(started, records)?;
    let ended = trial.ended.unwrap_or(started);
    desk.write_at(ended, vec![Record::End { trial: number, state, value, reason }])?;
    Ok(1)
}

/// The studies of a journal of Optuna, replayed.
#[derive(Default)]
struct OptunaJournal {
    studies: Vec<OptunaStudy>,
    trials: Vec<Trial>,
}

struct OptunaStudy {
    name: String,
    directions: Vec<Direction>,
    /// Places in the list of all trials.
    trials: Vec<usize>,
    is_deleted: bool,
}

impl OptunaJournal {
    fn chosen(&self, name: Option<&str>) -> Result<&OptunaStudy, String> {
        let mut there = self.studies.iter().filter(|study| !study.is_deleted);
        let names: Vec<&str> = there.clone().map(|study| study.name.as_str()).collect();
        match (name, names.len()) {
            (Some(name), _) => there.find(|study| study.name == name),
            (None, 1) => there.next(),
            (None, _) => None,
        }
        .ok_or_else(|| match name {
            Some(name) => format!("holds no study `{name}`; it holds {names:?}"),
            None => format!("holds the studies {names:?}; say which"),
        })
    }

    fn apply(&mut self, line: &str) -> Result<(), String> {
        let line: Value =
            serde_json::from_str(&with_quoted_numbers(line)).map_err(|error| format!("not an operation ({error})"))?;
        let operation = field(&line, "op_code")?.as_u64().ok_or("its `op_code` is no number")?;
        match operation {
            CREATE_STUDY => self.create_study(&line),
            DELETE_STUDY => {
                self.study(&line)?.is_deleted = true;
                Ok(())
            }
            CREATE_TRIAL => self.create_trial(&line),
            SET_PARAMETER | SET_STATE | SET_REPORT | SET_ATTRIBUTE | SET_SYSTEM_ATTRIBUTE => {
                let id = whole(&line, "trial_id")?;
                let trial = usize::try_from(id).ok().and_then(|id| self.trials.get_mut(id));
                let trial = trial.ok_or_else(|| format!("there is no trial {id} yet"))?;
                // What comes after a trial's end comes from a process that has lost it.
                if trial.state.is_finished() { Ok(()) } else { change(trial, operation, &line) }
            }
            _ if WITHOUT_MEANING_HERE.contains(&operation) => Ok(()),
            _ => Err(format!("the operation {operation} is not known")),
        }
    }

    fn create_study(&mut self, line: &Value) -> Result<(), String> {
        let name = text(line, "study_name")?.to_owned();
        if self.studies.iter().any(|study| study.name == name && !study.is_deleted) {
            return Ok(());
        }
        let directions = field(line, "directions")?.as_array().ok_or("its `directions` are no list")?;
        let direction = |number: &Value| match number.as_u64() {
            Some(1) => Ok(Direction::Minimize),
            Some(2) => Ok(Direction::Maximize),
            _ => Err(format!("{number} is no direction (1 minimizes, 2 maximizes)")),
        };
        let directions = directions.iter().map(direction).collect::<Result<_, String>>()?;
        self.studies.push(OptunaStudy { name, directions, trials: Vec::new(), is_deleted: false });
        Ok(())
    }

    fn study(&mut self, line: &Value) -> Result<&mut OptunaStudy, String> {
        let id = whole(line, "study_id")?;
        let study = usize::try_from(id).ok().and_then(|id| self.studies.get_mut(id));
        study.ok_or_else(|| format!("there is no study {id} yet"))
    }

    fn create_trial(&mut self, line: &Value) -> Result<(), String> {
        let place = self.trials.len();
        let study = self.study(line)?;
        if study.is_deleted {
            return Ok(());
        }
        let mut trial = Trial::waiting(study.trials.len() as u64);
        study.trials.push(place);
        trial.state = state_of(line.get("state").and_then(Value::as_u64).unwrap_or(0))?;
        trial.started = time(line, "datetime_start")?;
        trial.ended = time(line, "datetime_complete")?;
        trial.value = value_of(line);
        for (name, distribution) in entries(line, "distributions") {
            trial.distributions.insert(name.clone(), distribution_of(distribution)?);
        }
        for (name, value) in entries(line, "params") {
            trial.parameters.push((name.clone(), number(value)?));
        }
        for (step, value) in entries(line, "intermediate_values") {
            let step = step.parse().map_err(|_| format!("`{step}` is no step"))?;
            trial.reports.insert(step, number(value)?);
        }
        trial.attributes = entries(line, "user_attrs").map(|(name, value)| (name.clone(), value.clone())).collect();
        trial.system_attributes =
            entries(line, "system_attrs").map(|(name, value)| (name.clone(), value.clone())).collect();
        check_parameters(&trial.parameters, &trial.distributions)?;
        self.trials.push(trial);
        Ok(())
    }
}

fn change(trial: &mut Trial, operation: u64, line: &Value) -> Result<(), String> {
    match operation {
        SET_PARAMETER => {
            let name = text(line, "param_name")?.to_owned();
            let value = number(field(line, "param_value_internal")?)?;
            trial.distributions.insert(name.clone(), distribution_of(field(line, "distribution")?)?);
            trial.parameters.retain(|(known, _)| *known != name);
            trial.parameters.push((name, value));
            check_parameters(&trial.parameters, &trial.distributions)?;
        }
        SET_STATE => {
            trial.state = state_of(whole(line, "state")?)?;
            trial.started = time(line, "datetime_start")?.or(trial.started);
            trial.ended = time(line, "datetime_complete")?.or(trial.ended);
            trial.value = value_of(line).or(trial.value);
        }
        SET_REPORT => {
            trial.reports.insert(whole(line, "step")?, number(field(line, "intermediate_value")?)?);
        }
        _ => {
            let (field_name, known) = if operation == SET_ATTRIBUTE {
                ("user_attr", &mut trial.attributes)
            } else {
                ("system_attr", &mut trial.system_attributes)
            };
            known.extend(entries(line, field_name).map(|(name, value)| (name.clone(), value.clone())));
        }
    }
    Ok(())
}

fn check_parameters(
    parameters: &[(String, f64)],
    distributions: &BTreeMap<String, Distribution>,
) -> Result<(), String> {
    let unfit = parameters
        .iter()
        .find(|(name, value)| !distributions.get(name).is_some_and(|distribution| distribution.contains(*value)));
    match unfit {
        Some((name, value)) => {
            Err(format!("the parameter `{name}` has the value {value}, which its distribution has not"))
        }
        None => Ok(()),
    }
}

fn field<'a>(line: &'a Value, name: &str) -> Result<&'a Value, String> {
    line.get(name).ok_or_else(|| format!("has no `{name}`"))
}

fn text<'a>(line: &'a Value, name: &str) -> Result<&'a str, String> {
    field(line, name)?.as_str().ok_or_else(|| format!("its `{name}` is no text"))
}

fn whole(line: &Value, name: &str) -> Result<u64, String> {
    field(line, name)?.as_u64().ok_or_else(|| format!("its `{name}` is no whole number"))
}

fn number(value: &Value) -> Result<f64, String> {
    as_number(value).ok_or_else(|| format!("{value} is no number"))
}

fn entries<'a>(line: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    line.get(name).and_then(Value::as_object).into_iter().flatten()
}

fn time(line: &Value, name: &str) -> Result<Option<f64>, String> {
    let Some(text) = line.get(name).and_then(Value::as_str) else { return Ok(None) };
    from_iso(text).map(Some).ok_or_else(|| format!("its `{name}`, {text}, is no time"))
}

/// The value of a trial, alone or as a list of one.
fn value_of(line: &Value) -> Option<f64> {
    let listed = line.get("values").and_then(|values| values.get(0));
    listed.or_else(|| line.get("value")).and_then(as_number)
}

/// Optuna writes distributions as JSON in a text.
fn distribution_of(value: &Value) -> Result<Distribution, String> {
    let parsed = value.as_str().map(|text| serde_json::from_str::<Value>(&with_quoted_numbers(text)));
    let parsed = parsed.transpose().map_err(|error| format!("{value} is no distribution ({error})"))?;
    let parsed = parsed.unwrap_or_else(|| value.clone());
    serde_json::from_value(parsed).map_err(|error| format!("{value} is no distribution ({error})"))
}

/// Python writes `NaN`, `Infinity` and `-Infinity`, which are not JSON; here they become strings, as our journals have them.
fn with_quoted_numbers(line: &str) -> String {
    let mut quoted = String::with_capacity(line.len());
    let mut rest = line;
    let mut is_text = false;
    while let Some(next) = rest.chars().next() {
        let name = ["-Infinity", "Infinity", "NaN"].into_iter().find(|name| !is_text && rest.starts_with(name));
        let taken = match (name, next) {
            (Some(name), _) => {
                quoted.push('"');
                quoted.push_str(name);
                quoted.push('"');
                rest = rest.get(name.len()..).unwrap_or_default();
                continue;
            }
            // A backslash and what it escapes.
            (None, '\\') => next.len_utf8() + rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, next) => {
                is_text ^= next == '"';
                next.len_utf8()
            }
        };
        let (piece, after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        quoted.push_str(piece);
        rest = after;
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::with_quoted_numbers;

    #[test]
    fn numbers_without_json_are_quoted_outside_of_texts() {
        let line = r#"{"a": NaN, "b": [-Infinity, Infinity], "c \" NaN": "Infinity \\"}"#;
        let quoted = r#"{"a": "NaN", "b": ["-Infinity", "Infinity"], "c \" NaN": "Infinity \\"}"#;
        assert_eq!(with_quoted_numbers(line), quoted);
        assert_eq!(with_quoted_numbers("\"é\\"), "\"é\\");
    }
}
