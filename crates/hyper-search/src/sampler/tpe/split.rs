//! Which trials count as good.

use crate::{Direction, History, Trial, TrialState};

/// At most so many trials are good ones.
const MOST_GOOD: usize = 25;

/// Trials in two groups, each by number.
pub(super) struct Split<'a> {
    /// The best tenth.
    pub(super) below: Vec<&'a Trial>,
    /// The rest.
    pub(super) above: Vec<&'a Trial>,
}

/// How many trials a sampler can learn from: complete and pruned ones.
pub(super) fn learnable(history: &History<'_>) -> usize {
    history.trials.iter().filter(|trial| is_learnable(trial)).count()
}

/// Complete or pruned.
pub(super) fn is_learnable(trial: &Trial) -> bool {
    matches!(trial.state, TrialState::Complete | TrialState::Pruned)
}

/// The best tenth of what is known, and the rest. Complete trials go by their value, then come pruned ones (those that came far first, then
/// by the value there), then those that violate constraints, least first. With `running`, those that are running count among the rest (but
/// not `number` itself).
pub(super) fn split<'a>(history: &History<'a>, number: u64, running: bool) -> Split<'a> {
    let mut ranked: Vec<(Rank, &Trial)> = (history.trials.iter().filter(|trial| is_learnable(trial)))
        .map(|trial| (Rank::of(trial, history.direction), trial))
        .collect();
    // Stable, so that of equals the older is better.
    ranked.sort_by(|left, right| left.0.compare(&right.0));
    // In floating point, as the library computes it: of 70 trials 8 are good ones.
    let good = ((0.1 * ranked.len() as f64).ceil() as usize).min(MOST_GOOD);
    let mut below: Vec<&Trial> = ranked.iter().map(|(_, trial)| *trial).collect();
    let mut above = below.split_off(good.min(ranked.len()));
    if running {
        let others = history.trials.iter().filter(|trial| trial.state == TrialState::Running && trial.number != number);
        above.extend(others);
    }
    below.sort_by_key(|trial| trial.number);
    above.sort_by_key(|trial| trial.number);
    Split { below, above }
}

/// Smaller is better, group by group, then number by number.
struct Rank {
    group: u8,
    numbers: [f64; 2],
}

impl Rank {
    fn of(trial: &Trial, direction: Direction) -> Self {
        let signed = |value: f64| if direction == Direction::Minimize { value } else { -value };
        let or_worst = |value: f64| if value.is_nan() { f64::INFINITY } else { value };
        let violation = trial.violation();
        if violation > 0.0 {
            return Self { group: 2, numbers: [violation, 0.0] };
        }
        if trial.state == TrialState::Complete {
            return Self {
                group: 0,
                numbers: [trial.value.map_or(f64::INFINITY, |value| or_worst(signed(value))), 0.0],
            };
        }
        let numbers = match trial.reports.last_key_value() {
            Some((step, value)) => [-(*step as f64), or_worst(signed(*value))],
            None => [1.0, 0.0],
        };
        Self { group: 1, numbers }
    }

    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let number = |place: usize| self.numbers[place].total_cmp(&(other.numbers[place]));
        self.group.cmp(&other.group).then_with(|| number(0)).then_with(|| number(1))
    }
}
