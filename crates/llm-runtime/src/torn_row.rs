//! What a kill leaves of a line that was being written.

/// Whether bytes without an end of line are what a kill leaves of a row: they begin as rows do (`{"id":`), as far as they go.
///
/// Whoever goes on with a file of rows cuts such a tail off and writes the row anew. Anything else belongs to somebody: the wrong file was
/// named, and cutting would destroy it.
pub fn is_torn_row(tail: &[u8], beginning: &str) -> bool {
    let compared = tail.len().min(beginning.len());
    tail[..compared] == beginning.as_bytes()[..compared]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_like_a_row_is_torn() {
        for torn in ["", "{", r#"{"id":"#, r#"{"id":"a", "te"#] {
            assert!(is_torn_row(torn.as_bytes(), r#"{"id":"#), "{torn}");
        }
        for foreign in ["sk-0123456789", "[", r#"{"model": 1}"#, r#"{ "id": 1"#] {
            assert!(!is_torn_row(foreign.as_bytes(), r#"{"id":"#), "{foreign}");
        }
    }
}
