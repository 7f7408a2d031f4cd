//! Surroundings that fail: disks that are full or read-only, pipes that nobody reads, files that are none. The other programs' tests take these helpers from here.

#![allow(dead_code, reason = "not every program's tests need all of them")]

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What `ulimit -f` counts in.
const BLOCK: u64 = 512;

/// No command may wait or read longer than that for what is no file.
const AT_ONCE: Duration = Duration::from_secs(20);

/// The words, with `value` in the place of `mark`.
pub(crate) fn filled<'a>(words: &[&'a str], mark: &str, value: &'a str) -> Vec<&'a str> {
    words.iter().map(|word| if *word == mark { value } else { word }).collect()
}

/// What a program complains of that could not do its work.
pub(crate) fn complaint(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    told
}

/// What a command complains of that must fail at once.
pub(crate) fn complaint_at_once(command: &mut Command) -> String {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > AT_ONCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} still reads");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 2)) && !told.contains("panicked"), "{command:?}: {told}");
    told
}

/// Of a file, in bytes.
pub(crate) fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// The command where files can't grow beyond so many bytes, in steps of 512: a write past that fails half-way, as on a full disk.
pub(crate) fn with_largest_file(command: &Command, bytes: u64) -> Command {
    // The system also sends a signal, which would end the program before it sees the error.
    through_shell(&format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / BLOCK), command)
}

/// The command behind a shell's `script`, which runs it as `"$0" "$@"`.
fn through_shell(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(command.get_program()).args(command.get_args());
    with_its_surroundings(shell, command)
}

fn with_its_surroundings(mut outer: Command, inner: &Command) -> Command {
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(folder) = inner.get_current_dir() {
        outer.current_dir(folder);
    }
    outer
}

/// Runs the command where `folder` is a disk of its own, with room for so many bytes; what is on it in the end is there afterwards. `None`, said
/// aloud, where the system lets nobody but its administrator mount.
pub(crate) fn on_small_disk(command: &Command, folder: &Path, bytes: u64) -> Option<Output> {
    let mount = format!("mount -t tmpfs -o size={bytes} none \"$FOLDER\"");
    let script = format!("{mount} && {{ \"$0\" \"$@\"; ended=$?; cp -a \"$FOLDER/.\" \"$KEPT\"; exit $ended; }}");
    let kept = tempfile::tempdir_in(folder.parent().unwrap()).unwrap();
    let output = in_mounts_of_its_own(&mount, &script, command, folder, kept.path())?;
    let copied = Command::new("cp").arg("-a").arg(kept.path().join(".")).arg(folder).status().unwrap();
    assert!(copied.success());
    Some(output)
}

/// Runs the command where `folder` can't be written. `None`, said aloud, where the system lets nobody but its administrator mount.
pub(crate) fn where_nothing_can_be_written(command: &Command, folder: &Path) -> Option<Output> {
    let mount = "mount --bind \"$FOLDER\" \"$FOLDER\" && mount -o remount,bind,ro \"$FOLDER\"";
    in_mounts_of_its_own(mount, &format!("{mount} && exec \"$0\" \"$@\""), command, folder, folder)
}

fn in_mounts_of_its_own(mount: &str, script: &str, command: &Command, folder: &Path, kept: &Path) -> Option<Output> {
    let shell = |script: &str| {
        let mut shell = Command::new("unshare");
        shell
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .env("FOLDER", folder)
            .env("KEPT", kept);
        shell
    };
    let tried = shell(mount).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        println!("skipped: mounts of one's own are not allowed here (unshare --user --mount)");
        return None;
    }
    let mut inside = shell(script);
    inside.arg(command.get_program()).args(command.get_args());
    Some(with_its_surroundings(inside, command).output().unwrap())
}

/// Runs the command where nobody reads its standard output any more.
pub(crate) fn behind_a_closed_pipe(command: &mut Command) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output { status: child.wait().unwrap(), stdout: Vec::new(), stderr }
}

/// Whether the program ended as others do whose pipe is closed: with its signal and without a word.
pub(crate) fn ended_quietly(output: &Output) -> bool {
    /// Number of the signal, in every Unix.
    const SIGPIPE: i32 = 13;
    output.status.signal() == Some(SIGPIPE) && output.stderr.is_empty()
}

/// All files below a folder, each with what it holds.
pub(crate) fn files_below(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found
}
