//! Direct preference optimisation and its relatives: pairs, losses, references, metrics.

mod dataset;
mod encode;
mod error;
mod loss;
mod metrics;
mod objective;
mod pair;
mod pair_file;
mod reference;
mod table;
mod wording;

pub use dataset::{PairBatch, PairDataset};
pub use encode::{Boundary, EncodeCounts, EncodePairs, EncodedPair, PairEncoder, Truncate};
pub use error::DpoError;
pub use loss::{Divergence, Loss, LossMix, PairLogProbs, PairLosses, Preference, Rules, RunningMean, WeightedLoss};
pub use metrics::{REWARD_ACCURACY, TOKEN_PERPLEXITIES};
pub use objective::{Passes, PreferenceObjective, PreferenceOptions};
pub use pair::{PairText, PreferencePair};
pub use pair_file::{BadRecord, PairColumns, PairFile, ReadPairs, read_pairs, write_pairs};
pub use reference::{PairTokenLogProbs, ReferenceLogProbs};
pub use table::PairSample;
pub use wording::{PromptTemplate, Wording};
