//! Which strategies a model prefers: Bradley-Terry strengths and their spread.
//!
//! Two uses of one model, in which i beats j with probability p_i / (p_i + p_j). [`PreferenceBias`] is the measure of
//! Kang et al. (ACL 2024): every prediction i of an item with the true strategy j is a win of i. [`BradleyTerry`] is
//! the general fit, e.g. to a judge's verdicts on several models.

use serde::{Deserialize, Serialize};

use crate::Error;

const SWEEPS: usize = 20;

/// A model's preference for each strategy and the bias they add up to, as Kang et al. compute them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreferenceBias {
    /// By class; they sum to the number of classes, so that 1 is no preference. A class that is never predicted has 0.
    pub preferences: Vec<f64>,
    /// Their population standard deviation: 0 for a model without preference.
    pub bias: f64,
}

impl PreferenceBias {
    /// From the true and the predicted class of each item.
    ///
    /// With w_ij items of prediction i and truth j and all p starting at 1, 20 sweeps set, for i in order and in place,
    /// p_i = Σ_{j≠i} w_ij p_j / (p_i + p_j) / Σ_{j≠i} w_ji / (p_i + p_j), each followed by division by the geometric
    /// mean of the positive p. Terms of weight 0 are 0; in the published program two classes that are never predicted
    /// make 0 / 0 of them.
    ///
    /// # Errors
    /// Lengths differ, a label is not below `classes`, or the sweeps divide by zero, for which the published program
    /// returns infinity or NaN: no item of some class was predicted as another.
    pub fn new(classes: usize, gold: &[usize], predicted: &[usize]) -> Result<Self, Error> {
        if gold.len() != predicted.len() {
            return Err(Error::Lengths { what: "labels and predictions", left: gold.len(), right: predicted.len() });
        }
        let mut wins = Wins::new(classes)?;
        for (gold, predicted) in gold.iter().zip(predicted) {
            wins.check(*gold)?;
            wins.check(*predicted)?;
            wins.add(*predicted, *gold, 1.0);
        }
        let mut preferences = vec![1.0; classes];
        for _ in 0..SWEEPS {
            sweep(&wins, &mut preferences)?;
        }
        let scale = classes as f64 / preferences.iter().sum::<f64>();
        preferences.iter_mut().for_each(|preference| *preference *= scale);
        // Their mean is 1 by the scale.
        let variance = preferences.iter().map(|preference| (preference - 1.0).powi(2)).sum::<f64>() / classes as f64;
        Ok(Self { preferences, bias: variance.sqrt() })
    }
}

fn sweep(wins: &Wins, strengths: &mut [f64]) -> Result<(), Error> {
    for class in 0..strengths.len() {
        let (mut won, mut lost) = (0.0, 0.0);
        for other in (0..strengths.len()).filter(|other| *other != class) {
            let sum = strengths[class] + strengths[other];
            let share = |weight: f64, part: f64| if weight == 0.0 { 0.0 } else { weight * part / sum };
            won += share(wins.of(class, other), strengths[other]);
            lost += share(wins.of(other, class), 1.0);
        }
        strengths[class] = won / lost;
        if !strengths[class].is_finite() {
            let problem = if lost == 0.0 {
                format!("no item of class {class} was predicted as another class, which divides by zero")
            } else {
                format!("class {class} was only mistaken for and with classes without any preference: 0 / 0")
            };
            return Err(Error::Undefined { metric: "preference-bias", problem });
        }
    }
    divide_by_geometric_mean(strengths);
    Ok(())
}

/// Of the positive ones.
fn divide_by_geometric_mean(strengths: &mut [f64]) {
    let logarithms: Vec<f64> = strengths.iter().filter(|strength| **strength > 0.0).map(|one| one.ln()).collect();
    if !logarithms.is_empty() {
        let mean = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
        strengths.iter_mut().for_each(|strength| *strength /= mean);
    }
}

/// How often each of several players (models, strategies) beat each other one.
#[derive(Debug, Clone, PartialEq)]
pub struct Wins {
    players: usize,
    /// `[winner, loser]`.
    counts: Vec<f64>,
}

impl Wins {
    /// No games yet.
    ///
    /// # Errors
    /// There are fewer than two players.
    pub fn new(players: usize) -> Result<Self, Error> {
        if players < 2 {
            return Err(Error::Setting(format!("{players} to compare: at least two are needed")));
        }
        Ok(Self { players, counts: vec![0.0; players * players] })
    }

    /// One beat the other.
    ///
    /// # Errors
    /// There is no such player, or both are the same.
    pub fn win(&mut self, winner: usize, loser: usize) -> Result<(), Error> {
        self.check_pair(winner, loser)?;
        self.add(winner, loser, 1.0);
        Ok(())
    }

    /// Neither won: half a win for each. Leave ties out to ignore them.
    ///
    /// # Errors
    /// As [`win`](Self::win).
    pub fn tie(&mut self, first: usize, second: usize) -> Result<(), Error> {
        self.check_pair(first, second)?;
        self.add(first, second, 0.5);
        self.add(second, first, 0.5);
        Ok(())
    }

    fn check_pair(&self, first: usize, second: usize) -> Result<(), Error> {
        if first == second {
            return Err(Error::Setting(format!("{first} was compared with itself")));
        }
        self.check(first)?;
        self.check(second)
    }

    fn check(&self, player: usize) -> Result<(), Error> {
        if player < self.players {
            return Ok(());
        }
        Err(Error::Setting(format!("there is no number {player}: {} count from 0", self.players)))
    }

    fn add(&mut self, winner: usize, loser: usize, count: f64) {
        self.counts[winner * self.players + loser] += count;
    }

    fn of(&self, winner: usize, loser: usize) -> f64 {
        self.counts[winner * self.players + loser]
    }

    /// Everyone who can be reached from the first player by going from loser to winner, or the other way round.
    fn reached(&self, is_step: impl Fn(usize, usize) -> bool) -> Vec<bool> {
        let mut reached = vec![false; self.players];
        let mut open = vec![0];
        while let Some(player) = open.pop() {
            if !std::mem::replace(&mut reached[player], true) {
                open.extend((0..self.players).filter(|next| is_step(player, *next)));
            }
        }
        reached
    }
}

/// Strengths by maximum likelihood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BradleyTerry {
    /// By player; their geometric mean is 1.
    pub strengths: Vec<f64>,
    /// Natural logarithm of the games' probability.
    pub log_likelihood: f64,
    /// Sweeps that were needed.
    pub sweeps: usize,
}

impl BradleyTerry {
    /// Fits strengths by minorisation-maximisation (Hunter 2004) until no strength changes by more than one part in
    /// 10¹².
    ///
    /// # Errors
    /// There is no maximum, because the players fall into two sets of which one never beat the other (Ford 1957); or
    /// 100,000 sweeps are too few, because that is nearly so.
    pub fn fit(wins: &Wins) -> Result<Self, Error> {
        check_connected(wins)?;
        let mut strengths = vec![1.0; wins.players];
        for sweeps in 1..=MOST_SWEEPS {
            let before = strengths.clone();
            maximise(wins, &mut strengths);
            divide_by_geometric_mean(&mut strengths);
            let is_settled = |(new, old): (&f64, &f64)| (new / old - 1.0).abs() <= 1e-12;
            if strengths.iter().zip(&before).all(is_settled) {
                let log_likelihood = log_likelihood(wins, &strengths);
                return Ok(Self { strengths, log_likelihood, sweeps });
            }
        }
        let problem = format!("the fit has not settled after {MOST_SWEEPS} sweeps: there are too few upsets");
        Err(Error::Undefined { metric: "bradley-terry", problem })
    }

    /// Probability that one player beats another. `None` if there is no such player.
    pub fn probability(&self, winner: usize, loser: usize) -> Option<f64> {
        let (winner, loser) = (self.strengths.get(winner)?, self.strengths.get(loser)?);
        Some(winner / (winner + loser))
    }
}

const MOST_SWEEPS: usize = 100_000;

fn check_connected(wins: &Wins) -> Result<(), Error> {
    let stronger = wins.reached(|player, next| wins.of(next, player) > 0.0);
    let weaker = wins.reached(|player, next| wins.of(player, next) > 0.0);
    match stronger.iter().zip(&weaker).position(|(above, below)| !(above & below)) {
        None => Ok(()),
        Some(apart) => {
            let problem =
                format!("no chain of wins leads from 0 to {apart} and back, so their strengths have no ratio");
            Err(Error::Undefined { metric: "bradley-terry", problem })
        }
    }
}

/// One sweep: each strength becomes its wins over Σ games / (p_i + p_j).
fn maximise(wins: &Wins, strengths: &mut [f64]) {
    for player in 0..strengths.len() {
        let (mut won, mut games) = (0.0, 0.0);
        for other in (0..strengths.len()).filter(|other| *other != player) {
            let (own, others) = (wins.of(player, other), wins.of(other, player));
            won += own;
            games += (own + others) / (strengths[player] + strengths[other]);
        }
        strengths[player] = won / games;
    }
}

fn log_likelihood(wins: &Wins, strengths: &[f64]) -> f64 {
    let of_pair = |winner: usize, loser: usize| {
        let count = wins.of(winner, loser);
        if count == 0.0 { 0.0 } else { -count * (strengths[loser] / strengths[winner]).ln_1p() }
    };
    (0..wins.players)
        .flat_map(|winner| (0..wins.players).map(move |loser| (winner, loser)))
        .filter(|(winner, loser)| winner != loser)
        .map(|(winner, loser)| of_pair(winner, loser))
        .sum()
}
