//! Plain templates: text with slots, for models that have no chat format.
//!
//! A template is a text file that a user may copy and change. It has up to three sections, each below a line `%% NAME`:
//! `system` with the slot `{system}`, `turn` with `{instruction}` and `{response}`, and `turn with input`, which has
//! `{input}` too and serves questions that come in two parts. Text before the first section is a remark. The response ends
//! with the model's end of sequence; what a turn says after `{response}` stands between that and the next turn.

use std::ops::Range;
use std::path::Path;

use llm_runtime::{GenerationPrompt, Message, Part, RenderedChat, Role, TemplateError, input_file};

use super::error::SftError;
use super::record::SftRecord;

const SYSTEM: &str = "system";
const INSTRUCTION: &str = "instruction";
const INPUT: &str = "input";
const RESPONSE: &str = "response";
const SLOTS: [&str; 4] = [SYSTEM, INSTRUCTION, INPUT, RESPONSE];

/// The plain templates that come with the crate. The texts are files in `templates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltInPlain {
    /// Headings for task, material and answer.
    Plain,
    /// `Human: …` and `Assistant: …`, the format of MAGIC's strategy model. Its prompt ends in a blank, which SentencePiece
    /// joins to the answer's first word: encode with [`super::Join::Apart`] to learn from the prompt that inference gives.
    HumanAssistant,
}

impl BuiltInPlain {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Plain, Self::HumanAssistant];

    /// `plain` or `human-assistant`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::HumanAssistant => "human-assistant",
        }
    }

    /// The template's text, as a start for one's own.
    pub fn source(self) -> &'static str {
        match self {
            Self::Plain => include_str!("templates/plain.txt"),
            Self::HumanAssistant => include_str!("templates/human-assistant.txt"),
        }
    }

    /// The template.
    ///
    /// # Errors
    /// None for the shipped texts; a test reads them all.
    pub fn template(self) -> Result<PlainTemplate, SftError> {
        PlainTemplate::from_source(self.name(), self.source())
    }
}

/// A template of text with slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainTemplate {
    name: String,
    system: Option<Section>,
    turn: Section,
    turn_with_input: Option<Section>,
}

/// Literal text and slots in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Slot(&'static str),
}

impl PlainTemplate {
    /// Reads a template file.
    ///
    /// # Errors
    /// The file can't be read, or as for [`Self::from_source`].
    pub fn read(path: &Path) -> Result<Self, SftError> {
        let text = input_file::read_template(path).map_err(|source| SftError::Io { path: path.to_owned(), source })?;
        Self::from_source(&path.display().to_string(), &text)
    }

    /// A template from its text.
    ///
    /// # Errors
    /// There is no section `turn`, a section is unknown or occurs twice, or its slots are not those that it must have, each
    /// once, the response last.
    pub fn from_source(name: &str, source: &str) -> Result<Self, SftError> {
        let refused = |problem: String| SftError::Template { name: name.to_owned(), problem };
        let (mut system, mut turn, mut turn_with_input) = (None, None, None);
        for (title, text) in sections(&source.replace("\r\n", "\n")) {
            let (place, slots): (_, &[&str]) = match title.as_str() {
                "system" => (&mut system, &[SYSTEM]),
                "turn" => (&mut turn, &[INSTRUCTION, RESPONSE]),
                "turn with input" => (&mut turn_with_input, &[INSTRUCTION, INPUT, RESPONSE]),
                _ => {
                    return Err(refused(format!("unknown section `{title}` (known: system, turn, turn with input)")));
                }
            };
            let section =
                Section::parse(&text, slots).map_err(|problem| refused(format!("section `{title}`: {problem}")))?;
            if place.replace(section).is_some() {
                return Err(refused(format!("section `{title}` occurs twice: keep one")));
            }
        }
        let turn = turn.ok_or_else(|| refused("there is no section `turn`: begin it with a line `%% turn`".into()))?;
        Ok(Self { name: name.to_owned(), system, turn, turn_with_input })
    }

    /// The template's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is a place for a system message.
    pub fn supports_system_role(&self) -> bool {
        self.system.is_some()
    }

    /// Renders messages, as [`llm_runtime::ChatTemplate::render`] does. `eos_token` is the text of the end of sequence; it
    /// stands after each response. No beginning of sequence is written. If the last message is the user's, the text ends
    /// where the response would begin, whatever `prompt` says.
    ///
    /// # Errors
    /// The messages are not an optional system message and turns of user and assistant that alternate, or a part is not a
    /// range of its message.
    pub fn render(
        &self,
        messages: &[Message],
        eos_token: &str,
        prompt: GenerationPrompt,
    ) -> Result<RenderedChat, TemplateError> {
        let mut writer = Writer::default();
        let mut turns = messages;
        if let Some((first, rest)) = messages.split_first().filter(|(first, _)| first.role == Role::System) {
            let system =
                self.system.as_ref().ok_or_else(|| self.failed("the template has no place for a system message"))?;
            writer.section(&system.0, first, None)?;
            turns = rest;
        }
        for (number, turn) in turns.chunks(2).enumerate() {
            self.write_turn(&mut writer, turn, number * 2 + 2 < turns.len(), eos_token)?;
        }
        // A conversation that waits for the user has nothing that opens an answer.
        if prompt == GenerationPrompt::Add && turns.last().is_none_or(|last| last.role != Role::User) {
            return Err(self.failed("expected the user's message last, where an answer is asked for"));
        }
        Ok(writer.rendered)
    }

    fn write_turn(
        &self,
        writer: &mut Writer,
        turn: &[Message],
        goes_on: bool,
        eos_token: &str,
    ) -> Result<(), TemplateError> {
        let (question, answer) = (&turn[0], turn.get(1));
        if question.role != Role::User || answer.is_some_and(|answer| answer.role != Role::Assistant) {
            return Err(self.failed("expected turns of user and assistant that alternate, the user's first"));
        }
        let halves = Halves::of(question)?;
        let section = match (&halves, &self.turn_with_input) {
            (Some(_), Some(section)) => section,
            _ => &self.turn,
        };
        let halves = halves.filter(|_| self.turn_with_input.is_some());
        let (before, after) = section.around_response();
        writer.section(before, question, halves.as_ref())?;
        let Some(answer) = answer else { return Ok(()) };
        writer.message(answer)?;
        writer.rendered.text.push_str(eos_token);
        if goes_on {
            writer.literals(after)
        }
        Ok(())
    }

    fn failed(&self, problem: &str) -> TemplateError {
        TemplateError::Render { name: self.name.clone(), problem: problem.to_owned() }
    }
}

/// Titles and texts. A line break before the next title, or at the end of the file, ends the last line and is not text.
fn sections(source: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in source.split_inclusive('\n') {
        match (line.strip_prefix("%%"), sections.last_mut()) {
            (Some(title), _) => sections.push((title.trim().to_owned(), String::new())),
            (None, Some((_, text))) => text.push_str(line),
            (None, None) => {}
        }
    }
    for (_, text) in &mut sections {
        if text.ends_with('\n') {
            text.pop();
        }
    }
    sections
}

impl Section {
    fn parse(text: &str, slots: &[&'static str]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((at, slot)) = next_slot(rest) {
            if !slots.contains(&slot) {
                return Err(format!("{{{slot}}} has no place here (expected: {})", braced(slots)));
            }
            pieces.push(Piece::Literal(rest[..at].to_owned()));
            pieces.push(Piece::Slot(slot));
            rest = &rest[at + slot.len() + 2..];
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        let section = Self(pieces);
        section.check(slots)?;
        Ok(section)
    }

    fn check(&self, slots: &[&'static str]) -> Result<(), String> {
        let found: Vec<&str> = self
            .0
            .iter()
            .filter_map(|piece| match piece {
                Piece::Slot(slot) => Some(*slot),
                Piece::Literal(_) => None,
            })
            .collect();
        if slots.iter().any(|slot| found.iter().filter(|other| *other == slot).count() != 1) {
            return Err(format!("expected each of {} exactly once", braced(slots)));
        }
        if slots.contains(&RESPONSE) && found.last() != Some(&RESPONSE) {
            return Err("{response} must come after the other slots".into());
        }
        Ok(())
    }

    fn around_response(&self) -> (&[Piece], &[Piece]) {
        let at = self.0.iter().position(|piece| *piece == Piece::Slot(RESPONSE)).unwrap_or(self.0.len());
        (&self.0[..at], self.0.get(at + 1..).unwrap_or_default())
    }
}

/// The first `{slot}` of a known name, and where it begins. Other braces are text.
fn next_slot(text: &str) -> Option<(usize, &'static str)> {
    SLOTS.into_iter().filter_map(|slot| Some((text.find(&format!("{{{slot}}}"))?, slot))).min()
}

fn braced(slots: &[&str]) -> String {
    slots.iter().map(|slot| format!("{{{slot}}}")).collect::<Vec<_>>().join(", ")
}

/// A question in two parts.
struct Halves {
    instruction: Range<usize>,
    input: Range<usize>,
}

impl Halves {
    /// The two parts of a message; `None` if it has not both.
    fn of(message: &Message) -> Result<Option<Self>, TemplateError> {
        let range = |label: &str| message.parts.iter().find(|part| part.label == label).map(|part| part.range.clone());
        let (Some(instruction), Some(input)) = (range(SftRecord::INSTRUCTION), range(SftRecord::INPUT)) else {
            return Ok(None);
        };
        for (label, range) in [(SftRecord::INSTRUCTION, &instruction), (SftRecord::INPUT, &input)] {
            if message.content.get(range.clone()).is_none() {
                return Err(TemplateError::Part { label: label.into() });
            }
        }
        Ok((!input.is_empty()).then_some(Self { instruction, input }))
    }
}

struct Writer {
    rendered: RenderedChat,
}

impl Default for Writer {
    fn default() -> Self {
        Self { rendered: RenderedChat { text: String::new(), spans: Vec::new(), contents: Vec::new() } }
    }
}

impl Writer {
    /// Literals and the one message whose text the section's slots take.
    fn section(&mut self, pieces: &[Piece], message: &Message, halves: Option<&Halves>) -> Result<(), TemplateError> {
        let mut content: Option<Range<usize>> = None;
        for piece in pieces {
            let slot = match piece {
                Piece::Literal(text) => {
                    self.rendered.text.push_str(text);
                    continue;
                }
                Piece::Slot(slot) => *slot,
            };
            let range = match halves {
                Some(halves) if slot == INPUT => halves.input.clone(),
                Some(halves) => halves.instruction.clone(),
                None => 0..message.content.len(),
            };
            let written = self.slice(message, range)?;
            content = Some(content.map_or(written.clone(), |before| before.start..written.end));
        }
        self.rendered.contents.push(content.unwrap_or(0..0));
        Ok(())
    }

    fn message(&mut self, message: &Message) -> Result<(), TemplateError> {
        let written = self.slice(message, 0..message.content.len())?;
        self.rendered.contents.push(written);
        Ok(())
    }

    fn literals(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            if let Piece::Literal(text) = piece {
                self.rendered.text.push_str(text);
            }
        }
    }

    /// Writes a range of a message with the parts inside it; returns where it now stands.
    fn slice(&mut self, message: &Message, range: Range<usize>) -> Result<Range<usize>, TemplateError> {
        let start = self.rendered.text.len();
        self.rendered.text.push_str(&message.content[range.clone()]);
        for part in &message.parts {
            if message.content.get(part.range.clone()).is_none() {
                return Err(TemplateError::Part { label: part.label.clone() });
            }
            if range.start <= part.range.start && part.range.end <= range.end {
                let shifted = part.range.start - range.start + start..part.range.end - range.start + start;
                self.rendered.spans.push(Part { label: part.label.clone(), range: shifted });
            }
        }
        Ok(start..self.rendered.text.len())
    }
}
