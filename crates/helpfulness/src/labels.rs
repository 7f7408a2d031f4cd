//! What annotators' labels mean: a table from labels to classes, which is data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::HelpfulnessError;

/// Says of each label that annotators may give which class it means: from helpful (0) to unhelpful (the last).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TableFields")]
pub struct LabelTable {
    classes: usize,
    labels: BTreeMap<String, usize>,
}

/// The label of who did not annotate.
const NOT_ANNOTATED: &str = "-";

impl LabelTable {
    /// A table of labels with the numbers of their classes.
    ///
    /// # Errors
    /// There are fewer than two classes or no labels, a label means none of the classes, or it is the one that stands for no annotation (`-`).
    pub fn new(classes: usize, labels: impl IntoIterator<Item = (String, usize)>) -> Result<Self, HelpfulnessError> {
        let labels: BTreeMap<String, usize> = labels.into_iter().collect();
        let invalid = |problem: String| Err(HelpfulnessError::Invalid(problem));
        if classes < 2 || labels.is_empty() {
            return invalid(format!("{} labels for {classes} classes: at least two classes are needed", labels.len()));
        }
        if let Some((label, class)) = labels.iter().find(|(_, class)| **class >= classes) {
            return invalid(format!("the label `{label}` means class {class}: there are {classes} classes, from 0 on"));
        }
        if labels.contains_key(NOT_ANNOTATED) {
            return invalid(format!("`{NOT_ANNOTATED}` can't be a label: it stands for no annotation"));
        }
        Ok(Self { classes, labels })
    }

    /// The table for the fifteen labels of motivational interviewing in the published record files. `classes` is 2 (helpful, unhelpful), 3 (d-PM's:
    /// neutral, adherent, non-adherent) or 4 (that of checkpoints like ThTra's, whose class 2 is never used).
    ///
    /// # Errors
    /// Another number of classes.
    pub fn published(classes: usize) -> Result<Self, HelpfulnessError> {
        let groups: Vec<Group> = serde_json::from_str(include_str!("labels.json"))
            .map_err(|error| HelpfulnessError::Invalid(format!("the table of labels is damaged: {error}")))?;
        let mut labels = BTreeMap::new();
        for group in groups {
            let class = group.classes.get(&classes.to_string()).ok_or_else(|| {
                HelpfulnessError::Invalid(format!("there is no table of {classes} classes: expected 2, 3 or 4"))
            })?;
            labels.extend(group.labels.into_iter().map(|label| (label, *class)));
        }
        Self::new(classes, labels)
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All labels with their classes, in the order of the labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, usize)> {
        self.labels.iter().map(|(label, class)| (label.as_str(), *class))
    }

    /// The class of an annotation; `None` where the annotator gave none.
    ///
    /// # Errors
    /// The label is not in the table.
    pub fn class(&self, annotation: Option<&str>) -> Result<Option<usize>, HelpfulnessError> {
        let Some(label) = annotation else { return Ok(None) };
        let class = self.labels.get(label).copied().ok_or_else(|| {
            let known: Vec<&str> = self.labels.keys().map(String::as_str).collect();
            HelpfulnessError::Invalid(format!("the label `{label}` is in no class (known: {})", known.join(", ")))
        })?;
        Ok(Some(class))
    }
}

/// As [`LabelTable::class`] reads annotations: what stands for none.
pub(crate) fn annotation_of(label: String) -> Option<String> {
    (label != NOT_ANNOTATED).then_some(label)
}

#[derive(Deserialize)]
struct Group {
    classes: BTreeMap<String, usize>,
    labels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFields {
    classes: usize,
    labels: BTreeMap<String, usize>,
}

impl TryFrom<TableFields> for LabelTable {
    type Error = HelpfulnessError;

    fn try_from(fields: TableFields) -> Result<Self, HelpfulnessError> {
        Self::new(fields.classes, fields.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_tables_have_fifteen_labels_and_their_classes() {
        for (classes, affirm, warn) in [(2, 0, 1), (3, 1, 2), (4, 1, 3)] {
            let table = LabelTable::published(classes).unwrap();
            assert_eq!((table.classes(), table.labels().count()), (classes, 15));
            let class = |label: &str| table.class(Some(label)).unwrap().unwrap();
            assert_eq!((class("Simple Reflection"), class("Affirm"), class("Warn")), (0, affirm, warn));
            assert_eq!((class("Other"), class("Direct")), (0, warn));
            assert_eq!(table.class(None).unwrap(), None);
        }
        assert!(LabelTable::published(5).unwrap_err().to_string().contains("expected 2, 3 or 4"));
    }

    #[test]
    fn tables_are_data_and_are_checked() {
        let table: LabelTable = serde_json::from_str(r#"{"classes": 2, "labels": {"good": 0, "bad": 1}}"#).unwrap();
        assert_eq!(table.class(Some("bad")).unwrap(), Some(1));
        assert!(table.class(Some("Warn")).unwrap_err().to_string().contains("known: bad, good"));
        for wrong in [
            r#"{"classes": 2, "labels": {"good": 2}}"#,
            r#"{"classes": 1, "labels": {"good": 0}}"#,
            r#"{"classes": 2, "labels": {}}"#,
            r#"{"classes": 2, "labels": {"-": 0}}"#,
        ] {
            assert!(serde_json::from_str::<LabelTable>(wrong).is_err(), "{wrong}");
        }
    }
}
