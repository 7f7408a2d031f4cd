//! Verdicts of a judge (a model or a person) on pairs of answers: wins, ties, losses, position bias, ratings.
//!
//! A judge prefers what it reads first, so each pair is shown twice, the second time with the answers swapped
//! ([`VerdictPair`]). Only a verdict that follows the answer across the swap is a win.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::interval::wilson_of;
use crate::significance::sign_test;

/// What a judge says of answers that it sees as A and B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// A is better.
    A,
    /// B is better.
    B,
    /// Neither is; judges are told to say C.
    #[serde(rename = "C")]
    Tie,
}

/// Which of two models answered better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    /// The first.
    First,
    /// The second.
    Second,
    /// Neither.
    Tie,
}

/// Two verdicts on the same two answers; `None` where the judge gave none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VerdictPair {
    /// With the first model's answer as A.
    pub first_as_a: Option<Verdict>,
    /// With the second model's answer as A.
    pub second_as_a: Option<Verdict>,
}

impl VerdictPair {
    /// The first model wins by (A, B) only, the second by (B, A) only; any other two verdicts are a tie. `None` where
    /// one is missing.
    pub fn winner(&self) -> Option<Winner> {
        Some(match self.both()? {
            (Verdict::A, Verdict::B) => Winner::First,
            (Verdict::B, Verdict::A) => Winner::Second,
            _ => Winner::Tie,
        })
    }

    fn both(&self) -> Option<(Verdict, Verdict)> {
        self.first_as_a.zip(self.second_as_a)
    }
}

/// How the first model did against the second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgeReport {
    /// Pairs that the first model won.
    pub wins: usize,
    /// Pairs without a winner.
    pub ties: usize,
    /// Pairs that the second model won.
    pub losses: usize,
    /// Pairs that lack a verdict; nothing else counts them.
    pub dropped: usize,
    /// Wins among wins, ties and losses: ties count against the first model.
    pub win_rate: f64,
    /// Wilson's 95 % interval of the win rate.
    pub win_interval: (f64, f64),
    /// The same with half of the ties as wins.
    pub win_rate_half_ties: f64,
    /// Two-sided sign test of wins against losses.
    pub sign_test_p: f64,
    /// What swapping the positions shows, where the pairs were shown twice.
    pub positions: Option<Positions>,
}

/// How much a judge's verdicts depend on which answer is shown first. Pairs that lack a verdict are left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Positions {
    /// Verdicts for the answer shown first among all verdicts, ties included.
    pub first_shown_rate: f64,
    /// The same among verdicts that are no ties: 0.5 for a judge without position bias. `None` if all are ties.
    pub first_shown_rate_decided: Option<f64>,
    /// Share of pairs whose two verdicts name the same answer, or tie twice.
    pub swap_consistency: f64,
}

impl JudgeReport {
    /// Sums up pairs of verdicts.
    ///
    /// # Errors
    /// No pair has both verdicts.
    pub fn of_verdicts(pairs: &[VerdictPair]) -> Result<Self, Error> {
        let report = Self::of_winners(pairs.iter().map(VerdictPair::winner))?;
        Ok(Self { positions: Positions::of(pairs), ..report })
    }

    /// Sums up winners, e.g. by the sign of a person's preference; `None` for a pair without judgement.
    ///
    /// # Errors
    /// No pair has a winner or is a tie.
    pub fn of_winners(winners: impl IntoIterator<Item = Option<Winner>>) -> Result<Self, Error> {
        let (mut wins, mut ties, mut losses, mut dropped) = (0, 0, 0, 0);
        for winner in winners {
            *match winner {
                Some(Winner::First) => &mut wins,
                Some(Winner::Tie) => &mut ties,
                Some(Winner::Second) => &mut losses,
                None => &mut dropped,
            } += 1;
        }
        if wins + ties + losses == 0 {
            return Err(Error::Empty("no pair was judged"));
        }
        Ok(Self::of_counts(wins, ties, losses, dropped))
    }

    /// The same seen from the second model.
    pub fn reversed(&self) -> Self {
        let report = Self::of_counts(self.losses, self.ties, self.wins, self.dropped);
        Self { positions: self.positions, ..report }
    }

    /// Not all of wins, ties and losses are 0.
    fn of_counts(wins: usize, ties: usize, losses: usize, dropped: usize) -> Self {
        let judged = wins + ties + losses;
        Self {
            wins,
            ties,
            losses,
            dropped,
            win_rate: wins as f64 / judged as f64,
            win_interval: wilson_of(wins, judged, 0.95),
            win_rate_half_ties: (wins as f64 + 0.5 * ties as f64) / judged as f64,
            sign_test_p: sign_test(wins, losses),
            positions: None,
        }
    }
}

impl Positions {
    fn of(pairs: &[VerdictPair]) -> Option<Self> {
        let valid: Vec<(Verdict, Verdict)> = pairs.iter().filter_map(VerdictPair::both).collect();
        let verdicts = || valid.iter().flat_map(|(first, second)| [*first, *second]);
        let count = |wanted: Verdict| verdicts().filter(|verdict| *verdict == wanted).count();
        let consistent = |pair: &&(Verdict, Verdict)| {
            matches!(pair, (Verdict::A, Verdict::B) | (Verdict::B, Verdict::A) | (Verdict::Tie, Verdict::Tie))
        };
        let (first, decided) = (count(Verdict::A), count(Verdict::A) + count(Verdict::B));
        Some(Self {
            first_shown_rate: share(first, 2 * valid.len())?,
            first_shown_rate_decided: share(first, decided),
            swap_consistency: share(valid.iter().filter(consistent).count(), valid.len())?,
        })
    }
}

fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// A rating by G-Eval's sampling: the mean of the integer ratings of several samples.
///
/// # Errors
/// There are no samples.
pub fn sampled_rating(ratings: &[i64]) -> Result<f64, Error> {
    if ratings.is_empty() {
        return Err(Error::Empty("no sample gave a rating"));
    }
    Ok(ratings.iter().map(|rating| *rating as f64).sum::<f64>() / ratings.len() as f64)
}

/// A rating by G-Eval's formula, Σ p(r) r over the tokens that are ratings (Liu et al. 2023, Eq. 1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExpectedRating {
    /// Σ p(r) r: too low where other tokens than ratings were likely.
    pub weighted_sum: f64,
    /// Σ p(r), the probability that the judge rates at all.
    pub mass: f64,
    /// The first divided by the second: the mean rating, given that the judge rates.
    pub mean: f64,
}

impl ExpectedRating {
    /// From rating tokens and their natural log-probabilities, e.g. those of `1` to `5`.
    ///
    /// # Errors
    /// There are none, a rating is not finite, a log-probability is NaN or above 0, or no rating has any probability.
    pub fn new(ratings: &[(f64, f64)]) -> Result<Self, Error> {
        let undefined = |problem: String| Error::Undefined { metric: "expected-rating", problem };
        // Rounding may leave a certain token a little above probability 1.
        let is_unusable = |(rating, log): &&(f64, f64)| !rating.is_finite() || log.is_nan() || *log > 1e-3;
        if let Some((rating, log_probability)) = ratings.iter().find(is_unusable) {
            return Err(undefined(format!("rating {rating} has the log-probability {log_probability}")));
        }
        let weighted = ratings.iter().map(|(rating, log)| (log.exp(), rating));
        let (mass, weighted_sum) = weighted
            .fold((0.0, 0.0), |sums, (probability, rating)| (sums.0 + probability, sums.1 + probability * rating));
        if mass > 0.0 {
            return Ok(Self { weighted_sum, mass, mean: weighted_sum / mass });
        }
        Err(undefined("no rating has any probability".to_owned()))
    }
}
