//! Preference objectives: numbers in, losses and their gradients out.
//!
//! An objective looks at a pair only through the summed log-probabilities of its two completions under the policy, π_w (chosen) and π_l
//! (rejected), under the reference, ρ_w and ρ_l, and the completions' token counts n_w and n_l. With r = π − ρ, Δ = r_w − r_l and
//! ls(x) = ln σ(x), the objectives are those of [`Loss`]. Since the gradient of a batch's loss is Σ cᵢ·∇πᵢ with the numbers c that
//! [`Preference::evaluate`] gives, a model can be trained one sequence at a time.

mod batch;
mod coupled;
mod divergence;
mod dual;
mod kind;
mod mix;
mod pairwise;
mod preference;
mod rules;

pub use batch::{PairLogProbs, PairLosses};
pub use coupled::RunningMean;
pub use divergence::Divergence;
pub use kind::Loss;
pub use mix::{LossMix, WeightedLoss};
pub use preference::Preference;
pub use rules::Rules;
