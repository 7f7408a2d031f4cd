//! What a line means: a text for the supporter, or a command.

use std::path::PathBuf;

use command_line::terminal::{Typed, no_such_command, typed};

/// What `/help` says.
pub(crate) const HELP: &str = "\
/strategy                the strategies by number
/strategy CHOICE         answer by this strategy from now on: a name, a number, none or random
/layout [NAME]           lay the history out so: standard, c1_hf, c1_hl, c3_hf, c3_hl, c5_hf, c5_hl
/situation [TEXT|none]   what the instruction says about your situation
/retry                   answer the last text again, with the next seed
/undo                    take the last exchange back
/history                 the chat so far
/monitor                 what was measured of each answer (sra chat --monitor)
/reset                   begin anew (strategy, layout and situation stay)
/save FILE               keep the chat in a new file; /save! FILE replaces a file
/load FILE               go on with a kept chat
/help                    this list
/quit                    end (also Ctrl-D)
//TEXT                   send a text that begins with one slash
Ctrl-C ends an answer early; while you are typing it ends the chat.";

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// The seeker says something.
    Say(String),
    /// List the strategies.
    ListStrategies,
    /// Take this strategy (not looked up yet).
    Strategy(String),
    /// Say which layout is used.
    ShowLayout,
    /// Use this layout (not looked up yet).
    Layout(String),
    /// Say what the situation is.
    ShowSituation,
    /// Set the situation; `none` clears it.
    Situation(String),
    /// Take the last exchange back.
    Undo,
    /// Answer the last text again.
    Retry,
    /// Keep the chat in a file.
    Save {
        /// The file.
        path: PathBuf,
        /// Whether a file that exists is replaced.
        overwrite: bool,
    },
    /// Go on with a kept chat.
    Load(PathBuf),
    /// Show the chat.
    History,
    /// Show what was measured of it.
    Monitor,
    /// Begin anew.
    Reset,
    /// List the commands.
    Help,
    /// End.
    Quit,
}

/// The commands' names, as the hints give them.
const NAMES: [&str; 13] = [
    "strategy",
    "layout",
    "situation",
    "undo",
    "retry",
    "save",
    "save!",
    "load",
    "history",
    "monitor",
    "reset",
    "help",
    "quit",
];

/// Understands a line; `None` for a blank one.
pub(crate) fn parse(line: &str) -> Result<Option<Command>, String> {
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
    let file = |command: fn(PathBuf) -> Command| match argument {
        "" => Err(format!("/{name} needs a file: /{name} FILE")),
        _ => Ok(command(PathBuf::from(argument))),
    };
    match (name, argument) {
        ("strategy", "") => Ok(Command::ListStrategies),
        ("strategy", choice) => Ok(Command::Strategy(choice.to_owned())),
        ("layout", "") => Ok(Command::ShowLayout),
        ("layout", name) => Ok(Command::Layout(name.to_owned())),
        ("situation", "") => Ok(Command::ShowSituation),
        ("situation", text) => Ok(Command::Situation(text.to_owned())),
        ("save", _) => file(|path| Command::Save { path, overwrite: false }),
        ("save!", _) => file(|path| Command::Save { path, overwrite: true }),
        ("load", _) => file(Command::Load),
        ("undo", _) => plain(Command::Undo),
        ("retry", _) => plain(Command::Retry),
        ("history", _) => plain(Command::History),
        ("monitor", _) => plain(Command::Monitor),
        ("reset", _) => plain(Command::Reset),
        ("help", _) => plain(Command::Help),
        ("quit", _) => plain(Command::Quit),
        _ => Err(no_such_command(&NAMES, name)),
    }
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
        assert_eq!(parse("/strategy  Offer Hope "), Ok(Some(Command::Strategy("Offer Hope".into()))));
        assert_eq!(parse("/save! a b.jsonl"), Ok(Some(Command::Save { path: "a b.jsonl".into(), overwrite: true })));
    }

    #[test]
    fn slips_get_a_hint() {
        for (slip, meant) in [("/stratgey x", "/strategy?"), ("/hlep", "/help?"), ("/Quit", "/quit?"), ("/", "/help")] {
            let problem = parse(slip).unwrap_err();
            assert!(problem.contains(meant), "{slip}: {problem}");
        }
        assert!(parse("/undo 3").unwrap_err().contains("stands alone"));
        assert!(parse("/load").unwrap_err().contains("needs a file"));
        assert!(!parse("/zzzzzzzz").unwrap_err().contains("Did you mean"));
    }
}
