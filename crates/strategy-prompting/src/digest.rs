//! Stable hashes of several fields: ids, seeds and fingerprints that are the same on every machine and in every order.

use sha2::{Digest, Sha256};

/// SHA-256 over a domain name and fields, each preceded by its length, so that no two lists of fields collide by
/// moving a border.
pub(crate) fn digest(domain: &str, fields: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for field in std::iter::once(domain.as_bytes()).chain(fields.iter().copied()) {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_border_between_fields_changes_the_digest() {
        assert_ne!(digest("d", &[b"ab", b"c"]), digest("d", &[b"a", b"bc"]));
    }
}
