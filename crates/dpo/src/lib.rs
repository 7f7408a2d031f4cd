//! Direct preference optimisation and its relatives over any [`training::SequenceModel`]: pairs, losses, references, metrics.
//!
//! [`read_pairs`] reads pair files, [`PairEncoder`] makes tokens of them, a [`PairDataset`] makes batches, and [`PreferenceObjective`] is what a
//! [`training::Trainer`] minimises: 21 objectives ([`Loss`]) with exact gradients, held against a live reference or against answers that were kept
//! ([`ReferenceLogProbs`]), in one pass or in parts that save memory ([`Passes`]). Everything is held against TRL on golden files.
//!
//! ```
//! use dpo::{Loss, PairLogProbs, Preference, RunningMean};
//!
//! let batch = PairLogProbs {
//!     policy_chosen: vec![-10.0],
//!     policy_rejected: vec![-14.0],
//!     reference_chosen: vec![-12.0],
//!     reference_rejected: vec![-13.0],
//!     chosen_tokens: vec![5],
//!     rejected_tokens: vec![6],
//! };
//! let losses = Preference::from(Loss::Sigmoid).evaluate(&batch, &mut RunningMean::default())?;
//! // β = 0.1 and Δ = 2 − (−1): −log σ(0.3).
//! assert!((losses.mean() - 0.554_355).abs() < 1e-6);
//! assert!(losses.chosen_rewards[0] > losses.rejected_rewards[0]);
//! # Ok::<(), dpo::DpoError>(())
//! ```

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
pub use encode::{Boundary, EncodeCounts, EncodePairs, EncodedPair, PairEncoder, PlacedPair, Truncate};
pub use error::DpoError;
pub use loss::{Divergence, Loss, LossMix, PairLogProbs, PairLosses, Preference, Rules, RunningMean, WeightedLoss};
pub use metrics::{REWARD_ACCURACY, TOKEN_PERPLEXITIES};
pub use objective::{Passes, PreferenceObjective, PreferenceOptions};
pub use pair::{PairText, PreferencePair};
pub use pair_file::{BadRecord, PairColumns, PairFile, ReadPairs, read_pairs, write_pairs};
pub use reference::{PairTokenLogProbs, ReferenceLogProbs};
pub use table::PairSample;
pub use wording::{PromptTemplate, Wording};
