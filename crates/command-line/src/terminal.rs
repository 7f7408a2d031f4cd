//! A conversation at the terminal: lines that come in, and what the person (or the program that reads along) sees.
//!
//! With `--format json` standard output has one object per turn and nothing else; all the rest goes to standard error. From a pipe there are no
//! prompts.

use std::io::{self, BufRead, IsTerminal, Write};

use serde::Serialize;

use crate::console;
use crate::{Failure, Format};

const PROMPT: &str = "1;36";
const SUPPORTER: &str = "1;32";
const ASIDE: &str = "2";
const PROBLEM: &str = "31";

/// What came in.
pub enum Line {
    /// A line without its end.
    Text(String),
    /// A line that is no UTF-8.
    NotText,
    /// There is no more.
    End,
}

/// Waits for a line of standard input.
///
/// # Errors
/// It can't be read.
pub fn read_line() -> Result<Line, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_until(b'\n', &mut bytes).map_err(Failure::work)?;
    if read == 0 {
        return Ok(Line::End);
    }
    Ok(String::from_utf8(bytes).map_or(Line::NotText, Line::Text))
}

/// A line of a chat: a text, or a command behind a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed<'a> {
    /// Nothing but blanks.
    Blank,
    /// A text; of two slashes at its beginning one is left.
    Text(&'a str),
    /// `/name argument`.
    Command {
        /// Its name.
        name: &'a str,
        /// What stands behind it, without blanks around it; may be empty.
        argument: &'a str,
    },
}

/// Tells texts and commands apart.
pub fn typed(line: &str) -> Typed<'_> {
    let line = line.trim();
    match line.strip_prefix('/') {
        None if line.is_empty() => Typed::Blank,
        None => Typed::Text(line),
        Some(rest) if rest.starts_with('/') => Typed::Text(rest),
        Some(rest) => {
            let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            Typed::Command { name, argument: argument.trim() }
        }
    }
}

/// What to say of a command that there is not, given those there are; for people.
pub fn no_such_command(commands: &[&str], name: &str) -> String {
    let hint = meant(commands, name).map_or_else(String::new, |known| format!(" Did you mean /{known}?"));
    format!("there is no command /{name}.{hint} /help lists them; //{name} sends it as text")
}

/// The command that a slip of the keyboard probably means, if there is one so near.
fn meant<'a>(commands: &[&'a str], typed: &str) -> Option<&'a str> {
    let closest = commands.iter().copied().min_by_key(|known| distance(known, typed))?;
    (distance(closest, typed) <= closest.len() / 2).then_some(closest)
}

/// Letters that one word has and the other has not, order aside: swapped letters are the commonest slip.
fn distance(left: &str, right: &str) -> usize {
    let mut missing: Vec<char> = right.to_lowercase().chars().collect();
    let mut extra = 0;
    for letter in left.chars() {
        match missing.iter().position(|other| *other == letter) {
            Some(at) => drop(missing.swap_remove(at)),
            None => extra += 1,
        }
    }
    extra.max(missing.len())
}

/// What is seen.
pub struct Screen {
    format: Format,
    /// Somebody is typing; a script sees no prompts.
    is_dialogue: bool,
    out: Channel,
    aside: Channel,
    problems: Channel,
}

/// A stream, and whether it is a terminal with colours.
struct Channel {
    stream: Stream,
    is_terminal: bool,
    colours: bool,
}

enum Stream {
    Out,
    Error(io::Stderr),
}

impl Screen {
    /// Standard output and standard error.
    pub fn new(format: Format) -> Self {
        let aside = match format {
            Format::Text => Channel::out(),
            Format::Json => Channel::error(),
        };
        let is_dialogue = io::stdin().is_terminal();
        Self { format, is_dialogue, out: Channel::out(), aside, problems: Channel::error() }
    }

    /// What a person sees first.
    ///
    /// # Errors
    /// The stream is closed, here and below.
    pub fn greet(&mut self, hint: &str) -> io::Result<()> {
        match self.is_dialogue && !console::is_quiet() {
            true => self.tell(hint),
            false => Ok(()),
        }
    }

    /// Asks a person for a line.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub fn prompt(&mut self, who: &str) -> io::Result<()> {
        match self.is_dialogue {
            true => self.aside.write(PROMPT, &format!("{who}> ")),
            false => Ok(()),
        }
    }

    /// The input ended where a line was waited for.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub fn part(&mut self) -> io::Result<()> {
        if self.is_dialogue { self.aside.write("", "\n") } else { Ok(()) }
    }

    /// What a command has to say.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub fn tell(&mut self, text: &str) -> io::Result<()> {
        self.aside.write(ASIDE, text)?;
        self.aside.write("", "\n")
    }

    /// What can't be done; the conversation goes on.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub fn problem(&mut self, problem: &str) -> io::Result<()> {
        self.problems.write(PROBLEM, &format!("error: {problem}"))?;
        self.problems.write("", "\n")
    }

    /// Somebody is about to answer.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub fn begin_answer(&mut self, who: &str) -> io::Result<()> {
        match self.format {
            Format::Text => self.out.write(SUPPORTER, &format!("{who}> ")),
            Format::Json => Ok(()),
        }
    }

    /// More of an answer.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        match self.format {
            Format::Text => self.out.write("", text),
            Format::Json => Ok(()),
        }
    }

    /// The end of an answer's text, with a note behind it or none.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub fn end_text(&mut self, note: &str) -> io::Result<()> {
        match (self.format, note) {
            (Format::Json, _) => Ok(()),
            (Format::Text, "") => self.out.write("", "\n"),
            (Format::Text, note) => self.out.write(ASIDE, &format!(" {note}\n")),
        }
    }

    /// A whole turn, for the program that reads along.
    ///
    /// # Errors
    /// The value has no form in JSON, or as [`Self::greet`].
    pub fn object(&mut self, turn: &impl Serialize) -> io::Result<()> {
        match self.format {
            Format::Text => Ok(()),
            Format::Json => self.out.write("", &(serde_json::to_string(turn)? + "\n")),
        }
    }
}

impl Channel {
    fn out() -> Self {
        let stream = io::stdout();
        Self { is_terminal: stream.is_terminal(), colours: console::has_colours(&stream), stream: Stream::Out }
    }

    fn error() -> Self {
        let stream = io::stderr();
        Self {
            is_terminal: stream.is_terminal(),
            colours: console::has_colours(&stream),
            stream: Stream::Error(stream),
        }
    }

    /// Writes at once, in a colour if the terminal has some.
    fn write(&mut self, colour: &str, text: &str) -> io::Result<()> {
        let text = if self.is_terminal { harmless(text) } else { text.to_owned() };
        let text = match self.colours && !colour.is_empty() {
            true => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
            false => text,
        };
        match &mut self.stream {
            Stream::Out => console::write_at_once(text.as_bytes()),
            Stream::Error(stream) => {
                stream.write_all(text.as_bytes())?;
                stream.flush()?;
            }
        }
        Ok(())
    }
}

/// A model's text may hold control characters; a terminal would obey them.
fn harmless(text: &str) -> String {
    let shown = |letter: char| letter == '\n' || letter == '\t' || !letter.is_control();
    text.chars().map(|letter| if shown(letter) { letter } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_terminal_would_obey_is_only_shown() {
        assert_eq!(super::harmless("a\u{1b}[2Jb\tc\n"), "a\u{fffd}[2Jb\tc\n");
    }
}
