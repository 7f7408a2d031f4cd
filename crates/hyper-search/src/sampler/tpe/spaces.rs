//! Which parameters are sampled together.

use std::collections::BTreeMap;

use super::split::is_learnable;
use crate::{Distribution, History, Trial};

/// Parameters that are sampled together, by name.
pub(super) type Space<'a> = BTreeMap<&'a str, &'a Distribution>;

/// The parameters that all finished trials have, with equal distributions; at most one space. Parameters with a single value are left out.
pub(super) fn shared<'a>(history: &History<'a>) -> Vec<Space<'a>> {
    let mut finished = history.trials.iter().filter(|trial| is_learnable(trial));
    let Some(first) = finished.next() else { return Vec::new() };
    let mut space = space_of(first);
    for trial in finished.filter(|trial| trial.distributions != first.distributions) {
        space.retain(|name, distribution| trial.distributions.get(*name) == Some(*distribution));
    }
    with_choice(vec![space])
}

/// All parameters of finished trials, split so that each trial has all parameters of a space or none. Parameters with a single value are left
/// out.
pub(super) fn groups<'a>(history: &History<'a>) -> Vec<Space<'a>> {
    let mut spaces: Vec<Space<'a>> = Vec::new();
    let mut last: Option<&Trial> = None;
    for trial in history.trials.iter().filter(|trial| is_learnable(trial)) {
        // Splitting twice by the same names changes nothing.
        if last.is_some_and(|last| last.distributions.keys().eq(trial.distributions.keys())) {
            continue;
        }
        last = Some(trial);
        spaces = split_by(spaces, space_of(trial));
    }
    with_choice(spaces)
}

fn space_of(trial: &Trial) -> Space<'_> {
    trial.distributions.iter().map(|(name, distribution)| (name.as_str(), distribution)).collect()
}

fn split_by<'a>(spaces: Vec<Space<'a>>, mut new: Space<'a>) -> Vec<Space<'a>> {
    let mut parts = Vec::new();
    for space in spaces {
        let (inside, outside): (Space<'_>, Space<'_>) = space.into_iter().partition(|(name, _)| new.contains_key(name));
        inside.keys().for_each(|name| _ = new.remove(name));
        parts.extend([inside, outside]);
    }
    parts.push(new);
    parts.retain(|space| !space.is_empty());
    parts
}

fn with_choice(mut spaces: Vec<Space<'_>>) -> Vec<Space<'_>> {
    spaces.iter_mut().for_each(|space| space.retain(|_, distribution| !distribution.is_single()));
    spaces.retain(|space| !space.is_empty());
    spaces
}
