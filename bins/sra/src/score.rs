//! `sra score`: responses against references.

use std::process::ExitCode;
use std::sync::Arc;

use command_line::{AnyModel, Delivery, Failure, Format};
use esc_metrics::{MeanBertScore, Metric, ModelPerplexity, SentenceSimilarity};
use text_encoder::ScoringEncoder;

use crate::classifier::sentence_encoder;
use crate::score_arguments::Score;

pub(crate) fn run(options: &Score, format: Format) -> Result<ExitCode, Failure> {
    let outcome = options.score.run(&by_models(options)?).map_err(|error| match error {
        esc_metrics::Error::Setting(problem) => Failure::wrong_use(problem),
        other => Failure::work(other),
    })?;
    match format {
        Format::Text => print!("{outcome}"),
        Format::Json => command_line::print_json(&outcome)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Metrics that need a model.
fn by_models(options: &Score) -> Result<Vec<Arc<dyn Metric>>, Failure> {
    let mut metrics: Vec<Arc<dyn Metric>> = Vec::new();
    if let Some(name) = &options.encoder {
        let encoder = sentence_encoder(name, &options.runtime.model.machine)?;
        let encoder = Arc::new(ScoringEncoder::new(encoder, name, options.encoder_layer)?);
        metrics.push(Arc::new(MeanBertScore::new(encoder.clone())));
        metrics.push(Arc::new(SentenceSimilarity::new(encoder)));
    }
    if let Some(name) = &options.model {
        let model = AnyModel::load(name, &options.runtime, &options.server, Delivery::Whole)?;
        metrics.push(Arc::new(ModelPerplexity::new(Box::new(model))));
    }
    Ok(metrics)
}
