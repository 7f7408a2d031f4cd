//! Which stages of a run are done, and how they were asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use command_line::Failure;
use llm_runtime::output_file;
use serde::{Deserialize, Serialize};

use super::plan::Stage;

const FILE: &str = "stages.json";

/// The stages that are done, kept in the folder of the run.
pub(super) struct Record {
    path: PathBuf,
    done: BTreeMap<String, Done>,
}

/// A stage that is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    words: Vec<String>,
    pub(super) seconds: f64,
}

impl Record {
    /// That of a folder: an empty one if nothing was done there.
    pub(super) fn open(out: &Path) -> Result<Self, Failure> {
        let path = out.join(FILE);
        let done = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::work(format!("{}: not a record of stages: {error}; delete it to do all anew", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Failure::at(&path)(error)),
        };
        Ok(Self { path, done })
    }

    /// Says which stage was done in another way than is now asked for.
    pub(super) fn check(&self, stages: &[Stage]) -> Result<(), Failure> {
        for stage in stages {
            let Some(done) = self.done.get(&stage.name).filter(|done| done.words != stage.words) else { continue };
            let differs = |word: &&String| !done.words.contains(word);
            let now = stage.words.iter().filter(differs).map(String::as_str).collect::<Vec<_>>().join(" ");
            return Err(Failure::wrong_use(format!(
                "{}: {} was done with other options (now: {now}): choose another --out, or the same options",
                self.path.display(),
                stage.name
            )));
        }
        Ok(())
    }

    pub(super) fn of(&self, stage: &Stage) -> Option<&Done> {
        self.done.get(&stage.name)
    }

    /// Notes that a stage is done. The file is replaced as a whole.
    pub(super) fn add(&mut self, stage: &Stage, seconds: f64) -> Result<(), Failure> {
        self.done.insert(stage.name.clone(), Done { words: stage.words.clone(), seconds });
        output_file::write(&self.path, serde_json::to_string_pretty(&self.done)?).map_err(Failure::at(&self.path))
    }
}
