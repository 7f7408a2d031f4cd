//! What the person (or the program that reads along) sees.
//!
//! With `--format json` standard output has one object per turn and nothing else; all the rest goes to standard error.

use std::io::{self, IsTerminal, Write};

use command_line::{Format, console};
use llm_runtime::{Completion, FinishReason};
use serde::Serialize;

use crate::chat::state::{Answer, Question};

const PROMPT: &str = "1;36";
const SUPPORTER: &str = "1;32";
const ASIDE: &str = "2";
const PROBLEM: &str = "31";

/// The screen.
pub(crate) struct View {
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
    Out(io::Stdout),
    Error(io::Stderr),
}

/// A turn as one JSON object.
#[derive(Serialize)]
struct TurnObject<'a> {
    turn: usize,
    attempt: u64,
    strategy: Option<&'a str>,
    layout: &'static str,
    seed: u64,
    user: &'a str,
    text: &'a str,
    finish_reason: FinishReason,
    prompt_tokens: usize,
    reused_tokens: usize,
    new_tokens: usize,
}

impl View {
    pub(crate) fn new(format: Format) -> Self {
        let aside = match format {
            Format::Text => Channel::out(),
            Format::Json => Channel::error(),
        };
        let is_dialogue = io::stdin().is_terminal();
        Self { format, is_dialogue, out: Channel::out(), aside, problems: Channel::error() }
    }

    /// What a person sees first.
    pub(crate) fn greet(&mut self, hint: &str) -> io::Result<()> {
        match self.is_dialogue && !console::is_quiet() {
            true => self.tell(hint),
            false => Ok(()),
        }
    }

    /// Asks a person for a line.
    pub(crate) fn prompt(&mut self, who: &str) -> io::Result<()> {
        match self.is_dialogue {
            true => self.aside.write(PROMPT, &format!("{who}> ")),
            false => Ok(()),
        }
    }

    /// The input ended where a line was waited for.
    pub(crate) fn part(&mut self) -> io::Result<()> {
        if self.is_dialogue { self.aside.write("", "\n") } else { Ok(()) }
    }

    pub(crate) fn tell(&mut self, text: &str) -> io::Result<()> {
        self.aside.write(ASIDE, text)?;
        self.aside.write("", "\n")
    }

    pub(crate) fn problem(&mut self, problem: &str) -> io::Result<()> {
        self.problems.write(PROBLEM, &format!("error: {problem}"))?;
        self.problems.write("", "\n")
    }

    pub(crate) fn begin_answer(&mut self, who: &str) -> io::Result<()> {
        match self.format {
            Format::Text => self.out.write(SUPPORTER, &format!("{who}> ")),
            Format::Json => Ok(()),
        }
    }

    /// More of an answer.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        match self.format {
            Format::Text => self.out.write("", text),
            Format::Json => Ok(()),
        }
    }

    pub(crate) fn end_answer(
        &mut self,
        question: &Question,
        answer: &Answer,
        completion: &Completion,
    ) -> io::Result<()> {
        match self.format {
            Format::Text => self.end_text(answer.finish_reason),
            Format::Json => self.out.write("", &turn_line(question, answer, completion)?),
        }
    }

    /// The end of an answer's text.
    pub(crate) fn end_text(&mut self, reason: FinishReason) -> io::Result<()> {
        match (self.format, reason) {
            (Format::Json, _) => Ok(()),
            (Format::Text, FinishReason::Cancelled) => self.out.write(ASIDE, " [interrupted]\n"),
            (Format::Text, _) => self.out.write("", "\n"),
        }
    }

    /// There is no answer after all.
    pub(crate) fn break_off(&mut self) -> io::Result<()> {
        match self.format {
            Format::Text => self.out.write("", "\n"),
            Format::Json => Ok(()),
        }
    }
}

fn turn_line(question: &Question, answer: &Answer, completion: &Completion) -> io::Result<String> {
    let turn = TurnObject {
        turn: question.before + 1,
        attempt: question.attempt,
        strategy: answer.strategy.as_deref(),
        layout: answer.layout.name(),
        seed: answer.seed,
        user: &question.text,
        text: &answer.text,
        finish_reason: answer.finish_reason,
        prompt_tokens: completion.prompt_tokens,
        reused_tokens: completion.prompt.reused,
        new_tokens: completion.new_tokens,
    };
    Ok(serde_json::to_string(&turn)? + "\n")
}

impl Channel {
    fn out() -> Self {
        let stream = io::stdout();
        Self { is_terminal: stream.is_terminal(), colours: console::has_colours(&stream), stream: Stream::Out(stream) }
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
        let stream: &mut dyn Write = match &mut self.stream {
            Stream::Out(stream) => stream,
            Stream::Error(stream) => stream,
        };
        stream.write_all(text.as_bytes())?;
        stream.flush()
    }
}

/// A model's text may hold control characters; a terminal would obey them.
fn harmless(text: &str) -> String {
    let shown = |letter: char| letter == '\n' || letter == '\t' || !letter.is_control();
    text.chars().map(|letter| if shown(letter) { letter } else { char::REPLACEMENT_CHARACTER }).collect()
}
