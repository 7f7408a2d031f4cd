//! A prompt as one text, to be compared and measured.

use dpo::PairText;

/// The text, or what the turns say, a paragraph each.
pub(crate) fn text_of(prompt: &PairText) -> String {
    match prompt {
        PairText::Plain(text) => text.clone(),
        PairText::Chat(messages) => {
            messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n\n")
        }
    }
}
