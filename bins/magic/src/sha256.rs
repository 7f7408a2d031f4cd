//! Hashes, so that a result knows what it was made of.

use sha2::{Digest, Sha256};

/// Hex SHA-256 of a text.
pub(crate) fn sha256_of(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
