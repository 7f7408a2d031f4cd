//! Names of strategies across the label sets of the systems: ESConv's eight are what all of them can be held against.

use esconv_data::{LabelSet, Strategy, StrategySet};

/// Where a label is looked for, in this order; what stands in several of them is the same there.
const SETS: [LabelSet; 4] = [LabelSet::Esconv, LabelSet::Multiesc, LabelSet::Extes, LabelSet::FailedEsconv];

/// What a label of any set is among ESConv's eight; none if it is unknown or has no counterpart.
pub(crate) fn esconv_name(label: &str) -> Option<&'static str> {
    SETS.iter().find_map(|set| set.to_esconv(label))
}

/// Whether two labels are the same, or the same among ESConv's eight.
pub(crate) fn are_alike(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right) || esconv_name(left).is_some_and(|name| esconv_name(right) == Some(name))
}

/// The strategies of a set that stand for a label: the one of its name, else all that are the same among ESConv's eight.
pub(crate) fn counterparts<'s>(set: &'s StrategySet, label: &str) -> Vec<&'s Strategy> {
    match set.strategies.iter().find(|strategy| strategy.name.eq_ignore_ascii_case(label)) {
        Some(strategy) => vec![strategy],
        None => set.strategies.iter().filter(|strategy| are_alike(&strategy.name, label)).collect(),
    }
}

/// ThTra's strategy for a label; what has no counterpart is one of the others.
pub(crate) fn thtra_strategy(label: &str) -> thtra::Strategy {
    esconv_name(label).and_then(thtra::Strategy::find).unwrap_or(thtra::Strategy::Others)
}

/// MAGIC's strategy for a label; what has no counterpart is one of the others.
pub(crate) fn magic_strategy(label: &str) -> magic::Strategy {
    let name = SETS.iter().find_map(|set| set.to_multiesc(label));
    let known = magic::Strategy::find(label).or_else(|| name.and_then(magic::Strategy::find));
    known.unwrap_or(magic::Strategy::Others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_find_their_counterparts() {
        let fifteen = StrategySet::built_in("extes15").unwrap();
        let names =
            |label| counterparts(&fifteen, label).iter().map(|strategy| strategy.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names("offer hope"), ["Offer Hope"]);
        assert_eq!(names("Question"), ["Clarification"]);
        assert_eq!(names("Affirmation and Reassurance"), ["Affirmation", "Offer Hope"]);
        assert!(names("Self-disclosure").is_empty());
        assert!(are_alike("Greeting", "Others") && are_alike("Chit Chat", "Greeting"));
        assert!(!are_alike("Reframe Negative Thoughts", "Normalize Experiences"), "neither has a counterpart");
        assert_eq!(thtra_strategy("Share Information"), thtra::Strategy::Information);
        assert_eq!(magic_strategy("Share Information"), magic::Strategy::Suggestions);
        assert_eq!(magic_strategy("Greeting"), magic::Strategy::Greeting);
    }
}
