//! `sra classifier`: which strategy does a response follow? An encoder with a head, trained on responses with their strategies.

mod data;
mod eval;
mod model;
mod predict;
mod rows;
mod train;

use std::process::ExitCode;

use command_line::{Failure, Format};

pub(crate) use model::sentence_encoder;

use crate::classifier_arguments::ClassifierCommand;

pub(crate) fn run(command: &ClassifierCommand, format: Format) -> Result<ExitCode, Failure> {
    match command {
        ClassifierCommand::Train(options) => train::run(options, format),
        ClassifierCommand::Eval(options) => eval::run(options, format),
        ClassifierCommand::Predict(options) => predict::run(options, format),
    }
}
