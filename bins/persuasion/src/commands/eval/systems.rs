//! Whose replies they are: one system of one file, or the people's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use command_line::Failure;
use strategy_prompting::read_rows;

use super::texts::Text;
use super::verdicts::{Contest, Match};
use crate::eval_arguments::Against;
use crate::subject::System;
use crate::written_replies::{REPLIES, WrittenReply};

/// Replies of one origin.
pub(super) struct Origin {
    /// How it is called in tables.
    pub(super) name: String,
    /// Which file they are from; matches are between origins of one file.
    file: String,
    kind: Kind,
    rows: Vec<WrittenReply>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Written(System),
    /// The chosen replies to the same prompts.
    Human,
}

/// Those of files of `persuasion generate`.
///
/// # Errors
/// A file can't be read, or holds no replies.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Origin>, Failure> {
    let mut origins = Vec::new();
    for path in paths {
        let rows = read_rows(path, REPLIES)?;
        if rows.is_empty() {
            return Err(Failure::work(format!("{}: there are no replies in it", path.display())));
        }
        origins.extend(of_rows(&file_name(path, paths), rows));
    }
    Ok(origins)
}

/// A file's own name where there are several; that of its folder too where names are alike.
fn file_name(path: &Path, all: &[PathBuf]) -> String {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match all {
        [_] => String::new(),
        _ if all.iter().filter(|other| stem(other) == stem(path)).count() > 1 => path.display().to_string(),
        _ => stem(path),
    }
}

/// The systems of a file, and the people who wrote the chosen replies.
pub(super) fn of_rows(file: &str, rows: Vec<WrittenReply>) -> Vec<Origin> {
    let kinds = [Kind::Written(System::Model), Kind::Written(System::Base), Kind::Human];
    let own = kinds.map(|kind| {
        let mut rows: Vec<WrittenReply> = rows.iter().filter(|row| kind.has(row)).cloned().collect();
        rows.sort_by_key(|row| (row.sample_index, row.sample));
        if kind == Kind::Human {
            // One reply a prompt, however many samples there are.
            rows.dedup_by_key(|row| row.sample_index);
        }
        let name = if file.is_empty() { kind.name().to_owned() } else { format!("{file}: {}", kind.name()) };
        Origin { name, file: file.to_owned(), kind, rows }
    });
    own.into_iter().filter(|origin| !origin.rows.is_empty()).collect()
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Written(system) => system.name(),
            Self::Human => "human",
        }
    }

    fn has(self, row: &WrittenReply) -> bool {
        match self {
            Self::Written(system) => row.system == system,
            Self::Human => true,
        }
    }

    fn text(self, row: &WrittenReply) -> &str {
        match self {
            Self::Written(_) => &row.generated_text,
            Self::Human => &row.chosen,
        }
    }
}

impl Origin {
    pub(super) fn texts(&self) -> Vec<Text<'_>> {
        let text = |row| Text::clone_of(row, self.kind);
        self.rows.iter().map(text).collect()
    }
}

impl<'a> Text<'a> {
    fn clone_of(row: &'a WrittenReply, kind: Kind) -> Self {
        Self {
            group: &row.group,
            prompt: &row.prompt,
            text: kind.text(row),
            is_whole: (kind != Kind::Human).then(|| row.finish_reason != "length"),
        }
    }
}

/// The model of each file against its base or against people.
///
/// # Errors
/// There is nothing to compare with.
pub(super) fn matches<'a>(origins: &'a [Origin], against: &[Against]) -> Result<Vec<Match<'a>>, Failure> {
    let mut matches = Vec::new();
    for model in origins.iter().filter(|origin| origin.kind == Kind::Written(System::Model)) {
        let find = |kind: Kind| origins.iter().find(|origin| origin.file == model.file && origin.kind == kind);
        let base = find(Kind::Written(System::Base));
        let chosen = match (against, base) {
            ([], Some(_)) => vec![Against::Base],
            ([], None) => vec![Against::Human],
            (given, _) => given.to_vec(),
        };
        for other in chosen {
            matches.push(match (other, base) {
                (Against::Base, Some(base)) => of_two(model, base),
                (Against::Human, _) => against_people(model),
                (Against::Base, None) => {
                    let problem = format!(
                        "--against base: {} has no replies of its base model: generate them with --with-base",
                        model.name
                    );
                    return Err(Failure::wrong_use(problem));
                }
            });
        }
    }
    match matches.is_empty() {
        true => Err(Failure::work("there are no replies of a model to be judged")),
        false => Ok(matches),
    }
}

fn of_two<'a>(model: &'a Origin, base: &'a Origin) -> Match<'a> {
    let key = |row: &WrittenReply| (row.sample_index, row.sample);
    let others: HashMap<_, &WrittenReply> = base.rows.iter().map(|row| (key(row), row)).collect();
    let both = model.rows.iter().filter_map(|row| Some((row, others.get(&key(row))?)));
    let contests = both.map(|(row, other)| contest(row, &other.generated_text)).collect();
    Match { name: format!("{} against base", model.name), contests }
}

fn against_people(model: &Origin) -> Match<'_> {
    let contests = model.rows.iter().map(|row| contest(row, &row.chosen)).collect();
    Match { name: format!("{} against human", model.name), contests }
}

fn contest<'a>(row: &'a WrittenReply, second: &'a str) -> Contest<'a> {
    Contest {
        id: format!("{}#{}", row.example_id, row.sample),
        group: &row.group,
        post: &row.prompt,
        first: &row.generated_text,
        second,
    }
}
