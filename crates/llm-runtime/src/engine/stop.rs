//! Finds stop strings in text that arrives piece by piece.

/// Holds back text that could be the beginning of a stop string.
#[derive(Debug, Default)]
pub(super) struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

impl StopMatcher {
    pub(super) fn new(stops: &[String]) -> Self {
        Self { stops: stops.to_vec(), held: String::new() }
    }

    /// Adds text; gives what is certain to stand before any stop string, and the one that was reached.
    pub(super) fn push(&mut self, text: &str) -> (String, Option<&str>) {
        self.held.push_str(text);
        let reached = self.stops.iter().filter_map(|stop| Some((self.held.find(stop.as_str())?, stop.as_str()))).min();
        if let Some((at, stop)) = reached {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), Some(stop));
        }
        let keep = self.longest_beginning();
        let rest = self.held.split_off(self.held.len() - keep);
        (std::mem::replace(&mut self.held, rest), None)
    }

    /// The text that was held back.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Length of the longest end of the text that begins a stop string.
    fn longest_beginning(&self) -> usize {
        let begins = |length: usize| {
            let start = self.held.len() - length;
            self.held.is_char_boundary(start) && self.stops.iter().any(|stop| stop.starts_with(&self.held[start..]))
        };
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0).saturating_sub(1);
        (1..=longest.min(self.held.len())).rev().find(|length| begins(*length)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut matcher = StopMatcher::new(&stops);
        let mut text = String::new();
        for piece in pieces {
            let (delta, stop) = matcher.push(piece);
            text.push_str(&delta);
            if let Some(stop) = stop {
                return (text, Some(stop.to_owned()));
            }
        }
        text.push_str(&matcher.finish());
        (text, None)
    }

    #[test]
    fn a_stop_string_is_found_across_pieces() {
        assert_eq!(run(&["\nUser:"], &["Hello\n", "Us", "er: x"]), ("Hello".into(), Some("\nUser:".into())));
        assert_eq!(run(&["\nUser:"], &["Hello\n", "Use", " it"]), ("Hello\nUse it".into(), None));
        assert_eq!(run(&["aab"], &["a", "a", "a", "b"]), ("a".into(), Some("aab".into())));
        assert_eq!(run(&["é!"], &["caf", "é", "?"]), ("café?".into(), None));
        assert_eq!(run(&[], &["x"]), ("x".into(), None));
    }

    #[test]
    fn the_first_of_several_stops_wins() {
        assert_eq!(run(&["b", "ab"], &["xab"]), ("x".into(), Some("ab".into())));
    }
}
