//! What responses are worth beyond their mean: scores by strategy and by turn, and what the real responses cost, by dialogue.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Error;
use crate::interval::{Estimate, Resampling};
use crate::significance::{Comparison, ItemSums, Paired};
use crate::suite::ScoreRow;

/// Turns that are reported together: so many from the first on.
const TURNS_TOGETHER: usize = 5;
/// Turns from here on are reported together.
const LAST_TURNS: usize = 20;

/// What a real response costs a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Likelihood {
    /// Negative log-likelihood, in nats.
    pub nll: f64,
    /// Tokens that it is the sum of.
    pub tokens: usize,
}

/// The scores of some responses.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Which ones.
    pub name: String,
    /// How many.
    pub responses: usize,
    /// Scores.
    pub scores: Vec<ScoreRow>,
    /// Perplexity of the real responses.
    pub perplexity: f64,
}

/// Scores by key, which comes with a name: one key for each response. `scores` are those of the responses at some places.
pub fn parts<K: Ord>(
    likelihoods: &[Likelihood],
    keys: impl IntoIterator<Item = (K, String)>,
    scores: impl Fn(&[usize]) -> Vec<ScoreRow>,
) -> Vec<Part> {
    let mut places: BTreeMap<K, (String, Vec<usize>)> = BTreeMap::new();
    for (place, (key, name)) in keys.into_iter().enumerate().take(likelihoods.len()) {
        places.entry(key).or_insert((name, Vec::new())).1.push(place);
    }
    let part = |(name, places): (String, Vec<usize>)| {
        let perplexity = perplexity_of(places.iter().map(|place| likelihoods[*place]));
        Part { name, responses: places.len(), scores: scores(&places), perplexity }
    };
    places.into_values().map(part).collect()
}

/// The name of the turns that are reported with this one, behind a key to order them by. Turns count from 0.
pub fn turns_together(turn: usize) -> (usize, String) {
    if turn >= LAST_TURNS {
        return (LAST_TURNS, format!("turns {LAST_TURNS} and later"));
    }
    let first = turn / TURNS_TOGETHER * TURNS_TOGETHER;
    (first, format!("turns {first} to {}", first + TURNS_TOGETHER - 1))
}

/// `exp(Σ nll / Σ tokens)` with its interval: whole dialogues are drawn, one for each response.
///
/// # Errors
/// There are more or fewer dialogues than likelihoods, or there is no token to take a perplexity of.
pub fn perplexity_by_dialogue(
    likelihoods: &[Likelihood],
    dialogues: &[&str],
    resampling: &Resampling,
) -> Result<Estimate, Error> {
    if likelihoods.len() != dialogues.len() {
        let (left, right) = (likelihoods.len(), dialogues.len());
        return Err(Error::Lengths { what: "likelihoods and dialogues", left, right });
    }
    let mut sums: BTreeMap<&str, Likelihood> = BTreeMap::new();
    for (dialogue, likelihood) in dialogues.iter().zip(likelihoods) {
        let sum = sums.entry(dialogue).or_insert(Likelihood { nll: 0.0, tokens: 0 });
        sum.nll += likelihood.nll;
        sum.tokens += likelihood.tokens;
    }
    let sums: Vec<Likelihood> = sums.into_values().collect();
    let of = |drawn: &[usize]| Some(perplexity_of(drawn.iter().map(|dialogue| sums[*dialogue])));
    let found = resampling.estimate(sums.len(), of);
    found.ok_or_else(|| Error::Setting("there is no response to take a perplexity of".to_owned()))
}

/// The perplexities of two models on the same responses; whole dialogues are drawn and swapped.
///
/// # Errors
/// There are not as many likelihoods of either as dialogues, or none.
pub fn compare_perplexities(
    first: &[Likelihood],
    second: &[Likelihood],
    dialogues: &[&str],
    resampling: &Resampling,
) -> Result<Comparison, Error> {
    let sums = |likelihoods: &[Likelihood]| {
        let rows: Vec<[f64; 2]> = likelihoods.iter().map(|one| [one.nll, one.tokens as f64]).collect();
        ItemSums::from_rows(&rows)?.by_group(dialogues)
    };
    let perplexity = |sums: &[f64]| match sums {
        [nll, tokens] if *tokens > 0.0 => (nll / tokens).exp(),
        _ => f64::NAN,
    };
    Ok(Paired::new(&sums(first)?, &sums(second)?, perplexity)?.compare(resampling))
}

/// NaN where there are no tokens.
fn perplexity_of(likelihoods: impl Iterator<Item = Likelihood>) -> f64 {
    let (nll, tokens) = likelihoods.fold((0.0, 0), |(nll, tokens), one| (nll + one.nll, tokens + one.tokens));
    (nll / tokens as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: [Likelihood; 3] =
        [Likelihood { nll: 2.0, tokens: 1 }, Likelihood { nll: 3.0, tokens: 2 }, Likelihood { nll: 1.0, tokens: 3 }];

    #[test]
    fn parts_hold_what_their_places_cost() {
        let keys = [(1, "b".to_owned()), (0, "a".to_owned()), (1, "b".to_owned())];
        let parts = parts(&COSTS, keys, |_| Vec::new());
        let found: Vec<(&str, usize, f64)> =
            parts.iter().map(|part| (part.name.as_str(), part.responses, part.perplexity.ln())).collect();
        assert_eq!(found, [("a", 1, 1.5), ("b", 2, 0.75)]);
    }

    #[test]
    fn turns_come_together_by_five_and_late_ones_all() {
        assert_eq!(turns_together(4), (0, "turns 0 to 4".to_owned()));
        assert_eq!(turns_together(19), (15, "turns 15 to 19".to_owned()));
        assert_eq!(turns_together(20), turns_together(99));
    }

    #[test]
    fn a_perplexity_is_that_of_all_tokens_and_its_ends_are_those_of_dialogues() {
        let resampling = Resampling::default();
        let found = perplexity_by_dialogue(&COSTS, &["x", "x", "y"], &resampling).unwrap();
        assert!((found.value.ln() - 1.0).abs() < 1e-12);
        // Drawn are x twice, y twice, or both.
        assert!((found.low.ln() - 1.0 / 3.0).abs() < 1e-12 && (found.high.ln() - 5.0 / 3.0).abs() < 1e-12);
        assert!(perplexity_by_dialogue(&COSTS, &["x"], &resampling).is_err());
        assert!(perplexity_by_dialogue(&[], &[], &resampling).is_err());
    }

    #[test]
    fn the_better_of_two_models_has_the_lower_perplexity() {
        let better = COSTS.map(|one| Likelihood { nll: one.nll / 2.0, ..one });
        let found = compare_perplexities(&better, &COSTS, &["x", "y", "z"], &Resampling::default()).unwrap();
        let difference = found.bootstrap.difference;
        assert!((difference.value - (0.5f64.exp() - 1.0f64.exp())).abs() < 1e-12 && difference.high < 0.0);
    }
}
