//! The templates that a command line can name.

use command_line::Failure;
use dpo::{PromptTemplate, Wording};
use llm_runtime::ChatTemplate;

/// What `--template` names.
pub(crate) fn wording(name: &str, chat: Option<&ChatTemplate>) -> Result<Wording, Failure> {
    let persuasion = || PromptTemplate::from_source("persuasion", PromptTemplate::PERSUASION);
    Ok(match name {
        "persuasion" => Wording::Plain(persuasion()?),
        "bare" => Wording::Plain(PromptTemplate::bare()),
        "chat" => {
            let Some(template) = chat else {
                let problem =
                    "the model has no chat template: name one with --chat-template, or a text with --template";
                return Err(Failure::wrong_use(problem));
            };
            let prefix = persuasion()?.prefix;
            let instruction = prefix.lines().next().unwrap_or_default().trim_start_matches("Instruction:").trim();
            Wording::Chat { template: Box::new(template.clone()), instruction: instruction.to_owned() }
        }
        path => Wording::Plain(PromptTemplate::read(path.as_ref())?),
    })
}
