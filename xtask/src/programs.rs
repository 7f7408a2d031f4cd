//! The programs as processes, and their folders: started in a group of their own, cut at a moment, waited for.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What an interrupted command ends with.
const INTERRUPTED: i32 = 130;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// The built programs.
pub(crate) struct Programs {
    folder: PathBuf,
    threads: usize,
}

impl Programs {
    /// Those in the folder of this program.
    pub(crate) fn beside_this_one(threads: usize) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| format!("the folder of the built programs: {error}"))?;
        let folder = own.parent().unwrap_or(Path::new(".")).to_owned();
        match ["sra", "magic", "thtra", "persuasion", "solace"].into_iter().find(|name| !folder.join(name).is_file()) {
            Some(missing) => Err(format!(
                "{}: no `{missing}` here; build the programs first: cargo build --workspace",
                folder.display()
            )),
            None => Ok(Self { folder, threads }),
        }
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A line of shell in a folder, which is its home too; these programs come first.
    pub(crate) fn shell(&self, line: &str, folder: &Path) -> Result<Command, String> {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(self.folder.clone()).chain(std::env::split_paths(&others)));
        let mut command = Command::new("bash");
        command.args(["-c", line]).current_dir(folder).env("PATH", path.map_err(|error| error.to_string())?);
        command.env("HOME", folder);
        command.env_remove("RUST_LOG").env_remove("OPENAI_API_KEY").stdin(Stdio::null());
        Ok(command)
    }

    /// A program with these words, in a folder, without what an environment may bring.
    pub(crate) fn command(&self, program: &str, words: &[String], folder: &Path) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command.args(words).args(["--quiet", "--threads", &self.threads.to_string()]).current_dir(folder);
        command.env_remove("RUST_LOG").env_remove("OPENAI_API_KEY").stdin(Stdio::null());
        command
    }
}

/// How a run is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Kill,
    Terminate,
    Interrupt,
}

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Kill, Self::Terminate, Self::Interrupt];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    fn number(self) -> libc::c_int {
        match self {
            Self::Kill => libc::SIGKILL,
            Self::Terminate => libc::SIGTERM,
            Self::Interrupt => libc::SIGINT,
        }
    }
}

/// Starts a program whose output goes to a file.
pub(crate) fn start(
    programs: &Programs,
    program: &str,
    words: &[String],
    folder: &Path,
    log: &Path,
) -> Result<Running, String> {
    spawn(programs.command(program, words, folder), format!("{program} {}", words.join(" ")), log)
}

/// Starts a command whose output goes to a file; `line` is what messages call it.
pub(crate) fn spawn(mut command: Command, line: String, log: &Path) -> Result<Running, String> {
    let file = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let errors = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
    // A group, so that a program that works through others is ended as a whole, as a terminal or a job scheduler does it.
    let child = command.stdout(file).stderr(errors).process_group(0).spawn();
    let child = child.map_err(|error| format!("{line}: {error}"))?;
    Ok(Running { child, begun: Instant::now(), log: log.to_owned(), line })
}

/// A program at work. It is killed if nobody waits for it.
pub(crate) struct Running {
    child: Child,
    begun: Instant,
    log: PathBuf,
    line: String,
}

impl Running {
    /// Waits for its end.
    pub(crate) fn wait(mut self, patience: Duration) -> Result<Outcome, String> {
        self.end(patience).map(|(status, after)| self.outcome(status, after, None))
    }

    /// Sends a signal so long after the start, unless it has ended by then, and waits for its end.
    pub(crate) fn signal(mut self, signal: Signal, after: Duration, patience: Duration) -> Result<Outcome, String> {
        if let Some((status, after)) = self.wait_until(self.begun + after)? {
            return Ok(self.outcome(status, after, None));
        }
        self.send(signal);
        let (status, after) = self.end(patience)?;
        self.wait_for_the_group(patience)?;
        Ok(self.outcome(status, after, Some(signal)))
    }

    fn end(&mut self, patience: Duration) -> Result<(ExitStatus, Duration), String> {
        let ended = self.wait_until(Instant::now() + patience)?;
        ended.ok_or_else(|| format!("{}: not at its end after {} s", self.line, patience.as_secs()))
    }

    fn wait_until(&mut self, deadline: Instant) -> Result<Option<(ExitStatus, Duration)>, String> {
        loop {
            if let Some(status) = self.child.try_wait().map_err(|error| format!("{}: {error}", self.line))? {
                return Ok(Some((status, self.begun.elapsed())));
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(None);
            }
            std::thread::sleep(BETWEEN_LOOKS.min(deadline - now));
        }
    }

    /// Processes that a program has started may end a moment after it, and hold their locks until then.
    fn wait_for_the_group(&self, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        while is_any_running(self.child.id()) {
            if Instant::now() >= deadline {
                return Err(format!("{}: a process that it started runs on after it", self.line));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }

    fn send(&self, signal: Signal) {
        if let Ok(group) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: the group of a child that nobody has waited for, so that its number is still its own.
            unsafe { libc::kill(-group, signal.number()) };
        }
    }

    fn outcome(&self, status: ExitStatus, after: Duration, sent: Option<Signal>) -> Outcome {
        let ended = match (status.code(), sent) {
            (Some(0), _) => Ended::Well,
            // Before a program listens, a signal ends it as any other program.
            (None, Some(signal)) if status.signal() == Some(signal.number()) => Ended::Cut,
            (Some(INTERRUPTED), Some(Signal::Terminate | Signal::Interrupt)) => Ended::Cut,
            _ => Ended::Badly,
        };
        Outcome { ended, status, after, line: self.line.clone(), log: self.log.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.send(Signal::Kill);
            let _ = self.child.wait();
        }
    }
}

/// Whether a process of the group still runs. One that has ended and that nobody has asked about does not.
fn is_any_running(group: u32) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let is_of_group = |process: std::fs::DirEntry| {
        // `PID (NAME) STATE PARENT GROUP …`, where the name may hold anything.
        let line = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let mut fields = line.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
        let state = fields.next().unwrap_or_default();
        fields.nth(1).is_some_and(|own| own == group.to_string()) && !["Z", "X"].contains(&state)
    };
    processes.flatten().any(is_of_group)
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with success.
    Well,
    /// By the signal.
    Cut,
    /// Any other way.
    Badly,
}

/// A run that has ended.
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    status: ExitStatus,
    /// Time since the start.
    pub(crate) after: Duration,
    line: String,
    log: PathBuf,
}

impl Outcome {
    pub(crate) fn must_be_good(&self, what: &str) -> Result<(), String> {
        if self.ended == Ended::Well { Ok(()) } else { Err(self.complaint(what)) }
    }

    /// What went wrong, with the end of what the program said.
    pub(crate) fn complaint(&self, what: &str) -> String {
        const SHOWN: usize = 12;
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n    ");
        format!("{what} ended with {}: {}\n    {last}", self.status, self.line)
    }
}

/// Whether there is any file in a folder.
pub(crate) fn has_written(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => has_written(&entry.path()),
        _ => true,
    })
}

/// Makes the folder that a task works in: a new one, or one of its own among the temporary ones. Also gives whether it was named, and is to be kept.
pub(crate) fn work_folder(given: Option<&Path>, task: &str) -> Result<(PathBuf, bool), String> {
    let folder = match given {
        Some(folder) => std::path::absolute(folder).map_err(|error| format!("{}: {error}", folder.display()))?,
        None => std::env::temp_dir().join(format!("solace-{task}-{}", std::process::id())),
    };
    if folder.exists() {
        return Err(format!("{}: it exists already; name a folder that does not", folder.display()));
    }
    make_folder(&folder)?;
    Ok((folder, given.is_some()))
}

pub(crate) fn make_folder(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

pub(crate) fn remove_folder(folder: &Path) -> Result<(), String> {
    std::fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}
