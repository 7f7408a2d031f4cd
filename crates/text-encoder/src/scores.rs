//! How good a classifier is. The only place that knows who counts.

use predictability::Report;
use serde::Serialize;

use crate::EncoderError;

/// How good predictions are.
///
/// Macro values are means over the classes that occur or are predicted, as scikit-learn has them; a class that is never
/// predicted has precision 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Texts that were classified.
    pub items: usize,
    /// Share of right predictions, 0 to 1.
    pub accuracy: f64,
    /// 95 % interval of the accuracy by bootstrap over groups (conversations, or single texts where there are none).
    pub accuracy_interval: (f64, f64),
    /// Mean precision of the classes.
    pub macro_precision: f64,
    /// Mean recall of the classes.
    pub macro_recall: f64,
    /// Mean F1 of the classes.
    pub macro_f1: f64,
    /// What always naming the most frequent class would give.
    pub majority: f64,
    /// By class, in the order of the labels.
    pub classes: Vec<ClassScores>,
    /// Texts by class (rows) and by prediction (columns).
    pub confusion: Vec<Vec<usize>>,
}

/// How good the predictions of one class are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassScores {
    /// The class.
    pub label: String,
    /// Right among those predicted; 0 if none is.
    pub precision: f64,
    /// Right among those that are; 0 if none is.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Texts of the class.
    pub support: usize,
}

impl Scores {
    /// Compares predictions with labels, both numbers of `names`. `groups` says which texts belong together; without it each stands
    /// for itself.
    ///
    /// # Errors
    /// Lengths differ, a number is none of a class, or there is nothing to compare.
    pub fn new(
        names: &[String],
        labels: &[usize],
        predicted: &[usize],
        groups: Option<&[&str]>,
    ) -> Result<Self, EncoderError> {
        if let Some(number) = labels.iter().chain(predicted).find(|number| **number >= names.len()) {
            return Err(EncoderError::Invalid(format!("there is no class {number} among {}", names.len())));
        }
        let own: Vec<String> = (0..labels.len()).map(|item| item.to_string()).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let report = Report::new(names, labels, predicted, groups.unwrap_or(&own))?;
        let confusion = confusion(names.len(), labels, predicted);
        let occurs =
            |class: usize| confusion[class].iter().chain(confusion.iter().map(|row| &row[class])).any(|n| *n > 0);
        let known: Vec<usize> = (0..names.len()).filter(|class| occurs(*class)).collect();
        let mean =
            |value: &dyn Fn(usize) -> f64| known.iter().map(|class| value(*class)).sum::<f64>() / known.len() as f64;
        Ok(Self {
            items: report.items,
            accuracy: report.accuracy,
            accuracy_interval: report.interval,
            macro_precision: mean(&|class| report.classes[class].precision),
            macro_recall: mean(&|class| report.classes[class].recall),
            macro_f1: report.macro_f1,
            majority: report.majority,
            classes: report.classes.into_iter().map(ClassScores::from).collect(),
            confusion,
        })
    }
}

fn confusion(classes: usize, labels: &[usize], predicted: &[usize]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; classes]; classes];
    for (label, found) in labels.iter().zip(predicted) {
        table[*label][*found] += 1;
    }
    table
}

impl From<predictability::ClassReport> for ClassScores {
    fn from(report: predictability::ClassReport) -> Self {
        let predictability::ClassReport { name: label, precision, recall, f1, support } = report;
        Self { label, precision, recall, f1, support }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: classes a (3), b (2), c (none, never predicted).
    #[test]
    fn macro_values_leave_out_what_never_occurs() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let scores = Scores::new(&names, &[0, 0, 0, 1, 1], &[0, 0, 1, 1, 0], None).unwrap();
        assert_eq!(scores.accuracy, 0.6);
        assert!((scores.macro_precision - (2.0 / 3.0 + 0.5) / 2.0).abs() < 1e-12);
        assert!((scores.macro_recall - (2.0 / 3.0 + 0.5) / 2.0).abs() < 1e-12);
        assert!((scores.macro_f1 - (2.0 / 3.0 + 0.5) / 2.0).abs() < 1e-12);
        assert_eq!(scores.confusion, [[2, 1, 0], [1, 1, 0], [0, 0, 0]]);
        assert!(Scores::new(&names, &[3], &[0], None).is_err());
        assert!(Scores::new(&names, &[], &[], None).is_err());
    }
}
