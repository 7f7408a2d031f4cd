//! How a helpfulness model and annotators get on, as files and as lines.

use std::fmt::Write;
use std::path::Path;

use command_line::Failure;
use helpfulness::{CalibrationReport, ConstantForecast};
use serde::Serialize;

/// Bins of a reliability diagram.
pub(super) const BINS: usize = 10;

/// A model beside annotators.
#[derive(Serialize)]
pub(super) struct Judged {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) report: CalibrationReport,
}

/// The models of an evaluation on the same records, the one in question first.
#[derive(Serialize)]
pub(super) struct Judgement {
    pub(super) records: String,
    pub(super) models: Vec<Judged>,
}

impl Judgement {
    /// Writes `calibration.json`, `calibration.txt` and a diagram of each model: `reliability.svg`, `reliability-2.svg`.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(folder).map_err(Failure::at(folder))?;
        let json = serde_json::to_string_pretty(self).map_err(Failure::work)? + "\n";
        for (name, text) in [("calibration.json", json), ("calibration.txt", self.in_words())] {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Failure::at(&path))?;
        }
        for (place, judged) in self.models.iter().enumerate() {
            let stem = if place == 0 { "reliability".to_owned() } else { format!("reliability-{}", place + 1) };
            judged
                .report
                .figure(&judged.name)
                .write(folder.join(stem), &[charts::Format::Svg])
                .map_err(Failure::work)?;
        }
        Ok(())
    }

    /// A table of models and constant forecasts, and the annotators of the first model.
    pub(super) fn in_words(&self) -> String {
        let Some(first) = self.models.first() else { return String::new() };
        let report = &first.report;
        let mut text = format!(
            "{}: {} responses, {} annotations, agreement among annotators (alpha) {}\n\n",
            self.records,
            report.responses,
            report.annotations,
            optional(report.alpha)
        );
        let width = self.models.iter().map(|judged| judged.name.chars().count()).fold(22, usize::max);
        let mut row = |name: &str, values: [String; 4]| {
            let [brier, error, accuracy, spearman] = values;
            // Writing into a text can't fail.
            let _ = writeln!(text, "{name:<width$}  {brier:>7}  {error:>17}  {accuracy:>8}  {spearman:>8}");
        };
        row("", ["Brier", "calibration error", "accuracy", "Spearman"].map(str::to_owned));
        for Judged { name, report } in &self.models {
            let values = [report.brier, report.calibration_error, report.accuracy].map(number);
            let [brier, error, accuracy] = values;
            row(name, [brier, error, accuracy, optional(report.spearman)]);
        }
        for (name, constant) in [("always the shares", &report.shares), ("always the vote", &report.vote)] {
            let ConstantForecast { brier, calibration_error, accuracy, .. } = constant;
            row(name, [number(*brier), number(*calibration_error), number(*accuracy), optional(None)]);
        }
        text + "\n" + &annotators(report)
    }
}

fn annotators(report: &CalibrationReport) -> String {
    let mut text = "annotator  annotations  agreement  kappa  helpful  expected  Brier\n".to_owned();
    for annotator in &report.annotators {
        let _ = writeln!(
            text,
            "{:>9}  {:>11}  {:>9}  {:>5}  {:>7}  {:>8}  {:>5}",
            annotator.annotator + 1,
            annotator.annotations,
            number(annotator.agreement),
            optional(annotator.kappa),
            number(annotator.helpful),
            number(annotator.expected),
            number(annotator.brier)
        );
    }
    text
}

fn number(value: f64) -> String {
    format!("{value:.3}")
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}
