//! What annotations alone say about a response.

use crate::HelpfulnessError;

/// Added to each class's count: what nobody chose is not impossible.
pub const SMOOTHING: f64 = 0.1;

/// How many annotators chose each class. Missing annotations are not counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Votes {
    counts: Vec<u32>,
}

impl Votes {
    /// The votes of annotators, each the number of a class below `classes`; `None` did not annotate.
    ///
    /// # Errors
    /// There are fewer than two classes, or a vote is for none of them.
    pub fn of(annotations: &[Option<usize>], classes: usize) -> Result<Self, HelpfulnessError> {
        if classes < 2 {
            return Err(HelpfulnessError::Invalid(format!("{classes} classes: at least two can be told apart")));
        }
        let mut counts = vec![0; classes];
        for class in annotations.iter().flatten() {
            let count = counts.get_mut(*class).ok_or_else(|| {
                HelpfulnessError::Invalid(format!("an annotation of class {class}: there are {classes} classes"))
            })?;
            *count += 1;
        }
        Ok(Self { counts })
    }

    /// The votes for each class.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// Number of votes.
    pub fn total(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// The prior of the response's class: `p(l) = (n_l + ε) / (Σ n + L·ε)`.
    pub fn prior(&self, smoothing: f64) -> Vec<f64> {
        let sum = f64::from(self.total()) + self.classes() as f64 * smoothing;
        self.counts.iter().map(|count| (f64::from(*count) + smoothing) / sum).collect()
    }

    /// The class of most votes. The last class has half a vote more, so it wins a draw with another; of other equal ones the first wins.
    pub fn majority(&self) -> usize {
        let last = self.classes() - 1;
        let votes = |class: usize| 2 * self.counts[class] + u32::from(class == last);
        (0..=last).fold(0, |best, class| if votes(class) > votes(best) { class } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(annotations: &[Option<usize>]) -> Votes {
        Votes::of(annotations, 4).unwrap()
    }

    #[test]
    fn the_prior_of_a_feedback_of_five_is_nearly_certain() {
        let prior = votes(&[Some(0); 5]).prior(SMOOTHING);
        assert!((prior[0] - 0.944_444_44).abs() < 1e-8 && (prior[3] - 0.018_518_52).abs() < 1e-8, "{prior:?}");
        assert!((prior.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn who_did_not_annotate_has_no_vote() {
        assert_eq!(votes(&[Some(0), None, Some(3), Some(3)]).counts(), [1, 0, 0, 2]);
        assert_eq!(votes(&[None, None]).prior(SMOOTHING), [0.25; 4]);
    }

    #[test]
    fn the_last_class_wins_draws() {
        assert_eq!(votes(&[Some(0), Some(3)]).majority(), 3);
        assert_eq!(votes(&[Some(0), Some(0), Some(3)]).majority(), 0);
        assert_eq!(votes(&[Some(2), Some(1)]).majority(), 1);
        assert_eq!(votes(&[]).majority(), 3);
    }

    #[test]
    fn impossible_votes_are_refused() {
        let error = Votes::of(&[Some(4)], 4).unwrap_err().to_string();
        assert_eq!(error, "an annotation of class 4: there are 4 classes");
        assert!(Votes::of(&[], 1).is_err());
    }
}
