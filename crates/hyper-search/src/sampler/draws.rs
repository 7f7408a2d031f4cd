//! Where the numbers of samplers come from.

use mersenne_twister::MersenneTwister;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a sampler makes random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// Each draw is a function of the seed, the trial's number and the parameter's name (ChaCha8), so that a resumed study suggests what an
    /// uninterrupted one does, and processes that share a study and a seed don't draw the same numbers.
    PerTrial {
        /// Any number.
        seed: u64,
    },
    /// NumPy's `RandomState`, one after the other, so that suggestions are those of Optuna with this seed. It starts anew in every process.
    NumPy {
        /// As given to Optuna.
        seed: u32,
    },
}

/// A generator at work.
#[derive(Debug, Clone)]
pub(crate) enum Draws {
    PerTrial(u64),
    NumPy(Box<MersenneTwister>),
}

impl Draws {
    pub(crate) fn new(generator: Generator) -> Self {
        match generator {
            Generator::PerTrial { seed } => Self::PerTrial(seed),
            Generator::NumPy { seed } => Self::NumPy(Box::new(MersenneTwister::from_numpy_seed(seed))),
        }
    }

    /// The numbers for some parameters of a trial.
    pub(crate) fn of<'a>(&mut self, number: u64, names: impl IntoIterator<Item = &'a str>) -> Stream<'_> {
        match self {
            Self::PerTrial(seed) => Stream::PerTrial(Box::new(per_trial(*seed, number, names))),
            Self::NumPy(twister) => Stream::NumPy(twister),
        }
    }
}

/// The numbers for some parameters of a trial.
pub(crate) enum Stream<'a> {
    PerTrial(Box<ChaCha8Rng>),
    NumPy(&'a mut MersenneTwister),
}

impl Stream<'_> {
    /// A number in `[0, 1)` with 53 bits.
    pub(crate) fn fraction(&mut self) -> f64 {
        match self {
            Self::PerTrial(generator) => (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64,
            Self::NumPy(twister) => twister.random(),
        }
    }
}

fn per_trial<'a>(seed: u64, number: u64, names: impl IntoIterator<Item = &'a str>) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&number.to_le_bytes());
    key[16..24].copy_from_slice(&hash_of(names).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// FNV-1a of the names, each followed by a zero byte.
pub(crate) fn hash_of<'a>(names: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = names.into_iter().flat_map(|name| name.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
