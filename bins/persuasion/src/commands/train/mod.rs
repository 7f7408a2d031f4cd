//! `persuasion train`: from a folder of pairs to an adapter.

mod fit;
mod published;
mod report;
mod tables;
mod workbench;

use std::process::ExitCode;

use command_line::{Failure, Format, interrupt, open_run, output_place};
use training::{Control, End, RunDir};

pub(crate) use self::fit::{Fitted, distinct_prompts, engine, fit};
pub(crate) use self::workbench::{ADAPTER, Part, REFERENCE_ADAPTER, Settings, Workbench};
use crate::train_arguments::Train;

/// Folder of the trained adapter in a run.
pub(crate) const ADAPTER_FOLDER: &str = "adapter";

pub(crate) fn run(options: &Train, format: Format) -> Result<ExitCode, Failure> {
    if !options.dry_run {
        output_place::check_folder(&options.out)?;
    }
    let mut bench = Workbench::open(&options.setup)?;
    let settings = bench.settings(&options.setup)?;
    if options.dry_run {
        report::dry_run(&bench, &options.setup, &settings, format)?;
        return Ok(ExitCode::SUCCESS);
    }
    bench.begin_adapter(&options.setup, &settings)?;
    let run = open_run(&options.out, options.resume, &settings)?;
    interrupt::listen();
    let fitted = trained(&mut bench, options, &settings, &run);
    if fitted.is_err() && !options.resume {
        // Words that were wrong in a way that only the first evaluation shows must not block the folder for right ones. What went wrong first is
        // the error to tell.
        if let Err(error) = run.abandon() {
            tracing::warn!("{error}");
        }
    }
    let fitted = fitted?;
    report::finished(&run, &fitted, format)?;
    Ok(match fitted.summary.end {
        End::Stopped => ExitCode::from(interrupt::EXIT_CODE),
        End::Finished | End::Early => ExitCode::SUCCESS,
    })
}

fn trained(bench: &mut Workbench, options: &Train, settings: &Settings, run: &RunDir) -> Result<Fitted, Failure> {
    bench.ask_reference(&options.setup)?;
    fit(bench, &options.setup, settings, run, options.resume, &mut |_| Ok(Control::Continue))
}
