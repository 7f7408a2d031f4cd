//! Instruction templates: one line of text that tells the model who it is and which strategy to use.
//!
//! The set t1…t6, `train`, `train-unconditional` and `chat-none` has the slots of the published work (arXiv 2402.10453);
//! the wording is this project's own. A template knows where each slot ends up, because attention to the strategy's
//! name and description is what the method measures: nothing is searched for afterwards.

use std::path::Path;

use esconv_data::Strategy;
use llm_runtime::{Part, input_file};

use crate::error::Error;

/// Labels of the parts that this crate writes into a prompt; turns are labelled by [`part::turn`].
pub mod part {
    /// The whole instruction.
    pub const INSTRUCTION: &str = "instruction";
    /// The seeker's situation.
    pub const SITUATION: &str = "situation";
    /// The strategy's label with its straight double quotes.
    pub const STRATEGY_NAME: &str = "strategy_name";
    /// The quoted label, a space and the word `strategy`.
    pub const STRATEGY_NAME_WORD: &str = "strategy_name_word";
    /// The description paragraph.
    pub const STRATEGY_DESCRIPTION: &str = "strategy_description";
    /// The label wherever else it stands, without quotes; there may be several.
    pub const STRATEGY_MENTION: &str = "strategy_mention";
    /// The whole system text.
    pub const SYSTEM: &str = "system";
    /// The history block inside the system text.
    pub const HISTORY: &str = "history";

    /// The label of the `number`-th merged turn of the dialogue, counted from 1.
    pub fn turn(number: usize) -> String {
        format!("turn:{number}")
    }
}

/// A text with labelled byte ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledText {
    /// The text.
    pub text: String,
    /// Byte ranges of `text`.
    pub parts: Vec<Part>,
}

/// An instruction with slots for situation, strategy label and strategy description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstructionTemplate {
    name: String,
    source: String,
    sha256: String,
    pieces: Vec<Piece>,
}

/// Label and description paragraph of a strategy, as they stand in a prompt.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StrategyText {
    /// The exact label.
    pub name: String,
    /// The paragraph `Description: … Examples: '…' '…' '…'`.
    pub description: String,
}

impl From<&Strategy> for StrategyText {
    fn from(strategy: &Strategy) -> Self {
        Self { name: strategy.name.clone(), description: strategy.paragraph() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Slot(Slot),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Situation,
    Strategy,
    Description,
}

const SLOTS: [(&str, Slot); 3] =
    [("situation", Slot::Situation), ("strategy", Slot::Strategy), ("description", Slot::Description)];

const BUILT_IN: [(&str, &str); 9] = [
    ("t1", include_str!("../data/instructions/t1.txt")),
    ("t2", include_str!("../data/instructions/t2.txt")),
    ("t3", include_str!("../data/instructions/t3.txt")),
    ("t4", include_str!("../data/instructions/t4.txt")),
    ("t5", include_str!("../data/instructions/t5.txt")),
    ("t6", include_str!("../data/instructions/t6.txt")),
    ("train", include_str!("../data/instructions/train.txt")),
    ("train-unconditional", include_str!("../data/instructions/train-unconditional.txt")),
    ("chat-none", include_str!("../data/instructions/chat-none.txt")),
];

impl InstructionTemplate {
    /// The built-in template that the published Llama-2 data correspond to.
    pub const DEFAULT_NAME: &str = "t4";

    /// Names of the built-in templates.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in template.
    ///
    /// # Errors
    /// The name is not one of [`Self::built_in_names`].
    pub fn built_in(name: &str) -> Result<Self, Error> {
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((name, source)) => Self::parse(name, source),
            None => Err(Error::UnknownName {
                kind: "instruction template",
                name: name.to_owned(),
                known: Self::built_in_names().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// A built-in template by name, or else the template in the file of that path.
    ///
    /// # Errors
    /// Neither a built-in name nor a readable file with a valid template.
    pub fn by_name_or_path(name_or_path: &str) -> Result<Self, Error> {
        let built_in = Self::built_in(name_or_path);
        if built_in.is_err() && Path::new(name_or_path).exists() {
            return Self::from_file(Path::new(name_or_path));
        }
        built_in
    }

    /// Reads a template file; its name is the file's name without extension.
    ///
    /// # Errors
    /// The file can't be read as UTF-8, or as for [`Self::parse`].
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let source = input_file::read_template(path).map_err(Error::io(path))?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
        Self::parse(&name, &source).map_err(|error| match error {
            Error::Instruction { problem, .. } => Error::Instruction { template: path.display().to_string(), problem },
            other => other,
        })
    }

    /// Parses a template. Slots are `{situation}`, `{strategy}` and `{description}`; `{{` and `}}` stand for braces.
    /// White space around the text does not count.
    ///
    /// # Errors
    /// An unknown slot, an unpaired brace, an empty text, `{description}` without `{strategy}`, or a `{strategy}` that
    /// never stands as `"{strategy}" strategy` (the span that attention to the strategy's name is measured on).
    pub fn parse(name: &str, source: &str) -> Result<Self, Error> {
        let refuse = |problem: String| Error::Instruction { template: name.to_owned(), problem };
        let source = source.trim().replace("\r\n", "\n");
        if source.is_empty() {
            return Err(refuse("the template is empty; write the instruction as one line of text".into()));
        }
        let pieces = parse_pieces(&source).map_err(&refuse)?;
        let template = Self { name: name.to_owned(), sha256: llm_runtime::sha256_of(&source), source, pieces };
        if template.has(Slot::Strategy) && !template.pieces.windows(3).any(is_quoted_with_word) {
            return Err(refuse(
                "the strategy must stand at least once as `\"{strategy}\" strategy`, with straight double quotes"
                    .into(),
            ));
        }
        if template.has(Slot::Description) && !template.has(Slot::Strategy) {
            return Err(refuse("{description} needs {strategy}: the slot `\"{strategy}\" strategy` is missing".into()));
        }
        Ok(template)
    }

    /// The template's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The template's text with its slots.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Hex SHA-256 of [`Self::source`].
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether the template names a strategy. One that does not gives the same instruction for all strategies.
    pub fn is_conditional(&self) -> bool {
        self.has(Slot::Strategy)
    }

    /// Whether the template has a slot for the situation.
    pub fn uses_situation(&self) -> bool {
        self.has(Slot::Situation)
    }

    /// Fills the slots. Runs of white space in the situation become single spaces; braces in values stay as they are.
    ///
    /// Parts (see [`part`]): the whole instruction, and the first occurrence of each slot that the template has; for
    /// the strategy the first quoted one, with its quotes; other places where its label stands are mentions. Without a strategy a conditional template is an error, and
    /// an unconditional template ignores a strategy.
    ///
    /// # Errors
    /// The template is conditional and no strategy is given.
    pub fn render(&self, situation: &str, strategy: Option<&Strategy>) -> Result<LabelledText, Error> {
        self.fill(situation, strategy.map(StrategyText::from).as_ref())
    }

    /// As [`Self::render`], with the strategy's texts given.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn fill(&self, situation: &str, strategy: Option<&StrategyText>) -> Result<LabelledText, Error> {
        if self.is_conditional() && strategy.is_none() {
            return Err(Error::Instruction {
                template: self.name.clone(),
                problem: "the template names a strategy, but none was given".into(),
            });
        }
        let situation = situation.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut filling = Filling::default();
        for (index, piece) in self.pieces.iter().enumerate() {
            match (piece, strategy) {
                (Piece::Text(text), _) => filling.text.push_str(text),
                (Piece::Slot(Slot::Situation), _) => filling.push(part::SITUATION, &situation),
                (Piece::Slot(Slot::Description), Some(strategy)) => {
                    filling.push(part::STRATEGY_DESCRIPTION, &strategy.description);
                }
                (Piece::Slot(Slot::Strategy), Some(strategy)) => {
                    let neighbours = index.checked_sub(1).and_then(|before| self.pieces.get(before..index + 2));
                    filling.push_label(&strategy.name, neighbours.is_some_and(is_quoted_with_word));
                }
                (Piece::Slot(_), None) => {}
            }
        }
        Ok(filling.finish())
    }

    fn has(&self, slot: Slot) -> bool {
        self.pieces.contains(&Piece::Slot(slot))
    }
}

impl Default for InstructionTemplate {
    /// The template `t4`.
    fn default() -> Self {
        let (name, source) = BUILT_IN[3];
        Self {
            name: name.to_owned(),
            sha256: llm_runtime::sha256_of(source.trim()),
            source: source.trim().to_owned(),
            pieces: parse_pieces(source.trim()).unwrap_or_default(),
        }
    }
}

/// A text that grows, with the parts found so far.
#[derive(Default)]
struct Filling {
    text: String,
    parts: Vec<Part>,
}

impl Filling {
    fn push(&mut self, label: &str, value: &str) {
        let start = self.text.len();
        self.text.push_str(value);
        self.label_once(label, start, self.text.len());
    }

    fn push_label(&mut self, name: &str, quoted: bool) {
        let start = self.text.len();
        self.text.push_str(name);
        if quoted && self.parts.iter().all(|part| part.label != part::STRATEGY_NAME) {
            // The opening quote is written already; the closing one and the word follow with the next piece.
            let closing_quote = self.text.len() + 1;
            self.label_once(part::STRATEGY_NAME, start - 1, closing_quote);
            self.label_once(part::STRATEGY_NAME_WORD, start - 1, closing_quote + " strategy".len());
        } else {
            self.parts.push(Part { label: part::STRATEGY_MENTION.to_owned(), range: start..self.text.len() });
        }
    }

    fn label_once(&mut self, label: &str, start: usize, end: usize) {
        if self.parts.iter().all(|part| part.label != label) {
            self.parts.push(Part { label: label.to_owned(), range: start..end });
        }
    }

    fn finish(mut self) -> LabelledText {
        let whole = Part { label: part::INSTRUCTION.to_owned(), range: 0..self.text.len() };
        self.parts.insert(0, whole);
        LabelledText { text: self.text, parts: self.parts }
    }
}

/// Whether three neighbouring pieces read `…"{strategy}" strategy…`.
fn is_quoted_with_word(pieces: &[Piece]) -> bool {
    match pieces {
        [Piece::Text(before), Piece::Slot(Slot::Strategy), Piece::Text(after)] => {
            before.ends_with('"') && after.starts_with("\" strategy")
        }
        _ => false,
    }
}

fn parse_pieces(source: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = source;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Slot(slot_named(name)?));
            rest = after;
        } else {
            return Err(format!("unpaired brace before `{}`; write {{{{ or }}}} for a brace", excerpt(rest)));
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

fn slot_named(name: &str) -> Result<Slot, String> {
    SLOTS.iter().find(|(known, _)| *known == name).map(|(_, slot)| *slot).ok_or_else(|| {
        format!(
            "unknown slot `{{{}}}` (slots: {{situation}}, {{strategy}}, {{description}}; write {{{{ for a brace)",
            excerpt(name)
        )
    })
}

fn excerpt(text: &str) -> String {
    text.chars().take(30).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_built_in_t4() {
        assert_eq!(InstructionTemplate::default(), InstructionTemplate::built_in("t4").unwrap());
    }

    #[test]
    fn doubled_braces_are_braces() {
        let template = InstructionTemplate::parse("x", "a {{situation}} b {situation}").unwrap();
        assert_eq!(template.fill("S", None).unwrap().text, "a {situation} b S");
    }
}
