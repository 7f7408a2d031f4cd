//! Rounds in which sides take turns.

use benches::Outcome;
use benches::report::Row;
use benches::side::{Asked, Side};
use benches::spread::Spread;

use crate::request::Answer;
use crate::scenario::Case;

/// Asks all sides in turn, `repetitions` times after a round that warms up; the first side is compared with.
pub(crate) fn measure(case: &Case, sides: &mut [Side], repetitions: usize) -> Outcome<Vec<Row>> {
    let mut rounds: Vec<Vec<Measured>> = sides.iter().map(|_| Vec::new()).collect();
    for repetition in 0..=repetitions as u64 {
        for (side, rounds) in sides.iter_mut().zip(&mut rounds) {
            let measured = Measured::of(side, case, repetition)?;
            // In the first round weights are read and the heap grows.
            if repetition > 0 {
                rounds.push(measured);
            }
        }
    }
    let ours = rounds[0].iter().map(|round| round.seconds).collect::<Vec<f64>>();
    let rows = sides.iter().zip(&rounds).enumerate();
    rows.map(|(number, (side, rounds))| row(case, side.name(), rounds, (number > 0).then_some(&ours))).collect()
}

/// A side's round.
struct Measured {
    seconds: f64,
    other_load: f64,
    joules: Option<f64>,
    peak_bytes: u64,
}

impl Measured {
    fn of(side: &mut Side, case: &Case, repetition: u64) -> Outcome<Self> {
        let round = (case.round)(repetition);
        for request in &round.before {
            side.ask::<Answer>(request)?;
        }
        let less = round.less.map(|request| side.ask::<Answer>(&request)).transpose()?;
        let Asked { answer, other_cpu_seconds, joules, .. } = side.ask::<Answer>(&round.work)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        Ok(Self {
            seconds: answer.seconds - less.map_or(0.0, |less| less.answer.seconds),
            other_load: other_cpu_seconds / answer.seconds / processors,
            joules,
            peak_bytes: answer.peak_bytes,
        })
    }
}

fn row(case: &Case, side: &str, rounds: &[Measured], ours: Option<&Vec<f64>>) -> Outcome<Row> {
    let seconds: Vec<f64> = rounds.iter().map(|round| round.seconds).collect();
    let spread = |values: Vec<f64>| Spread::of(&values).ok_or("no round was measured");
    let rate = spread(seconds.iter().map(|seconds| case.count / seconds).collect())?;
    let ratio = ours.map(|ours| spread(ours.iter().zip(&seconds).map(|(ours, seconds)| ours / seconds).collect()));
    let joules: Option<Vec<f64>> = rounds.iter().map(|round| round.joules).collect();
    Ok(Row {
        case: case.name.clone(),
        side: side.to_owned(),
        rate,
        unit: case.unit,
        speed_ratio: ratio.transpose()?,
        share_of_limit: case.limit.map(|limit| rate.median / limit),
        peak_memory_bytes: rounds.iter().map(|round| round.peak_bytes).max().unwrap_or(0),
        other_load: spread(rounds.iter().map(|round| round.other_load).collect())?.median,
        joules: joules.and_then(|joules| Spread::of(&joules)).map(|joules| joules.median),
        seconds,
    })
}
