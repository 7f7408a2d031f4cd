//! The page of one run.

use charts::escaped;
use command_line::{Curves, HELD_OUT, Point};
use esc_metrics::interval::Interval;
use serde::Serialize;
use training::tracking::Entry;

use super::RunFiles;
use super::aims::aim;
use super::data::page_data;
use super::figures::{RunFigures, margins};
use super::markup::{duration, shown};
use super::page::{Page, absent, table};
use super::run_files::{PairsById, Sample};

/// Which samples a page holds: they make most of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SampleRows {
    /// All of them.
    #[default]
    All,
    /// Those of held-out pairs.
    HeldOut,
    /// Those of the last evaluation.
    Last,
    /// None.
    None,
}

/// Scalars that the summary begins with.
const FIRST: [&str; 4] = ["loss", "rewards/accuracies", "rewards/margins", "perplexity_policy/chosen"];

/// One run as a page that needs nothing else.
pub fn run_page(run: &RunFiles, which: SampleRows) -> String {
    let curves = Curves::of(&run.events);
    let figures = RunFigures::of(&curves);
    Page::new(format!("{} · persuasion", run.name), head(run))
        .data(page_data(run, which))
        .section("summary", "Summary", &summary(run, &curves))
        .section("curves", "Curves", &curves_section(&figures))
        .section("evaluation", "Final evaluation", &evaluation(run))
        .section("samples", "Samples", &samples(run, which))
        .section("generations", "Generations", &generations(run))
        .section("configuration", "Configuration", &configuration(run))
        .section("messages", "Messages", &messages(run))
        .html()
}

fn head(run: &RunFiles) -> String {
    let (steps, epochs, seconds) = run.extent();
    format!(
        "<h1>{}</h1>\n<p class=\"lead\">{}; {steps} steps, {} epochs, {}.</p>\n<p class=\"folder\">{}</p>",
        escaped(&run.name),
        escaped(&run.ending().described()),
        shown(epochs),
        duration(seconds),
        escaped(&run.folder.display().to_string())
    )
}

fn summary(run: &RunFiles, curves: &Curves) -> String {
    if run.events.is_empty() {
        return absent("events.jsonl is not there or empty: no step was recorded.");
    }
    let accuracy = held_out_accuracy(run).map(|interval| accuracy_sentence(&interval)).unwrap_or_default();
    let mut names: Vec<&str> = FIRST.to_vec();
    for name in curves.names().map(|name| name.strip_prefix(HELD_OUT).unwrap_or(name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let rows: Vec<_> = names.into_iter().filter_map(|name| summary_row(curves, name)).collect();
    let heads = ["Scalar", "train, last", "held out, last", "held out, best", "at step"].map(str::to_owned);
    let (first, rest) = rows.split_at(rows.len().min(FIRST.len()));
    let mut content = accuracy + &table(&heads, first, false);
    if !rest.is_empty() {
        let more = table(&heads, rest, false);
        content += &format!("<details><summary>{} more scalars</summary>{more}</details>", rest.len());
    }
    content
}

fn summary_row(curves: &Curves, name: &str) -> Option<Vec<String>> {
    let held_out_name = format!("{HELD_OUT}{name}");
    let (train, held_out) = (curves.get(name), curves.get(&held_out_name));
    if train.is_none() && held_out.is_none() {
        return None;
    }
    let value = |point: Option<Point>| point.map_or_else(|| "–".to_owned(), |point| shown(point.value));
    let best = held_out.and_then(|curve| curve.best(aim(&held_out_name)?));
    Some(vec![
        name.to_owned(),
        value(train.and_then(|curve| curve.last())),
        value(held_out.and_then(|curve| curve.last())),
        value(best),
        best.map_or_else(|| "–".to_owned(), |point| point.step.to_string()),
    ])
}

/// The share of held-out pairs whose preferred reply is rewarded more in the last evaluation, with its interval over groups.
fn held_out_accuracy(run: &RunFiles) -> Option<Interval> {
    let held_out = || run.samples.iter().flatten().filter(|sample| sample.is_held_out());
    let last = held_out().map(|sample| sample.step).max()?;
    let pairs = PairsById::new(run.pairs.as_deref().unwrap_or_default());
    let value = |sample: &Sample| sample.is_right().map(f64::from);
    let values: Vec<_> = held_out()
        .filter(|sample| sample.step == last)
        .filter_map(|sample| {
            let group = pairs.pair(sample).map(|pair| pair.group.as_deref().unwrap_or(&pair.prompt));
            Some((group.unwrap_or(&sample.example_id).to_owned(), value(sample)?))
        })
        .collect();
    Interval::by_group(values.iter().map(|(group, value)| (group.as_str(), *value)))
}

fn accuracy_sentence(interval: &Interval) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let ends = match interval.ends() {
        Some((low, high)) => format!("95 % interval {} to {}", percent(low), percent(high)),
        None => "no interval, for there is one prompt only".into(),
    };
    let bar = interval.ends().and_then(|(low, high)| super::evaluation::bar((interval.mean, low, high)));
    format!(
        "<p class=\"headline\"><strong>{}</strong> of {} held-out pairs are ranked right in the last evaluation \
         ({ends}; bootstrap over {} prompts).{}</p>",
        percent(interval.mean),
        interval.values,
        interval.groups,
        bar.unwrap_or_default()
    )
}

fn curves_section(figures: &RunFigures) -> String {
    if figures.usual.is_empty() && figures.others.is_empty() {
        return absent("No scalars were recorded.");
    }
    let mut content = format!("<div class=\"charts\">\n{}</div>", figures.usual);
    if !figures.others.is_empty() {
        content += &format!(
            "<details><summary>Other scalars</summary><div class=\"charts\">\n{}</div></details>",
            figures.others
        );
    }
    content
}

fn evaluation(run: &RunFiles) -> String {
    match &run.evaluation {
        Some(value) => super::evaluation::table(value),
        None => absent("No final evaluation is here: `persuasion eval` writes outputs/evaluation.json."),
    }
}

fn samples(run: &RunFiles, which: SampleRows) -> String {
    match &run.samples {
        None => absent("No samples were kept (outputs/samples.jsonl is not there)."),
        Some(samples) if samples.is_empty() => absent("outputs/samples.jsonl holds no complete line."),
        Some(_) if which == SampleRows::None => {
            margins(run) + &absent("The rows are left out of this page; they are in outputs/samples.jsonl.")
        }
        Some(_) => {
            let without_texts = match &run.pairs {
                None => absent("The texts are not here: outputs/pairs.jsonl is missing."),
                Some(_) => String::new(),
            };
            format!("<div class=\"charts\">{}</div>{without_texts}<div id=\"sample-table\"></div>", margins(run))
        }
    }
}

fn generations(run: &RunFiles) -> String {
    match &run.generations {
        None => absent("No generations were kept (outputs/generations.jsonl is not there)."),
        Some(generations) if generations.is_empty() => absent("outputs/generations.jsonl holds no complete line."),
        Some(_) => "<div id=\"generation-view\"></div>".into(),
    }
}

fn configuration(run: &RunFiles) -> String {
    let rows: Vec<_> = run.settings.iter().map(|(name, value)| [name.to_owned(), value.to_owned()]).collect();
    if rows.is_empty() {
        return absent("config.toml holds no settings.");
    }
    table(&["Setting", "Value"].map(str::to_owned), &rows, false)
}

fn messages(run: &RunFiles) -> String {
    let mut rows = Vec::new();
    for event in &run.events {
        let text = match &event.entry {
            Entry::Message { text, .. } => text.clone(),
            Entry::Text { name, text } => format!("{name}: {text}"),
            _ => continue,
        };
        rows.push([event.at.step.to_string(), text]);
    }
    if rows.is_empty() { String::new() } else { table(&["Step", "Message"].map(str::to_owned), &rows, false) }
}
