//! Direct preference optimisation and its relatives: pairs, losses, references, metrics.

mod pair;

pub use pair::{PairText, PreferencePair};
