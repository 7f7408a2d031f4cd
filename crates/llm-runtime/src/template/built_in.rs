//! The chat formats that come with the crate, for models that bring no template.

use super::ChatTemplate;

/// A chat format. The sources are Jinja files beside this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltInTemplate {
    /// Llama-2-chat: `[INST] <<SYS>> …`.
    Llama2,
    /// Llama-3-Instruct.
    Llama3,
    /// Llama-3.1-Instruct: as Llama-3, with two date lines before the system text.
    Llama31,
    /// Mistral-Instruct v0.2: no system role.
    Mistral,
    /// ChatML: `<|im_start|>role`.
    ChatMl,
    /// Zephyr: `<|role|>`.
    Zephyr,
}

impl BuiltInTemplate {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Llama2, Self::Llama3, Self::Llama31, Self::Mistral, Self::ChatMl, Self::Zephyr];

    /// `llama2`, `llama3`, `llama3.1`, `mistral`, `chatml` or `zephyr`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama2 => "llama2",
            Self::Llama3 => "llama3",
            Self::Llama31 => "llama3.1",
            Self::Mistral => "mistral",
            Self::ChatMl => "chatml",
            Self::Zephyr => "zephyr",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Llama2 => include_str!("built_in/llama2.jinja"),
            Self::Llama3 => include_str!("built_in/llama3.jinja"),
            Self::Llama31 => include_str!("built_in/llama3.1.jinja"),
            Self::Mistral => include_str!("built_in/mistral.jinja"),
            Self::ChatMl => include_str!("built_in/chatml.jinja"),
            Self::Zephyr => include_str!("built_in/zephyr.jinja"),
        }
    }

    /// The beginning and end of sequence that go with the format.
    fn tokens(self) -> (&'static str, &'static str) {
        match self {
            Self::Llama2 | Self::Mistral | Self::Zephyr => ("<s>", "</s>"),
            Self::Llama3 | Self::Llama31 => ("<|begin_of_text|>", "<|eot_id|>"),
            Self::ChatMl => ("<s>", "<|im_end|>"),
        }
    }

    /// The format as a template.
    ///
    /// # Errors
    /// None for the shipped sources; a test reads them all.
    pub fn template(self) -> Result<ChatTemplate, super::TemplateError> {
        let (bos, eos) = self.tokens();
        ChatTemplate::from_source(self.name(), self.source(), bos, eos)
    }
}

impl ChatTemplate {
    /// The built-in format of that name; `None` if there is none.
    pub fn built_in_by_name(name: &str) -> Option<Self> {
        BuiltInTemplate::ALL.into_iter().find(|format| format.name() == name)?.template().ok()
    }
}
