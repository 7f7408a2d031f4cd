//! What a picture could not show, for a note: nothing disappears silently.

use crate::scale::Unplaced;

/// Counts of values that were not drawn.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    missing: usize,
    not_positive: usize,
    outside: usize,
}

impl Dropped {
    /// The place, if there is one; if not, the reason is counted.
    pub(crate) fn keep(&mut self, place: Result<f64, Unplaced>) -> Option<f64> {
        if let Err(reason) = place {
            self.count(reason);
        }
        place.ok()
    }

    /// Both places, if there are both; one reason is counted otherwise.
    pub(crate) fn keep_both(&mut self, x: Result<f64, Unplaced>, y: Result<f64, Unplaced>) -> Option<(f64, f64)> {
        let reason = match (x, y) {
            (Ok(x), Ok(y)) => return Some((x, y)),
            (Err(Unplaced::Missing), _) | (_, Err(Unplaced::Missing)) => Unplaced::Missing,
            (Err(reason), _) | (_, Err(reason)) => reason,
        };
        self.count(reason);
        None
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut add = |count: usize, one: &str, many: &str| match count {
            0 => {}
            1 => notes.push(format!("1 {one}")),
            count => notes.push(format!("{count} {many}")),
        };
        add(self.missing, "value is missing", "values are missing");
        add(
            self.not_positive,
            "value is not above 0 and has no place on the logarithmic axis",
            "values are not above 0 and have no place on the logarithmic axis",
        );
        add(self.outside, "value lies outside the axes", "values lie outside the axes");
        notes
    }

    fn count(&mut self, reason: Unplaced) {
        match reason {
            Unplaced::Missing => self.missing += 1,
            Unplaced::NotPositive => self.not_positive += 1,
            Unplaced::Outside => self.outside += 1,
        }
    }
}
