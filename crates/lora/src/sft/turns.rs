//! Records as text, and where in it each answer begins and ends.
//!
//! What the model is given before an answer is the conversation up to there, rendered with the generation prompt, exactly as
//! at inference. Where that text opens the whole, the answer begins at its end. Some templates write other things before
//! an answer than before a generated one (a date, thoughts of earlier turns); then the answer's own bytes say where it is.

use std::borrow::Cow;
use std::ops::Range;

use llm_runtime::{ChatTemplate, GenerationPrompt, Message, RenderedChat, Role, TemplateError};

use super::encode::{LearnOn, SftTemplate};
use super::record::SftContent;

/// A record as text.
pub(super) struct LaidOut {
    pub(super) whole: RenderedChat,
    /// The answers to be learned, in order; the last message's is the last.
    pub(super) answers: Vec<Answer>,
}

/// One answer in the whole text; places are bytes of it.
pub(super) struct Answer {
    /// What the model is given before it.
    pub(super) prefix: RenderedChat,
    /// Where it begins: at the end of the prefix if that opens the whole, else where its content begins.
    pub(super) start: usize,
    /// Its content.
    pub(super) content: Range<usize>,
    /// Where it ends if no end token tells.
    pub(super) end: usize,
}

/// A template with what it needs to know of the model.
pub(super) struct Renderer<'a> {
    template: &'a SftTemplate,
    eos_token: &'a str,
    has_system_role: bool,
}

impl<'a> Renderer<'a> {
    pub(super) fn new(template: &'a SftTemplate, eos_token: &'a str) -> Self {
        let has_system_role = match template {
            SftTemplate::Chat(template) => ChatTemplate::supports_system_role(template),
            SftTemplate::Plain(template) => template.supports_system_role(),
        };
        Self { template, eos_token, has_system_role }
    }

    /// Messages as the model is given them before its answer.
    pub(super) fn prompt(&self, messages: &[Message]) -> Result<RenderedChat, TemplateError> {
        self.render(&self.seated(messages), GenerationPrompt::Add)
    }

    pub(super) fn lay_out(&self, content: &SftContent, learn_on: LearnOn) -> Result<LaidOut, TemplateError> {
        match content {
            SftContent::Text { prompt, completion } => Ok(text(prompt, completion)),
            SftContent::Chat(messages) => self.chat(&self.seated(messages), learn_on),
        }
    }

    fn chat(&self, messages: &[Message], learn_on: LearnOn) -> Result<LaidOut, TemplateError> {
        let whole = self.render(messages, GenerationPrompt::Omit)?;
        let last = messages.len().saturating_sub(1);
        let is_learned = |number: &usize| match learn_on {
            LearnOn::AllAssistants => messages[*number].role == Role::Assistant,
            LearnOn::LastAssistant | LearnOn::Everything => *number == last,
        };
        // A template may leave out old turns; what it leaves out can't be learned.
        let is_written = |number: &usize| whole.contents.get(*number).is_some_and(|content| !content.is_empty());
        let answers = (0..messages.len())
            .filter(is_learned)
            .filter(is_written)
            .map(|number| self.answer(messages, number, &whole))
            .collect::<Result<Vec<_>, _>>()?;
        if !is_written(&last) {
            let problem = "the template leaves out the last message, which is to be learned".to_owned();
            return Err(TemplateError::Render { name: self.name().to_owned(), problem });
        }
        Ok(LaidOut { whole, answers })
    }

    fn answer(&self, messages: &[Message], number: usize, whole: &RenderedChat) -> Result<Answer, TemplateError> {
        let prefix = self.render(&messages[..number], GenerationPrompt::Add)?;
        let content = whole.contents[number].clone();
        let opens = whole.text.starts_with(&prefix.text);
        let start = if opens { prefix.text.len().min(content.start) } else { content.start };
        let end = self.end(messages, number, whole)?;
        Ok(Answer { prefix, start, end: end.max(content.end), content })
    }

    /// Where the rendering up to an answer ends in the whole, without blanks behind it.
    fn end(&self, messages: &[Message], number: usize, whole: &RenderedChat) -> Result<usize, TemplateError> {
        if number + 1 == messages.len() {
            return Ok(whole.text.len());
        }
        let text = self.render(&messages[..=number], GenerationPrompt::Omit)?.text;
        Ok(if whole.text.starts_with(&text) { text.trim_end().len() } else { 0 })
    }

    fn render(&self, messages: &[Message], prompt: GenerationPrompt) -> Result<RenderedChat, TemplateError> {
        match self.template {
            SftTemplate::Chat(template) => template.render(messages, prompt),
            SftTemplate::Plain(template) => template.render(messages, self.eos_token, prompt),
        }
    }

    /// The messages, the system's text at the head of the first question where the template has no place for it.
    fn seated<'m>(&self, messages: &'m [Message]) -> Cow<'m, [Message]> {
        match messages {
            [system, question, rest @ ..]
                if !self.has_system_role && system.role == Role::System && question.role == Role::User =>
            {
                let mut first = Message::user("");
                first.push_labelled(&system.content, &system.parts);
                first.push("\n\n");
                first.push_labelled(&question.content, &question.parts);
                Cow::Owned(std::iter::once(first).chain(rest.iter().cloned()).collect())
            }
            _ => Cow::Borrowed(messages),
        }
    }

    fn name(&self) -> &str {
        match self.template {
            SftTemplate::Chat(template) => template.name(),
            SftTemplate::Plain(template) => template.name(),
        }
    }
}

fn text(prompt: &str, completion: &str) -> LaidOut {
    let start = prompt.len();
    let text = format!("{prompt}{completion}");
    let end = text.len();
    let prefix =
        RenderedChat { text: prompt.to_owned(), spans: Vec::new(), contents: std::iter::once(0..start).collect() };
    let answers = vec![Answer { prefix, start, content: start..end, end }];
    LaidOut { whole: RenderedChat { text, spans: Vec::new(), contents: vec![0..start, start..end] }, answers }
}
