//! White space as Python sees it.

/// The words of a text with single blanks between them, none around: Python's `" ".join(text.split())`.
pub fn normalised(text: &str) -> String {
    let words = text.split(is_space).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Beside what Unicode calls white space, Python's `str.split` splits at four separators of ASCII.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn runs_of_white_space_become_one_blank() {
        assert_eq!(normalised(" a\t\n b\u{a0}c\u{1c}\u{2003}d \r\n"), "a b c d");
        assert_eq!(normalised(" \n"), "");
    }
}
