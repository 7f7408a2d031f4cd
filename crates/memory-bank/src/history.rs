//! What a batch of dialogues adds to the memory: the responses of its histories, none counted twice, by strategy.
//!
//! Samples are cut from dialogues turn by turn, so the histories of a batch repeat each other: the history of turn 9 begins with
//! that of turn 7. Of such histories only the longest adds something.

use std::collections::HashMap;
use std::hash::Hash;

/// The supporter's responses before a turn, in order, each with the number of its strategy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History<T> {
    /// The responses.
    pub responses: Vec<T>,
    /// Their strategies, one each.
    pub strategies: Vec<usize>,
}

/// A response that is to be remembered: which one, of which history of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Remembered {
    /// The number of its strategy.
    pub strategy: usize,
    /// The history, by its place in the batch.
    pub history: usize,
    /// The response, by its place in the history.
    pub response: usize,
}

/// What the histories of a batch add, by strategy and then in the order of the batch (specification of MAGIC, "Write", steps 1 and 2).
///
/// A history is left out where another one holds it as a subsequence, in order but maybe with others between. Equal histories do not
/// leave each other out: each adds its responses, under the strategies that the *last* of them names. Responses without a strategy
/// (where a history names fewer strategies than responses) are left out.
pub fn remembered<T: Eq + Hash>(histories: &[History<T>]) -> Vec<Remembered> {
    let last_of_equals: HashMap<&[T], &[usize]> =
        histories.iter().map(|history| (history.responses.as_slice(), history.strategies.as_slice())).collect();
    let mut all = Vec::new();
    for (number, history) in histories.iter().enumerate().filter(|(_, history)| !is_held_by_another(history, histories))
    {
        let strategies = last_of_equals.get(history.responses.as_slice()).copied().unwrap_or_default();
        let of_response =
            |(response, strategy): (usize, &usize)| Remembered { strategy: *strategy, history: number, response };
        all.extend(strategies.iter().take(history.responses.len()).enumerate().map(of_response));
    }
    // Stable: inside a strategy the order of the batch stays.
    all.sort_by_key(|one| one.strategy);
    all
}

fn is_held_by_another<T: Eq>(history: &History<T>, all: &[History<T>]) -> bool {
    all.iter().any(|other| {
        other.responses.len() > history.responses.len() && is_subsequence(&history.responses, &other.responses)
    })
}

/// Whether `whole` holds `part` in order, maybe with others between.
fn is_subsequence<T: Eq>(part: &[T], whole: &[T]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|wanted| rest.any(|found| found == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(responses: &[&'static str], strategies: &[usize]) -> History<&'static str> {
        History { responses: responses.to_vec(), strategies: strategies.to_vec() }
    }

    #[test]
    fn a_history_within_another_adds_nothing_and_equal_ones_both_do() {
        let histories = [
            history(&["a"], &[0]),
            history(&["a", "b"], &[0, 0]),
            history(&[], &[]),
            history(&["a", "b"], &[0, 0]),
            history(&["b", "a"], &[0, 0]),
        ];
        let mut kept: Vec<usize> = remembered(&histories).iter().map(|one| one.history).collect();
        kept.dedup();
        assert_eq!(kept, [1, 3, 4]);
    }

    #[test]
    fn responses_are_grouped_by_strategy_in_the_order_of_the_batch() {
        let histories = [history(&["a", "b"], &[1, 2]), history(&["a"], &[1]), history(&["a", "c"], &[1, 2])];
        let text = |one: &Remembered| (one.strategy, histories[one.history].responses[one.response]);
        let found: Vec<(usize, &str)> = remembered(&histories).iter().map(text).collect();
        assert_eq!(found, [(1, "a"), (1, "a"), (2, "b"), (2, "c")]);
    }

    #[test]
    fn of_equal_histories_the_last_names_the_strategies() {
        let found = remembered(&[history(&["a"], &[3]), history(&["a"], &[5])]);
        assert_eq!(found.iter().map(|one| one.strategy).collect::<Vec<_>>(), [5, 5]);
    }

    #[test]
    fn empty_histories_alone_add_nothing() {
        assert!(remembered(&[history(&[], &[]), history(&[], &[])]).is_empty());
        assert!(remembered::<&str>(&[]).is_empty());
    }
}
