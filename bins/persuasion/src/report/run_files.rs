//! What a training run leaves in its folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use training::tracking::{Entry, Event, INTERRUPTED, read_events};

use super::json_lines::{name, number, read_if_there, read_rows, text};
use super::{ReportError, Settings};

/// The type of rows that come from pairs the model learns from.
const TRAIN: &str = "train";

/// A run, read whole. Files that it need not have are `None` where they are not there.
#[derive(Debug)]
pub struct RunFiles {
    /// Its folder.
    pub folder: PathBuf,
    /// The folder's name.
    pub name: String,
    /// `config.toml`.
    pub settings: Settings,
    /// `events.jsonl`; empty where there is none.
    pub events: Vec<Event>,
    /// `outputs/pairs.jsonl`.
    pub pairs: Option<Vec<Pair>>,
    /// `outputs/samples.jsonl`. Of several rows of one example and step the last one counts: a run that was resumed has done the step again.
    pub samples: Option<Vec<Sample>>,
    /// `outputs/generations.jsonl`.
    pub generations: Option<Vec<Generation>>,
    /// `outputs/evaluation.json`.
    pub evaluation: Option<Value>,
}

/// A pair of replies, which samples refer to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Pair {
    /// Names the pair in its split.
    #[serde(deserialize_with = "name")]
    pub example_id: String,
    /// Which part of the data it belongs to.
    pub split: String,
    /// What pairs that are not independent of each other have in common; where a file has none, the prompt.
    #[serde(default)]
    pub group: Option<String>,
    /// What is replied to.
    #[serde(deserialize_with = "text")]
    pub prompt: String,
    /// The preferred reply.
    #[serde(deserialize_with = "text")]
    pub chosen: String,
    /// The other reply.
    #[serde(deserialize_with = "text")]
    pub rejected: String,
}

/// What became of one pair in one step or evaluation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Sample {
    /// Which pair.
    #[serde(deserialize_with = "name")]
    pub example_id: String,
    /// `train`, or `eval` of held-out pairs.
    #[serde(rename = "type")]
    pub kind: String,
    /// Passes over the data done, with fraction.
    #[serde(default, deserialize_with = "number")]
    pub epoch: Option<f64>,
    /// Optimiser steps done.
    pub step: u64,
    /// The pair's loss.
    #[serde(default, deserialize_with = "number")]
    pub loss: Option<f64>,
    /// β times the log-ratio of the preferred reply.
    #[serde(default, deserialize_with = "number")]
    pub chosen_reward: Option<f64>,
    /// The same of the other reply.
    #[serde(default, deserialize_with = "number")]
    pub rejected_reward: Option<f64>,
    /// Summed log-probability of the preferred reply by the policy.
    #[serde(default, deserialize_with = "number")]
    pub policy_logps_chosen: Option<f64>,
    /// Of the other reply by the policy.
    #[serde(default, deserialize_with = "number")]
    pub policy_logps_rejected: Option<f64>,
    /// Of the preferred reply by the reference.
    #[serde(default, deserialize_with = "number")]
    pub reference_logps_chosen: Option<f64>,
    /// Of the other reply by the reference.
    #[serde(default, deserialize_with = "number")]
    pub reference_logps_rejected: Option<f64>,
    /// Tokens of the preferred reply.
    #[serde(default, deserialize_with = "number")]
    pub chosen_tokens: Option<f64>,
    /// Tokens of the other reply.
    #[serde(default, deserialize_with = "number")]
    pub rejected_tokens: Option<f64>,
    /// The likeliest token at each place of the preferred reply, by the policy.
    #[serde(default)]
    pub policy_chosen_pred_text: Option<String>,
    /// The same by the reference.
    #[serde(default)]
    pub reference_chosen_pred_text: Option<String>,
    /// At each place of the other reply, by the policy.
    #[serde(default)]
    pub policy_rejected_pred_text: Option<String>,
    /// The same by the reference.
    #[serde(default)]
    pub reference_rejected_pred_text: Option<String>,
}

impl Sample {
    /// Whether the pair was held out.
    pub fn is_held_out(&self) -> bool {
        self.kind != TRAIN
    }

    /// By how much the preferred reply is rewarded more.
    pub fn margin(&self) -> Option<f64> {
        Some(self.chosen_reward? - self.rejected_reward?)
    }

    /// Whether the preferred reply is rewarded more; rewards that are not numbers say that it is not.
    pub fn is_right(&self) -> Option<bool> {
        Some(self.chosen_reward? > self.rejected_reward?)
    }
}

/// A reply that the model made at some point of its training.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Generation {
    /// Which pair's prompt.
    #[serde(deserialize_with = "name")]
    pub example_id: String,
    /// Passes over the data done, with fraction.
    #[serde(default, deserialize_with = "number")]
    pub epoch: Option<f64>,
    /// Optimiser steps done; 0 is the base model.
    pub step: u64,
    /// What is replied to.
    #[serde(deserialize_with = "text")]
    pub prompt: String,
    /// The reply.
    pub generated_text: String,
    /// The preferred reply of the data.
    #[serde(default)]
    pub chosen: Option<String>,
    /// The other reply of the data.
    #[serde(default)]
    pub rejected: Option<String>,
    /// Why the reply ends.
    #[serde(default)]
    pub finish_reason: Option<String>,
}

impl RunFiles {
    /// Reads the folder of a run, also of one that is still going on.
    ///
    /// # Errors
    /// There is no run in it (`config.toml` is missing), or one of its files can't be read or is damaged.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        let config = folder.join("config.toml");
        let Some(content) = read_if_there(&config)? else {
            let problem = "there is no run in this folder (config.toml is missing): name the folder that `train` or `search` wrote";
            return Err(ReportError::format(folder, problem));
        };
        let outputs = folder.join("outputs");
        Ok(Self {
            folder: folder.to_owned(),
            name: folder_name(folder),
            settings: Settings::parse(&config, &content)?,
            events: events(&folder.join("events.jsonl"))?,
            pairs: pairs(&outputs.join("pairs.jsonl"))?,
            samples: samples(&outputs.join("samples.jsonl"))?,
            generations: read_rows(&outputs.join("generations.jsonl"))?.map(without_lines),
            evaluation: evaluation(&outputs.join("evaluation.json"))?,
        })
    }

    /// How the run ended, as far as its record tells.
    pub fn ending(&self) -> Ending {
        let last = self.events.iter().rev().find_map(|event| match &event.entry {
            Entry::Message { exit_code, .. } => Some(*exit_code),
            Entry::Scalars(_) => Some(None),
            _ => None,
        });
        match last.flatten() {
            Some(0) => Ending::Finished,
            Some(INTERRUPTED) => Ending::Open,
            Some(code) => Ending::Failed(code),
            None => Ending::Open,
        }
    }

    /// Optimiser steps done, passes over the data, and seconds between the first and the last event.
    pub fn extent(&self) -> (u64, f64, f64) {
        let step = self.events.iter().map(|event| event.at.step).max().unwrap_or(0);
        let epoch = self.events.iter().map(|event| event.at.epoch).fold(0.0, f64::max);
        let times = self.events.iter().map(|event| event.at.time).filter(|time| time.is_finite() && *time > 0.0);
        let (first, last) = times.fold((f64::INFINITY, 0.0), |(first, last), time| (time.min(first), time.max(last)));
        (step, epoch, (last - first).max(0.0))
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Finished,
    /// With this exit code.
    Failed(u8),
    /// It goes on, or was stopped.
    Open,
}

impl Ending {
    /// In words.
    pub fn described(self) -> String {
        match self {
            Self::Finished => "finished".into(),
            Self::Failed(code) => format!("failed with exit code {code}"),
            Self::Open => "not finished: it goes on or was stopped".into(),
        }
    }
}

/// Finds pairs by what a sample says of itself.
pub(super) struct PairsById<'a> {
    pairs: &'a [Pair],
    places: HashMap<&'a str, Vec<usize>>,
}

impl<'a> PairsById<'a> {
    pub(super) fn new(pairs: &'a [Pair]) -> Self {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, pair) in pairs.iter().enumerate() {
            places.entry(&pair.example_id).or_default().push(place);
        }
        Self { pairs, places }
    }

    /// The pair of a sample. Splits may count their pairs each from 0; then the split decides.
    pub(super) fn place(&self, sample: &Sample) -> Option<usize> {
        let places = self.places.get(sample.example_id.as_str())?;
        let fits = |place: &&usize| (self.pairs[**place].split != TRAIN) == sample.is_held_out();
        places.iter().find(fits).or(places.first()).copied()
    }

    pub(super) fn pair(&self, sample: &Sample) -> Option<&'a Pair> {
        self.place(sample).and_then(|place| self.pairs.get(place))
    }
}

/// What a folder is called, also `.` and `..`.
pub(super) fn folder_name(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}

fn events(path: &Path) -> Result<Vec<Event>, ReportError> {
    if path.exists() { Ok(read_events(path)?) } else { Ok(Vec::new()) }
}

fn pairs(path: &Path) -> Result<Option<Vec<Pair>>, ReportError> {
    let Some(rows) = read_rows::<Pair>(path)? else { return Ok(None) };
    let mut kept: Vec<(usize, Pair)> = Vec::with_capacity(rows.len());
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    for (line, pair) in rows {
        let key = (pair.split.clone(), pair.example_id.clone());
        match places.get(&key).and_then(|place| kept.get(*place)) {
            None => {
                places.insert(key, kept.len());
                kept.push((line, pair));
            }
            Some((_, known)) if *known == pair => {}
            Some((first, _)) => {
                let (split, id) = key;
                let problem = format!(
                    "`{id}` of the split `{split}` has other texts in line {first}: each example is named once"
                );
                return Err(ReportError::line(path, line, problem));
            }
        }
    }
    Ok(Some(without_lines(kept)))
}

fn samples(path: &Path) -> Result<Option<Vec<Sample>>, ReportError> {
    let Some(rows) = read_rows::<Sample>(path)? else { return Ok(None) };
    let mut kept: Vec<Sample> = Vec::with_capacity(rows.len());
    let mut places: HashMap<(String, String, u64), usize> = HashMap::with_capacity(rows.len());
    for (_, sample) in rows {
        let key = (sample.example_id.clone(), sample.kind.clone(), sample.step);
        match places.get(&key) {
            Some(place) => kept[*place] = sample,
            None => {
                places.insert(key, kept.len());
                kept.push(sample);
            }
        }
    }
    Ok(Some(kept))
}

fn evaluation(path: &Path) -> Result<Option<Value>, ReportError> {
    let Some(content) = read_if_there(path)? else { return Ok(None) };
    let value = serde_json::from_slice(&content);
    value.map(Some).map_err(|error| ReportError::line(path, error.line(), format!("not JSON: {error}")))
}

fn without_lines<T>(rows: Vec<(usize, T)>) -> Vec<T> {
    rows.into_iter().map(|(_, row)| row).collect()
}
