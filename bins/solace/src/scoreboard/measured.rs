//! A system's line: everything about its answers that is the same in every run.

use std::collections::{BTreeMap, HashMap};

use command_line::Failure;
use esc_metrics::interval::{Interval, Resampling};
use esc_metrics::{Item, Suite};
use serde::Serialize;

use super::Done;
use super::systems::System;
use crate::judges::Scores;
use crate::point::Point;
use crate::strategies::are_alike;

/// Share of plans that are what was really done.
const AS_ANNOTATED: &str = "planned as annotated";
/// Share of answers that say something.
const SAID: &str = "said something";

/// A system and its scores.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) system: String,
    /// Means over answers, with intervals.
    pub(super) scores: BTreeMap<String, Score>,
    /// Signatures of the metrics.
    pub(super) signatures: BTreeMap<String, String>,
}

/// A value with its 95 % interval by conversation, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Score {
    pub(super) value: f64,
    pub(super) interval: Option<(f64, f64)>,
}

pub(super) fn line(
    system: &System,
    points: &[Point],
    done: &Done,
    judged: &HashMap<String, Scores>,
    suite: &Suite,
) -> Result<Line, Failure> {
    let mut values: BTreeMap<String, Vec<(&str, f64)>> = BTreeMap::new();
    let by_id: HashMap<&str, &Point> = points.iter().map(|point| (point.id(), point)).collect();
    for row in &done.plan {
        let gold = by_id.get(row.point.as_str()).and_then(|point| point.gold());
        if let (Some(planned), Some(gold)) = (row.strategies.first(), gold) {
            let is_alike = f64::from(u8::from(are_alike(&planned.strategy, gold)));
            values.entry(AS_ANNOTATED.into()).or_default().push((&row.conversation, is_alike));
        }
    }
    for answer in &done.answers {
        let said = f64::from(u8::from(!answer.text.trim().is_empty()));
        values.entry(SAID.into()).or_default().push((&answer.conversation, said));
        for (name, value) in judged.get(&answer.key()).into_iter().flatten() {
            values.entry(name.clone()).or_default().push((&answer.conversation, *value));
        }
    }
    let mut scores: BTreeMap<String, Score> = values
        .into_iter()
        .filter_map(|(name, values)| {
            let found = Interval::by_group(values)?;
            Some((name, Score { value: found.mean, interval: found.ends() }))
        })
        .collect();
    let signatures = metrics(done, &by_id, suite, &mut scores)?;
    Ok(Line { system: system.name.clone(), scores, signatures })
}

/// Adds the metrics over all answers, and tells their signatures.
fn metrics(
    done: &Done,
    by_id: &HashMap<&str, &Point>,
    suite: &Suite,
    scores: &mut BTreeMap<String, Score>,
) -> Result<BTreeMap<String, String>, Failure> {
    let reference = |point: &str| by_id.get(point).map_or("", |point| point.example.response.trim());
    let items = done.answers.iter().map(|answer| Item::new(&answer.text, reference(&answer.point)));
    let conversations: Vec<&str> = done.answers.iter().map(|answer| answer.conversation.as_str()).collect();
    let rows = suite.score(items)?.rows_with_intervals(&conversations, &Resampling::default())?;
    let mut signatures = BTreeMap::new();
    for row in rows {
        scores.insert(row.name.clone(), Score { value: row.value, interval: row.interval });
        signatures.insert(row.name, row.signature);
    }
    Ok(signatures)
}
