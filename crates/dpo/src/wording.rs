//! How a prompt is written for the model: around it stands a text, or a chat template.

use std::path::Path;

use llm_runtime::{ChatTemplate, GenerationPrompt, Message, input_file};

use crate::{DpoError, PairText, PreferencePair};

/// The text around a plain prompt.
///
/// As a file: what stands before the prompt below a line `%% prefix`, what stands behind it below a line `%% suffix`; the line break before a mark and the file's
/// last one are not part of the text. Text before the first mark is a remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplate {
    /// Before the prompt.
    pub prefix: String,
    /// Behind the prompt. A blank at its end would be joined to the answer's first word by most tokenizers: answers bring their own.
    pub suffix: String,
}

impl PromptTemplate {
    /// Asks for a persuasive reply: instruction, `Input:`, the prompt, `Output:`.
    pub const PERSUASION: &str = include_str!("templates/persuasion.txt");

    /// Nothing around the prompt but a line break behind it.
    pub fn bare() -> Self {
        Self { prefix: String::new(), suffix: "\n".to_owned() }
    }

    /// Reads a template's text; `name` is for messages.
    ///
    /// # Errors
    /// A mark is missing.
    pub fn from_source(name: &str, source: &str) -> Result<Self, DpoError> {
        let source = format!("\n{}", source.replace("\r\n", "\n"));
        let missing = |mark: &str| DpoError::invalid(format!("{name}: a line `%% {mark}` is missing"));
        let (_, rest) = source.split_once("\n%% prefix\n").ok_or_else(|| missing("prefix"))?;
        let rest = format!("\n{rest}");
        let (prefix, suffix) = rest.split_once("\n%% suffix\n").ok_or_else(|| missing("suffix"))?;
        let prefix = prefix.strip_prefix('\n').unwrap_or(prefix);
        let suffix = suffix.strip_suffix('\n').unwrap_or(suffix);
        Ok(Self { prefix: prefix.to_owned(), suffix: suffix.to_owned() })
    }

    /// Reads a template file.
    ///
    /// # Errors
    /// The file can't be read, or a mark is missing.
    pub fn read(path: &Path) -> Result<Self, DpoError> {
        let source = input_file::read_text(path).map_err(DpoError::io(path))?;
        Self::from_source(&path.display().to_string(), &source)
    }
}

/// How prompts and answers become text.
#[derive(Debug, Clone)]
pub enum Wording {
    /// With a text around the prompt; the answer follows behind one blank, or directly where the text ends with white space.
    Plain(PromptTemplate),
    /// As turns of a chat: an instruction as system text (none if empty), the prompt, the answer.
    Chat {
        /// The model's chat template.
        template: Box<ChatTemplate>,
        /// System text before prompts that bring none.
        instruction: String,
    },
}

/// A text, and where in it stand words of people: there nothing is a control token, and there may be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Worded {
    pub(crate) text: String,
    pub(crate) protected: Vec<std::ops::Range<usize>>,
}

impl Worded {
    pub(crate) fn plain(text: String) -> Self {
        let all = 0..text.len();
        Self { text, protected: vec![all] }
    }
}

impl Wording {
    /// The prompt alone, up to where the answer begins.
    pub(crate) fn prompt(&self, pair: &PreferencePair, post: &PairText) -> Result<Worded, DpoError> {
        match self {
            Self::Plain(template) => Ok(Worded::plain(around(template, &plain_text(pair, post)?))),
            Self::Chat { .. } => self.rendered(pair, post, None),
        }
    }

    /// Prompt and answer as one text.
    pub(crate) fn whole(&self, pair: &PreferencePair, post: &PairText, answer: &str) -> Result<Worded, DpoError> {
        match self {
            Self::Plain(template) => {
                let mut text = around(template, &plain_text(pair, post)?);
                if !text.ends_with(char::is_whitespace) && !answer.starts_with(char::is_whitespace) {
                    text.push(' ');
                }
                text.push_str(answer);
                Ok(Worded::plain(text))
            }
            Self::Chat { .. } => self.rendered(pair, post, Some(answer)),
        }
    }

    fn rendered(&self, pair: &PreferencePair, post: &PairText, answer: Option<&str>) -> Result<Worded, DpoError> {
        let Self::Chat { template, instruction } = self else {
            return Err(DpoError::invalid("a plain wording renders no chat"));
        };
        let mut messages = match post {
            PairText::Plain(text) => vec![Message::user(text.clone())],
            PairText::Chat(messages) => messages.clone(),
        };
        let has_system = messages.first().is_some_and(|message| message.role == llm_runtime::Role::System);
        if !has_system && !instruction.is_empty() && template.supports_system_role() {
            messages.insert(0, Message::system(instruction.clone()));
        }
        let generation = match answer {
            Some(answer) => {
                messages.push(Message::assistant(answer.to_owned()));
                GenerationPrompt::Omit
            }
            None => GenerationPrompt::Add,
        };
        let rendered = template
            .render(&messages, generation)
            .map_err(|error| DpoError::invalid(format!("pair {}: {error}", pair.id)))?;
        Ok(Worded { text: rendered.text, protected: rendered.contents })
    }
}

fn around(template: &PromptTemplate, post: &str) -> String {
    format!("{}{post}{}", template.prefix, template.suffix)
}

fn plain_text(pair: &PreferencePair, post: &PairText) -> Result<String, DpoError> {
    match post {
        PairText::Plain(text) => Ok(text.clone()),
        PairText::Chat(_) => Err(DpoError::invalid(format!(
            "pair {}: its prompt is a chat: it needs a chat template, a text template can't write it",
            pair.id
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_ends_with_its_label() {
        let template = PromptTemplate::from_source("persuasion", PromptTemplate::PERSUASION).unwrap();
        assert!(template.prefix.starts_with("Instruction: ") && template.prefix.ends_with("\n\nInput: "));
        assert_eq!(template.suffix, "\n\nOutput:");
    }

    #[test]
    fn marks_are_needed() {
        let error = PromptTemplate::from_source("mine.txt", "%% prefix\nSay: ").unwrap_err();
        assert_eq!(error.to_string(), "mine.txt: a line `%% suffix` is missing");
    }
}
