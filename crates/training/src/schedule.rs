//! Learning rates over a run.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::TrainingError;

/// How the learning rate changes after the warm-up. `p` is the progress from the warm-up's end (0) to the last step (1).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Stays at its peak.
    Constant,
    /// Falls in a straight line to 0.
    #[default]
    Linear,
    /// `½ (1 + cos(2π · cycles · p))`; half a cycle falls to 0.
    Cosine {
        /// Waves over the run.
        cycles: f64,
    },
    /// A cosine from peak to 0, `cycles` times with hard restarts.
    CosineWithRestarts {
        /// Number of falls.
        cycles: f64,
    },
    /// Half a cosine wave from the peak to a floor.
    CosineWithFloor {
        /// The floor as a share of the peak.
        floor: f64,
    },
    /// `(1 − p)^power` from the peak to an end rate.
    Polynomial {
        /// The rate at the end (not a share).
        end: f64,
        /// The exponent.
        power: f64,
    },
    /// `1 / √step`, so that the warm-up ends at the peak; without warm-up the scale is 10,000 steps.
    InverseSqrt,
    /// Noam's, with a warm-up of its own: `peak · min(u^−½, u · warmup^−3/2)` at the u-th step, from 1 (Vaswani et al. 2017, arXiv 1706.03762,
    /// where `peak` is the width's inverse root). The largest rate is `peak / √warmup`.
    Noam,
    /// Stays at its peak, then falls to 0 in half a cosine wave over the last steps.
    WarmupStableDecay {
        /// Steps of the fall.
        decay: u64,
    },
}

/// Steps over which the rate rises from 0 in a straight line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warmup {
    /// So many steps.
    Steps(u64),
    /// A share of all steps, rounded up.
    Ratio(f64),
}

impl Default for Warmup {
    fn default() -> Self {
        Self::Steps(0)
    }
}

impl Warmup {
    /// The number of steps in a run of `total`.
    pub fn steps(self, total: u64) -> u64 {
        match self {
            Self::Steps(steps) => steps,
            Self::Ratio(ratio) => (total as f64 * ratio.clamp(0.0, 1.0)).ceil() as u64,
        }
    }
}

impl Schedule {
    /// The learning rate of optimiser step `step` (from 0) in a run of `total` steps. With a warm-up the first rate is 0.
    ///
    /// The formulas are those of transformers' schedulers, also beyond the last step.
    pub fn rate(self, peak: f64, step: u64, warmup: u64, total: u64) -> f64 {
        if self == Self::Noam {
            let update = (step + 1) as f64;
            return peak * update.powf(-0.5).min(update * (warmup.max(1) as f64).powf(-1.5));
        }
        if step < warmup {
            return peak * step as f64 / warmup as f64;
        }
        let progress = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Constant | Self::Noam => peak,
            Self::Linear => peak * (1.0 - progress).max(0.0),
            Self::Cosine { cycles } => peak * wave(2.0 * cycles * progress),
            Self::CosineWithRestarts { .. } if progress >= 1.0 => 0.0,
            Self::CosineWithRestarts { cycles } => peak * wave((cycles * progress) % 1.0),
            Self::CosineWithFloor { floor } => peak * (wave(progress) * (1.0 - floor) + floor),
            Self::Polynomial { end, .. } if progress > 1.0 => end,
            Self::Polynomial { end, power } => (peak - end) * (1.0 - progress).powf(power) + end,
            Self::InverseSqrt => {
                let scale = if warmup > 0 { warmup } else { 10_000 };
                peak / ((step + scale - warmup) as f64 / scale as f64).sqrt()
            }
            Self::WarmupStableDecay { decay } => {
                let begin = total.saturating_sub(decay);
                let fallen = step.saturating_sub(begin) as f64 / decay.max(1) as f64;
                if fallen >= 1.0 { 0.0 } else { peak * wave(fallen) }
            }
        }
    }
}

/// A cosine wave from 1 (at 0) to 0 (at 1) and back.
fn wave(x: f64) -> f64 {
    (0.5 * (1.0 + (PI * x).cos())).max(0.0)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Linear => f.write_str("linear"),
            Self::Cosine { cycles } if *cycles == 0.5 => f.write_str("cosine"),
            Self::Cosine { cycles } => write!(f, "cosine:{cycles}"),
            Self::CosineWithRestarts { cycles } => write!(f, "cosine-with-restarts:{cycles}"),
            Self::CosineWithFloor { floor } => write!(f, "cosine-with-floor:{floor}"),
            Self::Polynomial { end, power } => write!(f, "polynomial:{power}:{end}"),
            Self::InverseSqrt => f.write_str("inverse-sqrt"),
            Self::Noam => f.write_str("noam"),
            Self::WarmupStableDecay { decay } => write!(f, "warmup-stable-decay:{decay}"),
        }
    }
}

impl FromStr for Schedule {
    type Err = TrainingError;

    /// A name, with its numbers after colons: `cosine`, `cosine-with-restarts:5`, `polynomial:2:1e-7` (power, end rate).
    fn from_str(text: &str) -> Result<Self, TrainingError> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let numbers: Vec<f64> = parts
            .map(|number| number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0))
            .collect::<Option<_>>()
            .ok_or_else(|| unknown(text))?;
        let schedule = match (name, numbers.as_slice()) {
            ("constant", []) => Self::Constant,
            ("linear", []) => Self::Linear,
            ("cosine", []) => Self::Cosine { cycles: 0.5 },
            ("cosine", [cycles]) => Self::Cosine { cycles: *cycles },
            ("cosine-with-restarts", []) => Self::CosineWithRestarts { cycles: 1.0 },
            ("cosine-with-restarts", [cycles]) => Self::CosineWithRestarts { cycles: *cycles },
            ("cosine-with-floor", [floor]) if *floor <= 1.0 => Self::CosineWithFloor { floor: *floor },
            ("polynomial", []) => Self::Polynomial { end: 1e-7, power: 1.0 },
            ("polynomial", [power]) => Self::Polynomial { end: 1e-7, power: *power },
            ("polynomial", [power, end]) => Self::Polynomial { end: *end, power: *power },
            ("inverse-sqrt", []) => Self::InverseSqrt,
            ("noam", []) => Self::Noam,
            ("warmup-stable-decay", [decay]) => Self::WarmupStableDecay { decay: *decay as u64 },
            _ => return Err(unknown(text)),
        };
        Ok(schedule)
    }
}

fn unknown(text: &str) -> TrainingError {
    TrainingError::Setting {
        setting: "schedule",
        problem: format!(
            "`{text}` is none: expected constant, linear, cosine, cosine-with-restarts:CYCLES, cosine-with-floor:SHARE, \
             polynomial:POWER:END, inverse-sqrt, noam or warmup-stable-decay:STEPS"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in [
            "constant",
            "linear",
            "cosine",
            "cosine:1.5",
            "cosine-with-restarts:5",
            "cosine-with-floor:0.1",
            "inverse-sqrt",
            "noam",
            "warmup-stable-decay:10",
            "polynomial:2:0.0000001",
        ] {
            assert_eq!(name.parse::<Schedule>().unwrap().to_string(), name);
        }
        for wrong in ["cosinus", "cosine:x", "linear:3", "cosine-with-floor:2", "polynomial:1:nan"] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn warmup_ratios_round_up() {
        assert_eq!(Warmup::Ratio(0.1).steps(15), 2);
        assert_eq!(Warmup::Ratio(0.0).steps(15), 0);
        assert_eq!(Warmup::Steps(7).steps(15), 7);
    }

    #[test]
    fn noams_rates_rise_and_fall_around_the_warmup() {
        let rate = |update: u64| Schedule::Noam.rate(5e-4, update - 1, 400, 7670);
        for (update, expected) in
            [(1, 6.25e-8), (100, 6.25e-6), (400, 2.5e-5), (1000, 1.581_138_83e-5), (4000, 7.905_694_15e-6)]
        {
            assert!((rate(update) - expected).abs() < 1e-9 * expected, "{update}: {}", rate(update));
        }
    }

    #[test]
    fn rates_are_never_negative_or_infinite() {
        for schedule in [
            "constant",
            "linear",
            "cosine",
            "cosine-with-restarts:5",
            "polynomial:2:0",
            "inverse-sqrt",
            "noam",
            "warmup-stable-decay:3",
        ] {
            let schedule: Schedule = schedule.parse().unwrap();
            for total in 0..5 {
                for warmup in 0..7 {
                    for step in 0..9 {
                        let rate = schedule.rate(1.0, step, warmup, total);
                        assert!((0.0..=1.0).contains(&rate), "{schedule}: {rate} at {step} of {total}");
                    }
                }
            }
        }
    }
}
