//! Foreign text as a chat template, which is a program: it has to end, and to give its text or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_runtime::{ChatTemplate, GenerationPrompt, Message};

fuzz_target!(|source: &str| {
    let Ok(template) = ChatTemplate::from_source("fuzzed", source, "<s>", "</s>") else { return };
    let _ = template.supports_system_role();
    let messages = [Message::system("Listen."), Message::user("I feel {{ sad }}."), Message::assistant("Why?")];
    for prompt in [GenerationPrompt::Add, GenerationPrompt::Omit] {
        if let Ok(chat) = template.render(&messages, prompt) {
            // Every part that was found again lies in the text.
            assert!(chat.spans.iter().all(|span| chat.text.get(span.range.clone()).is_some()));
        }
    }
});
