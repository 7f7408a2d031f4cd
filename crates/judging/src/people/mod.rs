//! Pairs judged by people: tasks for Label Studio, what comes back, and what it says.
//!
//! Annotators see two answers side by side and say how much better one is, from −4 (the left one, by far) to 4 (the right one). Sides are drawn by
//! seed and pair; which system stands where is in a key of its own, not in the tasks.

mod export;
mod report;
mod tasks;

pub use export::{Annotations, Preference, read_annotations, read_published_comparison};
pub use report::{PairReport, PreferenceReport, ValueCorrelation, within_usual_differences};
pub use tasks::{AnnotationKey, AnnotationTasks, KeyEntry, LABELLING_VIEW, SidedPair};

/// Preferences go from minus this to this.
const STRONGEST: i32 = 4;
