//! Commands of this and the other programs as steps of a whole: printed before they run, so that each can be repeated by hand.

use std::ffi::OsString;
use std::process::ExitCode;

use command_line::{Common, Failure, interrupt};

/// Runs a command line; `common` are this program's own options, for steps of itself. `false` if it was interrupted.
///
/// # Errors
/// It fails, or ends with an exit code that is none of success or interruption.
pub(crate) fn step(line: &[&str], common: &Common) -> Result<bool, Failure> {
    let shown: Vec<String> = line.iter().map(|word| quoted(word)).collect();
    let shown = shown.join(" ");
    eprintln!("\n$ {shown}");
    let words: Vec<OsString> = line.iter().map(OsString::from).collect();
    let code = match line.first().copied() {
        Some("magic") => magic::step(words),
        Some("thtra") => thtra::step(words),
        Some("persuasion") => persuasion::step(words),
        Some("solace") => return own(&words[1..], common),
        other => Err(Failure::work(format!("{other:?} is no program of the pipeline"))),
    };
    if code.map_err(|failure| failure.about(&shown))? == ExitCode::SUCCESS {
        return Ok(true);
    }
    if interrupt::was_asked() { Ok(false) } else { Err(Failure::work(format!("{shown}: ended without success"))) }
}

/// A step of this program.
fn own(words: &[OsString], common: &Common) -> Result<bool, Failure> {
    let more = common.quiet.then_some("--quiet".into()).into_iter();
    let more = more.chain(common.threads.map(|threads| format!("--threads={threads}").into()));
    in_a_process_of_its_own(words.iter().cloned().chain(more), "a step of the demonstration failed")
}

/// Runs this program in another process: one keeps the memory that it was once given, and so only a new one tells what its work takes. `false` if it was
/// interrupted.
///
/// # Errors
/// It can't be run, or it `failed`, after it has said why.
pub(crate) fn in_a_process_of_its_own(
    words: impl IntoIterator<Item = OsString>,
    failed: &str,
) -> Result<bool, Failure> {
    let program =
        std::env::current_exe().map_err(|error| Failure::work(format!("this program can't find itself: {error}")))?;
    interrupt::listen();
    let mut child = std::process::Command::new(&program).args(words).spawn().map_err(Failure::at(&program))?;
    match interrupt::wait_for(&mut child).map_err(Failure::work)?.code() {
        Some(0) => Ok(true),
        Some(code) if code == i32::from(interrupt::EXIT_CODE) => Ok(false),
        // By the signal, which came before it listened.
        None if interrupt::was_asked() => Ok(false),
        _ => Err(Failure::work(failed)),
    }
}

/// As a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./,:=@+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_shown_as_a_shell_takes_them() {
        assert_eq!(quoted("runs/a-b_1.2"), "runs/a-b_1.2");
        assert_eq!(quoted("fixed:Offer Hope"), "'fixed:Offer Hope'");
        assert_eq!((quoted(""), quoted("it's")), ("''".into(), r"'it'\''s'".into()));
    }
}
