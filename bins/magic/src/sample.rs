//! Samples of the response generator: one supporter turn to be predicted, with all that is known before it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::contraction::{LetterCase, expand_contractions};
use crate::dialogue::{Dialogue, SampleRule};
use crate::error::Error;
use crate::inference::Inference;
use crate::json_file::{Indent, read_array, write_json};
use crate::strategy::Strategy;

/// One supporter turn to be predicted. The order of the fields is that of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The situation and all turns before, contractions written out.
    pub context: Vec<String>,
    /// The turn.
    pub response: String,
    /// Its strategy: annotated, or inferred.
    pub strategy: Strategy,
    /// The supporter's earlier turns, oldest first. Empty with [`SampleRule::LastTurn`].
    pub response_memory: Vec<String>,
    /// Their annotated strategies, as many as there are earlier turns.
    pub strategy_memory: Vec<Strategy>,
    /// Why the strategy fits; empty where nothing was inferred.
    pub motivation: String,
}

/// The samples of dialogues, in their order. The motivations are empty.
pub fn samples(dialogues: &[Dialogue], rule: SampleRule, case: LetterCase) -> Vec<Sample> {
    dialogues.iter().flat_map(|dialogue| samples_of(dialogue, rule, case)).collect()
}

fn samples_of(dialogue: &Dialogue, rule: SampleRule, case: LetterCase) -> Vec<Sample> {
    let expand = |text: &str| expand_contractions(text, case).into_owned();
    let context: Vec<String> = std::iter::once(&dialogue.situation)
        .chain(dialogue.turns.iter().map(|turn| &turn.text))
        .map(|text| expand(text.trim()))
        .collect();
    // Texts are stripped as context, and only there.
    let supporter: Vec<(usize, String, Strategy)> = dialogue
        .supporter_turns()
        .map(|(turn, strategy)| (turn, expand(&dialogue.turns[turn].text), strategy))
        .collect();
    let sample = |(turn, strategy)| {
        let is_remembered = |earlier: usize| rule == SampleRule::AllTurns && earlier < turn;
        let memory = || supporter.iter().filter(|(earlier, ..)| is_remembered(*earlier));
        Sample {
            context: context[..=turn].to_vec(),
            response: supporter
                .iter()
                .find(|(at, ..)| *at == turn)
                .map(|(_, text, _)| text.clone())
                .unwrap_or_default(),
            strategy,
            response_memory: memory().map(|(_, text, _)| text.clone()).collect(),
            strategy_memory: memory().map(|(.., strategy)| *strategy).collect(),
            motivation: String::new(),
        }
    };
    dialogue.targets(rule).into_iter().map(sample).collect()
}

/// Whose strategy a sample has once one was inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategySource {
    /// The inferred one, as in real use.
    Inferred,
    /// The annotated one; of what was inferred only the motivation is taken.
    Annotated,
}

/// Gives each sample what was inferred for it, by position. `path` is where that comes from, for the error.
///
/// # Errors
/// There are more or fewer inferences than samples.
pub fn add_inferences(
    samples: &mut [Sample],
    inferences: Vec<Inference>,
    source: StrategySource,
    path: &Path,
) -> Result<(), Error> {
    if samples.len() != inferences.len() {
        return Err(Error::Length {
            path: path.to_owned(),
            found: inferences.len(),
            what: "inferred strategies",
            expected: samples.len(),
            of: "samples".into(),
        });
    }
    for (sample, inference) in samples.iter_mut().zip(inferences) {
        sample.motivation = inference.motivation;
        if source == StrategySource::Inferred {
            sample.strategy = inference.strategy;
        }
    }
    Ok(())
}

/// Reads `train.json`, `valid.json` or `test.json`: ours, or published ones.
///
/// # Errors
/// The file can't be read, holds no sample, or an entry is none; the error tells its number.
pub fn read_samples(path: &Path) -> Result<Vec<Sample>, Error> {
    let samples: Vec<Sample> = read_array(path, "sample (see `magic preprocess`)")?;
    match samples.is_empty() {
        true => Err(Error::format(path, "holds no sample: expected at least one")),
        false => Ok(samples),
    }
}

/// Writes `train.json`, `valid.json` or `test.json`: byte for byte as the published preprocessing lays it out.
///
/// # Errors
/// The file can't be written; an older one then stays.
pub fn write_samples(path: &Path, samples: &[Sample]) -> Result<(), Error> {
    write_json(path, samples, Indent::Four)
}
