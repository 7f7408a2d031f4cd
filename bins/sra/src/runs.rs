//! Runs that can't be measured together, or of which there is nothing to measure: why, and what to do.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use command_line::Failure;
use llm_runtime::ModelIdentity;
use strategy_prompting::{ContinuationRecord, FAILURES, FailureRecord, TornLine, UNCONDITIONAL, read_records};

use crate::adherence::records_file;

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

/// At most so many, evenly spread over the items and over their strategies.
pub(crate) fn spread<T>(items: Vec<T>, limit: Option<usize>, strategy: fn(&T) -> &str) -> Vec<T> {
    let limit = limit.unwrap_or(items.len()).min(items.len());
    let mut strategies: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, item) in items.iter().enumerate() {
        strategies.entry(strategy(item)).or_default().push(number);
    }
    let strategies: Vec<Vec<usize>> = strategies.into_values().collect();
    let shares = shares(&strategies.iter().map(Vec::len).collect::<Vec<_>>(), limit);
    let of_strategy = |(place, (numbers, share)): (usize, (&Vec<usize>, usize))| -> Vec<usize> {
        // Each strategy begins elsewhere, else all would be of the same dialogues.
        let begin = (place as f64 + 0.5) / strategies.len() as f64;
        let step = numbers.len() as f64 / share as f64;
        (0..share).map(|part| numbers[((part as f64 + begin) * step) as usize]).collect()
    };
    let chosen: HashSet<usize> = strategies.iter().zip(shares).enumerate().flat_map(of_strategy).collect();
    items.into_iter().enumerate().filter(|(number, _)| chosen.contains(number)).map(|(_, item)| item).collect()
}

/// How many of each size to take, as even as the sizes allow, to have `limit` in all; there are at least as many.
fn shares(sizes: &[usize], limit: usize) -> Vec<usize> {
    let mut shares = vec![0; sizes.len()];
    let mut left = limit;
    while left > 0 {
        for (share, size) in shares.iter_mut().zip(sizes) {
            let takes = usize::from(*share < *size && left > 0);
            *share += takes;
            left -= takes;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_spread_over_items_and_strategies() {
        let items: Vec<(usize, &str)> =
            (0..1500).map(|number| (number, ["a", "b", "c", "d", "e"][number % 5])).collect();
        for limit in [1, 7, 100, 300, 750] {
            let chosen = spread(items.clone(), Some(limit), |item| item.1);
            assert_eq!(chosen.len(), limit);
            for strategy in ["a", "b", "c", "d", "e"] {
                let count = chosen.iter().filter(|item| item.1 == strategy).count();
                assert!((limit / 5..=limit.div_ceil(5)).contains(&count), "{limit}: {count} of {strategy}");
            }
            let late = chosen.iter().filter(|item| item.0 >= 750).count();
            assert!(late.abs_diff(limit / 2) <= 5, "{limit}: {late} of the second half");
        }
    }

    #[test]
    fn a_rare_strategy_gives_what_it_has() {
        let items = vec!["rare", "often", "often", "often", "often"];
        assert_eq!(spread(items.clone(), Some(4), |item| item).len(), 4);
        assert_eq!(spread(items.clone(), Some(99), |item| item), items);
        assert!(spread(items, Some(0), |item| item).is_empty());
        assert!(spread(Vec::<&str>::new(), None, |item| item).is_empty());
    }
}
