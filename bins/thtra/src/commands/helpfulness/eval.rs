//! `thtra helpfulness eval`: a model's probabilities beside what annotators said.

use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format, output_place, print_json};
use helpfulness::{CalibrationReport, HelpfulnessModel, LabelTable, RecordFile};

use super::open;
use super::report::{Judged, Judgement};
use crate::helpfulness_arguments::HelpfulnessEval;

pub(crate) fn run(options: &HelpfulnessEval, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_folder(&options.out)?;
    let mut file = RecordFile::read(&options.records)?;
    file.records.truncate(options.limit.unwrap_or(usize::MAX));
    let model = options.trained.open()?;
    let labels = match (&options.labels, file.labels.take()) {
        (Some(path), _) => LabelTable::open(path)?,
        (None, Some(own)) => own,
        (None, None) => model.config.labels.clone(),
    };
    let judged = |folder: &Path, model: &HelpfulnessModel| -> Result<Judged, Failure> {
        let forecasts = model.forecasts(&file.records, &labels)?;
        Ok(Judged { name: folder.display().to_string(), report: CalibrationReport::new(&forecasts, options.bins)? })
    };
    let mut models = vec![judged(&options.trained.model, &model)?];
    if let Some(folder) = &options.baseline {
        let baseline = open(folder, options.trained.encoder.as_deref(), &options.trained.machine)?;
        models.push(judged(folder, &baseline)?);
    }
    let judgement = Judgement { records: options.records.display().to_string(), models };
    judgement.write(&options.out)?;
    match format {
        Format::Json => print_json(&judgement)?,
        Format::Text => print!("{}", judgement.in_words()),
    }
    Ok(ExitCode::SUCCESS)
}
