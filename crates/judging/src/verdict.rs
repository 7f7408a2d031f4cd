//! Verdicts, as judges write them: `[[A]]`, `[[B]]`, `[[C]]`, and ratings `[[1]]` to `[[5]]`.

use serde::{Deserialize, Serialize};

/// The highest rating; the lowest is 1.
pub const HIGHEST_RATING: u8 = 5;

/// What a judge said of two answers, as they were shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The first one shown is better.
    A,
    /// The second one shown is better.
    B,
    /// Neither is.
    C,
}

impl Verdict {
    /// All three, in the order of their letters.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// How a judge writes it.
    pub fn written(self) -> &'static str {
        match self {
            Self::A => "[[A]]",
            Self::B => "[[B]]",
            Self::C => "[[C]]",
        }
    }

    /// The last verdict in a judge's text: reasons come first and may speak of verdicts. `None` if there is none.
    pub fn parse(text: &str) -> Option<Self> {
        last_in_brackets(text, |inner| Self::ALL.into_iter().find(|verdict| verdict.written()[2..3] == *inner))
    }
}

/// The last rating of 1 to 5 in a judge's text. `None` if there is none.
pub fn parse_rating(text: &str) -> Option<u8> {
    last_in_brackets(text, |inner| inner.parse().ok().filter(|rating| (1..=HIGHEST_RATING).contains(rating)))
}

/// How a judge writes a rating.
pub fn written_rating(rating: u8) -> String {
    format!("[[{rating}]]")
}

fn last_in_brackets<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let inner = |part: &str| read(part.split_once("]]")?.0.trim());
    text.split("[[").skip(1).filter_map(inner).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_verdict_counts() {
        assert_eq!(Verdict::parse("[[A]] would be wrong, so\n[[B]]"), Some(Verdict::B));
        assert_eq!(Verdict::parse("JUDGE: [[ C ]]."), Some(Verdict::C));
        for text in ["", "A", "[A]", "[[D]]", "[[a]]", "[[", "[[A", "[[A]", "[[[A]]]"] {
            assert_eq!(Verdict::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ratings_are_one_to_five() {
        assert_eq!(parse_rating("between [[2]] and [[4]]: [[3]]"), Some(3));
        for text in ["[[0]]", "[[6]]", "[[3.5]]", "3", "[[]]"] {
            assert_eq!(parse_rating(text), None, "{text}");
        }
        assert_eq!((1..=HIGHEST_RATING).filter(|rating| parse_rating(&written_rating(*rating)) == Some(*rating)).count(), 5);
    }
}
