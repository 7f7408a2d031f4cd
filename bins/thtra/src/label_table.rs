//! Fine labels of annotators, and which class each counts as. Tables are data: built-in ones in `data/labels`, or a user's own file.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use crate::error::{Error, read_text};
use crate::records::HelpfulnessRecord;

/// Number of classes and text of each built-in table.
const BUILT_IN: [(usize, &str); 3] = [
    (2, include_str!("../data/labels/2.toml")),
    (3, include_str!("../data/labels/3.toml")),
    (4, include_str!("../data/labels/4.toml")),
];

/// Classes, and fine labels that each count as one of them.
///
/// The last class is the unhelpful one: its probability is what a helpfulness model's score is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelTable {
    name: String,
    classes: Vec<String>,
    not_annotated: String,
    /// Each fine label and the index of its class, by the label's id.
    labels: Vec<(String, usize)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    name: String,
    classes: Vec<String>,
    not_annotated: String,
    labels: Table,
}

impl LabelTable {
    /// A built-in table: 2 classes (helpful, unhelpful; the usual one), 3 (those of d-PM) or 4 (those of ThTra's checkpoints).
    ///
    /// # Errors
    /// There is no table of so many classes.
    pub fn built_in(classes: usize) -> Result<Self, Error> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == classes);
        let problem = || format!("there is no table of {classes} classes: 2, 3 or 4, or a file of your own");
        let (_, text) = found.ok_or_else(|| Error::Setting(problem()))?;
        Self::parse(Path::new("the built-in table"), text)
    }

    /// Reads a table of one's own: a TOML file with `name`, the list `classes` (the last is the unhelpful one), `not_annotated` (the label of
    /// who did not say anything) and a table `labels` that gives each fine label's class.
    ///
    /// # Errors
    /// The file can't be read or is no such table.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_text(path)?)
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of the classes; the place is the class's index.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The fine labels; the place is the label's id.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|(label, _)| label.as_str())
    }

    /// The index of the class that a fine label counts as; `None` within if the annotator did not say anything.
    ///
    /// # Errors
    /// The label is in no class; for people.
    pub fn class_of(&self, label: &str) -> Result<Option<usize>, String> {
        if label == self.not_annotated {
            return Ok(None);
        }
        let found = self.labels.iter().find(|(known, _)| known == label);
        found.map(|(_, class)| Some(*class)).ok_or_else(|| {
            let known: Vec<&str> = self.labels().collect();
            let (name, not_annotated, known) = (&self.name, &self.not_annotated, known.join(", "));
            format!("the label `{label}` is not in the table {name}: {known}, or {not_annotated}")
        })
    }

    /// How many annotations of each class the responses of a record have: `[responses][classes]`.
    ///
    /// # Errors
    /// As [`Self::class_of`].
    pub fn counts(&self, record: &HelpfulnessRecord) -> Result<Vec<Vec<usize>>, String> {
        let counts = record.responses.iter().map(|response| {
            let mut counts = vec![0; self.classes.len()];
            for label in &response.labels {
                if let Some(class) = self.class_of(label)? {
                    counts[class] += 1;
                }
            }
            Ok(counts)
        });
        counts.collect()
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let wrong = |problem: String| Error::format(path, format!("not a table of labels: {problem}"));
        let file: TableFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if file.classes.len() < 2 {
            return Err(wrong("`classes` needs at least two names".into()));
        }
        if file.labels.is_empty() || file.labels.contains_key(&file.not_annotated) {
            return Err(wrong("`labels` is empty, or holds the label that `not_annotated` names".into()));
        }
        let class = |(label, class): (String, Value)| {
            let index = file.classes.iter().position(|known| Some(known.as_str()) == class.as_str());
            let known = || file.classes.join(", ");
            let index =
                index.ok_or_else(|| wrong(format!("`{label}` counts as {class}, expected one of {}", known())))?;
            Ok((label, index))
        };
        let labels = file.labels.into_iter().map(class).collect::<Result<_, Error>>()?;
        Ok(Self { name: file.name, classes: file.classes, not_annotated: file.not_annotated, labels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::{HELPFUL_LABEL, UNHELPFUL_LABEL};

    #[test]
    fn the_built_in_tables_are_those_of_the_papers() {
        for (classes, expected) in [
            (2, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0]),
            (3, [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0]),
            (4, [0, 0, 0, 0, 0, 1, 1, 1, 1, 3, 3, 3, 3, 0, 0]),
        ] {
            let table = LabelTable::built_in(classes).unwrap();
            assert_eq!(table.classes().len(), classes);
            let found: Vec<usize> = table.labels().map(|label| table.class_of(label).unwrap().unwrap()).collect();
            assert_eq!(found, expected, "{classes}");
            assert_eq!(table.class_of("-"), Ok(None));
            // Ratings only ever give the first and the last class.
            assert_eq!(table.class_of(HELPFUL_LABEL), Ok(Some(0)));
            assert_eq!(table.class_of(UNHELPFUL_LABEL), Ok(Some(classes - 1)));
        }
        let labels: Vec<String> = LabelTable::built_in(2).unwrap().labels().map(str::to_owned).collect();
        assert_eq!((labels[3].as_str(), labels[10].as_str(), labels.len()), (HELPFUL_LABEL, UNHELPFUL_LABEL, 15));
        assert!(LabelTable::built_in(5).unwrap_err().to_string().contains("2, 3 or 4"));
    }

    #[test]
    fn annotations_are_counted_by_class() {
        let table = LabelTable::built_in(3).unwrap();
        let record = |labels: &[&str]| HelpfulnessRecord {
            emotion_type: String::new(),
            problem_type: String::new(),
            situation: String::new(),
            context: vec!["Hi".into()],
            responses: vec![crate::AnnotatedResponse {
                text: "Hello".into(),
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            }],
            conversation: None,
        };
        assert_eq!(table.counts(&record(&["Warn", "-", "Affirm", "Warn", "Other"])), Ok(vec![vec![1, 1, 2]]));
        assert!(table.counts(&record(&["Praise"])).unwrap_err().contains("`Praise` is not in the table d-pm"));
    }

    #[test]
    fn a_table_of_ones_own_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.toml");
        let good = "name = \"mine\"\nclasses = [\"good\", \"bad\"]\nnot_annotated = \"\"\n[labels]\nyes = \"good\"\nno = \"bad\"\n";
        std::fs::write(&path, good).unwrap();
        let table = LabelTable::from_file(&path).unwrap();
        assert_eq!((table.name(), table.class_of("no"), table.class_of("")), ("mine", Ok(Some(1)), Ok(None)));
        for (from, to, says) in [
            ("no = \"bad\"", "no = \"worse\"", "`no` counts as \"worse\", expected one of good, bad"),
            ("no = \"bad\"", "no = 7", "`no` counts as 7"),
            ("[\"good\", \"bad\"]", "[\"good\"]", "at least two"),
            ("not_annotated = \"\"", "not_annotated = \"yes\"", "not_annotated"),
            ("not_annotated = \"\"", "", "not_annotated"),
            ("[labels]", "labels", "not a table of labels"),
        ] {
            std::fs::write(&path, good.replace(from, to)).unwrap();
            let told = LabelTable::from_file(&path).unwrap_err().to_string();
            assert!(told.contains(says) && told.contains("labels.toml"), "{to}: {told}");
        }
    }
}
