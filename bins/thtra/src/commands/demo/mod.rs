//! `thtra demo`: what the three stages are good for, on built-in dialogues, in minutes.
//!
//! A small BlenderBot-small learns from nothing to answer a seeker: with look-ahead and situation, and for as long without; then it is aligned to
//! models of helpfulness that learned from the seekers' ratings, with candidates behind the annotated strategy or across likely ones.

mod alignment;
mod corpus;
mod judge;
mod responders;
mod teachers;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use candle_core::Device;
use command_line::{Failure, Format, Progress, interrupt, print_json};
use helpfulness::HelpfulnessModel;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use serde::Serialize;
use thtra::{CandidateStrategies, Responder};

use self::alignment::Alignment;
use self::corpus::DemoCorpus;
use self::judge::{Worth, judge};
use self::responders::Kind;
use self::teachers::Teacher;
use crate::arguments::Demo;

/// Strategies among which candidates are divided.
const ACROSS: usize = 3;

/// A model of one seed.
#[derive(Debug, Clone, Serialize)]
struct Trial {
    model: &'static str,
    seed: u64,
    #[serde(flatten)]
    worth: Worth,
}

/// What the demonstration found.
#[derive(Serialize)]
struct Found {
    trials: Vec<Trial>,
    /// Share of the commonest strategy, in percent.
    commonest_strategy: f64,
    seconds: f64,
}

/// Names of the models, in the order of their trainings.
const JOINT: &str = "joint, as long";
const LOOK_AHEAD: &str = "1 look-ahead";
const SITUATION: &str = "2 situation";
/// Third stages: names, models of helpfulness, and whether candidates go across strategies.
const ALIGNMENTS: [(&str, Teacher, bool); 3] = [
    ("3 aligned, d-PM", Teacher::Preference, false),
    ("3 d-PM, across", Teacher::Preference, true),
    ("3 ordinal, across", Teacher::Ordinal, true),
];

pub(crate) fn run(options: &Demo, format: Format) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    interrupt::listen();
    let folder = tempfile::tempdir().map_err(Failure::work)?;
    let demo = Demonstration { corpus: DemoCorpus::new()?, folder: folder.path(), options };
    let Some(trials) = demo.trials()? else { return Ok(ExitCode::from(interrupt::EXIT_CODE)) };
    let found = Found { trials, commonest_strategy: demo.corpus.commonest(), seconds: begun.elapsed().as_secs_f64() };
    match format {
        Format::Json => print_json(&found)?,
        Format::Text => print(&found),
    }
    Ok(ExitCode::SUCCESS)
}

struct Demonstration<'a> {
    corpus: DemoCorpus,
    folder: &'a Path,
    options: &'a Demo,
}

impl Demonstration<'_> {
    /// All models of all seeds; none after an interrupt.
    fn trials(&self) -> Result<Option<Vec<Trial>>, Failure> {
        if !self.train_responders()? {
            return Ok(None);
        }
        let Some(teachers) = self.teachers()? else { return Ok(None) };
        let scorers: Vec<(&'static str, &HelpfulnessModel)> =
            Teacher::ALL.iter().zip(&teachers).map(|(teacher, model)| (teacher.name(), model)).collect();
        let mut wanted: Vec<(&'static str, u64)> = Vec::new();
        for name in [JOINT, LOOK_AHEAD, SITUATION].into_iter().chain(ALIGNMENTS.map(|(name, ..)| name)) {
            wanted.extend(self.seeds().map(|seed| (name, seed)));
        }
        let bar = Bar::new("aligning", wanted.len() as u64);
        let trials = alone(wanted, |(model, seed)| {
            let responder = match ALIGNMENTS.iter().find(|(name, ..)| *name == model) {
                None => Some(Responder::open(&self.model(model, seed), seed, &Device::Cpu)?),
                Some((_, teacher, across)) => {
                    let place = Teacher::ALL.iter().position(|known| known == teacher).unwrap_or(0);
                    let strategies =
                        if *across { CandidateStrategies::Likeliest(ACROSS) } else { CandidateStrategies::Annotated };
                    let alignment = Alignment {
                        corpus: &self.corpus,
                        scorer: scorers[place].1,
                        strategies,
                        seed,
                        samples: self.options.samples,
                    };
                    alignment.train(&self.model(SITUATION, seed))?
                }
            };
            let Some(responder) = responder else { return Ok(None) };
            let worth = judge(&self.corpus, &responder, &scorers)?;
            bar.step();
            Ok(Some(Trial { model, seed, worth }))
        })?;
        bar.finish();
        Ok(trials.into_iter().collect())
    }

    fn train_responders(&self) -> Result<bool, Failure> {
        let steps = self.options.steps;
        let trainings: Vec<(Kind, u64)> =
            self.seeds().flat_map(|seed| [(Kind::Staged, seed), (Kind::Joint, seed)]).collect();
        let bar = Bar::new("training", 2 * steps * trainings.len() as u64);
        let finished = alone(trainings, |(kind, seed)| {
            let names = if kind == Kind::Staged { [LOOK_AHEAD, SITUATION] } else { ["joint, half", JOINT] };
            let [first, second] = names.map(|name| self.model(name, seed));
            responders::train(&self.corpus, kind, seed, steps, [&first, &second], &|| bar.step())
        })?;
        bar.finish();
        Ok(finished.into_iter().all(|finished| finished))
    }

    fn teachers(&self) -> Result<Option<Vec<HelpfulnessModel>>, Failure> {
        let teachers = alone(Teacher::ALL.to_vec(), |teacher| teacher.train(&self.corpus))?;
        Ok(teachers.into_iter().collect())
    }

    fn seeds(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.options.seeds
    }

    fn model(&self, name: &str, seed: u64) -> PathBuf {
        self.folder.join(format!("{name} {seed}"))
    }
}

/// Does all work, each on one thread: small models gain nothing from several, several models do.
fn alone<W: Send, T: Send>(work: Vec<W>, act: impl Fn(W) -> Result<T, Failure> + Sync) -> Result<Vec<T>, Failure> {
    let done = work.into_par_iter().with_max_len(1).map(|work| {
        let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
        pool.install(|| act(work))
    });
    done.collect()
}

/// A progress bar for several threads.
struct Bar(Mutex<(Progress, u64)>);

impl Bar {
    fn new(name: &'static str, whole: u64) -> Self {
        Self(Mutex::new((Progress::new(name, 0, whole), 0)))
    }

    fn step(&self) {
        let mut bar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bar.1 += 1;
        let done = bar.1;
        bar.0.set(done);
    }

    fn finish(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.finish();
    }
}

fn print(found: &Found) {
    println!("Held-out dialogues of the built-in corpus; mean ± standard deviation over seeds:\n");
    println!(
        "{:<18} {:>13} {:>14} {:>14} {:>15} {:>15} {:>14}",
        "", "perplexity", "strategy, %", "top 3, %", "helpful, d-PM", "ordinal", "unhelpful, %"
    );
    let mut names: Vec<&str> = Vec::new();
    for trial in &found.trials {
        if !names.contains(&trial.model) {
            names.push(trial.model);
        }
    }
    for name in names {
        let spread = |value: &dyn Fn(&Worth) -> f64, digits: usize| {
            let own = found.trials.iter().filter(|trial| trial.model == name);
            spread(own.map(|trial| value(&trial.worth)), digits)
        };
        let helpful = |place: usize| spread(&|worth: &Worth| worth.helpfulness[place].1, 3);
        println!(
            "{name:<18} {:>13} {:>14} {:>14} {:>15} {:>15} {:>14}",
            spread(&|worth| worth.perplexity, 2),
            spread(&|worth| worth.strategy_top_1, 1),
            spread(&|worth| worth.strategy_top_3, 1),
            helpful(0),
            helpful(1),
            spread(&|worth| worth.unhelpful, 1),
        );
    }
    println!(
        "\nstrategies are the models' own choice among eight (chance 12.5 %, the commonest one {:.1} %); {:.0} s",
        found.commonest_strategy, found.seconds
    );
}

/// Mean and standard deviation, for tables: `12.3 ± 0.4`; of one value there is no deviation.
fn spread(values: impl Iterator<Item = f64>, digits: usize) -> String {
    let values: Vec<f64> = values.collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    match values.len() {
        0 | 1 => format!("{mean:.digits$}"),
        _ => format!("{mean:.digits$} ± {:.digits$}", (squares / (count - 1.0)).sqrt()),
    }
}
