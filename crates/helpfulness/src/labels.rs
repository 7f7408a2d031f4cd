//! What annotators' labels mean: a table from labels to classes, which is data.

use std::collections::BTreeMap;
use std::path::Path;

use esconv_data::read_text;
use serde::{Deserialize, Serialize};

use crate::HelpfulnessError;

/// Says of each label that annotators may give which class it means: from helpful (the first) to unhelpful (the last).
///
/// As JSON it is `{"classes": ["helpful", "unhelpful"], "labels": {"good": "helpful", "bad": "unhelpful"}}`, in a file of its own or as the first line of
/// a file of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct LabelTable {
    classes: Vec<String>,
    labels: BTreeMap<String, usize>,
}

/// The label of who did not annotate.
pub(crate) const NOT_ANNOTATED: &str = "-";

/// Number of classes and text of each published table.
const PUBLISHED: [(usize, &str); 3] =
    [(2, include_str!("labels/2.json")), (3, include_str!("labels/3.json")), (4, include_str!("labels/4.json"))];

impl LabelTable {
    /// A table of labels with the names of their classes.
    ///
    /// # Errors
    /// There are fewer than two classes or no labels, a label means none of the classes, or it is the one that stands for no annotation (`-`).
    pub fn new(
        classes: Vec<String>,
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, HelpfulnessError> {
        let invalid = |problem: String| Err(HelpfulnessError::Invalid(format!("not a table of labels: {problem}")));
        let labels: BTreeMap<String, String> = labels.into_iter().collect();
        if classes.len() < 2 || labels.is_empty() {
            return invalid(format!(
                "{} labels for {} classes: at least two classes are needed",
                labels.len(),
                classes.len()
            ));
        }
        if labels.contains_key(NOT_ANNOTATED) {
            return invalid(format!("`{NOT_ANNOTATED}` can't be a label: it stands for no annotation"));
        }
        let mut numbered = BTreeMap::new();
        for (label, class) in labels {
            let Some(number) = classes.iter().position(|known| *known == class) else {
                return invalid(format!("`{label}` counts as `{class}`, expected one of {}", classes.join(", ")));
            };
            numbered.insert(label, number);
        }
        Ok(Self { classes, labels: numbered })
    }

    /// The table for the fifteen labels of motivational interviewing in the published record files. `classes` is 2 (helpful, unhelpful), 3 (d-PM's:
    /// neutral, adherent, non-adherent) or 4 (that of checkpoints like ThTra's, whose class 2 is never used).
    ///
    /// # Errors
    /// Another number of classes.
    pub fn published(classes: usize) -> Result<Self, HelpfulnessError> {
        let found = PUBLISHED.iter().find(|(known, _)| *known == classes);
        let (_, text) = found.ok_or_else(|| {
            let problem = format!("there is no table of {classes} classes: expected 2, 3 or 4, or a file of your own");
            HelpfulnessError::Invalid(problem)
        })?;
        serde_json::from_str(text).map_err(|error| HelpfulnessError::Invalid(error.to_string()))
    }

    /// Reads a table of one's own, a JSON file.
    ///
    /// # Errors
    /// The file can't be read or is no such table.
    pub fn open(path: &Path) -> Result<Self, HelpfulnessError> {
        serde_json::from_str(&read_text(path)?).map_err(|error| HelpfulnessError::file(path, error))
    }

    /// Number of classes; at least 2.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// Names of the classes, by number.
    pub fn class_names(&self) -> &[String] {
        &self.classes
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
            let known = known.join(", ");
            let problem = format!("the label `{label}` is in no class: expected {NOT_ANNOTATED} or one of {known}");
            HelpfulnessError::Invalid(problem)
        })?;
        Ok(Some(class))
    }

    /// As [`Self::class`], of all annotations of a response.
    ///
    /// # Errors
    /// As [`Self::class`].
    pub fn classes_of(&self, annotations: &[Option<String>]) -> Result<Vec<Option<usize>>, HelpfulnessError> {
        annotations.iter().map(|label| self.class(label.as_deref())).collect()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    classes: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl TryFrom<Fields> for LabelTable {
    type Error = HelpfulnessError;

    fn try_from(fields: Fields) -> Result<Self, HelpfulnessError> {
        Self::new(fields.classes, fields.labels)
    }
}

impl From<LabelTable> for Fields {
    fn from(table: LabelTable) -> Self {
        let LabelTable { classes, labels } = table;
        let name = |(label, class): (String, usize)| Some((label, classes.get(class)?.clone()));
        let labels = labels.into_iter().filter_map(name).collect();
        Self { classes, labels }
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
        assert_eq!(LabelTable::published(2).unwrap().class_names(), ["helpful", "unhelpful"]);
        assert!(LabelTable::published(5).unwrap_err().to_string().contains("expected 2, 3 or 4, or a file"));
    }

    const OWN: &str = r#"{"classes": ["fine", "bad"], "labels": {"yes": "fine", "no": "bad"}}"#;

    #[test]
    fn a_table_of_ones_own_is_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.json");
        std::fs::write(&path, OWN).unwrap();
        let table = LabelTable::open(&path).unwrap();
        let annotations = [Some("no".to_owned()), None, Some("yes".to_owned())];
        assert_eq!(table.classes_of(&annotations).unwrap(), [Some(1), None, Some(0)]);
        let told = table.class(Some("Warn")).unwrap_err().to_string();
        assert!(told.contains("`Warn` is in no class: expected - or one of no, yes"), "{told}");
        let again: LabelTable = serde_json::from_value(serde_json::to_value(&table).unwrap()).unwrap();
        assert_eq!(again, table);
    }

    #[test]
    fn what_is_no_table_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.json");
        for (from, to, says) in [
            (r#""no": "bad""#, r#""no": "worse""#, "`no` counts as `worse`, expected one of fine, bad"),
            (r#""no": "bad""#, r#""no": 7"#, "invalid type"),
            (r#""fine", "bad""#, r#""fine""#, "at least two classes are needed"),
            (r#""yes": "fine", "no": "bad""#, "", "0 labels for 2 classes"),
            (r#""yes""#, r#""-""#, "`-` can't be a label"),
            ("\"labels\"", "\"names\"", "unknown field"),
        ] {
            std::fs::write(&path, OWN.replace(from, to)).unwrap();
            let told = LabelTable::open(&path).unwrap_err().to_string();
            assert!(told.contains(says) && told.contains("labels.json"), "{to}: {told}");
        }
        assert!(LabelTable::open(&folder.path().join("absent")).unwrap_err().to_string().contains("absent"));
    }
}
