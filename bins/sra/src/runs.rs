//! Runs that can't be measured together, or of which there is nothing to measure: why, and what to do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use llm_runtime::ModelIdentity;
use strategy_prompting::{ContinuationRecord, FAILURES, FailureRecord, TornLine, UNCONDITIONAL, read_records};

use crate::adherence::records_file;
use crate::failure::Failure;

/// Responses of the runs that are looked at together. None may be among them twice: it would count twice, and intervals would
/// be too narrow.
#[derive(Default)]
pub(crate) struct Responses {
    /// Where each is, by who made it and its id.
    runs: HashMap<(ModelIdentity, String), PathBuf>,
}

impl Responses {
    /// Takes note of a response; it is refused if it was there before.
    pub(crate) fn add(&mut self, run: &Path, record: &ContinuationRecord) -> Result<(), Failure> {
        match self.runs.entry((record.model.clone(), record.id.clone())) {
            Entry::Vacant(place) => {
                place.insert(run.to_owned());
                Ok(())
            }
            Entry::Occupied(first) => Err(Failure::wrong_use(format!(
                "the response {} of {} would count twice: it is in {} and in {}. Name each run once, and only one of several \
                 captures of the same responses",
                record.id,
                record.model.name,
                first.get().display(),
                run.display()
            ))),
        }
    }
}

/// The failure of a command that found nothing in any of these runs.
pub(crate) fn nothing_to_measure(runs: &[PathBuf]) -> Failure {
    let reasons = runs.iter().map(|run| why_nothing(run)).collect::<Result<Vec<String>, Failure>>();
    reasons.map_or_else(|failure| failure, |reasons| Failure::work(reasons.join("\n")))
}

/// Tells of runs that add nothing while others do.
pub(crate) fn warn_of_nothing(runs: &[PathBuf]) -> Result<(), Failure> {
    for run in runs {
        tracing::warn!("{}", why_nothing(run)?);
    }
    Ok(())
}

/// Why nothing of a run can be measured.
fn why_nothing(run: &Path) -> Result<String, Failure> {
    let (mut responses, mut conditional) = (0, 0);
    for record in read_records(&records_file(run), TornLine::Skip)? {
        responses += 1;
        conditional += usize::from(record?.strategy != UNCONDITIONAL);
    }
    let name = run.display();
    Ok(match (responses, conditional, failures(run)) {
        (0, _, None) => format!("{name}: no response is finished yet: go on with `sra continue … --resume`"),
        (0, _, Some((count, first))) => format!(
            "{name}: no response was made, {count} requests failed ({}). The first: {}\n\
             Mend that and run `sra continue … --resume`.",
            run.join(FAILURES).display(),
            first.error
        ),
        (_, 0, _) => format!(
            "{name}: none of its {responses} responses was asked for a strategy: continue with an instruction that names \
             one, such as `--instruction t4`"
        ),
        _ => format!("{name}: its {conditional} responses are empty"),
    })
}

/// How many requests of the run could not be served, and the first.
fn failures(run: &Path) -> Option<(usize, FailureRecord)> {
    let text = std::fs::read_to_string(run.join(FAILURES)).ok()?;
    let mut failures = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let first = failures.next()?;
    Some((1 + failures.count(), first))
}

/// At most so many, evenly spread.
pub(crate) fn spread<T>(items: Vec<T>, limit: Option<usize>) -> Vec<T> {
    let count = items.len();
    let limit = limit.unwrap_or(count).min(count);
    let is_chosen = |number: usize| (number + 1) * limit / count > number * limit / count;
    items.into_iter().enumerate().filter(|(number, _)| is_chosen(*number)).map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_spread_evenly() {
        let items: Vec<usize> = (0..10).collect();
        assert_eq!(spread(items.clone(), Some(5)), [1, 3, 5, 7, 9]);
        assert_eq!(spread(items.clone(), Some(99)), items);
        assert!(spread(items, Some(0)).is_empty());
        assert!(spread(Vec::<usize>::new(), None).is_empty());
    }
}
