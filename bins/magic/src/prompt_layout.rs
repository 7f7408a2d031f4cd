//! How a prompt is laid before a model: in the words it was trained with.
//!
//! A model of this machine gets tokens, made as fine-tuning makes them, so that training and inference can't drift apart; prompts that are too
//! long for it lose their oldest turns. A server gets text, or a message that it renders itself, and judges lengths itself.

use command_line::{AnyModel, Failure, Wording};
use llm_runtime::{Completion, Continuation, GenerationPrompt, Message, Prompt, TextModel, Tokenizer};
use lora::sft::{Bos, EncodeOptions, PlainTemplate, SftEncoder, SftTemplate};

use crate::error::Error;
use crate::template::Template;
use crate::truncation::fit_oldest_turns;

/// How prompts are laid before a model.
#[derive(Debug, Clone)]
pub enum PromptLayout {
    /// As tokens, for a model of this machine.
    Tokens(Box<TokenLayout>),
    /// As text, for a server, which puts the beginning of sequence before it.
    Text(PlainTemplate),
    /// As one message of the user, for a server that knows the chat template.
    Chat,
}

/// What makes tokens of prompts.
#[derive(Debug, Clone)]
pub struct TokenLayout {
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    /// The template that the model was trained with.
    pub template: SftTemplate,
    /// Whether a beginning of sequence stands first.
    pub bos: Bos,
    /// Tokens that prompt and answer may have together.
    pub context: usize,
}

/// A prompt as a model gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct LaidPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// How many turns it lost at its beginning.
    pub dropped_turns: usize,
}

impl PromptLayout {
    /// How a model gets its prompts: with the text template that is named, else with its own chat template.
    ///
    /// # Errors
    /// The template can't be read, or none is named and the model has none.
    pub fn of(model: &AnyModel, wording: &Wording) -> Result<Self, Failure> {
        let plain = wording.plain_template()?;
        let Some(engine) = model.engine() else {
            return Ok(plain.map_or(Self::Chat, Self::Text));
        };
        let template = match (plain, engine.template()) {
            (Some(plain), _) => SftTemplate::from(plain),
            (None, Some(template)) => SftTemplate::from(template.clone()),
            (None, None) => {
                let problem = "the model has no chat template: name one with --chat-template, or take another --plain";
                return Err(Failure::wrong_use(problem));
            }
        };
        Ok(Self::Tokens(Box::new(TokenLayout {
            tokenizer: engine.tokenizer().clone(),
            template,
            bos: wording.bos,
            context: engine.context_length(),
        })))
    }

    /// Lays a prompt before a model of this machine so that `beside` more tokens fit; old turns are dropped for it, as `template` finds them.
    ///
    /// # Errors
    /// The prompt can't be rendered, or can't be shortened enough.
    pub fn lay(&self, prompt: &str, template: &Template, beside: usize) -> Result<LaidPrompt, Error> {
        let whole = |prompt| LaidPrompt { prompt, dropped_turns: 0 };
        match self {
            Self::Tokens(layout) => layout.lay(prompt, template, beside),
            Self::Text(plain) => Ok(whole(Prompt::Text(text(plain, prompt)?))),
            Self::Chat => Ok(whole(Prompt::Chat(vec![Message::user(prompt)]))),
        }
    }

    /// The beginning of an answer, to be scored or written on.
    ///
    /// # Errors
    /// The tokenizer fails.
    pub fn beginning(&self, answer: &str) -> Result<Continuation, Error> {
        match self {
            Self::Tokens(layout) => Ok(Continuation::Tokens(layout.answer_ids(answer)?)),
            Self::Text(_) | Self::Chat => Ok(Continuation::Text(answer.to_owned())),
        }
    }

    /// How many tokens the beginning of an answer has; 0 where a server counts.
    ///
    /// # Errors
    /// The tokenizer fails.
    pub fn count(&self, answer: &str) -> Result<usize, Error> {
        match self {
            Self::Tokens(layout) => Ok(layout.answer_ids(answer)?.len()),
            Self::Text(_) | Self::Chat => Ok(0),
        }
    }

    /// All of an answer: what the model was made to begin with, and what it wrote behind that.
    pub fn written(&self, beginning: &str, completion: &Completion) -> String {
        match self {
            // Tokens behind others are read together: alone they may lose a blank.
            Self::Tokens(layout) if !beginning.is_empty() => match layout.answer_ids(beginning) {
                Ok(ids) => layout.tokenizer.decode_text(&[ids.as_slice(), &completion.tokens].concat()),
                Err(_) => format!("{beginning}{}", completion.text),
            },
            _ => format!("{beginning}{}", completion.text),
        }
    }

    /// What decides how prompts are read, for the records.
    pub fn description(&self) -> String {
        match self {
            Self::Tokens(layout) => {
                let TokenLayout { template, bos, context, .. } = layout.as_ref();
                let (name, bos) = match (template, bos) {
                    (SftTemplate::Chat(template), _) => (template.name(), ""),
                    (SftTemplate::Plain(template), Bos::Auto) => (template.name(), ""),
                    (SftTemplate::Plain(template), Bos::Always) => (template.name(), " with beginning of sequence"),
                    (SftTemplate::Plain(template), Bos::Never) => (template.name(), " without beginning of sequence"),
                };
                format!("{name}{bos}, context {context}")
            }
            Self::Text(template) => template.name().to_owned(),
            Self::Chat => "chat".to_owned(),
        }
    }
}

impl TokenLayout {
    fn lay(&self, prompt: &str, template: &Template, beside: usize) -> Result<LaidPrompt, Error> {
        let options = EncodeOptions { bos: self.bos, ..EncodeOptions::default() };
        let encoder = SftEncoder::new(&self.tokenizer, &self.template, options)?;
        let ids = |prompt: &str| encoder.prompt(&[Message::user(prompt)]);
        let whole = ids(prompt)?;
        let limit = self.context.saturating_sub(beside);
        if whole.len() <= limit {
            return Ok(LaidPrompt { prompt: Prompt::Tokens(whole), dropped_turns: 0 });
        }
        let Some((template, turns)) = template.take_apart(prompt) else {
            return Err(Error::NoClip { tokens: whole.len(), limit });
        };
        let fitted = fit_oldest_turns::<Error>(&template, &turns, limit, &mut |prompt| Ok(ids(prompt)?.len()))?;
        Ok(LaidPrompt { prompt: Prompt::Tokens(ids(&fitted.text)?), dropped_turns: fitted.dropped_turns })
    }

    /// Answers are encoded apart from their prompts, as training does.
    fn answer_ids(&self, answer: &str) -> Result<Vec<u32>, Error> {
        Ok(self.tokenizer.encode(answer).map_err(llm_runtime::Error::from)?.ids)
    }
}

fn text(plain: &PlainTemplate, prompt: &str) -> Result<String, Error> {
    // There is one turn, and so no end of sequence to be written.
    let rendered = plain.render(&[Message::user(prompt)], "", GenerationPrompt::Add);
    Ok(rendered.map_err(llm_runtime::Error::from)?.text)
}
