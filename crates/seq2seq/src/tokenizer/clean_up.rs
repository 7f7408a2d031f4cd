//! The clean-up that transformers 4 did after decoding.

/// What is replaced, in this order.
const REPLACEMENTS: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// Takes the blanks away that stand before English punctuation and inside contractions, as `clean_up_tokenization_spaces` does in
/// transformers: `i ' m fine .` becomes `i'm fine.` Scores that were published with decoded texts have it.
pub fn clean_up_english(text: &str) -> String {
    REPLACEMENTS.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
