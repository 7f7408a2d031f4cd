//! Chat templates: Jinja, as models carry them, rendered so that every part of a prompt is found again.
//!
//! A template may strip, join and wrap contents as it likes. To know where a part ends up, each is enclosed in two
//! private-use characters that occur nowhere else, the template is rendered, and the marks are taken out again while their
//! places are noted. Marks stand inside the part's own blanks, so that stripping acts as it does without them, and the
//! result must equal the rendering without marks; a template that counts or searches characters, and so behaves
//! differently, is refused instead of giving wrong spans.

mod built_in;
mod marks;

use std::fmt;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, context};

pub use built_in::BuiltInTemplate;

use self::marks::Marks;
use crate::sha256::sha256_of;
use crate::{Message, Part};

/// What can be wrong with a chat template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The source is no template.
    #[error("the template `{name}` can't be read: {problem}")]
    Syntax {
        /// The template's name.
        name: String,
        /// What is wrong and where.
        problem: String,
    },
    /// The template itself refuses the messages (`raise_exception`).
    #[error("{0}")]
    Raised(String),
    /// Rendering failed.
    #[error("the template `{name}` failed: {problem}")]
    Render {
        /// The template's name.
        name: String,
        /// What went wrong and where.
        problem: String,
    },
    /// The template treats marked text differently, so that parts can't be found again.
    #[error(
        "the template `{name}` inspects the characters of its messages, so that the parts of a prompt can't be followed: choose a built-in template"
    )]
    Untraceable {
        /// The template's name.
        name: String,
    },
    /// A part is not a range of its message.
    #[error("the part `{label}` is not a range of characters of its message")]
    Part {
        /// The part's label.
        label: String,
    },
}

/// Whether the text ends where the model is to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationPrompt {
    /// Add what opens the assistant's answer.
    Add,
    /// End after the last message.
    Omit,
}

/// A chat template: Jinja source and the texts of the control tokens it uses.
#[derive(Clone)]
pub struct ChatTemplate {
    name: String,
    source: String,
    bos_token: String,
    eos_token: String,
    environment: Environment<'static>,
}

/// A rendered chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedChat {
    /// The text, control tokens included.
    pub text: String,
    /// Every part of every message that the template kept, in order, without blanks at its ends. Ranges are bytes of
    /// `text`. A part that the template wrote twice is where it was written last.
    pub spans: Vec<Part>,
    /// Where each message's content stands; empty if it is blank or the template dropped it. Nothing in these ranges is a
    /// control token, whatever it looks like.
    pub contents: Vec<Range<usize>>,
}

/// Steps a template may take: hundreds of messages need a few thousand.
const FUEL: u64 = 2_000_000;

impl ChatTemplate {
    /// A template from its Jinja source. `bos_token` and `eos_token` are what the source's variables of that name stand
    /// for.
    ///
    /// # Errors
    /// The source is not valid Jinja.
    pub fn from_source(name: &str, source: &str, bos_token: &str, eos_token: &str) -> Result<Self, TemplateError> {
        let mut environment = environment();
        environment
            .add_template_owned("chat", source.to_owned())
            .map_err(|error| TemplateError::Syntax { name: name.into(), problem: describe(&error) })?;
        Ok(Self {
            name: name.into(),
            source: source.into(),
            bos_token: bos_token.into(),
            eos_token: eos_token.into(),
            environment,
        })
    }

    /// The template's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its Jinja source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Hex SHA-256 of the source.
    pub fn sha256(&self) -> String {
        sha256_of(self.source.as_bytes())
    }

    /// Whether the template has a place for a system message: it is rendered with one to find out.
    pub fn supports_system_role(&self) -> bool {
        const PROBE: &str = "Probe of the system role.";
        let messages = [Message::system(PROBE), Message::user("Hello")];
        self.render_contents(&messages, GenerationPrompt::Add, |number| &messages[number].content)
            .is_ok_and(|text| text.contains(PROBE))
    }

    /// Renders messages and finds their parts again.
    ///
    /// # Errors
    /// The template refuses the messages or fails, or a part is not a range of its message.
    pub fn render(&self, messages: &[Message], prompt: GenerationPrompt) -> Result<RenderedChat, TemplateError> {
        let text = self.render_contents(messages, prompt, |number| &messages[number].content)?;
        let marks = Marks::place(messages, &[&self.source, &self.bos_token, &self.eos_token])?;
        let marked = self.render_contents(messages, prompt, |number| marks.content(number))?;
        let found = marks.take_out(&marked);
        if found.text != text {
            return Err(TemplateError::Untraceable { name: self.name.clone() });
        }
        Ok(RenderedChat { text, spans: found.spans, contents: found.contents })
    }

    fn render_contents<'a>(
        &self,
        messages: &[Message],
        prompt: GenerationPrompt,
        content: impl Fn(usize) -> &'a str,
    ) -> Result<String, TemplateError> {
        let messages: Vec<minijinja::Value> = messages
            .iter()
            .enumerate()
            .map(|(number, message)| context! { role => message.role.as_str(), content => content(number) })
            .collect();
        let variables = context! {
            messages => messages,
            bos_token => &self.bos_token,
            eos_token => &self.eos_token,
            add_generation_prompt => prompt == GenerationPrompt::Add,
        };
        let rendered = self.environment.get_template("chat").and_then(|template| template.render(variables));
        rendered.map_err(|error| self.rendering_failed(&error))
    }

    fn rendering_failed(&self, error: &minijinja::Error) -> TemplateError {
        match raised(error) {
            Some(message) => TemplateError::Raised(message),
            None => TemplateError::Render { name: self.name.clone(), problem: describe(error) },
        }
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").field("name", &self.name).field("sha256", &self.sha256()).finish_non_exhaustive()
    }
}

/// Jinja as the transformers library sets it up.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    if let Ok(syntax) = syntax.build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
    });
    environment
}

/// Marks an error as the template's own.
const RAISED: &str = "raised by the template: ";

fn raised(error: &minijinja::Error) -> Option<String> {
    let message = error.detail()?.strip_prefix(RAISED)?;
    Some(message.to_owned())
}

fn describe(error: &minijinja::Error) -> String {
    let place = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    match error.detail() {
        Some(detail) => format!("{place}{}: {detail}", error.kind()),
        None => format!("{place}{}", error.kind()),
    }
}
