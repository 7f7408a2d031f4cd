//! Direct preference optimisation and its relatives: pairs, losses, references, metrics.

mod error;
mod loss;
mod pair;

pub use error::DpoError;
pub use loss::{Divergence, Loss, LossMix, PairLogProbs, PairLosses, Preference, Rules, RunningMean, WeightedLoss};
pub use pair::{PairText, PreferencePair};
