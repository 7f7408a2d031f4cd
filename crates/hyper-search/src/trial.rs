//! A trial: one set of parameters, and what became of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Distribution;

/// Whether small or large values are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Small ones.
    Minimize,
    /// Large ones.
    Maximize,
}

/// What became of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialState {
    /// Some process is at it.
    Running,
    /// It has its value.
    Complete,
    /// It was given up, because others did better.
    Pruned,
    /// It failed.
    Failed,
    /// It is to be begun, with given parameters.
    Waiting,
}

/// A trial as the study remembers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Counted from 0 in a study.
    pub number: u64,
    /// What became of it.
    pub state: TrialState,
    /// The objective's value, of complete trials; of pruned ones the last reported.
    pub value: Option<f64>,
    /// Internal values of its parameters by name, in the order they were suggested.
    pub parameters: Vec<(String, f64)>,
    /// Where they came from, by name.
    pub distributions: BTreeMap<String, Distribution>,
    /// Reported values by step.
    pub reports: BTreeMap<u64, f64>,
    /// What pruners remember (`completed_rung_0`).
    pub system_attributes: Map<String, Value>,
    /// What the user remembers.
    pub attributes: Map<String, Value>,
    /// Seconds since the beginning of 1970, when it was begun and ended.
    pub started: Option<f64>,
    /// As `started`.
    pub ended: Option<f64>,
}

/// What a sampler or a pruner goes by.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// The study's name.
    pub study: &'a str,
    /// Whether small or large values are good.
    pub direction: Direction,
    /// All trials by number, running ones too.
    pub trials: &'a [Trial],
}
