//! What `score` does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::arguments::ScoreArguments;
use super::files::{Row, add_references, read_rows};
use super::report::{ComparisonReport, MetricRow, Outcome, Part, ScoreReport, Units, notes};
use crate::error::Error;
use crate::interval::Resampling;
use crate::metric::Metric;
use crate::named::METRICS;
use crate::resources::{ResourceFolders, Resources};
use crate::suite::{Scored, Suite};

impl ScoreArguments {
    /// Reads, scores and, if asked to, compares; by metrics of the program's own too.
    ///
    /// # Errors
    /// A file can't be read, rows do not fit each other, or a metric or resource is unknown or damaged.
    pub fn run(&self, further: &[Arc<dyn Metric>]) -> Result<Outcome, Error> {
        match &self.hypotheses {
            Some(hypotheses) if !self.list => self.score(hypotheses, further),
            _ => Ok(Outcome::Metrics(METRICS.iter().map(MetricRow::from).collect())),
        }
    }

    fn score(&self, hypotheses: &Path, further: &[Arc<dyn Metric>]) -> Result<Outcome, Error> {
        let (layout, other_layout) = self.layouts()?;
        let rows = self.rows(hypotheses, layout)?;
        let Some(other) = &self.against else {
            let suite = self.suite(&[&rows], further)?;
            let scored = suite.score(rows.iter().map(Row::item))?;
            return Ok(Outcome::Scores(self.report(hypotheses, &rows, &scored)?));
        };
        let others = answers_to(&rows, hypotheses, read_rows(other, other_layout)?, other)?;
        let suite = self.suite(&[&rows, &others], further)?;
        let scored = suite.score(rows.iter().map(Row::item))?;
        let other_scored = suite.score(others.iter().map(Row::item))?;
        let units = Units::of(&rows);
        let resampling = (self.resamples > 0).then(|| self.resampling()).transpose()?;
        let compared = scored.compare(&other_scored, &units.names(), resampling.as_ref())?;
        let name = |path: &Path, layout: Option<&str>| match layout {
            Some(layout) => format!("{} ({layout})", path.display()),
            None => path.display().to_string(),
        };
        Ok(Outcome::Comparison(ComparisonReport {
            systems: [name(hypotheses, layout), name(other, other_layout)],
            suite: scored.suite().to_owned(),
            items: scored.items(),
            units: units.told(),
            resamples: self.resamples,
            notes: self.notes(&scored),
            rows: compared,
        }))
    }

    /// The layout of HYP and of the one it is compared with.
    fn layouts(&self) -> Result<(Option<&str>, Option<&str>), Error> {
        match self.layout.as_slice() {
            [] => Ok((None, None)),
            [one] => Ok((Some(one), Some(one))),
            [one, other] if self.against.is_some() => Ok((Some(one), Some(other))),
            several => Err(Error::Setting(format!(
                "{} layouts for one system: give one, or compare with --against",
                several.len()
            ))),
        }
    }

    fn rows(&self, hypotheses: &Path, layout: Option<&str>) -> Result<Vec<Row>, Error> {
        let mut rows = read_rows(hypotheses, layout)?;
        for references in &self.references {
            add_references(&mut rows, hypotheses, references)?;
        }
        match rows.iter().find(|row| row.references.is_empty()) {
            Some(row) => Err(Error::Resource {
                path: hypotheses.to_owned(),
                problem: format!("`{}` has no reference: name a file of references (REF)", row.id()),
            }),
            None => Ok(rows),
        }
    }

    fn suite(&self, systems: &[&[Row]], further: &[Arc<dyn Metric>]) -> Result<Suite, Error> {
        let resources = self.resources(systems)?;
        let suite = match self.metric.as_slice() {
            [] => Suite::preset(self.preset, &resources),
            names => Suite::of_names(names, &resources),
        };
        Ok(further.iter().cloned().fold(suite?, Suite::with))
    }

    fn resources(&self, systems: &[&[Row]]) -> Result<Resources, Error> {
        let folders = ResourceFolders {
            nltk_data: self.nltk_data.clone(),
            meteor: self.meteor.clone(),
            wordnet: self.wordnet.clone(),
        };
        let metrics: Vec<&str> = match self.metric.as_slice() {
            [] => self.preset.metric_names().collect(),
            names => names.iter().map(String::as_str).collect(),
        };
        let resources = Resources::find_for(&metrics, &folders)?;
        let Some(file) = &self.vectors else { return Ok(resources) };
        let rows = systems.iter().copied().flatten();
        resources.with_vectors_for(file, rows.flat_map(|row| row.references.iter().chain([&row.hypothesis])))
    }

    fn report(&self, hypotheses: &Path, rows: &[Row], scored: &Scored) -> Result<ScoreReport, Error> {
        let units = Units::of(rows);
        let values = match self.resamples {
            0 => scored.rows(),
            _ => scored.rows_with_intervals(&units.names(), &self.resampling()?)?,
        };
        Ok(ScoreReport {
            system: hypotheses.display().to_string(),
            suite: scored.suite().to_owned(),
            items: scored.items(),
            units: units.told(),
            resamples: self.resamples,
            notes: self.notes(scored),
            rows: values,
            parts: self.parts(hypotheses, rows, scored)?,
        })
    }

    fn parts(&self, hypotheses: &Path, rows: &[Row], scored: &Scored) -> Result<BTreeMap<String, Part>, Error> {
        let Some(field) = &self.by else { return Ok(BTreeMap::new()) };
        let mut items: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, row) in rows.iter().enumerate() {
            let value = row.field(field).ok_or_else(|| Error::Resource {
                path: hypotheses.to_owned(),
                problem: format!("`{}` has no field `{field}`, nor has its reference", row.id()),
            })?;
            items.entry(value).or_default().push(at);
        }
        let part = |items: Vec<usize>| Part { items: items.len(), rows: scored.rows_of_items(&items) };
        Ok(items.into_iter().map(|(value, items)| (value, part(items))).collect())
    }

    /// What the numbers lack; who asks for a part of METEOR by its name knows.
    fn notes(&self, scored: &Scored) -> Vec<String> {
        let wants_all = |name: &String| !name.starts_with("meteor-exact");
        let notes = notes(scored).into_iter();
        let is_meant =
            !self.metric.is_empty() && !self.metric.iter().filter(|name| name.starts_with("meteor")).any(wants_all);
        notes.filter(|note| !(is_meant && note.starts_with("METEOR without"))).collect()
    }

    fn resampling(&self) -> Result<Resampling, Error> {
        Resampling::new(self.resamples, 0.95, self.seed)
    }
}

/// The second system's answers to what the first one answered, in its order and with its references.
fn answers_to(rows: &[Row], path: &Path, others: Vec<Row>, other_path: &Path) -> Result<Vec<Row>, Error> {
    let count = others.len();
    let mut by_id: BTreeMap<String, Row> = others.into_iter().map(|row| (row.id(), row)).collect();
    refuse_repetitions(other_path, count, by_id.len())?;
    refuse_repetitions(path, rows.len(), rows.iter().map(Row::id).collect::<BTreeSet<_>>().len())?;
    let aligned = rows.iter().map(|row| {
        let mut other = by_id.remove(&row.id()).ok_or_else(|| unanswered(other_path, &row.id(), path))?;
        other.references.clone_from(&row.references);
        Ok(other)
    });
    let aligned = aligned.collect::<Result<Vec<Row>, Error>>()?;
    match by_id.keys().next() {
        Some(id) => Err(unanswered(path, id, other_path)),
        None => Ok(aligned),
    }
}

fn refuse_repetitions(path: &Path, rows: usize, ids: usize) -> Result<(), Error> {
    if rows == ids {
        return Ok(());
    }
    let problem = format!("{rows} responses to {ids} examples and strategies: choose a layout with --layout");
    Err(Error::Resource { path: path.to_owned(), problem })
}

fn unanswered(path: &Path, id: &str, other: &Path) -> Error {
    let problem = format!("no response for `{id}`, which {} answers: compare answers to the same", other.display());
    Error::Resource { path: path.to_owned(), problem }
}
