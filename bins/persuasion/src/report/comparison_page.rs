//! The comparison of several runs as a page.

use charts::escaped;
use command_line::Curves;

use super::figures::overlaid;
use super::markup::{duration, shown};
use super::page::{Page, absent, table};
use super::{Comparison, Metric, PairedAccuracy, RunFiles};

/// Several runs as one page that needs nothing else; `runs` are those that were compared, in the same order.
pub fn comparison_page(runs: &[RunFiles], comparison: &Comparison) -> String {
    let names: Vec<&str> = comparison.runs.iter().map(|run| run.name.as_str()).collect();
    let curves: Vec<_> = names.iter().zip(runs).map(|(name, run)| (*name, Curves::of(&run.events))).collect();
    let pictures = overlaid(&curves);
    let pictures = match pictures.is_empty() {
        true => absent("No scalars were recorded."),
        false => format!("<div class=\"charts\">\n{pictures}</div>"),
    };
    let head = format!("<h1>{} runs compared</h1>\n<p class=\"lead\">{}</p>", names.len(), escaped(&names.join(" · ")));
    Page::new(format!("{} runs compared · persuasion", names.len()), head)
        .section("metrics", "Metrics", &metrics(comparison))
        .section("paired", "Reward accuracy on the same pairs", &paired(comparison))
        .section("curves", "Curves", &pictures)
        .section("settings", "Settings that differ", &settings(comparison))
        .html()
}

fn metrics(comparison: &Comparison) -> String {
    let mut heads = vec!["Scalar".to_owned()];
    heads.extend(comparison.runs.iter().map(|run| run.name.clone()));
    let row = |name: &str, of: &dyn Fn(usize) -> String| {
        let cells = (0..comparison.runs.len()).map(of);
        [name.to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
    };
    let runs = &comparison.runs;
    let mut rows = vec![
        row("state", &|at| runs[at].ending.clone()),
        row("steps", &|at| runs[at].steps.to_string()),
        row("epochs", &|at| shown(runs[at].epochs)),
        row("time", &|at| duration(runs[at].seconds)),
    ];
    for name in comparison.scalars() {
        rows.push(row(&format!("{name}, last"), &|at| last(runs[at].metrics.get(&name))));
        if runs.iter().any(|run| run.metrics.get(&name).is_some_and(|metric| metric.best.is_some())) {
            rows.push(row(&format!("{name}, best"), &|at| best(runs[at].metrics.get(&name))));
        }
    }
    table(&heads, &rows, false)
}

/// The last value of a scalar.
pub(super) fn last(metric: Option<&Metric>) -> String {
    metric.map_or_else(|| "–".to_owned(), |metric| shown(metric.last))
}

/// The best value of a scalar, and when.
pub(super) fn best(metric: Option<&Metric>) -> String {
    let best = metric.and_then(|metric| Some(format!("{} (step {})", shown(metric.best?), metric.best_step?)));
    best.unwrap_or_else(|| "–".to_owned())
}

fn paired(comparison: &Comparison) -> String {
    let sentences: String =
        comparison.paired.iter().map(|paired| format!("<p>{}</p>", escaped(&paired.told()))).collect();
    match sentences.is_empty() {
        true => absent("There is one run only."),
        false => sentences,
    }
}

fn settings(comparison: &Comparison) -> String {
    if comparison.settings.is_empty() {
        return absent("All settings are equal.");
    }
    let mut heads = vec!["Setting".to_owned()];
    heads.extend(comparison.runs.iter().map(|run| run.name.clone()));
    let rows: Vec<Vec<String>> = comparison
        .settings
        .iter()
        .map(|difference| {
            let cells = difference.values.iter().map(|value| value.clone().unwrap_or_else(|| "–".to_owned()));
            [difference.name.clone()].into_iter().chain(cells).collect()
        })
        .collect();
    table(&heads, &rows, false)
}

impl PairedAccuracy {
    /// In a sentence.
    pub fn told(&self) -> String {
        if let Some(problem) = &self.problem {
            return format!("{} against {}: not compared, for {problem}", self.run, self.against);
        }
        let percent =
            |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", 100.0 * share));
        let points = |share: f64| format!("{:+.1}", 100.0 * share);
        let ends = match (self.low, self.high, self.p) {
            (Some(low), Some(high), Some(p)) => {
                format!("interval {} to {}, p = {}", points(low), points(high), shown(p))
            }
            _ => "no interval, for there is one group only".into(),
        };
        let left_out = match self.left_out {
            0 => String::new(),
            count => format!("; {count} pairs of one of them are not in the other or have other texts"),
        };
        format!(
            "{} against {}: {} against {}, difference {} points ({ends}; {} pairs in {} groups{left_out})",
            self.run,
            self.against,
            percent(self.accuracy),
            percent(self.accuracy_against),
            points(self.difference.unwrap_or(f64::NAN)),
            self.pairs,
            self.groups
        )
    }
}
