//! [`Suite`]: the set of numbers that one line of papers prints, as it prints them.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use crate::corpus::Item;
use crate::error::Error;
use crate::interval::{Estimate, Resampling};
use crate::metric::Metric;
use crate::named::NamedMetric;
use crate::resources::Resources;
use crate::scorer::{Measured, Scorer};
use crate::significance::{Comparison, ItemSums, Paired};
use crate::tokenize::clean_hypothesis;

/// What an empty hypothesis becomes in the lines that leave none empty.
pub(crate) const STAND_IN: &str = "&";

/// Items that are measured at a time.
const CHUNK: usize = 8192;

/// A line of papers and its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// What we would print: each metric in its most comparable form.
    Default,
    /// The thu-coai line: ESConv's `codes_zcj`, Aligned-dPM, BlenderBot-ThTra. Shares times 100.
    ThuCoai,
    /// nlg-eval.
    NlgEval,
    /// MultiESC: nlg-eval, and an empty hypothesis becomes `&`.
    MultiEsc,
    /// MAGIC: the hypotheses are cleaned first; times 100, so that CIDEr reaches 1000.
    Magic,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 5] = [Self::Default, Self::ThuCoai, Self::NlgEval, Self::MultiEsc, Self::Magic];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::ThuCoai => "thu-coai",
            Self::NlgEval => "nlg-eval",
            Self::MultiEsc => "multiesc",
            Self::Magic => "magic",
        }
    }

    /// The preset with this name.
    ///
    /// # Errors
    /// There is none.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Setting(format!("unknown preset `{name}` (known: {known})"))
        })
    }

    /// Metrics by name, with what their values are multiplied by.
    fn metrics(self) -> &'static [(&'static str, f64)] {
        const NLG_EVAL: &[(&str, f64)] =
            &[("bleu-coco", 1.0), ("meteor-nlg-eval", 1.0), ("rouge-l-coco", 1.0), ("cider", 1.0)];
        match self {
            Self::Default => &[
                ("sacrebleu", 1.0),
                ("bleu-coco", 1.0),
                ("rouge", 1.0),
                ("rouge-l-coco", 1.0),
                ("meteor", 1.0),
                ("cider", 1.0),
                ("chrf", 1.0),
                ("f1", 1.0),
                ("distinct", 1.0),
                ("length", 1.0),
            ],
            Self::ThuCoai => &[
                ("bleu-nltk", 100.0),
                ("rouge-l-thu-coai", 100.0),
                ("distinct-thu-coai", 100.0),
                ("f1", 100.0),
                ("length", 1.0),
            ],
            Self::NlgEval | Self::MultiEsc => NLG_EVAL,
            Self::Magic => {
                &[("bleu-coco", 100.0), ("meteor-nlg-eval", 100.0), ("rouge-l-coco", 100.0), ("cider", 100.0)]
            }
        }
    }

    /// The names of its metrics.
    pub fn metric_names(self) -> impl Iterator<Item = &'static str> {
        self.metrics().iter().map(|(name, _)| *name)
    }

    /// Whether word-vector scores belong to it, where there are vectors.
    fn has_embeddings(self) -> bool {
        matches!(self, Self::NlgEval | Self::MultiEsc)
    }

    fn preparation(self) -> Preparation {
        match self {
            Self::Default | Self::ThuCoai | Self::NlgEval => Preparation::None,
            Self::MultiEsc => Preparation::Ampersand,
            Self::Magic => Preparation::Clean,
        }
    }
}

/// What happens to hypotheses before they are scored. References stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preparation {
    None,
    /// An empty one becomes `&`.
    Ampersand,
    /// MAGIC's clean-up, then the ampersand.
    Clean,
}

impl Preparation {
    /// What it adds to signatures.
    fn signature(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Ampersand => "|empty:&",
            Self::Clean => "|clean:magic|empty:&",
        }
    }

    fn apply(self, hypothesis: &str) -> Cow<'_, str> {
        let cleaned = if self == Self::Clean { clean_hypothesis(hypothesis).into() } else { Cow::Borrowed(hypothesis) };
        if self != Self::None && cleaned.trim().is_empty() { STAND_IN.into() } else { cleaned }
    }
}

/// Metrics that are reported together.
#[derive(Clone)]
pub struct Suite {
    name: String,
    metrics: Vec<Arc<dyn Metric>>,
    scales: Vec<f64>,
    preparation: Preparation,
}

impl Suite {
    /// The numbers of a preset.
    ///
    /// # Errors
    /// A resource that a metric needs is damaged.
    pub fn preset(preset: Preset, resources: &Resources) -> Result<Self, Error> {
        let mut chosen = preset.metrics().to_vec();
        if preset.has_embeddings() && resources.vectors.is_some() {
            chosen.push(("embedding", 1.0));
        }
        Self::new(preset.name(), &chosen, preset.preparation(), resources)
    }

    /// Metrics by name.
    ///
    /// # Errors
    /// A name is unknown, or a resource that a metric needs is not there.
    pub fn of_names<S: AsRef<str>>(names: &[S], resources: &Resources) -> Result<Self, Error> {
        let chosen: Vec<(&str, f64)> = names.iter().map(|name| (name.as_ref(), 1.0)).collect();
        Self::new("metrics", &chosen, Preparation::None, resources)
    }

    fn new(name: &str, chosen: &[(&str, f64)], preparation: Preparation, resources: &Resources) -> Result<Self, Error> {
        let make = |(name, _): &(&str, f64)| NamedMetric::by_name(name)?.make(resources);
        let metrics = chosen.iter().map(make).collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            metrics,
            scales: chosen.iter().map(|(_, scale)| *scale).collect(),
            preparation,
        })
    }

    /// Adds a metric of one's own.
    pub fn with(mut self, metric: Arc<dyn Metric>) -> Self {
        self.metrics.push(metric);
        self.scales.push(1.0);
        self
    }

    /// Measures items, which may come one by one.
    ///
    /// # Errors
    /// There is no item, or one has no reference.
    pub fn score(&self, items: impl IntoIterator<Item = Item>) -> Result<Scored, Error> {
        let mut scorer = Scorer::new(self.metrics.clone());
        let mut items = items.into_iter().map(|item| Item {
            hypothesis: self.preparation.apply(&item.hypothesis).into_owned(),
            references: item.references,
        });
        loop {
            let chunk: Vec<Item> = items.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                break;
            }
            scorer.push(&chunk)?;
        }
        Ok(Scored {
            suite: self.name.clone(),
            measured: scorer.finish()?,
            scales: self.scales.clone(),
            preparation: self.preparation,
        })
    }
}

/// What a suite measured: any selection's values can be had from it.
#[derive(Clone)]
pub struct Scored {
    suite: String,
    measured: Vec<Measured>,
    scales: Vec<f64>,
    preparation: Preparation,
}

/// A number of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreRow {
    /// Its name.
    pub name: String,
    /// Its value; NaN where the metric has none.
    pub value: f64,
    /// The interval of the value, where one was asked for and has a meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<(f64, f64)>,
    /// Everything that decides the number.
    pub signature: String,
}

/// A number of two systems.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedRow {
    /// Its name.
    pub name: String,
    /// The first system's value.
    pub first: f64,
    /// The second system's.
    pub second: f64,
    /// Tests of the difference; absent for metrics that can't be resampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// Everything that decides the numbers.
    pub signature: String,
}

impl Scored {
    /// What was measured, metric by metric.
    pub fn measured(&self) -> &[Measured] {
        &self.measured
    }

    /// The name of the suite.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// Items that were measured.
    pub fn items(&self) -> usize {
        self.measured.first().map_or(0, |measured| measured.statistics.items())
    }

    /// All values.
    pub fn rows(&self) -> Vec<ScoreRow> {
        self.rows_of(&|measured| measured.values())
    }

    /// The values of some items, e.g. those of one strategy.
    pub fn rows_of_items(&self, items: &[usize]) -> Vec<ScoreRow> {
        self.rows_of(&|measured| measured.metric.score(&measured.statistics, &mut items.iter().copied()))
    }

    /// All values with bootstrap intervals; whole groups are drawn (one group per item: single items).
    ///
    /// # Errors
    /// There are more or fewer groups than items.
    pub fn rows_with_intervals(&self, groups: &[&str], resampling: &Resampling) -> Result<Vec<ScoreRow>, Error> {
        if groups.len() != self.items() {
            return Err(Error::Lengths { what: "items and groups", left: self.items(), right: groups.len() });
        }
        let intervals = self.measured.iter().zip(&self.scales).flat_map(|(measured, scale)| {
            let scaled = move |found: Estimate| (found.low * scale, found.high * scale);
            intervals(measured, groups, resampling).into_iter().map(move |found| found.map(scaled))
        });
        Ok(self.rows().into_iter().zip(intervals).map(|(row, interval)| ScoreRow { interval, ..row }).collect())
    }

    fn rows_of(&self, values: &dyn Fn(&Measured) -> Vec<f64>) -> Vec<ScoreRow> {
        let mut rows = Vec::new();
        for (measured, scale) in self.measured.iter().zip(&self.scales) {
            let signature = self.signature(measured, *scale);
            for (name, value) in measured.metric.names().into_iter().zip(values(measured)) {
                rows.push(ScoreRow { name, value: value * scale, interval: None, signature: signature.clone() });
            }
        }
        rows
    }

    fn signatures(&self) -> Vec<String> {
        self.measured.iter().zip(&self.scales).map(|(measured, scale)| self.signature(measured, *scale)).collect()
    }

    fn signature(&self, measured: &Measured, scale: f64) -> String {
        let signature = format!("{}{}", measured.metric.signature(), self.preparation.signature());
        if scale == 1.0 { signature } else { format!("{signature}|x{scale}") }
    }

    /// This system against another on the same items; whole groups are drawn and swapped. Without resampling there are values only.
    ///
    /// # Errors
    /// The systems answered different items, or were measured by different suites.
    pub fn compare(
        &self,
        other: &Self,
        groups: &[&str],
        resampling: Option<&Resampling>,
    ) -> Result<Vec<ComparedRow>, Error> {
        let (left, right) = (self.items(), other.items());
        if left != right || groups.len() != left {
            let (what, right) =
                if left == right { ("items and groups", groups.len()) } else { ("items of two systems", right) };
            return Err(Error::Lengths { what, left, right });
        }
        if self.signatures() != other.signatures() {
            return Err(Error::Setting("the systems were measured by different metrics".into()));
        }
        let mut rows = Vec::new();
        for ((one, two), scale) in self.measured.iter().zip(&other.measured).zip(&self.scales) {
            let (first, second) = (one.values(), two.values());
            let sums = resampling.and_then(|resampling| Some((sums(one, groups)?, sums(two, groups)?, resampling)));
            for (at, name) in one.metric.names().into_iter().enumerate() {
                let value = |values: &[f64]| values.get(at).copied().unwrap_or(f64::NAN) * scale;
                let comparison = sums.as_ref().and_then(|(first, second, resampling)| {
                    comparison(one.metric.as_ref(), [first, second], at, *scale, resampling)
                });
                let (first, second) = (value(&first), value(&second));
                rows.push(ComparedRow { name, first, second, comparison, signature: self.signature(one, *scale) });
            }
        }
        Ok(rows)
    }
}

/// Rows with a count, summed by group: what a resample adds up.
fn sums(measured: &Measured, groups: &[&str]) -> Option<ItemSums> {
    if !measured.metric.can_be_resampled() {
        return None;
    }
    let statistics = &measured.statistics;
    let rows: Vec<Vec<f64>> = (0..statistics.items()).map(|item| [statistics.row(item), &[1.0]].concat()).collect();
    ItemSums::from_rows(&rows).ok()?.by_group(groups).ok()
}

/// The values of sums that end with the count.
fn values_of(metric: &dyn Metric, sums: &[f64]) -> Vec<f64> {
    let Some((count, sums)) = sums.split_last() else { return Vec::new() };
    metric.values_of_sums(sums, *count as usize)
}

/// The interval of each value, where it has one. Every resample is added up once for all values.
fn intervals(measured: &Measured, groups: &[&str], resampling: &Resampling) -> Vec<Option<Estimate>> {
    let metric = measured.metric.as_ref();
    let Some(sums) = sums(measured, groups) else { return vec![None; metric.names().len()] };
    let resampled = resampling.map_resamples(sums.items(), |drawn| values_of(metric, &sums.total_of(drawn)));
    let of = |(at, value): (usize, f64)| {
        let drawn = resampled.iter().filter_map(|values| values.get(at).copied()).filter(|value| value.is_finite());
        value.is_finite().then(|| resampling.summed_up(value, drawn.collect()))
    };
    values_of(metric, &sums.total()).into_iter().enumerate().map(of).collect()
}

fn comparison(
    metric: &dyn Metric,
    [first, second]: [&ItemSums; 2],
    value: usize,
    scale: f64,
    resampling: &Resampling,
) -> Option<Comparison> {
    let score = |sums: &[f64]| scale * values_of(metric, sums).get(value).copied().unwrap_or(f64::NAN);
    Some(Paired::new(first, second, score).ok()?.compare(resampling))
}
