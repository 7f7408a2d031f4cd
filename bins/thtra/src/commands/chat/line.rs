//! What a line means: a text for the supporter, or a command.

use std::path::PathBuf;

use command_line::terminal::{Typed, no_such_command, typed};
use thtra::Strategy;

/// What `/help` says.
pub(super) const HELP: &str = "\
/strategy              the strategies, and which one is followed
/strategy NAME|auto    answer by this strategy from now on, or let the model choose
/candidates N          N different answers to what you said last; the chat keeps its own
/undo                  take the last exchange back
/history               the chat so far
/save FILE             keep the chat in a new file of dialogue lines; /save! FILE replaces a file
/help                  this list
/quit                  end (also Ctrl-D)
//TEXT                 send a text that begins with one slash";

/// The commands' names, as the hints give them.
const NAMES: [&str; 8] = ["strategy", "candidates", "undo", "history", "save", "save!", "help", "quit"];

/// At most so many candidates.
const MOST_CANDIDATES: usize = 100;

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// The seeker says something.
    Say(String),
    /// List the strategies.
    ListStrategies,
    /// Follow this strategy; none lets the model choose.
    Follow(Option<Strategy>),
    /// Show so many answers.
    Candidates(usize),
    /// Take the last exchange back.
    Undo,
    /// Show the chat.
    History,
    /// Keep the chat in a file.
    Save {
        /// The file.
        path: PathBuf,
        /// Whether a file that exists is replaced.
        overwrite: bool,
    },
    /// List the commands.
    Help,
    /// End.
    Quit,
}

/// Understands a line; `None` for a blank one.
pub(super) fn parse(line: &str) -> Result<Option<Command>, String> {
    match typed(line) {
        Typed::Blank => Ok(None),
        Typed::Text(text) => Ok(Some(Command::Say(text.to_owned()))),
        Typed::Command { name, argument } => command(name, argument).map(Some),
    }
}

fn command(name: &str, argument: &str) -> Result<Command, String> {
    let plain = |command: Command| match argument {
        "" => Ok(command),
        _ => Err(format!("/{name} stands alone, without `{argument}`")),
    };
    let file = |overwrite: bool| match argument {
        "" => Err(format!("/{name} needs a file: /{name} FILE")),
        _ => Ok(Command::Save { path: PathBuf::from(argument), overwrite }),
    };
    match (name, argument) {
        ("strategy", "") => Ok(Command::ListStrategies),
        ("strategy", "auto") => Ok(Command::Follow(None)),
        ("strategy", choice) => strategy(choice).map(Some).map(Command::Follow),
        ("candidates", count) => match count.parse() {
            Ok(count @ 1..=MOST_CANDIDATES) => Ok(Command::Candidates(count)),
            _ => Err(format!("/candidates needs a number from 1 to {MOST_CANDIDATES}, not `{count}`")),
        },
        ("undo", _) => plain(Command::Undo),
        ("history", _) => plain(Command::History),
        ("save", _) => file(false),
        ("save!", _) => file(true),
        ("help", _) => plain(Command::Help),
        ("quit", _) => plain(Command::Quit),
        _ => Err(no_such_command(&NAMES, name)),
    }
}

/// A strategy by its name, or by its number from 1 on.
fn strategy(choice: &str) -> Result<Strategy, String> {
    let by_number = || Strategy::ALL.get(choice.parse::<usize>().ok()?.checked_sub(1)?).copied();
    let known = || Strategy::ALL.map(Strategy::name).join(", ");
    let unknown = || format!("there is no strategy `{choice}`; known are: {}; or auto", known());
    Strategy::find(choice).or_else(by_number).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_texts_commands_or_nothing() {
        let say = |text: &str| Ok(Some(Command::Say(text.into())));
        assert_eq!(parse("  \t"), Ok(None));
        assert_eq!(parse(" I am sad. "), say("I am sad."));
        assert_eq!(parse("//help me"), say("/help me"));
        assert_eq!(parse("/strategy [question]"), Ok(Some(Command::Follow(Some(Strategy::Question)))));
        assert_eq!(parse("/strategy 8"), Ok(Some(Command::Follow(Some(Strategy::Others)))));
        assert_eq!(parse("/strategy auto"), Ok(Some(Command::Follow(None))));
        assert_eq!(parse("/candidates 5"), Ok(Some(Command::Candidates(5))));
        assert_eq!(parse("/save! a b.txt"), Ok(Some(Command::Save { path: "a b.txt".into(), overwrite: true })));
    }

    #[test]
    fn slips_are_told() {
        for (slip, told) in [
            ("/stratgey x", "Did you mean /strategy?"),
            ("/strategy 0", "no strategy `0`; known are: Question,"),
            ("/strategy Hypnosis", "no strategy `Hypnosis`"),
            ("/candidates", "a number from 1 to 100"),
            ("/candidates 0", "a number from 1 to 100"),
            ("/undo 3", "stands alone"),
            ("/save", "needs a file"),
            ("/zzzzzzzz", "/help lists them"),
        ] {
            let problem = parse(slip).unwrap_err();
            assert!(problem.contains(told), "{slip}: {problem}");
        }
    }
}
