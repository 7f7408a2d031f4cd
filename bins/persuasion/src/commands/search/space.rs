//! What is searched: parameters of a training by name, and where their values lie.

use std::collections::BTreeMap;
use std::path::Path;

use command_line::Failure;
use hyper_search::{ActiveTrial, Distribution};
use llm_runtime::input_file;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::commands::train::Settings;
use crate::train_arguments::{Method, Setup};

/// The published space.
const PUBLISHED: &str = "learning_rate = { low = 1e-6, high = 1e-4, log = true }
beta = { choices = [0.1, 0.15, 0.2, 0.25] }
schedule = { choices = [\"cosine\", \"linear\"] }
epochs = { low = 2, high = 5, step = 1 }
";
/// That of the supervised methods.
const PUBLISHED_SUPERVISED: &str = "learning_rate = { low = 1e-6, high = 1e-4, log = true }
schedule = { choices = [\"cosine\", \"linear\"] }
epochs = { low = 2, high = 5, step = 1 }
rank = { choices = [8, 16] }
";

/// A parameter as a file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Axis {
    low: Option<f64>,
    high: Option<f64>,
    step: Option<f64>,
    #[serde(default)]
    log: bool,
    choices: Option<Vec<Value>>,
}

/// Parameters in the order they are asked for.
#[derive(Debug)]
pub(super) struct Space {
    axes: Vec<(String, Distribution)>,
}

impl Space {
    /// Of a file, or the published one.
    pub(super) fn read(path: Option<&Path>, method: Method) -> Result<Self, Failure> {
        let (name, text) = match path {
            Some(path) => (path.display().to_string(), input_file::read_text(path).map_err(Failure::at(path))?),
            None => {
                let text = if method == Method::Dpo { PUBLISHED } else { PUBLISHED_SUPERVISED };
                ("the published space".to_owned(), text.to_owned())
            }
        };
        let table: toml::Table = text.parse().map_err(|error| Failure::wrong_use(format!("{name}: {error}")))?;
        let mut axes = Vec::new();
        for (parameter, value) in table {
            let about = |problem: String| Failure::wrong_use(format!("{name}: `{parameter}`: {problem}"));
            if !PARAMETERS.contains(&parameter.as_str()) {
                return Err(about(format!("is no parameter; there are {}", PARAMETERS.join(", "))));
            }
            let axis: Axis = value.try_into().map_err(|error: toml::de::Error| about(error.message().to_owned()))?;
            let distribution = axis.distribution().map_err(about)?;
            let distribution = distribution.checked(&parameter).map_err(|error| about(error.to_string()))?;
            axes.push((parameter, distribution));
        }
        if axes.is_empty() {
            return Err(Failure::wrong_use(format!("{name}: it has no parameter")));
        }
        Ok(Self { axes })
    }

    /// Whether all of it can be searched with this setup.
    pub(super) fn check(&self, setup: &Setup) -> Result<(), Failure> {
        let given = setup.reference.init_adapter.as_ref().or(setup.lora.from_adapter.as_ref());
        let shape = self.axes.iter().find(|(name, _)| ["rank", "alpha", "dropout"].contains(&name.as_str()));
        match (given, shape) {
            (Some(folder), Some((name, _))) => Err(Failure::wrong_use(format!(
                "`{name}` can't be searched: it is that of the adapter in {}, with which every trial begins",
                folder.display()
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn axes(&self) -> impl Iterator<Item = (&str, &Distribution)> {
        self.axes.iter().map(|(name, distribution)| (name.as_str(), distribution))
    }

    /// The values of the command line, as far as they lie in the space: they are tried first.
    pub(super) fn preset(&self, setup: &Setup) -> BTreeMap<String, Value> {
        let trainer = setup.loop_.options(setup.method);
        let value = |name: &str| match name {
            "learning_rate" => json!(trainer.learning_rate),
            "beta" => json!(setup.objective.beta),
            "schedule" => json!(trainer.schedule.to_string()),
            "epochs" => json!(trainer.epochs),
            "rank" => json!(setup.lora.rank),
            "alpha" => json!(setup.lora.alpha),
            "dropout" => json!(setup.lora.dropout),
            "label_smoothing" => json!(setup.objective.label_smoothing),
            "loss" => json!(setup.objective.loss.to_string()),
            "micro_batch" => json!(trainer.batch),
            "accumulate" => json!(trainer.accumulate),
            "weight_decay" => json!(trainer.adamw.weight_decay),
            _ => json!(trainer.clip.unwrap_or(0.0)),
        };
        let own = self.axes().filter_map(|(name, distribution)| {
            let value = as_of(distribution, value(name));
            distribution.internal(name, &value).ok().map(|_| (name.to_owned(), value))
        });
        own.collect()
    }

    /// Asks the study for all parameters and puts them into a run's settings.
    pub(super) fn apply(&self, trial: &mut ActiveTrial, settings: &mut Settings) -> Result<(), Failure> {
        for (name, distribution) in &self.axes {
            let internal = trial.suggest(name, distribution)?;
            let value = distribution.external(internal);
            set(settings, name, &value).map_err(|problem| Failure::work(format!("`{name}`: {problem}")))?;
        }
        Ok(())
    }
}

/// All that can be searched.
const PARAMETERS: [&str; 13] = [
    "learning_rate",
    "beta",
    "schedule",
    "epochs",
    "rank",
    "alpha",
    "dropout",
    "label_smoothing",
    "loss",
    "micro_batch",
    "accumulate",
    "weight_decay",
    "clip",
];

fn set(settings: &mut Settings, name: &str, value: &Value) -> Result<(), String> {
    let number = || value.as_f64().ok_or_else(|| format!("{value} is no number"));
    let count = || match number()? {
        count if count >= 1.0 && count.fract() == 0.0 => Ok(count as usize),
        other => Err(format!("{other} is no whole number of at least 1")),
    };
    let text = || value.as_str().ok_or_else(|| format!("{value} is no text"));
    let trainer = &mut settings.trainer;
    match name {
        "learning_rate" => trainer.learning_rate = number()?,
        "beta" => settings.objective.preference.beta = number()?,
        "schedule" => trainer.schedule = text()?.parse().map_err(|error| format!("{error}"))?,
        "epochs" => trainer.epochs = number()?,
        "rank" => settings.lora.rank = count()?,
        "alpha" => settings.lora.alpha = number()?,
        "dropout" => settings.lora.dropout = number()?,
        "label_smoothing" => settings.objective.preference.label_smoothing = number()?,
        "loss" => settings.objective.preference.losses = text()?.parse().map_err(|error| format!("{error}"))?,
        "micro_batch" => trainer.batch = count()?,
        "accumulate" => trainer.accumulate = count()?,
        "weight_decay" => trainer.adamw.weight_decay = number()?,
        _ => trainer.clip = Some(number()?).filter(|clip| *clip > 0.0),
    }
    Ok(())
}

/// A whole number where the distribution has whole numbers.
fn as_of(distribution: &Distribution, value: Value) -> Value {
    match (distribution, value.as_f64()) {
        (Distribution::Int { .. }, Some(number)) if number.fract() == 0.0 => json!(number as i64),
        _ => value,
    }
}

impl Axis {
    /// Whole limits with a step are whole numbers, other limits are real ones.
    fn distribution(self) -> Result<Distribution, String> {
        match self {
            Self { choices: Some(choices), low: None, high: None, step: None, log: false } => {
                Ok(Distribution::Categorical { choices })
            }
            Self { choices: None, low: Some(low), high: Some(high), step, log } => {
                let is_whole = |number: f64| number.fract() == 0.0 && number.abs() < 1e15;
                match step.filter(|step| is_whole(*step) && is_whole(low) && is_whole(high)) {
                    Some(step) => Ok(Distribution::Int { low: low as i64, high: high as i64, step: step as i64, log }),
                    None => Ok(Distribution::Float { low, high, step, log }),
                }
            }
            _ => Err("expected either `choices`, or `low` and `high` with `step` or `log`".to_owned()),
        }
    }
}
