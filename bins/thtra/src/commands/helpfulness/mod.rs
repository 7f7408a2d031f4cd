//! `thtra helpfulness`: a model of how helpful responses are.

mod eval;
mod import;
mod report;
mod score;
mod train;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::helpfulness::HelpfulnessModel;
use command_line::{Failure, Format, Machine, hugging_face_folder};
use thtra::open_helpfulness;

use crate::helpfulness_arguments::{Helpfulness, HelpfulnessCommand, Trained};

pub(crate) fn run(options: &Helpfulness, format: Format) -> Result<ExitCode, Failure> {
    match &options.command {
        HelpfulnessCommand::Train(options) => train::run(options, format),
        HelpfulnessCommand::Eval(options) => eval::run(options, format),
        HelpfulnessCommand::Score(options) => score::run(options, format),
        HelpfulnessCommand::Import(options) => import::run(options, format),
    }
}

impl Trained {
    fn open(&self) -> Result<HelpfulnessModel, Failure> {
        open(&self.model, self.encoder.as_deref(), &self.machine)
    }
}

/// The model of a folder, on its encoder or on the one that is named.
fn open(folder: &Path, encoder: Option<&str>, machine: &Machine) -> Result<HelpfulnessModel, Failure> {
    let encoder: Option<PathBuf> = encoder.map(|name| hugging_face_folder(name, machine)).transpose()?;
    Ok(open_helpfulness(folder, encoder.as_deref(), &machine.device.open()?)?)
}
