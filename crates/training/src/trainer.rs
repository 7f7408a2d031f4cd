//! The training loop.

use std::time::Instant;

use llm_runtime::{Checkpoints, DropoutPass};
use sha2::{Digest, Sha256};

use crate::adamw::AdamW;
use crate::batches::BatchPlan;
use crate::checkpoint::{Best, CheckpointFolder, PARAMETERS_FILE, TrainerState};
use crate::event::{Control, Evaluation, Observer, Step, TrainEvent};
use crate::objective::{Dataset, Objective, Pass, SetScores, Sums};
use crate::options::{Normalisation, Selection, TrainerOptions};
use crate::parameter::{Gradients, Parameters};
use crate::{RunDir, TrainingError};

/// Drives an objective over a data set: accumulation, clipping, schedule, evaluation, checkpoints, resume.
///
/// A run that was interrupted and resumed gives bit for bit the parameters of one that was not, on the CPU and with the
/// same number of threads: shuffles and dropout are functions of the seed and the step, and the optimiser's state is saved.
pub struct Trainer<'a, O, D> {
    /// What is minimised.
    pub objective: &'a O,
    /// What is learned from.
    pub train: &'a D,
    /// Held-out sets by name. The first decides which checkpoint is the best.
    pub evaluation: Vec<(String, &'a D)>,
    /// Settings.
    pub options: &'a TrainerOptions,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainSummary {
    /// Optimiser steps made, those before a resume included.
    pub steps: u64,
    /// Steps the run was planned for.
    pub total_steps: u64,
    /// Why it ended.
    pub end: End,
    /// Loss of the last step.
    pub loss: Option<f64>,
    /// The best evaluation; its values are in the parameters now if `restore_best` is set and there is a run folder.
    pub best: Option<Best>,
    /// Tokens that went through the model in training.
    pub tokens: u64,
    /// Those of this call.
    pub tokens_of_call: u64,
    /// Seconds of this call, evaluations included.
    pub seconds: f64,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All steps are made.
    Finished,
    /// There was no better evaluation for a while.
    Early,
    /// The observer asked for it; the run can be resumed.
    Stopped,
}

impl<O: Objective, D: Dataset<Batch = O::Batch>> Trainer<'_, O, D> {
    /// Trains. With a run folder checkpoints are written there, and with `resume` the run goes on from the last one (from the
    /// beginning, if there is none).
    ///
    /// # Errors
    /// A setting is out of range, a loss is not finite, the run diverges, a parameter gets no gradient, the settings are not those
    /// of the run to be resumed, or a file can't be written. Checkpoints written before stay.
    pub fn run(
        &self,
        parameters: &Parameters,
        run: Option<&RunDir>,
        resume: bool,
        observer: Observer<'_>,
    ) -> Result<TrainSummary, TrainingError> {
        self.options.check()?;
        let lengths = self.train.lengths();
        if lengths.is_empty() || parameters.is_empty() {
            let problem = "there is nothing to train on, or no parameter to train".to_owned();
            return Err(TrainingError::Setting { setting: "training data", problem });
        }
        if self.options.drop_incomplete && lengths.len() < self.options.batch {
            let (examples, batch) = (lengths.len(), self.options.batch);
            let problem = format!("{examples} examples fill no batch of {batch}, and incomplete ones are left out");
            return Err(TrainingError::Setting { setting: "batch", problem });
        }
        let optimiser = AdamW::new(parameters.clone(), self.options.adamw.clone())?;
        let folder = run.map(|run| CheckpointFolder::new(run.checkpoints(), self.options.keep));
        let state = TrainerState {
            total_steps: self.options.total_steps(lengths.len()),
            fingerprint: self.fingerprint(&lengths),
            ..TrainerState::default()
        };
        let mut progress = Progress {
            trainer: self,
            lengths,
            optimiser,
            folder,
            state,
            saved: None,
            planned: None,
            begun: Instant::now(),
            observer,
        };
        if resume {
            progress.restore()?;
        }
        let outcome = progress.train();
        self.objective.end();
        outcome
    }

    /// Loss and metrics over a data set, without dropout.
    ///
    /// # Errors
    /// The loss can't be computed.
    pub fn evaluate(&self, set: &D) -> Result<SetScores, TrainingError> {
        let plan = BatchPlan::in_order(self.options.evaluation_batch, set.lengths().len());
        self.objective.evaluate(&mut plan.into_iter().map(|examples| set.batch(&examples)))
    }

    /// What must be the same for a run to be resumed.
    fn fingerprint(&self, lengths: &[usize]) -> String {
        let fixed = TrainerOptions { keep: 1, log_every: 1, save_every: 0, ..self.options.clone() };
        let mut hash = Sha256::new();
        hash.update(serde_json::to_string(&fixed).unwrap_or_default());
        for length in lengths {
            hash.update((*length as u64).to_le_bytes());
        }
        llm_runtime::hex(&hash.finalize()[..8])
    }
}

/// A run in progress.
struct Progress<'a, 'b, O, D> {
    trainer: &'a Trainer<'a, O, D>,
    lengths: Vec<usize>,
    optimiser: AdamW,
    folder: Option<CheckpointFolder>,
    state: TrainerState,
    /// The state of the newest checkpoint.
    saved: Option<TrainerState>,
    /// The micro-batches of an epoch, by its number.
    planned: Option<(u64, Vec<Vec<usize>>)>,
    begun: Instant,
    observer: Observer<'b>,
}

impl<O: Objective, D: Dataset<Batch = O::Batch>> Progress<'_, '_, O, D> {
    fn options(&self) -> &TrainerOptions {
        self.trainer.options
    }

    fn restore(&mut self) -> Result<(), TrainingError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let Some(state) = folder.restore_last(&mut self.optimiser, self.trainer.objective)? else { return Ok(()) };
        if state.fingerprint != self.state.fingerprint {
            let problem = "the settings or the data are not those the run was begun with: resume with the same ones";
            return Err(TrainingError::Setting { setting: "resume", problem: problem.to_owned() });
        }
        self.saved = Some(state.clone());
        self.state = state;
        Ok(())
    }

    fn train(mut self) -> Result<TrainSummary, TrainingError> {
        let started = TrainEvent::Started {
            step: self.state.step,
            is_resumed: self.saved.is_some(),
            total_steps: self.state.total_steps,
            examples: self.lengths.len(),
            parameters: self.optimiser.parameters().elements(),
        };
        let mut control = (self.observer)(&started)?;
        // A run that was interrupted after this evaluation has its result already.
        if self.state.step == 0 && self.state.best.is_none() && self.options().evaluate_first {
            control = control.and(self.evaluate()?);
        }
        let tokens_before = self.state.tokens;
        let end = loop {
            if let Some(end) = self.end(control) {
                break end;
            }
            let micro_batches = self.next_micro_batches();
            control = self.step(&micro_batches)?;
            if self.is_due(self.options().evaluate_every) {
                control = control.and(self.evaluate()?);
            }
            if self.is_due(self.options().save_every) {
                self.save()?;
            }
        };
        // Also of a run that was interrupted between its last step and this.
        if end != End::Stopped && self.state.evaluated != Some(self.state.step) {
            self.evaluate()?;
        }
        if self.state.step > 0 {
            self.save()?;
        }
        self.finish(end, tokens_before)
    }

    /// Why the run ends here, if it does.
    fn end(&self, control: Control) -> Option<End> {
        let is_patience_over = self.options().patience > 0 && self.state.since_best >= self.options().patience;
        match control {
            _ if self.state.step >= self.state.total_steps => Some(End::Finished),
            _ if is_patience_over => Some(End::Early),
            Control::Stop => Some(End::Stopped),
            Control::Continue => None,
        }
    }

    /// The micro-batches of the step to come.
    fn next_micro_batches(&mut self) -> Vec<Vec<usize>> {
        let per_epoch = self.steps_per_epoch();
        let (epoch, within) = (self.state.step / per_epoch, (self.state.step % per_epoch) as usize);
        if self.planned.as_ref().is_none_or(|(planned, _)| *planned != epoch) {
            self.planned = Some((epoch, self.plan_epoch(epoch)));
        }
        let batches = self.planned.as_ref().map(|(_, batches)| batches.as_slice()).unwrap_or_default();
        let accumulate = self.options().accumulate;
        batches.iter().skip(within * accumulate).take(accumulate).cloned().collect()
    }

    fn steps_per_epoch(&self) -> u64 {
        self.options().steps_per_epoch(self.lengths.len())
    }

    fn plan_epoch(&self, number: u64) -> Vec<Vec<usize>> {
        let options = self.options();
        let plan = BatchPlan {
            size: options.batch,
            by_length: options.by_length,
            batches_per_pool: options.batches_per_pool,
            drop_incomplete: options.drop_incomplete,
            seed: options.seed,
        };
        match options.shuffle {
            true => plan.epoch(number, &self.lengths),
            false => plan.unshuffled(self.lengths.len()),
        }
    }

    /// Whether it is time for what happens so often; 0 is at each epoch's end.
    fn is_due(&self, every: u64) -> bool {
        let every = if every == 0 { self.steps_per_epoch() } else { every };
        self.state.step.is_multiple_of(every)
    }

    /// One optimiser step over micro-batches.
    fn step(&mut self, micro_batches: &[Vec<usize>]) -> Result<Control, TrainingError> {
        let start = Instant::now();
        let (mut gradients, sums) = self.accumulate(micro_batches)?;
        let step = self.state.step + 1;
        let loss = match self.options().normalisation {
            Normalisation::Terms => {
                gradients.scale(1.0 / sums.weight)?;
                sums.loss()
            }
            Normalisation::MicroBatches => {
                gradients.scale(1.0 / sums.means.len() as f64)?;
                sums.means.iter().sum::<f64>() / sums.means.len() as f64
            }
        };
        self.check_coverage(&gradients, step)?;
        let gradient_norm = match self.options().clip {
            Some(clip) => gradients.clip(clip)?,
            None => gradients.global_norm()?,
        };
        self.check_finite("gradient norm", gradient_norm, micro_batches.len(), micro_batches)?;
        let options = self.options();
        let warmup = options.warmup.steps(self.state.total_steps);
        let rate = options.schedule.rate(options.learning_rate, self.state.step, warmup, self.state.total_steps);
        let factor = options.divergence_factor;
        self.state.guard.see(step, loss, factor)?;
        self.optimiser.step(&gradients, rate)?;
        self.state.step = step;
        self.state.loss = Some(loss);
        self.state.tokens += sums.tokens as u64;
        let event = TrainEvent::Step(Step {
            step,
            total_steps: self.state.total_steps,
            epoch: self.epoch(),
            loss,
            learning_rate: rate,
            gradient_norm,
            tokens_per_second: sums.tokens as f64 / start.elapsed().as_secs_f64().max(1e-9),
            is_due: step.is_multiple_of(self.options().log_every.max(1)),
            metrics: sums.metrics(),
        });
        (self.observer)(&event)
    }

    /// Epochs so far, with fraction.
    fn epoch(&self) -> f64 {
        self.state.step as f64 / self.steps_per_epoch() as f64
    }

    /// Forward and backward over the micro-batches of a step.
    fn accumulate(&mut self, micro_batches: &[Vec<usize>]) -> Result<(Gradients, Sums), TrainingError> {
        let (mut gradients, mut sums) = (Gradients::default(), Sums::default());
        for (number, examples) in micro_batches.iter().enumerate() {
            let batch = self.trainer.train.batch(examples)?;
            let sections = Checkpoints::of(self.optimiser.parameters().iter().map(|(_, variable)| variable.id()));
            let checkpoints = self.options().gradient_checkpointing.then(|| sections.clone());
            let dropout = DropoutPass { seed: self.options().seed, pass: self.state.passes };
            let pass = Pass { sections, ..Pass::training(dropout, checkpoints) };
            let parts = self.trainer.objective.loss(&batch, &pass)?;
            let sum = f64::from(parts.sum.to_scalar::<f32>()?);
            self.check_finite("loss", sum / parts.weight, number + 1, micro_batches)?;
            sums.add(sum, &parts);
            let scaled = match self.options().normalisation {
                Normalisation::Terms => parts.sum,
                Normalisation::MicroBatches => (parts.sum / parts.weight)?,
            };
            let parameters = self.optimiser.parameters();
            gradients.add(parameters, &scaled.backward()?)?;
            gradients.add(parameters, &pass.sections.take())?;
            self.state.passes += 1;
        }
        Ok((gradients, sums))
    }

    fn check_finite(
        &self,
        what: &'static str,
        value: f64,
        micro_batch: usize,
        micro_batches: &[Vec<usize>],
    ) -> Result<(), TrainingError> {
        if value.is_finite() {
            return Ok(());
        }
        let examples = micro_batches.get(micro_batch.saturating_sub(1)).cloned().unwrap_or_default();
        Err(TrainingError::NotFinite { what, value, step: self.state.step + 1, micro_batch, examples })
    }

    /// A gradient that never arrives is a mistake in the model that would otherwise go unnoticed.
    fn check_coverage(&self, gradients: &Gradients, step: u64) -> Result<(), TrainingError> {
        let is_missing = |name: &str| gradients.get(name).is_none() && !self.trainer.objective.may_pass_by(name);
        let missing = self.optimiser.parameters().iter().find(|(name, _)| is_missing(name));
        match missing {
            Some((name, _)) => Err(TrainingError::NoGradient { step, parameter: name.to_owned() }),
            None => Ok(()),
        }
    }

    fn evaluate(&mut self) -> Result<Control, TrainingError> {
        let mut control = Control::Continue;
        self.state.evaluated = Some(self.state.step);
        for (number, (name, set)) in self.trainer.evaluation.iter().enumerate() {
            let start = Instant::now();
            let scores = self.trainer.evaluate(set)?;
            let seconds = start.elapsed().as_secs_f64();
            if !scores.loss.is_finite() {
                return Err(TrainingError::NotFinite {
                    what: "held-out loss",
                    value: scores.loss,
                    step: self.state.step,
                    micro_batch: 0,
                    examples: Vec::new(),
                });
            }
            let is_best = number == 0 && self.is_best(&scores)?;
            let SetScores { loss, metrics } = scores;
            let examples = set.lengths().len();
            let (step, epoch, set) = (self.state.step, self.epoch(), name.clone());
            let batches = examples.div_ceil(self.options().evaluation_batch);
            let event = Evaluation { step, epoch, set, loss, is_best, metrics, examples, batches, seconds };
            let event = TrainEvent::Evaluation(event);
            control = control.and((self.observer)(&event)?);
        }
        // The state to come back to includes that this evaluation was the best.
        if self.state.best.is_some_and(|best| best.step == self.state.step) {
            self.save()?;
        }
        Ok(control)
    }

    /// Notes whether the deciding set was never as good as now.
    fn is_best(&mut self, scores: &SetScores) -> Result<bool, TrainingError> {
        let selection = &self.trainer.options.selection;
        let value = selection.value(scores)?;
        let is_best = self.state.best.is_none_or(|best| selection.is_better(value, best.value.unwrap_or(best.loss)));
        self.state.since_best = if is_best { 0 } else { self.state.since_best + 1 };
        if is_best {
            let value = (*selection != Selection::Loss).then_some(value);
            self.state.best = Some(Best { step: self.state.step, loss: scores.loss, value });
        }
        Ok(is_best)
    }

    /// Writes a checkpoint, unless the newest is of this state already: of the best evaluation, say, which is kept at once.
    fn save(&mut self) -> Result<(), TrainingError> {
        let Some(folder) = self.folder.as_ref().filter(|_| self.saved.as_ref() != Some(&self.state)) else {
            return Ok(());
        };
        let path = folder.save(&self.optimiser, &self.state, self.trainer.objective)?;
        self.saved = Some(self.state.clone());
        (self.observer)(&TrainEvent::Saved { step: self.state.step, path })?;
        Ok(())
    }

    fn finish(self, end: End, tokens_before: u64) -> Result<TrainSummary, TrainingError> {
        if let (Some(folder), Some(best)) = (&self.folder, self.state.best)
            && self.options().restore_best
            && end != End::Stopped
            && best.step != self.state.step
        {
            let folder = folder.path(best.step);
            self.optimiser.parameters().restore(&folder.join(PARAMETERS_FILE))?;
            self.trainer.objective.restore(&folder)?;
        }
        Ok(TrainSummary {
            steps: self.state.step,
            total_steps: self.state.total_steps,
            end,
            loss: self.state.loss,
            best: self.state.best,
            tokens: self.state.tokens,
            tokens_of_call: self.state.tokens - tokens_before,
            seconds: self.begun.elapsed().as_secs_f64(),
        })
    }
}
