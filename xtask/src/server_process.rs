//! A server of ours as a process, for as long as it is needed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A program that serves until this is dropped.
pub(crate) struct ServerProcess {
    child: Child,
    /// Kept open: a program whose reader is gone ends at its next line.
    _output: BufReader<ChildStdout>,
    /// Where it listens: what it printed first.
    pub(crate) address: String,
}

impl ServerProcess {
    /// Starts a command that prints `http://ADDRESS…` when it listens.
    ///
    /// # Errors
    /// It can't be started, or prints something else.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self, String> {
        let file = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut child =
            command.stdout(Stdio::piped()).stderr(file).spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let Some(output) = child.stdout.take() else { return Err(format!("{command:?}: it has no output")) };
        let (mut output, mut line) = (BufReader::new(output), String::new());
        let _ = output.read_line(&mut line);
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split(['/', ' ']).next())
            .unwrap_or_default()
            .to_owned();
        let server = Self { child, _output: output, address };
        match server.address.is_empty() {
            true => Err(format!("{command:?} did not say where it listens: see {}", log.display())),
            false => Ok(server),
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
