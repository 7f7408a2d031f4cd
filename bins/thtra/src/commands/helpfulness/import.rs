//! `thtra helpfulness import`: published weights become a model of this program.

use std::process::ExitCode;

use command_line::{Failure, Format, hugging_face_folder, print_json};
use helpfulness::{FrozenEncoder, HelpfulnessConfig, LabelTable, NetworkOptions, TrainableHelpfulness};
use serde::Serialize;

use crate::helpfulness_arguments::HelpfulnessImport;

#[derive(Serialize)]
struct Imported {
    model: String,
    classes: usize,
    prefix_length: usize,
    hidden: usize,
}

pub(crate) fn run(options: &HelpfulnessImport, format: Format) -> Result<ExitCode, Failure> {
    let labels = options.table.given()?.map_or_else(|| LabelTable::published(2), Ok)?;
    let encoder = hugging_face_folder(&options.encoder, &options.machine)?;
    let encoder = FrozenEncoder::open(&encoder, &options.machine.device.open()?)?;
    let base = HelpfulnessConfig {
        network: NetworkOptions { mask: options.mask.mask(), ..NetworkOptions::default() },
        layout: options.reading.layout(),
        ..HelpfulnessConfig::preference(labels)
    };
    let imported = TrainableHelpfulness::import(&options.weights, encoder, base)?;
    imported.save(&options.out)?;
    let config = &imported.model.config;
    let told = Imported {
        model: options.out.display().to_string(),
        classes: config.labels.classes(),
        prefix_length: config.network.prefix_length,
        hidden: config.network.hidden,
    };
    match format {
        Format::Json => print_json(&told)?,
        Format::Text => println!(
            "{}: {} classes, prefixes of length {}, width {} inside",
            told.model, told.classes, told.prefix_length, told.hidden
        ),
    }
    Ok(ExitCode::SUCCESS)
}
