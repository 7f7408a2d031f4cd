//! One training run over a workbench, with its tables and generated replies.

use std::ops::ControlFlow;

use command_line::{Failure, Recorder, interrupt};
use dpo::PreferenceObjective;
use llm_runtime::{Engine, EngineOptions, GenerationOptions, LlamaConfig, Prompt};
use lora::SftObjective;
use training::tracking::At;
use training::{
    Control, Dataset, End, Evaluation, Objective, RunDir, TrainEvent, TrainSummary, Trainer, TrainingError,
};

use super::published::published;
use super::tables::{Generation, Moment, Tables};
use super::workbench::{Part, Settings};
use super::{ADAPTER, ADAPTER_FOLDER, Workbench};
use crate::replies::{finish_name, replies};
use crate::train_arguments::{Method, SampleTable, Setup};

/// Most bytes for keys and values of generated replies.
const KEY_VALUE_MEMORY: u64 = 1 << 30;

/// What became of a run.
pub(crate) struct Fitted {
    pub(crate) summary: TrainSummary,
    /// The run's id at W&B, if it is recorded for it.
    pub(crate) wandb_id: Option<String>,
}

/// Trains the workbench's adapter in `run` and keeps the best one in its folder. `judge` hears of each evaluation and may end the run.
pub(crate) fn fit(
    bench: &Workbench,
    setup: &Setup,
    settings: &Settings,
    run: &RunDir,
    resume: bool,
    judge: &mut dyn FnMut(&Evaluation) -> Result<Control, TrainingError>,
) -> Result<Fitted, Failure> {
    let witness = Witness::new(bench, setup, run)?;
    let fitted = match settings.method {
        Method::Dpo => {
            let policy = bench.policy()?;
            let needs_reference = settings.objective.preference.needs_reference();
            let reference = needs_reference.then(|| bench.reference()).transpose()?;
            let objective = PreferenceObjective::new(policy, reference, settings.objective.clone(), bench.device())?;
            if setup.outputs.sample_table != SampleTable::Off {
                objective.note_samples();
            }
            let samples = || objective.take_samples();
            let sets = (&bench.train.encoded, &bench.validation.encoded);
            train(&objective, sets, &samples, witness, settings, resume, judge)?
        }
        Method::It | Method::Pft => {
            bench.policy()?.activate()?;
            let objective = SftObjective::new(bench.loaded.llama.clone(), Some(bench.adapters.clone()));
            let train_set = Workbench::supervised(&bench.train, settings.method);
            let validation = Workbench::supervised(&bench.validation, settings.method);
            train(&objective, (&train_set, &validation), &Vec::new, witness, settings, resume, judge)?
        }
    };
    bench.policy()?.activate()?;
    bench.adapters.save(ADAPTER, &run.path().join(ADAPTER_FOLDER), &setup.model)?;
    Ok(fitted)
}

fn train<O: Objective, D: Dataset<Batch = O::Batch>>(
    objective: &O,
    (train_set, validation): (&D, &D),
    samples: &dyn Fn() -> Vec<dpo::PairSample>,
    mut witness: Witness<'_>,
    settings: &Settings,
    resume: bool,
    judge: &mut dyn FnMut(&Evaluation) -> Result<Control, TrainingError>,
) -> Result<Fitted, Failure> {
    // The deciding set has no name: its values are told as `eval_loss`, as the published dashboard has them.
    let evaluation = vec![(String::new(), validation)];
    let trainer = Trainer { objective, train: train_set, evaluation, options: &settings.trainer };
    let mut recorder = Recorder::new(witness.run, witness.tracking(), settings, vec![String::new()]);
    let parameters = witness.bench.adapters.parameters(ADAPTER)?;
    let outcome = trainer.run(&parameters, Some(witness.run), resume, &mut |event| {
        recorder.see(event)?;
        witness.see(event, samples)?;
        let mut control = Control::Continue;
        if let TrainEvent::Evaluation(evaluation) = event {
            control = judge(evaluation)?;
        }
        Ok(if interrupt::was_asked() { Control::Stop } else { control })
    });
    let is_over = |summary: &&TrainSummary| summary.end != End::Stopped;
    let published = outcome.iter().find(is_over).map_or(Ok(()), |summary| witness.publish(&mut recorder, summary));
    let summary = recorder.finish(outcome)?;
    published?;
    Ok(Fitted { summary, wandb_id: recorder.wandb_id().map(str::to_owned) })
}

/// Writes down what pairs give and what the model replies.
struct Witness<'a> {
    bench: &'a Workbench,
    setup: &'a Setup,
    run: &'a RunDir,
    tables: Option<Tables>,
    engine: Option<Engine>,
}

impl<'a> Witness<'a> {
    fn new(bench: &'a Workbench, setup: &'a Setup, run: &'a RunDir) -> Result<Self, Failure> {
        let engine = match setup.outputs.generate {
            0 => None,
            _ => Some(engine(bench)?),
        };
        Ok(Self { bench, setup, run, tables: None, engine })
    }

    fn tracking(&self) -> &'a command_line::Tracking {
        &self.setup.loop_.usual.tracking
    }

    fn see(&mut self, event: &TrainEvent, samples: &dyn Fn() -> Vec<dpo::PairSample>) -> Result<(), TrainingError> {
        match event {
            TrainEvent::Started { step, is_resumed, .. } => {
                // Without a checkpoint the run begins anew, and evaluates before its first step once more.
                let tables = Tables::open(self.run, is_resumed.then_some(*step)).map_err(as_training)?;
                let parts = [("train", &self.bench.train), ("validation", &self.bench.validation)];
                tables.write_pairs(self.run, &parts).map_err(as_training)?;
                self.tables = Some(tables);
                Ok(())
            }
            TrainEvent::Step(step) => {
                let found = samples();
                if self.setup.outputs.sample_table == SampleTable::All {
                    let at = Moment { step: step.step, epoch: step.epoch };
                    self.add_samples("train", at, &self.bench.train, &found)?;
                }
                Ok(())
            }
            TrainEvent::Evaluation(evaluation) => {
                let at = Moment { step: evaluation.step, epoch: evaluation.epoch };
                self.add_samples("eval", at, &self.bench.validation, &samples())?;
                self.generate(at).map_err(as_training)
            }
            TrainEvent::Saved { .. } => Ok(()),
        }
    }

    fn add_samples(
        &mut self,
        kind: &str,
        at: Moment,
        part: &Part,
        samples: &[dpo::PairSample],
    ) -> Result<(), TrainingError> {
        let Some(tables) = &mut self.tables else { return Ok(()) };
        let written = tables.add_samples(kind, at, part, samples, &self.bench.loaded.tokenizer);
        written.map_err(|source| TrainingError::Io { path: self.run.outputs(), source })
    }

    /// The tables of the whole run, to a tracker that shows tables.
    fn publish(&self, recorder: &mut Recorder<'_>, summary: &TrainSummary) -> Result<(), Failure> {
        if self.tracking().track.is_none() {
            return Ok(());
        }
        let epoch = summary.steps as f64 * self.setup.loop_.epochs / summary.total_steps.max(1) as f64;
        let at = At::now(summary.steps, epoch);
        for (name, table) in published(self.run)? {
            recorder.table(at, name, &table)?;
        }
        Ok(())
    }

    /// Replies to the first prompts of the validation pairs, each prompt once.
    fn generate(&mut self, at: Moment) -> Result<(), Failure> {
        let (Some(engine), Some(tables)) = (&mut self.engine, &mut self.tables) else { return Ok(()) };
        self.bench.policy()?.activate()?;
        self.bench.adapters.set_mode(training::Mode::Evaluate);
        engine.clear_cache();
        let part = &self.bench.validation;
        let places = distinct_prompts(part, self.setup.outputs.generate);
        let pairs = part.encoded.pairs();
        let context = engine.context_length();
        let room = |place: &usize| context.saturating_sub(pairs[*place].prompt.len());
        let places: Vec<usize> = places.into_iter().filter(|place| room(place) > 0).collect();
        let new_tokens = places.iter().map(room).min().unwrap_or(0).min(self.setup.outputs.max_new_tokens);
        let prompts: Vec<Prompt> = places.iter().map(|place| Prompt::Tokens(pairs[*place].prompt.clone())).collect();
        let options =
            GenerationOptions { max_new_tokens: new_tokens, temperature: 0.0, ..GenerationOptions::default() };
        let found = replies(engine, &prompts, &options, &mut |_, _| ControlFlow::Continue(()))?;
        let rows = places.iter().zip(&found).filter_map(|(place, reply)| {
            let reply = reply.as_ref()?;
            Some(Generation {
                pair: &part.pairs[*place],
                text: &reply.text,
                finish_reason: finish_name(reply.finish_reason),
            })
        });
        tables.add_generations(at, &rows.collect::<Vec<_>>()).map_err(Failure::work)
    }
}

/// The workbench's model at work; whatever adapter is switched on takes part.
pub(crate) fn engine(bench: &Workbench) -> Result<Engine, Failure> {
    let loaded = &bench.loaded;
    let options = EngineOptions { kv_memory: key_value_memory(loaded.llama.config()), ..EngineOptions::default() };
    Ok(Engine::sharing(loaded.llama.clone(), loaded.tokenizer.clone(), loaded.template.clone(), &options)?)
}

/// Bytes for keys and values of replies: what a full batch of the longest can take, within limits.
pub(super) fn key_value_memory(config: &LlamaConfig) -> u64 {
    let per_token = 2 * 4 * config.layers * config.key_value_heads * config.head_dim;
    KEY_VALUE_MEMORY.min((EngineOptions::default().batch * config.context_length * per_token) as u64)
}

/// Places of the first pairs with prompts that differ.
pub(crate) fn distinct_prompts(part: &Part, count: usize) -> Vec<usize> {
    let mut seen = std::collections::HashSet::new();
    let pairs = part.encoded.pairs().iter().enumerate();
    pairs.filter(|(_, pair)| seen.insert(&pair.prompt)).map(|(place, _)| place).take(count).collect()
}

fn as_training(failure: Failure) -> TrainingError {
    TrainingError::Objective(failure.message().into())
}
