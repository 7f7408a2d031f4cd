//! Which trial of a search is the best.

use hyper_search::{History, Trial};

/// The attribute of a trial with the mean difference of rewards at its best evaluation.
pub const MARGIN: &str = "rewards/margins";

/// The trial with the best value. Reward accuracies of a few pairs are often equal; then the one that tells them apart most clearly is the best: by the margin of
/// rewards over β, which is a difference of log-probabilities.
pub fn best_trial<'a>(history: &History<'a>) -> Option<&'a Trial> {
    let first = history.best()?;
    let equals = history.complete().filter(|trial| trial.value == first.value && trial.violation() == 0.0);
    equals.reduce(|best, trial| if margin(trial) > margin(best) { trial } else { best })
}

/// Margin over β; a trial without a margin has none to speak of.
fn margin(trial: &Trial) -> f64 {
    let beta = trial.external_parameters().get("beta").and_then(|beta| beta.as_f64()).unwrap_or(1.0);
    trial.attributes.get(MARGIN).and_then(|margin| margin.as_f64()).map_or(f64::NEG_INFINITY, |margin| margin / beta)
}

#[cfg(test)]
mod tests {
    use hyper_search::{Direction, Distribution, TrialState};

    use super::*;

    fn trial(number: u64, value: f64, margin: Option<f64>, beta: f64) -> Trial {
        let distribution = Distribution::Float { low: 0.0, high: 1.0, step: None, log: false };
        let attributes = margin.map(|margin| (MARGIN.to_owned(), margin.into()));
        Trial {
            state: TrialState::Complete,
            value: Some(value),
            parameters: vec![("beta".into(), beta)],
            distributions: [("beta".to_owned(), distribution)].into(),
            attributes: attributes.into_iter().collect(),
            ..Trial::waiting(number)
        }
    }

    #[test]
    fn of_equals_the_clearest_is_the_best() {
        let trials = [
            trial(0, 0.7, None, 0.1),
            trial(1, 0.7, Some(0.4), 0.2),
            trial(2, 0.7, Some(0.3), 0.1),
            trial(3, 0.6, Some(9.0), 0.1),
        ];
        let history = History { study: "s", direction: Direction::Maximize, trials: &trials };
        assert_eq!(best_trial(&history).unwrap().number, 2);
        let history = History { trials: &trials[..1], ..history };
        assert_eq!(best_trial(&history).unwrap().number, 0);
    }
}
