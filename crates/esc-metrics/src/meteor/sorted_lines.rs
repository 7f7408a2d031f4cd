//! A text whose lines are looked up.
//!
//! Dictionaries of a hundred thousand words are opened far more often than all their words are looked up: a list of where lines start
//! is made in a few milliseconds, a hash map in ten times that.

/// Lines in order, found by halving.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct SortedLines {
    text: String,
    /// Where the lines start, in the order of the lines.
    starts: Vec<u32>,
}

impl SortedLines {
    /// Of a text, the first line and then every `step`-th. They need not be in order.
    pub(super) fn every(step: usize, text: String) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        let starts = starts.filter(|start| *start < text.len()).step_by(step).map(|start| start as u32).collect();
        let mut lines = Self { text, starts };
        if !lines.starts.is_sorted_by_key(|start| line_at(&lines.text, *start)) {
            lines.starts.sort_by_key(|start| line_at(&lines.text, *start));
        }
        lines
    }

    /// Which of the lines, in their order, is this one.
    pub(super) fn find(&self, line: &str) -> Option<usize> {
        self.starts.binary_search_by_key(&line, |start| line_at(&self.text, *start)).ok()
    }

    /// What follows a line in the text.
    pub(super) fn line_after(&self, line: usize) -> &str {
        let rest = self.starts.get(line).and_then(|start| self.text.get(*start as usize..));
        rest.and_then(|rest| rest.lines().nth(1)).unwrap_or_default()
    }

    /// The text as it was given.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

fn line_at(text: &str, start: u32) -> &str {
    text.get(start as usize..).and_then(|rest| rest.lines().next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_whatever_their_order() {
        let lines = SortedLines::every(1, "b\nc\na".into());
        assert_eq!(["a", "b", "c", "d", ""].map(|line| lines.find(line)), [Some(0), Some(1), Some(2), None, None]);
        assert_eq!(lines.text(), "b\nc\na");
    }

    #[test]
    fn of_every_second_line_the_next_one_is_the_entry() {
        let lines = SortedLines::every(2, "x\n1 2\nw\n3\n".into());
        assert_eq!(lines.find("1 2"), None);
        assert_eq!(lines.find("x").map(|line| lines.line_after(line)), Some("1 2"));
        assert_eq!(lines.find("w").map(|line| lines.line_after(line)), Some("3"));
        assert_eq!(lines.line_after(7), "");
    }

    #[test]
    fn an_empty_text_has_no_lines() {
        assert_eq!(SortedLines::every(2, String::new()).find(""), None);
    }
}
