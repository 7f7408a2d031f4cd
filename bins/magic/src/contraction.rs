//! Contractions of tokenised English written out: `I ' m` becomes `I am`.
//!
//! One alternation finds all forms, one table says what becomes of them. What stands in the table's texts is what a prediction is compared
//! with, so that its gaps are kept on purpose: `couldn ' t`, `there ' s` and possessives stay as they are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use regex::{Captures, Regex};

/// How a contraction that does not begin with a capital is written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LetterCase {
    /// With a capital all the same, as published: `so it ' s` becomes `so It is`.
    #[default]
    Table,
    /// As it was written: `so it ' s` becomes `so it is`.
    Preserve,
}

impl LetterCase {
    /// `table` or `preserve`.
    ///
    /// # Errors
    /// It is neither; for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "preserve" => Ok(Self::Preserve),
            _ => Err("expected table or preserve".into()),
        }
    }
}

/// Suffixes, the words they are written out behind, and what then stands in their place.
const REGULAR: [(&str, &str, &str); 6] = [
    ("re", "You We They", "are"),
    ("m", "I", "am"),
    ("s", "He She It That Who What Where When Why How", "is"),
    ("ll", "I You He She It We They", "will"),
    ("ve", "I You We They", "have"),
    ("d", "I You He She It We They", "would"),
];

/// Verbs that `n ' t` is taken off.
const NEGATED: &str = "Do Does Did Is Are Was Were Have Has Had";

const IRREGULAR: [(&str, &str, &str); 3] = [("Let", "s", "Let us"), ("Can", "t", "Cannot"), ("Won", "t", "Will not")];

/// Writes out all contractions of a text.
pub fn expand_contractions(text: &str, case: LetterCase) -> Cow<'_, str> {
    let Some(contractions) = contractions() else { return Cow::Borrowed(text) };
    contractions.pattern.replace_all(text, |found: &Captures<'_>| {
        let written = &found[0];
        let expansion = contractions.expansions.get(&written.to_lowercase()).map_or(written, String::as_str);
        match case {
            LetterCase::Preserve if written.starts_with(char::is_lowercase) => with_small_letter(expansion),
            _ => expansion.to_owned(),
        }
    })
}

struct Contractions {
    pattern: Regex,
    /// By the contraction in small letters.
    expansions: HashMap<String, String>,
}

/// `None` only if the pattern were malformed, which a test rules out.
fn contractions() -> Option<&'static Contractions> {
    static CONTRACTIONS: OnceLock<Option<Contractions>> = OnceLock::new();
    CONTRACTIONS
        .get_or_init(|| {
            let expansions: HashMap<String, String> = table().collect();
            let written: Vec<String> = expansions.keys().map(|written| regex::escape(written)).collect();
            let pattern = Regex::new(&format!(r"(?i)\b(?:{})\b", written.join("|"))).ok()?;
            Some(Contractions { pattern, expansions })
        })
        .as_ref()
}

fn table() -> impl Iterator<Item = (String, String)> {
    let entry = |word: &str, suffix: &str, expansion: String| (format!("{word} ' {suffix}").to_lowercase(), expansion);
    let regular = REGULAR.into_iter().flat_map(move |(suffix, words, becomes)| {
        words.split(' ').map(move |word| entry(word, suffix, format!("{word} {becomes}")))
    });
    let negated = NEGATED.split(' ').map(move |verb| entry(&format!("{verb}n"), "t", format!("{verb} not")));
    let irregular = IRREGULAR.into_iter().map(move |(word, suffix, becomes)| entry(word, suffix, becomes.to_owned()));
    regular.chain(negated).chain(irregular)
}

fn with_small_letter(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> String {
        expand_contractions(text, LetterCase::Table).into_owned()
    }

    #[test]
    fn the_table_has_its_45_forms() {
        assert_eq!(table().collect::<HashMap<_, _>>().len(), 45);
        assert!(contractions().is_some());
    }

    #[test]
    fn every_family_is_written_out() {
        let table = [
            ("we ' re late", "We are late"),
            ("I ' m here", "I am here"),
            ("That ' s it , let ' s go", "That is it , Let us go"),
            ("Don ' t , isn ' t and HADN ' T", "Do not , Is not and Had not"),
            ("I can ' t and won ' t", "I Cannot and Will not"),
            ("they ' ll , you ' ve , she ' d", "They will , You have , She would"),
            ("i ' m i ' m", "I am I am"),
        ];
        for (text, expected) in table {
            assert_eq!(expanded(text), expected);
        }
    }

    #[test]
    fn what_is_not_in_the_table_stays() {
        for text in [
            "couldn ' t",
            "there ' s",
            "that ' ll",
            "my mother ' s house",
            "I'm",
            "I ' mine",
            "Hawaii ' m",
            "( it 's )",
            "I  ' m",
            "who ' ve",
            "",
        ] {
            assert_eq!(expanded(text), text);
        }
    }

    #[test]
    fn the_first_letters_case_is_kept_on_request() {
        let preserved = |text| expand_contractions(text, LetterCase::Preserve).into_owned();
        assert_eq!(preserved("so it ' s late and I can ' t"), "so it is late and I cannot");
        assert_eq!(preserved("It ' s , WON ' T , won ' t"), "It is , Will not , will not");
    }
}
