//! What a user's files are: which form of corpus, and which files belong to it.

use std::path::PathBuf;

use super::convokit::{CONVERSATIONS, utterances_file};
use super::error::CorpusError;
use super::line_source::extension;
use super::pair_files::files_of;
use super::part::Part;
use super::reddit::Dump;
use super::topic_folders::post_folders;

/// A corpus and where it is.
#[derive(Debug, Clone)]
pub enum Input {
    /// Dumps of Reddit.
    Reddit(Dump),
    /// The winning-arguments corpus in ConvoKit's form: its folder.
    ConvoKit(PathBuf),
    /// That corpus in its first form: its files.
    JsonLists(Vec<PathBuf>),
    /// Folders of posts somewhere below one.
    TopicFolders(PathBuf),
    /// Files of pairs.
    Pairs(Vec<PathBuf>),
}

impl Input {
    /// Finds out what `paths` are: one folder, or files of one form.
    ///
    /// # Errors
    /// They can't be read, are of no known form, or of several.
    pub fn find(paths: &[PathBuf]) -> Result<Self, CorpusError> {
        match paths {
            [folder] if folder.is_dir() => Self::of_folder(folder.clone()),
            _ => Self::of_files(paths.to_vec()),
        }
    }

    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reddit(_) => "reddit",
            Self::ConvoKit(_) => "convokit",
            Self::JsonLists(_) => "jsonlist",
            Self::TopicFolders(_) => "topic folders",
            Self::Pairs(_) => "pairs",
        }
    }

    fn of_folder(folder: PathBuf) -> Result<Self, CorpusError> {
        if folder.join(CONVERSATIONS).is_file() || utterances_file(&folder).is_some() {
            return Ok(Self::ConvoKit(folder));
        }
        let entries = std::fs::read_dir(&folder).map_err(CorpusError::io(&folder))?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(CorpusError::io(&folder))?;
        paths.retain(|path| is_json_list(path));
        paths.sort_by_key(|path| (Part::of_file(path), path.clone()));
        if !paths.is_empty() {
            return Ok(Self::JsonLists(paths));
        }
        let files = files_of(&folder)?;
        if !files.is_empty() {
            return Ok(Self::Pairs(files));
        }
        if !post_folders(&folder)?.is_empty() {
            return Ok(Self::TopicFolders(folder));
        }
        let problem = "no corpus is here: expected utterances.jsonl and conversations.json, *.jsonlist, folders with op.json and pairs.json, or files of pairs (.jsonl, .json, .csv)";
        Err(CorpusError::format(&folder, problem))
    }

    fn of_files(paths: Vec<PathBuf>) -> Result<Self, CorpusError> {
        if let Some(path) = paths.iter().find(|path| !path.is_file()) {
            // The system says it in its own words.
            let reason = match std::fs::metadata(path) {
                Err(error) => error,
                Ok(_) => std::io::Error::other("is a folder: give one folder alone, or files"),
            };
            return Err(CorpusError::io(path)(reason));
        }
        let lists = paths.iter().filter(|path| is_json_list(path)).count();
        match lists {
            0 => Ok(Self::Pairs(paths)),
            _ if lists == paths.len() => Ok(Self::JsonLists(paths)),
            _ => Err(CorpusError::Setting("files of two forms: give *.jsonlist alone, or files of pairs alone".into())),
        }
    }
}

/// `pairs.jsonlist`, or that compressed.
fn is_json_list(path: &std::path::Path) -> bool {
    let is_list = |path: &std::path::Path| extension(path) == "jsonlist";
    is_list(path) || path.file_stem().is_some_and(|stem| is_list(std::path::Path::new(stem)))
}
