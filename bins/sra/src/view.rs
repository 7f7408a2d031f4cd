//! `sra view`: look at captured runs in the browser.

use std::process::ExitCode;

use attention_viz::{RunIndex, ServerOptions, serve};
use command_line::{Failure, share_heaps};

use crate::attention_arguments::View;

pub(crate) fn run(options: &View) -> Result<ExitCode, Failure> {
    share_heaps();
    let index = RunIndex::open(&options.runs).map_err(Failure::work)?;
    for problem in &index.listing().problems {
        tracing::warn!("left out: {problem}");
    }
    let settings = ServerOptions { address: options.address, hosts: options.allow_host.clone() };
    serve(index, &settings, |address| println!("http://{address}/  (Ctrl-C ends)")).map_err(Failure::work)?;
    Ok(ExitCode::SUCCESS)
}
