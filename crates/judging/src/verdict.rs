//! Verdicts, as judges write them: `[[A]]`, `[[B]]`, `[[C]]`, and ratings `[[1]]` to `[[5]]`.

use esc_metrics::judge::Verdict;

/// The highest rating; the lowest is 1.
pub const HIGHEST_RATING: u8 = 5;

/// All verdicts, in the order of their letters.
pub const VERDICTS: [Verdict; 3] = [Verdict::A, Verdict::B, Verdict::Tie];

/// How a judge writes a verdict.
pub fn written_verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::A => "[[A]]",
        Verdict::B => "[[B]]",
        Verdict::Tie => "[[C]]",
    }
}

/// The last verdict in a judge's text: reasons come first and may speak of verdicts. `None` if there is none.
pub fn parse_verdict(text: &str) -> Option<Verdict> {
    let letter = |verdict: Verdict| &written_verdict(verdict)[2..3];
    last_in_brackets(text, |inner| VERDICTS.into_iter().find(|verdict| letter(*verdict) == inner))
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
        assert_eq!(parse_verdict("[[A]] would be wrong, so\n[[B]]"), Some(Verdict::B));
        assert_eq!(parse_verdict("JUDGE: [[ C ]]."), Some(Verdict::Tie));
        for text in ["", "A", "[A]", "[[D]]", "[[a]]", "[[", "[[A", "[[A]", "[[[A]]]"] {
            assert_eq!(parse_verdict(text), None, "{text}");
        }
    }

    #[test]
    fn ratings_are_one_to_five() {
        assert_eq!(parse_rating("between [[2]] and [[4]]: [[3]]"), Some(3));
        for text in ["[[0]]", "[[6]]", "[[3.5]]", "3", "[[]]"] {
            assert_eq!(parse_rating(text), None, "{text}");
        }
        assert_eq!(
            (1..=HIGHEST_RATING).filter(|rating| parse_rating(&written_rating(*rating)) == Some(*rating)).count(),
            5
        );
    }
}
