//! A model with its pairs, made ready once for one run or for all trials of a search.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use command_line::{Failure, NO_ENGINE, Progress, adapter_folder, load_pretrained, must_be_local};
use dpo::{
    EncodeCounts, EncodePairs, EncodedPair, PairDataset, PairEncoder, PairFile, PreferenceOptions, PreferencePair,
    ReadPairs, ReferenceLogProbs, read_pairs,
};
use llm_runtime::{Llama, PretrainedModel, sha256_of_files};
use lora::sft::SftExample;
use lora::{AdaptedLlama, Adapters, LoraConfig, SftDataset};
use serde::Serialize;
use training::{SequenceModel, TrainerOptions};

use crate::pair_draw::draw;
use crate::train_arguments::{Method, Setup, WritingSettings};
use crate::wordings::wording;
use crate::written_replies::prompt_text;

/// Name under which the adapter is known inside a run.
pub(crate) const ADAPTER: &str = "trained";
/// The adapter that a run began with, as its reference.
pub(crate) const REFERENCE_ADAPTER: &str = "reference";
/// Pairs that the reference is asked about at a time.
const REFERENCE_BATCH: usize = 4;

/// What `config.toml` of a run holds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings {
    pub(crate) method: Method,
    pub(crate) model: String,
    model_sha256: String,
    /// Type of the weights it was computed with, and what of it was asked for.
    weights: String,
    dtype: Option<String>,
    quantize: Option<String>,
    data: String,
    data_sha256: String,
    init_adapter: Option<String>,
    from_adapter: Option<String>,
    reference_model: Option<String>,
    limit: Option<usize>,
    val_limit: Option<usize>,
    pub(crate) writing: WritingSettings,
    pub(crate) objective: PreferenceOptions,
    pub(crate) trainer: TrainerOptions,
    pub(crate) lora: LoraConfig,
}

/// The pairs of one part, as texts and as tokens.
pub(crate) struct Part {
    /// Those that could be encoded.
    pub(crate) pairs: Vec<PreferencePair>,
    pub(crate) encoded: PairDataset,
    pub(crate) counts: EncodeCounts,
}

/// A model with its pairs.
pub(crate) struct Workbench {
    pub(crate) loaded: PretrainedModel,
    pub(crate) adapters: Adapters,
    pub(crate) train: Part,
    pub(crate) validation: Part,
    /// How long prompts and replies may be.
    pub(crate) encoding: EncodePairs,
    reference_model: Option<PretrainedModel>,
}

impl Workbench {
    /// Loads the model and reads the pairs.
    pub(crate) fn open(setup: &Setup) -> Result<Self, Failure> {
        must_be_local(&setup.model, "training computes gradients through the model")?;
        setup.objective.options().check()?;
        setup.loop_.options(setup.method).check()?;
        let adapters = Adapters::new();
        let loaded = load_pretrained(&setup.model, &setup.options, NO_ENGINE, &|loader, config, device| {
            Llama::load(&adapters.wrap(loader), config, device)
        })?;
        let wording = wording(&setup.writing.template, loaded.template.as_ref())?;
        let encoder = PairEncoder::new(&loaded.tokenizer, &wording, setup.writing.encoding())?;
        let train = Part::read(&setup.data.join("train.jsonl"), setup.limit, &encoder)?;
        let validation = Part::read(&setup.data.join("validation.jsonl"), setup.val_limit, &encoder)?;
        let reference_model = match &setup.reference.reference_model {
            Some(model) => {
                let build: llm_runtime::BuildLlama<'_> = &|loader, config, device| Llama::load(loader, config, device);
                Some(load_pretrained(model, &setup.options, NO_ENGINE, build)?)
            }
            None => None,
        };
        let encoding = setup.writing.encoding();
        let bench = Self { loaded, adapters, train, validation, encoding, reference_model };
        if let Some(folder) = &setup.reference.init_adapter {
            bench.adapters.load(REFERENCE_ADAPTER, &adapter_folder(folder))?;
        }
        bench.warn_of_lengths();
        bench.warn_of_shared();
        Ok(bench)
    }

    pub(crate) fn device(&self) -> &Device {
        self.loaded.llama.device()
    }

    pub(crate) fn settings(&self, setup: &Setup) -> Result<Settings, Failure> {
        let files = ["train.jsonl", "validation.jsonl"].map(|name| setup.data.join(name));
        let init_adapter = setup.reference.init_adapter.as_ref();
        let lora = match &init_adapter.or(setup.lora.from_adapter.as_ref()) {
            Some(folder) => {
                let shape = Adapters::clone(&self.adapters);
                shape.load("shape", &adapter_folder(folder))?;
                let config = shape.config("shape")?;
                shape.unload("shape")?;
                config
            }
            None => setup.lora.config(),
        };
        Ok(Settings {
            method: setup.method,
            model: setup.model.clone(),
            model_sha256: self.loaded.identity().sha256,
            weights: self.loaded.identity().dtype,
            dtype: setup.options.dtype.map(|dtype| dtype.to_string()),
            quantize: setup.options.quantize.map(|quantize| quantize.to_string()),
            data: setup.data.display().to_string(),
            data_sha256: sha256_of_files(&files)?,
            init_adapter: init_adapter.map(|folder| folder.display().to_string()),
            from_adapter: setup.lora.from_adapter.as_ref().map(|folder| folder.display().to_string()),
            reference_model: setup.reference.reference_model.clone(),
            limit: setup.limit,
            val_limit: setup.val_limit,
            writing: (&setup.writing).into(),
            objective: setup.objective.options(),
            trainer: setup.loop_.options(setup.method),
            lora,
        })
    }

    /// Gives the model the adapter that a run begins with, in place of one that was trained before.
    pub(crate) fn begin_adapter(&mut self, setup: &Setup, settings: &Settings) -> Result<(), Failure> {
        let given = setup.reference.init_adapter.as_ref().or(setup.lora.from_adapter.as_ref());
        match given {
            Some(folder) => self.adapters.load(ADAPTER, &adapter_folder(folder))?,
            None => self.adapters.add(ADAPTER, &settings.lora, settings.trainer.seed)?,
        }
        Ok(())
    }

    /// What is trained.
    pub(crate) fn policy(&self) -> Result<AdaptedLlama, Failure> {
        Ok(AdaptedLlama::new(self.loaded.llama.clone(), &self.adapters, &[ADAPTER])?)
    }

    /// What it is held against.
    pub(crate) fn reference(&self) -> Result<Arc<dyn SequenceModel + Send + Sync>, Failure> {
        if let Some(model) = &self.reference_model {
            return Ok(model.llama.clone());
        }
        let is_adapted = self.adapters.names().iter().any(|name| name == REFERENCE_ADAPTER);
        let active: &[&str] = if is_adapted { &[REFERENCE_ADAPTER] } else { &[] };
        Ok(Arc::new(AdaptedLlama::new(self.loaded.llama.clone(), &self.adapters, active)?))
    }

    /// The other model that is the reference, if there is one.
    pub(crate) fn reference_model(&self) -> Option<&PretrainedModel> {
        self.reference_model.as_ref()
    }

    fn needs_reference(&self, setup: &Setup) -> bool {
        setup.method == Method::Dpo && setup.objective.options().preference.needs_reference()
    }

    /// Makes the reference's answers part of the sets, if they are to be kept; from the cache where they are there.
    pub(crate) fn ask_reference(&mut self, setup: &Setup) -> Result<(), Failure> {
        let Some(folder) = setup.reference.reference_cache.as_deref().filter(|_| self.needs_reference(setup)) else {
            return Ok(());
        };
        std::fs::create_dir_all(folder).map_err(|error| Failure::work(format!("{}: {error}", folder.display())))?;
        let identity = self.reference_identity(setup)?;
        let model = self.reference()?;
        for part in [&mut self.train, &mut self.validation] {
            let pairs = part.encoded.pairs().to_vec();
            let file = ReferenceLogProbs::file(folder, &identity, &pairs);
            let answers = match ReferenceLogProbs::read(&file, &pairs)? {
                Some(answers) => answers,
                None => {
                    let mut bar = Progress::new("reference", 0, pairs.len() as u64);
                    let answers = ReferenceLogProbs::compute(model.as_ref(), &pairs, REFERENCE_BATCH, &mut |done| {
                        bar.set(done as u64);
                    })?;
                    bar.finish();
                    answers.write(&file)?;
                    answers
                }
            };
            part.encoded = std::mem::take(&mut part.encoded).with_reference(answers);
        }
        Ok(())
    }

    /// Of what the answers depend on beside the pairs: weights, their types, the device.
    fn reference_identity(&self, setup: &Setup) -> Result<String, Failure> {
        let own = self.loaded.identity();
        let adapter = match &setup.reference.init_adapter {
            Some(folder) => {
                let folder = adapter_folder(folder);
                sha256_of_files(&[lora::CONFIG_FILE, lora::WEIGHTS_FILE].map(|name| folder.join(name)))?
            }
            None => String::new(),
        };
        let other = self.reference_model.as_ref().map(PretrainedModel::identity);
        let other = other.map(|other| format!("{} {}", other.sha256, other.dtype)).unwrap_or_default();
        Ok(format!("{} {} {other} {adapter} {:?}", own.sha256, own.dtype, self.device().location()))
    }

    fn warn_of_lengths(&self) {
        let context = self.loaded.llama.config().context_length;
        let longest = self.train.counts.longest.max(self.validation.counts.longest);
        if longest > context {
            tracing::warn!(
                "the longest prompt with its reply has {longest} tokens, the model was made for {context}: shorten with --max-length {context}"
            );
        }
    }

    /// Pairs that are learned from tell nothing about others: `persuasion prepare` sees to that, files of other makers may not.
    fn warn_of_shared(&self) {
        let (train, validation) = (&self.train.pairs, &self.validation.pairs);
        let groups: HashSet<&str> = train.iter().map(|pair| pair.group.as_str()).collect();
        let prompts: HashSet<String> = train.iter().map(|pair| prompt_text(&pair.prompt)).collect();
        let is_shared = |pair: &&PreferencePair| {
            groups.contains(pair.group.as_str()) || prompts.contains(&prompt_text(&pair.prompt))
        };
        let shared = validation.iter().filter(is_shared).count();
        if shared > 0 {
            tracing::warn!(
                "{shared} of {} validation pairs are of a prompt or a group that is learned from: their values are not those of held-out pairs; `persuasion prepare` splits by group",
                validation.len()
            );
        }
    }

    /// Steps between two evaluations of a run with these settings.
    pub(crate) fn evaluate_every(&self, settings: &Settings) -> u64 {
        match settings.trainer.evaluate_every {
            0 => settings.trainer.steps_per_epoch(self.examples(settings.method)).max(1),
            steps => steps,
        }
    }

    /// What a run learns from, in examples.
    pub(crate) fn examples(&self, method: Method) -> usize {
        match method {
            Method::Dpo => self.train.encoded.pairs().len(),
            method => Self::supervised(&self.train, method).len(),
        }
    }

    /// What supervised methods learn from.
    pub(crate) fn supervised(part: &Part, method: Method) -> SftDataset {
        let mut seen = HashSet::new();
        let mut examples = Vec::new();
        for pair in part.encoded.pairs() {
            let replies: &[&Vec<u32>] = match method {
                Method::Pft => &[&pair.chosen, &pair.rejected],
                Method::It | Method::Dpo => &[&pair.chosen],
            };
            for reply in replies {
                // Pairs repeat prompts and replies; each is learned once.
                if seen.insert((pair.prompt.clone(), (*reply).clone())) {
                    examples.push(example(pair, reply));
                }
            }
        }
        SftDataset::new(examples)
    }
}

fn example(pair: &EncodedPair, reply: &[u32]) -> SftExample {
    let learned = (0..pair.prompt.len() + reply.len()).map(|place| place >= pair.prompt.len()).collect();
    SftExample { ids: pair.prompt.iter().chain(reply).copied().collect(), learned }
}

/// What became of a file's pairs; warnings where some are missing or begin elsewhere than written.
fn tell(path: &Path, counts: &EncodeCounts) {
    let EncodeCounts { pairs, boundary_moved, prompts_cut, completions_cut, left_out, .. } = counts;
    let path = path.display();
    if *left_out > 0 {
        tracing::warn!(
            "{path}: {left_out} pairs left out, {pairs} kept: a reply has no token, or no room is left for it"
        );
    }
    if *boundary_moved > 0 {
        tracing::warn!(
            "{path}: in {boundary_moved} pairs the tokenizer joins the end of the prompt and the reply: the reply begins earlier"
        );
    }
    if prompts_cut + completions_cut > 0 {
        tracing::info!("{path}: {prompts_cut} posts and {completions_cut} replies were cut");
    }
}

impl Part {
    pub(crate) fn read(path: &Path, limit: Option<usize>, encoder: &PairEncoder<'_>) -> Result<Self, Failure> {
        let PairFile { mut pairs, .. } = read_pairs(path, &ReadPairs::default())?;
        draw(&mut pairs, limit);
        let (encoded, counts) = encoder.encode_all(&pairs)?;
        if encoded.is_empty() {
            return Err(Failure::work(format!(
                "{}: no pair can be used among {}: a reply has no token of its own, or the template alone is longer than --max-prompt-length",
                path.display(),
                pairs.len()
            )));
        }
        tell(path, &counts);
        let (places, encoded): (Vec<usize>, Vec<Arc<EncodedPair>>) = encoded.into_iter().unzip();
        let pairs = places.into_iter().map(|place| pairs[place].clone()).collect();
        Ok(Self { pairs, encoded: PairDataset::new(encoded), counts })
    }
}
