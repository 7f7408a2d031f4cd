//! `persuasion search`: trials of `persuasion train`, with parameters that a study suggests.

mod results;
mod space;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{Failure, Format, check_settings, interrupt, output_place, print_json};
use hyper_search::{
    ActiveTrial, Generator, GridAxis, GridSampler, Hyperband, Outcome, Percentile, RandomSampler, Sampler, SearchError,
    Study, StudyOptions, SuccessiveHalving, TpeOptions, TpeSampler,
};
use persuasion::best_trial::MARGIN;
use serde::Serialize;
use training::{Control, End, Evaluation, RunDir, Selection, TrainingError};

use self::results::Results;
pub(crate) use self::results::SearchOutcome;
use self::space::Space;
use super::train::{Settings, Workbench, fit};
use crate::search_arguments::{PrunerName, SamplerName, Search};

/// File of a study with the settings that all trials share.
const EXPERIMENT_FILE: &str = "settings.toml";
/// Complete trials before the median tells which others lag behind.
const PRUNER_STARTUP: usize = 3;
/// The attribute of a trial with its run's id at W&B.
const WANDB_RUN: &str = "wandb_run_id";
/// Folder of the trials' runs in a study.
const TRIALS_FOLDER: &str = "trials";

pub(crate) fn run(options: &Search, format: Format) -> Result<ExitCode, Failure> {
    let results = search(options)?;
    match format {
        Format::Json => print_json(&results)?,
        Format::Text => results::print(&results, Goal::of(options).name()),
    }
    match results.outcome() {
        _ if interrupt::was_asked() => Ok(ExitCode::from(interrupt::EXIT_CODE)),
        None => Err(Failure::work("no trial is complete")),
        Some(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Searches until the study has its trials, or until it is interrupted.
pub(crate) fn search(options: &Search) -> Result<Results, Failure> {
    let space = Space::read(options.space.as_deref(), options.setup.method)?;
    space.check(&options.setup)?;
    output_place::check_folder(&options.study)?;
    let mut bench = Workbench::open(&options.setup)?;
    let goal = Goal::of(options);
    let study = Study::open_or_create(&options.study, study_options(options, &space, &goal)?)?;
    same_experiment(&options.study, &Experiment::new(&goal, &space, bench.settings(&options.setup)?))?;
    interrupt::listen();
    bench.ask_reference(&options.setup)?;
    study.enqueue(space.preset(&options.setup))?;
    let bench = &mut bench;
    let mut broken = None;
    let searched = study.optimize(options.trials, |trial| -> Result<Outcome, String> {
        if interrupt::was_asked() {
            return Ok(Outcome::Released);
        }
        match run_trial(trial, bench, options, &space, &goal) {
            // A full disk says nothing about the trial's parameters: the trial is gone on with when the search is.
            Err(failure) if failure.is_of_the_system() => {
                broken = Some(failure);
                Ok(Outcome::Released)
            }
            outcome => outcome.map_err(|failure| failure.message()),
        }
    });
    if let Some(failure) = broken {
        return Err(failure);
    }
    searched?;
    results::write(&study, &options.study)
}

/// What all trials of a study have in common.
#[derive(Serialize)]
struct Experiment<'a> {
    metric: &'a str,
    space: BTreeMap<&'a str, String>,
    settings: Settings,
}

impl<'a> Experiment<'a> {
    fn new(goal: &'a Goal, space: &'a Space, settings: Settings) -> Self {
        let space = space.axes().map(|(name, distribution)| (name, distribution.to_string())).collect();
        Self { metric: goal.name(), space, settings }
    }
}

/// Trials can be compared only if they differ in nothing but what is searched: who joins a study must have begun with its settings.
fn same_experiment(study: &Path, experiment: &Experiment<'_>) -> Result<(), Failure> {
    let text = toml::to_string_pretty(experiment).map_err(Failure::work)?;
    let path = study.join(EXPERIMENT_FILE);
    if !path.is_file() {
        // Several processes may begin at once: the first whose whole file is there has the say.
        let own = study.join(format!("{EXPERIMENT_FILE}.{}.unfinished", std::process::id()));
        std::fs::write(&own, &text).map_err(Failure::at(&own))?;
        let linked = std::fs::hard_link(&own, &path);
        std::fs::remove_file(&own).map_err(Failure::at(&own))?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(Failure::at(&path)(error)),
            _ => {}
        }
    }
    check_settings(&path, &text)
}

/// What is searched for.
pub(crate) struct Goal {
    selection: Selection,
}

impl Goal {
    fn of(options: &Search) -> Self {
        let own = options.setup.loop_.options(options.setup.method).selection;
        Self {
            selection: match options.metric.as_deref() {
                None => own,
                Some("loss") => Selection::Loss,
                Some(metric) => Selection::Highest(metric.to_owned()),
            },
        }
    }

    pub(crate) fn name(&self) -> &str {
        match &self.selection {
            Selection::Loss => "loss",
            Selection::Highest(metric) => metric,
        }
    }

    fn value(&self, evaluation: &Evaluation) -> Result<f64, TrainingError> {
        let Selection::Highest(metric) = &self.selection else { return Ok(evaluation.loss) };
        let found = evaluation.metrics.iter().find(|(name, _)| name == metric);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = evaluation.metrics.iter().map(|(name, _)| name.as_str()).collect();
            let problem = format!("evaluations have no `{metric}` (they have: loss, {})", known.join(", "));
            TrainingError::Setting { setting: "metric", problem }
        })
    }

    fn is_better(&self, value: f64, old: f64) -> bool {
        match self.selection {
            Selection::Loss => value < old,
            Selection::Highest(_) => value > old,
        }
    }
}

/// One training run with the trial's parameters, in a folder of its own.
fn run_trial(
    trial: &mut ActiveTrial,
    bench: &mut Workbench,
    options: &Search,
    space: &Space,
    goal: &Goal,
) -> Result<Outcome, Failure> {
    let mut settings = bench.settings(&options.setup)?;
    settings.trainer.selection = goal.selection.clone();
    space.apply(trial, &mut settings)?;
    settings.trainer.check()?;
    settings.objective.check()?;
    let folder = trial_folder(&options.study, trial);
    let resume = folder.join("config.toml").is_file();
    tracing::info!("trial {}: {}", trial.number(), folder.display());
    let run = match resume {
        true => RunDir::open(&folder)?,
        false => RunDir::create(&folder)?,
    };
    run.write_config(&settings)?;
    trial.set_attribute("run", folder.display().to_string())?;
    bench.begin_adapter(&options.setup, &settings)?;
    let evaluate_every = bench.evaluate_every(&settings);
    let mut is_pruned = false;
    let fitted = fit(bench, &options.setup, &settings, &run, resume, &mut |evaluation| {
        is_pruned = evaluation.step > 0 && lags_behind(trial, goal, evaluation, evaluate_every)?;
        Ok(if is_pruned { Control::Stop } else { Control::Continue })
    })?;
    if let Some(id) = &fitted.wandb_id {
        trial.set_attribute(WANDB_RUN, id.as_str())?;
    }
    if is_pruned && fitted.summary.end == End::Stopped {
        return Ok(Outcome::Pruned);
    }
    if fitted.summary.end == End::Stopped {
        return Ok(Outcome::Released);
    }
    finish(trial, goal)
}

/// Tells the evaluation to the study and asks whether the trial is to be given up.
fn lags_behind(
    trial: &mut ActiveTrial,
    goal: &Goal,
    evaluation: &Evaluation,
    evaluate_every: u64,
) -> Result<bool, TrainingError> {
    let told = |error: SearchError| TrainingError::Objective(Box::new(error));
    // Evaluations are counted, since trials may differ in how many steps an epoch has; by their step, so that one that is made again after an interruption keeps
    // its place.
    let place = evaluation.step.div_ceil(evaluate_every);
    remember_the_best(trial, goal, place, evaluation)?;
    trial.report(place, goal.value(evaluation)?).map_err(told)?;
    trial.should_prune().map_err(told)
}

/// What is told of a trial beside its value is that of its best evaluation. It is written down with it: a process that goes on after a kill knows earlier evaluations
/// by their values alone.
fn remember_the_best(
    trial: &mut ActiveTrial,
    goal: &Goal,
    place: u64,
    evaluation: &Evaluation,
) -> Result<(), TrainingError> {
    let value = goal.value(evaluation)?;
    if trial.state().reports.range(..place).any(|(_, old)| !goal.is_better(value, *old)) {
        return Ok(());
    }
    for name in [MARGIN, "perplexity_policy_tokens/chosen"] {
        if let Some((_, value)) = evaluation.metrics.iter().find(|(own, _)| own == name) {
            trial.set_attribute(name, *value).map_err(|error| TrainingError::Objective(Box::new(error)))?;
        }
    }
    Ok(())
}

/// A trial is worth its best evaluation.
fn finish(trial: &ActiveTrial, goal: &Goal) -> Result<Outcome, Failure> {
    let reported: Vec<f64> = trial.state().reports.values().copied().collect();
    let best = reported.into_iter().reduce(|best, value| if goal.is_better(value, best) { value } else { best });
    best.map(Outcome::Complete).ok_or_else(|| Failure::work("the run ended without an evaluation"))
}

/// The folder of a trial's run; that of the trial it is a second try of, if it is one.
fn trial_folder(study: &Path, trial: &ActiveTrial) -> PathBuf {
    study.join(TRIALS_FOLDER).join(format!("{:04}", trial.state().first_attempt()))
}

fn study_options(options: &Search, space: &Space, goal: &Goal) -> Result<StudyOptions, Failure> {
    let sampler = sampler(options, space)?;
    let study = match goal.selection {
        Selection::Loss => StudyOptions::new(hyper_search::Direction::Minimize, sampler),
        Selection::Highest(_) => StudyOptions::new(hyper_search::Direction::Maximize, sampler),
    };
    let study = study.retry(options.retry);
    Ok(match options.pruner {
        PrunerName::Median => {
            let startup_trials = options.pruner_startup.unwrap_or(PRUNER_STARTUP);
            study.pruner(Percentile { startup_trials, ..Percentile::median() })
        }
        _ if options.pruner_startup.is_some() => {
            return Err(Failure::wrong_use("--pruner-startup counts for --pruner median only"));
        }
        PrunerName::None => study,
        PrunerName::Halving => study.pruner(SuccessiveHalving::default()),
        PrunerName::Hyperband => study.pruner(Hyperband::default()),
    })
}

fn sampler(options: &Search, space: &Space) -> Result<Box<dyn Sampler>, Failure> {
    let generator = Generator::PerTrial { seed: options.sampler_seed };
    let tpe = |multivariate| TpeOptions {
        generator,
        multivariate,
        startup_trials: options.startup_trials,
        ..TpeOptions::default()
    };
    Ok(match options.sampler {
        SamplerName::Tpe => Box::new(TpeSampler::new(tpe(true))?),
        SamplerName::TpeUnivariate => Box::new(TpeSampler::new(tpe(false))?),
        SamplerName::Random => Box::new(RandomSampler::new(generator)),
        SamplerName::Grid => {
            let axes: Result<Vec<GridAxis>, SearchError> =
                space.axes().map(|(name, distribution)| GridAxis::all(name, distribution)).collect();
            Box::new(GridSampler::new(axes?, options.sampler_seed)?)
        }
    })
}
