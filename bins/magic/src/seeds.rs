//! Seeds that don't depend on what else is asked.

use sha2::{Digest, Sha256};

/// A seed for what `id` names, made of it and a base; below 2^53, so that servers read it exactly.
pub(crate) fn seed_of(base: u64, id: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(format!("{base}\u{1f}{id}")));
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 11
}
