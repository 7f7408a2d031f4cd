//! `magic finetune`: a model learns to write the motivations.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format, Shortening, fine_tune};
use lora::sft::{SftEncoder, SftRecord};
use magic::{Task, encode_dropping_turns, encode_proportionally, smoothed_curve};
use training::RunDir;
use training::tracking::{Entry, read_events};

use crate::inference_arguments::{Finetune, Truncate};

/// The loss of a run as numbers, in its folder.
const LOSS_CURVE: &str = "loss_curve.csv";

pub(crate) fn run(options: &Finetune, format: Format) -> Result<ExitCode, Failure> {
    options.check()?;
    let template = options.template.load(Task::Inference)?;
    let dropping_turns =
        |encoder: &SftEncoder<'_>, record: &SftRecord| encode_dropping_turns(&template, encoder, record);
    let name = options.truncate.name();
    let shortening = match options.truncate {
        Truncate::OldestTurns => Shortening { name, encode: &dropping_turns },
        Truncate::Proportional => Shortening { name, encode: &encode_proportionally },
    };
    let code = fine_tune(&options.fine_tune, &shortening, format)?;
    if !options.fine_tune.dry_run {
        write_loss_curve(&options.fine_tune.out)?;
    }
    Ok(code)
}

/// Writes the loss and its smoothed line.
fn write_loss_curve(out: &Path) -> Result<(), Failure> {
    let run = RunDir::open(out)?;
    let mut points = Vec::new();
    for event in read_events(&run.events_file())? {
        let Entry::Scalars(values) = event.entry else { continue };
        points.extend(values.into_iter().filter(|(name, _)| name == "loss").map(|(_, loss)| (event.at.step, loss)));
    }
    let smoothed = smoothed_curve(&points.iter().map(|(_, loss)| *loss).collect::<Vec<_>>());
    let mut table = "step,loss,smoothed\n".to_owned();
    for ((step, loss), smoothed) in points.iter().zip(smoothed) {
        writeln!(table, "{step},{loss},{smoothed}").map_err(Failure::work)?;
    }
    Ok(run.write(LOSS_CURVE, table.as_bytes())?)
}
