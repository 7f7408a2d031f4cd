//! Direct preference optimisation and its relatives: pairs, losses, references, metrics.

mod error;
mod loss;
mod pair;
mod pair_file;

pub use error::DpoError;
pub use loss::{Divergence, Loss, LossMix, PairLogProbs, PairLosses, Preference, Rules, RunningMean, WeightedLoss};
pub use pair::{PairText, PreferencePair};
pub use pair_file::{BadRecord, PairColumns, PairFile, ReadPairs, read_pairs, write_pairs};
