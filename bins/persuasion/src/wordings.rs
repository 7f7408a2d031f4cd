//! The templates that a command line can name.

use command_line::Failure;
use dpo::{PromptTemplate, Wording};
use llm_runtime::ChatTemplate;

/// What `--template` names.
pub(crate) fn wording(name: &str, chat: Option<&ChatTemplate>) -> Result<Wording, Failure> {
    Ok(match name {
        "persuasion" => Wording::Plain(persuasion()?),
        "bare" => Wording::Plain(PromptTemplate::bare()),
        "chat" => {
            let Some(template) = chat else {
                let problem =
                    "the model has no chat template: name one with --chat-template, or a text with --template";
                return Err(Failure::wrong_use(problem));
            };
            Wording::Chat { template: Box::new(template.clone()), instruction: instruction()? }
        }
        path => Wording::Plain(PromptTemplate::read(path.as_ref())?),
    })
}

/// What `persuasion` asks for, without its label: the system text of chats.
pub(crate) fn instruction() -> Result<String, Failure> {
    let prefix = persuasion()?.prefix;
    let instruction = prefix.lines().next().unwrap_or_default().trim_start_matches("Instruction:").trim();
    Ok(instruction.to_owned())
}

fn persuasion() -> Result<PromptTemplate, Failure> {
    Ok(PromptTemplate::from_source("persuasion", PromptTemplate::PERSUASION)?)
}
