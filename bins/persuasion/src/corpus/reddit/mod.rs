//! Dumps of Reddit: posts and comments, a line each.
//!
//! Memory stays bounded however large a dump is: [`Partitions`] first sorts posts and comments into a fixed number of files by their post, and then one
//! file after the other is read, in which whole threads stand. [`candidates_of`] finds out which comments changed the view of the post's author.

mod delta;
mod factor_threads;
mod labels;
mod partition;
mod record;

pub use delta::{DeltaRule, has_delta};
pub use factor_threads::{FactorThreads, write_factor_threads};
pub use labels::candidates_of;
pub use partition::{Dump, Partitions};
pub use record::{Comment, Thread};
