//! Several runs beside each other: their numbers, who ranks the same held-out pairs better, and how they were set up.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use command_line::{Aim, Curves, HELD_OUT};
use esc_metrics::interval::Resampling;
use esc_metrics::significance::{ItemSums, Paired, mean_of_sums};
use serde::Serialize;

use super::aims::aim;
use super::run_files::{PairsById, Sample};
use super::{Difference, ReportError, RunFiles, Settings};

/// Scalars that are compared: of training only the loss, of held-out pairs all of these.
const SCALARS: [&str; 12] = [
    "loss",
    "rewards/accuracies",
    "rewards/margins",
    "rewards/chosen",
    "rewards/rejected",
    "logps/chosen",
    "logps/rejected",
    "perplexity_policy/chosen",
    "perplexity_policy/rejected",
    "kl/chosen",
    "kl/rejected",
    "entropy/chosen",
];

/// Which evaluation of a run its pairs are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// The last one.
    #[default]
    Final,
    /// The first of those that rank most pairs right.
    Best,
}

/// How runs are compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct ComparisonOptions {
    /// Which evaluation counts.
    pub at: At,
    /// How intervals are drawn.
    pub resampling: Resampling,
}

/// What several runs are worth.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The runs, in the order in which they were named.
    pub runs: Vec<RunSummary>,
    /// Each run but the first against the first one.
    pub paired: Vec<PairedAccuracy>,
    /// The settings in which they differ.
    pub settings: Vec<Difference>,
}

/// The numbers of one run.
#[derive(Debug, Clone, Serialize)]
pub struct RunSummary {
    /// Its folder's name, with as much of the path as tells it from the others.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// How it ended.
    pub ending: String,
    /// Optimiser steps.
    pub steps: u64,
    /// Passes over the data.
    pub epochs: f64,
    /// From the first to the last record.
    pub seconds: f64,
    /// By scalar.
    pub metrics: BTreeMap<String, Metric>,
}

/// A scalar at the end of a run and at its best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metric {
    /// The last value that is a number.
    pub last: f64,
    /// The step that had it.
    pub last_step: u64,
    /// The best value, of scalars that can be good or bad.
    pub best: Option<f64>,
    /// The first step that had it.
    pub best_step: Option<u64>,
}

/// Reward accuracy of two runs on the same held-out pairs.
#[derive(Debug, Clone, Serialize)]
pub struct PairedAccuracy {
    /// The run.
    pub run: String,
    /// The run that it is held against.
    pub against: String,
    /// Why they can't be held against each other; all else is then empty.
    pub problem: Option<String>,
    /// Pairs that both have judged.
    pub pairs: usize,
    /// Groups of them (posts), which the bootstrap draws.
    pub groups: usize,
    /// Held-out pairs of either that the other has not, or has with other texts.
    pub left_out: usize,
    /// Steps of the evaluations: of the run, and of the one it is held against.
    pub steps: Option<[u64; 2]>,
    /// Share of the run.
    pub accuracy: Option<f64>,
    /// Share of the one that it is held against.
    pub accuracy_against: Option<f64>,
    /// How much better the run is.
    pub difference: Option<f64>,
    /// Lower end of the difference's interval; none where there is one group only.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Share of resamples in which the sign flips.
    pub p: Option<f64>,
}

impl Comparison {
    /// Compares runs; each is held against the first one.
    ///
    /// # Errors
    /// The statistics can't be computed.
    pub fn of(runs: &[RunFiles], options: &ComparisonOptions) -> Result<Self, ReportError> {
        let names = distinct_names(runs);
        let summaries = runs.iter().zip(&names).map(|(run, name)| RunSummary::of(run, name));
        let judged: Vec<Judged<'_>> = runs.iter().map(|run| Judged::of(run, options.at)).collect();
        let mut paired = Vec::new();
        if let (Some((first, others)), Some((first_name, other_names))) = (judged.split_first(), names.split_first()) {
            for (other, name) in others.iter().zip(other_names) {
                paired.push(other.against(first, name, first_name, &options.resampling)?);
            }
        }
        let settings: Vec<&Settings> = runs.iter().map(|run| &run.settings).collect();
        Ok(Self { runs: summaries.collect(), paired, settings: Settings::differences(&settings) })
    }

    /// The scalars that any run has, training's loss first.
    pub fn scalars(&self) -> Vec<String> {
        let held_out = SCALARS.iter().map(|name| format!("{HELD_OUT}{name}"));
        let wanted = ["loss".to_owned()].into_iter().chain(held_out);
        wanted.filter(|name| self.runs.iter().any(|run| run.metrics.contains_key(name))).collect()
    }
}

impl RunSummary {
    fn of(run: &RunFiles, name: &str) -> Self {
        let curves = Curves::of(&run.events);
        let (steps, epochs, seconds) = run.extent();
        let held_out = SCALARS.iter().map(|name| format!("{HELD_OUT}{name}"));
        let metric = |name: String| {
            let metric = Metric::of(&curves, &name)?;
            Some((name, metric))
        };
        Self {
            name: name.to_owned(),
            folder: run.folder.clone(),
            ending: run.ending().described(),
            steps,
            epochs,
            seconds,
            metrics: ["loss".to_owned()].into_iter().chain(held_out).filter_map(metric).collect(),
        }
    }
}

impl Metric {
    fn of(curves: &Curves, name: &str) -> Option<Self> {
        let curve = curves.get(name)?;
        let last = curve.last()?;
        let best = aim(name).and_then(|aim: Aim| curve.best(aim));
        Some(Self {
            last: last.value,
            last_step: last.step,
            best: best.map(|point| point.value),
            best_step: best.map(|point| point.step),
        })
    }
}

/// What a run makes of held-out pairs in one evaluation.
struct Judged<'a> {
    step: Option<u64>,
    /// By name of the pair.
    pairs: HashMap<&'a str, JudgedPair<'a>>,
    /// In the order of the file.
    order: Vec<&'a str>,
}

#[derive(Clone, Copy)]
struct JudgedPair<'a> {
    is_right: bool,
    texts: Option<[&'a str; 3]>,
    group: &'a str,
}

impl<'a> Judged<'a> {
    fn of(run: &'a RunFiles, at: At) -> Self {
        let rows = || run.samples.iter().flatten().filter(|sample| sample.is_held_out());
        let step = match at {
            At::Final => rows().filter(|sample| sample.is_right().is_some()).map(|sample| sample.step).max(),
            At::Best => best_step(rows()),
        };
        let by_id = PairsById::new(run.pairs.as_deref().unwrap_or_default());
        let (mut pairs, mut order) = (HashMap::new(), Vec::new());
        for sample in rows().filter(|sample| Some(sample.step) == step) {
            let Some(is_right) = sample.is_right() else { continue };
            let id = sample.example_id.as_str();
            let pair = by_id.pair(sample);
            let texts = pair.map(|pair| [pair.prompt.as_str(), pair.chosen.as_str(), pair.rejected.as_str()]);
            let group = pair.map_or(id, |pair| pair.group.as_deref().unwrap_or(&pair.prompt));
            if pairs.insert(id, JudgedPair { is_right, texts, group }).is_none() {
                order.push(id);
            }
        }
        Self { step, pairs, order }
    }

    fn against(
        &self,
        first: &Self,
        name: &str,
        first_name: &str,
        resampling: &Resampling,
    ) -> Result<PairedAccuracy, ReportError> {
        let mut rows: Vec<([f64; 2], [f64; 2])> = Vec::new();
        let mut groups: Vec<&str> = Vec::new();
        for id in &self.order {
            let (Some(own), Some(other)) = (self.pairs.get(id), first.pairs.get(id)) else { continue };
            if own.is_same_pair(other) {
                rows.push(([f64::from(own.is_right), 1.0], [f64::from(other.is_right), 1.0]));
                groups.push(own.group);
            }
        }
        let left_out = self.pairs.len() + first.pairs.len() - 2 * rows.len();
        let mut found = PairedAccuracy::nothing(name, first_name, left_out);
        let (Some(step), Some(first_step)) = (self.step, first.step) else {
            let without = if self.step.is_none() { name } else { first_name };
            return Ok(found.because(format!("{without} has no rewards of held-out pairs in outputs/samples.jsonl")));
        };
        if rows.is_empty() {
            return Ok(found.because("they have no held-out pair in common".into()));
        }
        let (own, other): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let [own, other] = [own, other].map(|rows| ItemSums::from_rows(&rows).and_then(|sums| sums.by_group(&groups)));
        let (own, other) = (own?, other?);
        let (accuracy, accuracy_against) = (mean_of_sums(&own.total()), mean_of_sums(&other.total()));
        let bootstrap = Paired::new(&own, &other, mean_of_sums)?.bootstrap(resampling);
        found.pairs = groups.len();
        found.groups = own.items();
        found.steps = Some([step, first_step]);
        (found.accuracy, found.accuracy_against) = (Some(accuracy), Some(accuracy_against));
        found.difference = Some(bootstrap.difference.value);
        if found.groups > 1 {
            (found.low, found.high) = (Some(bootstrap.difference.low), Some(bootstrap.difference.high));
            found.p = Some(bootstrap.p);
        }
        Ok(found)
    }
}

impl JudgedPair<'_> {
    /// Where a run does not keep the texts, names have to do.
    fn is_same_pair(&self, other: &Self) -> bool {
        match (self.texts, other.texts) {
            (Some(own), Some(others)) => own == others,
            _ => true,
        }
    }
}

impl PairedAccuracy {
    fn nothing(run: &str, against: &str, left_out: usize) -> Self {
        Self {
            run: run.to_owned(),
            against: against.to_owned(),
            problem: None,
            pairs: 0,
            groups: 0,
            left_out,
            steps: None,
            accuracy: None,
            accuracy_against: None,
            difference: None,
            low: None,
            high: None,
            p: None,
        }
    }

    fn because(self, problem: String) -> Self {
        Self { problem: Some(problem), ..self }
    }
}

/// The first step at which the largest share of pairs is ranked right.
fn best_step<'a>(rows: impl Iterator<Item = &'a Sample>) -> Option<u64> {
    let mut steps: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for sample in rows {
        let Some(is_right) = sample.is_right() else { continue };
        let (right, all) = steps.entry(sample.step).or_default();
        *right += usize::from(is_right);
        *all += 1;
    }
    let share = |(right, all): (usize, usize)| right as f64 / all as f64;
    let best = steps.into_iter().reduce(|best, step| if share(step.1) > share(best.1) { step } else { best });
    best.map(|(step, _)| step)
}

/// Names of the runs' folders; where they are equal, with as many folders above as tell them apart.
fn distinct_names(runs: &[RunFiles]) -> Vec<String> {
    let paths: Vec<Vec<String>> = runs.iter().map(parts).collect();
    let longest = paths.iter().map(Vec::len).max().unwrap_or(0);
    let named = |count: usize| {
        let name = |path: &Vec<String>| path[path.len().saturating_sub(count)..].join("/");
        paths.iter().map(name).collect::<Vec<_>>()
    };
    let differ = |names: &Vec<String>| names.iter().enumerate().all(|(at, name)| !names[..at].contains(name));
    (1..=longest).map(named).find(differ).unwrap_or_else(|| numbered(&named(1)))
}

fn parts(run: &RunFiles) -> Vec<String> {
    let whole = run.folder.canonicalize().unwrap_or_else(|_| run.folder.clone());
    whole.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

/// A folder that is named twice is compared with itself.
fn numbered(names: &[String]) -> Vec<String> {
    let is_repeated = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    let number = |(at, name): (usize, &String)| match is_repeated(name) {
        true => format!("{name} ({})", at + 1),
        false => name.clone(),
    };
    names.iter().enumerate().map(number).collect()
}
