//! A model on this machine with its adapter, and the same without.

use std::path::{Path, PathBuf};

use command_line::{Failure, ModelOptions, adapter_folder, load_pretrained};
use dpo::{PairEncoder, Wording};
use llm_runtime::{Engine, EngineOptions, Llama, ModelIdentity, PretrainedModel, sha256_of_files};
use lora::{AdaptedLlama, Adapters};
use serde::{Deserialize, Serialize};

use crate::run_settings::RunSettings;
use crate::subject_arguments::SubjectOptions;
use crate::train_arguments::WritingSettings;
use crate::wordings::wording;

/// The adapter that is looked at.
const TUNED: &str = "tuned";
/// What it was held against, where that was an adapter too.
const REFERENCE: &str = "reference";

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum System {
    /// The model as it was named, with its adapter if it has one.
    Model,
    /// The same without that adapter.
    Base,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Base => "base",
        }
    }
}

/// The name of a model, and what its run says.
pub(crate) struct Named {
    pub(crate) model: String,
    pub(crate) adapter: Option<PathBuf>,
    pub(crate) run: Option<RunSettings>,
}

impl Named {
    /// What options name; `None` if they name nothing.
    ///
    /// # Errors
    /// The run's settings can't be read, or an adapter on its own has no model.
    pub(crate) fn find(options: &SubjectOptions) -> Result<Option<Self>, Failure> {
        let adapter = options.runtime.adapter.clone();
        let run = adapter.as_deref().map(RunSettings::of_adapter).transpose()?.flatten();
        let model = options.model.clone().or_else(|| run.as_ref().map(|run| run.model.clone()));
        match (model, adapter) {
            (Some(model), adapter) => Ok(Some(Self { model, adapter, run })),
            (None, None) => Ok(None),
            (None, Some(adapter)) => Err(Failure::wrong_use(format!(
                "{} is no run of `persuasion train`, which would tell its model: name it with --model",
                adapter.display()
            ))),
        }
    }

    /// How the model is loaded: as its run did, where the options do not tell. Another model than the run's is what its options say.
    pub(crate) fn model_options(&self, given: &ModelOptions) -> Result<ModelOptions, Failure> {
        match &self.run {
            Some(run) if run.model == self.model => run.weights_over(given),
            _ => Ok(given.clone()),
        }
    }

    /// The adapter that the run began with and was held against, if there was one.
    pub(crate) fn reference_adapter(&self) -> Option<&Path> {
        self.run.as_ref()?.init_adapter.as_deref()
    }

    /// The model that the run was held against, if it was not its own base.
    pub(crate) fn reference_model(&self) -> Option<&str> {
        self.run.as_ref()?.reference_model.as_deref()
    }

    /// The file that is named, or this part of the run's data.
    pub(crate) fn data(&self, given: Option<&Path>, part: &str) -> Result<PathBuf, Failure> {
        match (given, &self.run) {
            (Some(given), _) => Ok(given.to_owned()),
            (None, Some(run)) => Ok(run.data.join(format!("{part}.jsonl"))),
            (None, None) => Err(Failure::wrong_use("no run tells where pairs are: name a file with --data".to_owned())),
        }
    }
}

/// A model that is loaded.
pub(crate) struct Subject {
    pub(crate) loaded: PretrainedModel,
    pub(crate) wording: Wording,
    pub(crate) writing: WritingSettings,
    /// Hash of the adapter's weights; empty without one.
    pub(crate) adapter_sha256: String,
    adapters: Adapters,
    limits: EngineOptions,
    tuned: Option<AdaptedLlama>,
    base: AdaptedLlama,
}

impl Subject {
    /// Loads it.
    ///
    /// # Errors
    /// Model or adapter can't be read, or do not fit each other or the memory.
    pub(crate) fn load(named: &Named, options: &SubjectOptions) -> Result<Self, Failure> {
        let runtime = &options.runtime;
        let limits = runtime.engine_options();
        let adapters = Adapters::new();
        let loaded =
            load_pretrained(&named.model, &named.model_options(&runtime.model)?, limits, &|loader, config, device| {
                Llama::load(&adapters.wrap(loader), config, device)
            })?;
        let writing = options.writing.over(named.run.as_ref().map(|run| &run.writing));
        let wording = wording(&writing.template, loaded.template.as_ref())?;
        let base = view(&loaded, &adapters, REFERENCE, named.reference_adapter())?;
        let tuned = match named.adapter.as_deref() {
            Some(folder) => Some(view(&loaded, &adapters, TUNED, Some(folder))?),
            None => None,
        };
        let adapter_sha256 = match &named.adapter {
            Some(folder) => sha256_of_files(&[adapter_folder(folder).join(lora::WEIGHTS_FILE)])?,
            None => String::new(),
        };
        Ok(Self { loaded, wording, writing, adapter_sha256, adapters, limits, tuned, base })
    }

    pub(crate) fn encoder(&self) -> Result<PairEncoder<'_>, Failure> {
        Ok(PairEncoder::new(&self.loaded.tokenizer, &self.wording, self.writing.encoding)?)
    }

    /// Which model generates.
    pub(crate) fn identity(&self) -> ModelIdentity {
        self.loaded.identity_in(&self.limits)
    }

    pub(crate) fn has_adapter(&self) -> bool {
        self.tuned.is_some()
    }

    /// The model as one of the two.
    pub(crate) fn view(&self, system: System) -> &AdaptedLlama {
        match (system, &self.tuned) {
            (System::Model, Some(tuned)) => tuned,
            (System::Model, None) | (System::Base, _) => &self.base,
        }
    }

    /// Something that generates; [`Self::switch`] says as whom.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        let PretrainedModel { llama, tokenizer, template, .. } = &self.loaded;
        Ok(Engine::sharing(llama.clone(), tokenizer.clone(), template.clone(), &self.limits)?)
    }

    /// From now on the engine generates as this one.
    pub(crate) fn switch(&self, engine: &mut Engine, system: System) -> Result<(), Failure> {
        self.view(system).activate()?;
        self.adapters.set_mode(training::Mode::Evaluate);
        engine.clear_cache();
        Ok(())
    }
}

/// The model with the adapter of a folder, or with none.
fn view(
    loaded: &PretrainedModel,
    adapters: &Adapters,
    name: &'static str,
    folder: Option<&Path>,
) -> Result<AdaptedLlama, Failure> {
    let mut active: Vec<&str> = Vec::new();
    if let Some(folder) = folder {
        adapters.load(name, &adapter_folder(folder))?;
        active.push(name);
    }
    Ok(AdaptedLlama::new(loaded.llama.clone(), adapters, &active)?)
}
