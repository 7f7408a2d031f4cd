//! What can be wrong with the data of a classifier.

/// What can be wrong with the data of a classifier.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Items, labels or groups are not equally many.
    #[error("{items} items, but {other} {what}: there must be one for each item")]
    Lengths {
        /// Items.
        items: usize,
        /// What does not fit.
        what: &'static str,
        /// How many of them there are.
        other: usize,
    },
    /// There is nothing to tell apart.
    #[error("{0} different labels: at least two are needed")]
    Labels(usize),
    /// There are too few groups to split.
    #[error("too few groups to split ({found}, at least {needed} are needed): take more conversations")]
    Groups {
        /// Groups in the data.
        found: usize,
        /// Groups needed.
        needed: usize,
    },
    /// No item gives any feature.
    #[error("no text has a feature that is kept: the texts are empty or all alike")]
    NoFeatures,
    /// A vector is not usable.
    #[error("item {item}: {problem}")]
    Vector {
        /// The item's number.
        item: usize,
        /// What is wrong.
        problem: String,
    },
    /// A setting is out of range.
    #[error("{0}")]
    Setting(String),
}
