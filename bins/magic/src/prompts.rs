//! Prompts to fine-tune the strategy inference with: what the model reads, and the motivation that it is to write.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::json_file::read_array;

/// Names of the files of prompts, for train, valid and test.
pub const PROMPT_FILES: [&str; 3] = ["prompts_4_LLaMA.json", "prompts_4_LLaMA_valid.json", "prompts_4_LLaMA_test.json"];

/// One pair to learn from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingPrompt {
    /// What the model reads.
    pub instruction: String,
    /// What it is to write.
    pub output: String,
}

/// Reads collected motivations; `None` where one is missing.
///
/// # Errors
/// The file can't be read, or an entry is neither a text nor `null`.
pub fn read_motivations(path: &Path) -> Result<Vec<Option<String>>, Error> {
    read_array(path, "motivation (a text, or null where it is missing)")
}

/// Pairs prompts with motivations by position; a prompt whose motivation is missing is left out. `path` is where the motivations come from,
/// for the error.
///
/// # Errors
/// There are more or fewer motivations than prompts: they would be paired with the wrong ones.
pub fn training_prompts(
    prompts: Vec<String>,
    motivations: Vec<Option<String>>,
    path: &Path,
) -> Result<Vec<TrainingPrompt>, Error> {
    if prompts.len() != motivations.len() {
        return Err(Error::Length {
            path: path.to_owned(),
            found: motivations.len(),
            what: "motivations",
            expected: prompts.len(),
            of: "supporter turns to be explained in train.txt".into(),
        });
    }
    let pairs = prompts.into_iter().zip(motivations);
    Ok(pairs.filter_map(|(instruction, output)| Some(TrainingPrompt { instruction, output: output? })).collect())
}

/// A prompt, from a file of either kind.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnyPrompt {
    Plain(String),
    Pair(TrainingPrompt),
}

/// Reads prompts: a file of texts, or of pairs, whose answers are passed over.
///
/// # Errors
/// The file can't be read, or an entry is no prompt; the error tells its number.
pub fn read_prompts(path: &Path) -> Result<Vec<String>, Error> {
    let prompts: Vec<AnyPrompt> = read_array(path, "prompt (a text, or an object with `instruction` and `output`)")?;
    let text = |prompt| match prompt {
        AnyPrompt::Plain(text) | AnyPrompt::Pair(TrainingPrompt { instruction: text, .. }) => text,
    };
    Ok(prompts.into_iter().map(text).collect())
}
