//! What a journal consists of.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Distribution, number};

/// Journals of other versions are refused.
pub(crate) const VERSION: u32 = 1;

/// A line of a journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Seconds since the beginning of 1970.
    pub(crate) t: f64,
    /// Who has written it.
    pub(crate) worker: String,
    /// What happened.
    #[serde(flatten)]
    pub(crate) record: Record,
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Record {
    /// The study begins.
    Study { version: u32, name: String, direction: Goal },
    /// A process begins to take part.
    Worker { machine: Option<String> },
    /// A trial begins, or waits for someone to begin it.
    Trial {
        waits: bool,
        /// Values that are not drawn.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        fixed: Map<String, Value>,
        /// Nothing happens if there are so many trials already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<u64>,
        /// Nothing happens if a trial with the same fixed values is there already.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        once: bool,
    },
    /// A waiting trial begins.
    Claim { trial: u64 },
    /// A parameter got its value.
    Parameter { trial: u64, name: String, value: f64, distribution: Distribution },
    /// A value along the way.
    Report {
        trial: u64,
        step: u64,
        #[serde(with = "number")]
        value: f64,
    },
    /// What the user wants to be remembered.
    Attribute { trial: u64, name: String, value: Value },
    /// What samplers and pruners want to be remembered.
    SystemAttribute { trial: u64, name: String, value: Value },
    /// A trial ends.
    End {
        trial: u64,
        state: Ending,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A running trial waits again, with its parameters.
    Release { trial: u64 },
    /// A running trial of a process that is no more has failed. Nothing happens if the process was heard of after `seen`.
    Expire { trial: u64, seen: f64, retry: bool, reason: String },
    /// The writer is still there.
    Alive,
}

impl Record {
    /// The trial it is about, if it is for the trial's owner alone to write.
    pub(crate) fn owned_trial(&self) -> Option<u64> {
        match self {
            Self::Parameter { trial, .. }
            | Self::Report { trial, .. }
            | Self::Attribute { trial, .. }
            | Self::SystemAttribute { trial, .. }
            | Self::End { trial, .. }
            | Self::Release { trial } => Some(*trial),
            _ => None,
        }
    }
}

/// How a trial can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    Complete,
    Pruned,
    Failed,
}

/// A direction, as journals have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    Minimize,
    Maximize,
}
