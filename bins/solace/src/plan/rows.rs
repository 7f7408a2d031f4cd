//! Rows of a plan.

use serde::{Deserialize, Serialize};
use strategy_prompting::RowKind;

use crate::point::Point;

/// A strategy for a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Planned {
    /// Its name in the plan's strategy set.
    pub(crate) strategy: String,
    /// How probable the planner finds it, 0 to 1; none where it does not say.
    pub(crate) probability: Option<f64>,
    /// Why it fits; empty where that is not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) motivation: String,
}

/// What is planned for a place: a line of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanRow {
    /// The place's id.
    pub(crate) point: String,
    pub(crate) conversation: String,
    /// The supporter turn.
    pub(crate) turn: usize,
    /// The best first; empty where whoever answers shall choose.
    pub(crate) strategies: Vec<Planned>,
    /// Planner and settings.
    pub(crate) made_by: String,
}

impl PlanRow {
    pub(crate) fn new(point: &Point, strategies: Vec<Planned>, made_by: &str) -> Self {
        Self {
            point: point.id().to_owned(),
            conversation: point.conversation().to_owned(),
            turn: point.example.turn,
            strategies,
            made_by: made_by.to_owned(),
        }
    }
}

/// Rows of a plan.
pub(crate) const PLAN_ROWS: RowKind<PlanRow> = RowKind {
    name: "row of `solace plan`",
    beginning: r#"{"point":"#,
    id: |row| row.point.clone(),
    made_by: |row| &row.made_by,
};
