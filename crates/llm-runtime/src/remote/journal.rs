//! The request journal: what a server answered is kept, so that no request is paid for twice.
//!
//! One JSON object a line: the hash of the whole request (server, path, model, messages, options) and the answer. Neither prompts nor
//! the key are in it. A line is one write; a last line that a kill tore is cut off at the next opening.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use crate::{Error, is_torn_row};

/// How a line begins.
const ROW_BEGINNING: &str = r#"{"request":"#;

/// An open journal. While it is open no other process can open it.
#[derive(Debug)]
pub(super) struct RequestJournal {
    path: PathBuf,
    file: File,
    length: u64,
    answers: HashMap<String, Answer>,
    is_broken: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    request: &'a str,
    answer: &'a Answer,
}

#[derive(Deserialize)]
struct OwnedLine {
    request: String,
    answer: Answer,
}

impl RequestJournal {
    /// Opens or begins a journal.
    ///
    /// # Errors
    /// The file can't be read or written, another process has it open, or a complete line is none of a journal.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.into(), source };
        let format = |problem: String| Error::Format { path: path.into(), problem };
        let file = OpenOptions::new().create(true).read(true).append(true).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format(
                    "another process writes to this request journal: wait for it, or name another file".into(),
                ));
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let mut answers = HashMap::new();
        let mut lines = BufReader::new(&file);
        let (mut length, mut line) = (0, Vec::new());
        for number in 1.. {
            line.clear();
            let read = lines.read_until(b'\n', &mut line).map_err(io)?;
            if line.last() != Some(&b'\n') {
                if !is_torn_row(&line, ROW_BEGINNING) {
                    return Err(format(format!("line {number} is none of a request journal: name another file")));
                }
                break;
            }
            let OwnedLine { request, answer } = serde_json::from_slice(&line).map_err(|error| {
                format(format!(
                    "line {number} is none of a request journal ({error}): name another file, or delete the line"
                ))
            })?;
            length += read as u64;
            answers.insert(request, answer);
        }
        let torn = file.metadata().map_err(io)?.len() - length;
        if torn > 0 {
            tracing::warn!("{}: cut off an unfinished last line of {torn} bytes", path.display());
            file.set_len(length).map_err(io)?;
        }
        Ok(Self { path: path.into(), file, length, answers, is_broken: false })
    }

    /// The answer to the request of that hash.
    pub(super) fn answer(&self, request: &str) -> Option<&Answer> {
        self.answers.get(request)
    }

    /// Keeps an answer.
    ///
    /// # Errors
    /// It can't be written; what the attempt left is cut off again, and the journal takes no more.
    pub(super) fn keep(&mut self, request: String, answer: &Answer) -> Result<(), Error> {
        let failed = |source: std::io::Error| Error::Io { path: self.path.clone(), source };
        if self.is_broken {
            return Err(failed(std::io::Error::other("an earlier answer could not be written")));
        }
        let line = serde_json::to_vec(&Line { request: &request, answer });
        let mut line = line.map_err(|error| failed(std::io::Error::other(error)))?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            self.is_broken = true;
            // Opening cuts a torn line off as well, should this fail too.
            let _ = self.file.set_len(self.length);
            return Err(failed(error));
        }
        self.length += line.len() as u64;
        self.answers.insert(request, answer.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_model::{FinishReason, ServedBy};

    fn answer(text: &str) -> Answer {
        Answer {
            text: text.into(),
            finish: FinishReason::Stop,
            tokens: vec![1],
            logprobs: Vec::new(),
            text_logprobs: Vec::new(),
            echoed: vec![None, Some(-0.123_456_79)],
            usage: None,
            served_by: ServedBy::default(),
        }
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.txt");
        for foreign in ["sk-0123456789abcdef", r#"{"model_type": "llama"}"#, "one\ntwo"] {
            std::fs::write(&path, foreign).unwrap();
            let error = RequestJournal::open(&path).unwrap_err().to_string();
            assert!(error.contains("none of a request journal"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), foreign);
        }
    }

    #[test]
    fn a_torn_line_is_cut_off_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = RequestJournal::open(&path).unwrap();
        for name in ["a", "b", "c"] {
            journal.keep(name.into(), &answer(name)).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        let mut journal = RequestJournal::open(&path).unwrap();
        assert_eq!(journal.answer("b"), Some(&answer("b")));
        assert_eq!(journal.answer("c"), None);
        journal.keep("c".into(), &answer("c")).unwrap();
        drop(journal);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn another_file_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.jsonl");
        std::fs::write(&path, "{\"id\": 1}\n").unwrap();
        let error = RequestJournal::open(&path).unwrap_err().to_string();
        assert!(error.contains("other.jsonl") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn two_writers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let _first = RequestJournal::open(&path).unwrap();
        assert!(RequestJournal::open(&path).unwrap_err().to_string().contains("another process"));
    }
}
