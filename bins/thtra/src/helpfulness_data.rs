//! The records of a corpus by its parts, and the check that nothing leaks from one part into another.
//!
//! A helpfulness model is trained on conversations to learn from only: those for validation choose its settings, and those of the test tell what the
//! whole system is good for. So each record knows the number of its conversation, and a folder of records says which conversation is in which
//! part. Situations would not do: a few occur in two conversations.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use esconv_data::{Conversation, Split, write_python_lines};
use helpfulness::{ConversationId, HelpfulnessRecord, RecordFile, write_records};
use strategy_prompting::write_atomically;

use crate::error::{Error, read_text};
use crate::feedback::records_of;
use crate::part::Part;

/// The folder of the records within that of the dialogues.
pub const HELPFULNESS_FOLDER: &str = "helpfulness";
/// Which conversation of the corpus is in which part; beside the dialogues.
pub const SPLIT_FILE: &str = "splits.json";
/// The situations of the conversations for validation, one a line, as the published code wants them.
pub const DEV_INDEX_FILE: &str = "dev_index.json";

/// Records to learn from, to choose settings with, and to report on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelpfulnessData {
    /// Of the conversations to learn from.
    pub train: Vec<HelpfulnessRecord>,
    /// Of the conversations for validation: the published fold 0.
    pub valid: Vec<HelpfulnessRecord>,
    /// Of the test's conversations.
    pub test: Vec<HelpfulnessRecord>,
}

impl HelpfulnessData {
    /// The records of a corpus.
    pub fn of_corpus(conversations: &[Conversation], split: &Split) -> Self {
        let of_part = |part: Part| {
            let numbered = part.of(split).iter().filter_map(|number| Some((*number, conversations.get(*number)?)));
            numbered.flat_map(|(number, conversation)| records_of(number, conversation)).collect()
        };
        Self { train: of_part(Part::Train), valid: of_part(Part::Valid), test: of_part(Part::Test) }
    }

    /// Reads what `thtra process` wrote into `data_dir`.
    ///
    /// # Errors
    /// A file can't be read, or a record has no number of its conversation or one of another part: a leak.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let of_part = |part| -> Result<_, Error> { Ok(RecordFile::read(&record_file(data_dir, part))?.records) };
        let data = Self { train: of_part(Part::Train)?, valid: of_part(Part::Valid)?, test: of_part(Part::Test)? };
        data.check_leakage(data_dir, &read_split(&data_dir.join(SPLIT_FILE))?)?;
        Ok(data)
    }

    /// Writes the records of all parts, and the validation's situations. Nothing is written if there is a leak.
    ///
    /// # Errors
    /// There is a leak, or a file can't be written.
    pub fn write(&self, data_dir: &Path, split: &Split, conversations: &[Conversation]) -> Result<(), Error> {
        self.check_leakage(data_dir, split)?;
        let folder = data_dir.join(HELPFULNESS_FOLDER);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        for part in Part::ALL {
            write_records(&record_file(data_dir, part), self.of(part))?;
        }
        let situations = split.valid.iter().filter_map(|number| Some(conversations.get(*number)?.situation.as_str()));
        Ok(write_python_lines(&folder.join(DEV_INDEX_FILE), situations)?)
    }

    /// The records of a part.
    pub fn of(&self, part: Part) -> &[HelpfulnessRecord] {
        match part {
            Part::Train => &self.train,
            Part::Valid => &self.valid,
            Part::Test => &self.test,
        }
    }

    fn check_leakage(&self, data_dir: &Path, split: &Split) -> Result<(), Error> {
        Part::ALL
            .into_iter()
            .try_for_each(|part| check_leakage(&record_file(data_dir, part), part, self.of(part), split))
    }
}

/// Says whether records come from conversations of another part than `part`. `path` is their file, for the error.
///
/// # Errors
/// Some do, or a record does not know its conversation.
pub fn check_leakage(path: &Path, part: Part, records: &[HelpfulnessRecord], split: &Split) -> Result<(), Error> {
    let allowed: BTreeSet<usize> = part.of(split).iter().copied().collect();
    let mut foreign = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let Some(ConversationId::Number(conversation)) = record.conversation else {
            let problem = "has no `conversation` with its number, so that nobody can tell whether it is one of the test's: make the records with `thtra process`";
            return Err(Error::format(path, format!("record {number} (counted from 0) {problem}")));
        };
        if !allowed.contains(&conversation) {
            foreign.push(conversation);
        }
    }
    let Some(first) = foreign.first().copied() else { return Ok(()) };
    let holder = Part::ALL.into_iter().find(|part| part.of(split).contains(&first));
    Err(Error::Leak {
        path: path.to_owned(),
        purpose: match part {
            Part::Train => "training",
            Part::Valid => "validation",
            Part::Test => "the test",
        },
        records: foreign.len(),
        conversations: foreign.iter().collect::<BTreeSet<_>>().len(),
        first,
        held_by: holder.map(|part| format!(" of {}", part.file())).unwrap_or_default(),
    })
}

/// The file of a part's records within the folder of dialogues: `helpfulness/esc_data.txt` for those to learn from, as published, else
/// `helpfulness/esc_data_valid.txt` and `helpfulness/esc_data_test.txt`.
pub fn record_file(data_dir: &Path, part: Part) -> PathBuf {
    let name = match part {
        Part::Train => "esc_data.txt",
        Part::Valid => "esc_data_valid.txt",
        Part::Test => "esc_data_test.txt",
    };
    data_dir.join(HELPFULNESS_FOLDER).join(name)
}

/// Writes `splits.json`: the numbers of the conversations in each part.
///
/// # Errors
/// It can't be written.
pub fn write_split(path: &Path, split: &Split) -> Result<(), Error> {
    let io = |source: serde_json::Error| strategy_prompting::Error::Io { path: path.into(), source: source.into() };
    Ok(write_atomically(path, |writer| serde_json::to_writer(writer, split).map_err(io))?)
}

/// Reads what [`write_split`] wrote.
///
/// # Errors
/// The file can't be read, or does not hold every conversation's number once.
pub fn read_split(path: &Path) -> Result<Split, Error> {
    let text = read_text(path)?;
    let split: Split = serde_json::from_str(&text)
        .map_err(|error| Error::format(path, format!("not a split ({error}): expected train, valid and test")))?;
    // As many conversations as there are numbers: that none is beyond and none occurs twice is checked there.
    Ok(Split::read(path, Part::ALL.map(|part| part.of(&split).len()).iter().sum())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(conversation: Option<usize>) -> HelpfulnessRecord {
        HelpfulnessRecord {
            situation: "They don't call back.".into(),
            conversation: conversation.map(ConversationId::Number),
            ..HelpfulnessRecord::default()
        }
    }

    fn split() -> Split {
        Split { train: vec![3, 1], valid: vec![0], test: vec![2, 4] }
    }

    #[test]
    fn a_record_of_another_part_is_a_leak_whatever_its_situation() {
        let check = |part, records: &[Option<usize>]| {
            let records: Vec<_> = records.iter().map(|number| record(*number)).collect();
            check_leakage(Path::new("esc_data.txt"), part, &records, &split()).map_err(|error| error.to_string())
        };
        assert_eq!(check(Part::Train, &[Some(1), Some(3), Some(1)]), Ok(()));
        assert_eq!(check(Part::Valid, &[Some(0)]), Ok(()));
        let told = check(Part::Train, &[Some(1), Some(4), Some(4), Some(0)]).unwrap_err();
        assert!(told.contains("esc_data.txt: LEAK: 3 records come from 2 conversations"), "{told}");
        assert!(told.contains("the first from conversation 4 of test.txt"), "{told}");
        assert!(check(Part::Test, &[Some(9)]).unwrap_err().contains("conversation 9: a model"));
        assert!(check(Part::Train, &[Some(1), None]).unwrap_err().contains("record 1 (counted from 0) has no"));
    }
}
