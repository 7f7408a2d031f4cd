//! Dumps of Reddit: posts and comments, a line each.
//!
//! Memory stays bounded however large a dump is: [`partition`] first sorts posts and comments into a fixed number of files by their post, and then one
//! file after the other is read, in which whole threads stand. [`labels`] finds out which comments changed the view of the post's author.

mod delta;
mod labels;
mod partition;
mod record;

pub use delta::{DeltaRule, has_delta};
pub use labels::candidates_of;
pub use partition::{Dump, Partitions};
pub use record::{Comment, Thread};
