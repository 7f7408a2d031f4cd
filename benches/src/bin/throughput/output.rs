//! Where a report goes.

use std::path::{Path, PathBuf};

use benches::Outcome;
use benches::report::Report;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct OutputArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write the JSON here
    #[arg(long)]
    out: Option<PathBuf>,
    /// Also draw the rates into this SVG file
    #[arg(long)]
    svg: Option<PathBuf>,
}

impl OutputArguments {
    /// Prints a report, and writes the files that are asked for.
    pub(crate) fn tell(&self, report: &Report) -> Outcome<()> {
        let json = report.json()?;
        if self.json {
            println!("{json}");
        } else {
            print!("{report}");
        }
        if let Some(path) = &self.out {
            write(path, &json)?;
        }
        if let Some(path) = &self.svg {
            write(path, &report.svg())?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    Ok(std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?)
}
