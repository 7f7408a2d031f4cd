//! Spans after rendering with the built-in chat templates, and the published prompts.

use std::fs;
use std::path::Path;

use llm_runtime::{BuiltInTemplate, ChatTemplate, GenerationPrompt, Part};
use strategy_prompting::{
    Dialogue, HistoryFormat, InstructionTemplate, LabelledText, Layout, ReferenceConversation, StrategyText,
    SystemRole, build, part,
};

use crate::sample_data::dialogue;

#[test]
fn spans_of_the_rendered_prompt_slice_what_they_name() {
    // The label occurs in the dialogue too: a search would find the wrong one.
    let texts = ["I need \"Offer Hope\" strategy\n", "Do you?", " Yes ", "Why?", "é…\n", "Go on.", "Offer Hope!"];
    let dialogue = dialogue(&texts);
    let strategy = StrategyText { name: "Offer Hope".into(), description: "Description: say so. Examples: 'a'".into() };
    let instruction = InstructionTemplate::default().fill("my \"flat\"", Some(&strategy)).unwrap();
    for format in BuiltInTemplate::ALL {
        let template = format.template().unwrap();
        let role = SystemRole::for_template(Some(&template));
        for layout in Layout::ALL {
            for history in [HistoryFormat::Prompting, HistoryFormat::Evaluation] {
                let messages = build(layout, &dialogue, &instruction, history, role);
                let rendered = template.render(&messages, GenerationPrompt::Add).unwrap();
                let named = |label: &str| -> Vec<&str> {
                    let spans = rendered.spans.iter().filter(|span| span.label == label);
                    spans.map(|span| &rendered.text[span.range.clone()]).collect()
                };
                let place = format!("{} {layout}", format.name());
                assert_eq!(named(part::INSTRUCTION), [instruction.text.as_str()], "{place}");
                assert_eq!(named(part::SITUATION), ["my \"flat\""], "{place}");
                assert_eq!(named(part::STRATEGY_NAME), ["\"Offer Hope\""], "{place}");
                assert_eq!(named(part::STRATEGY_NAME_WORD), ["\"Offer Hope\" strategy"], "{place}");
                assert_eq!(named(part::STRATEGY_DESCRIPTION), [strategy.description.as_str()], "{place}");
                for (index, text) in texts.iter().enumerate() {
                    assert_eq!(named(&part::turn(index + 1)), [text.trim()], "{place}");
                }
            }
        }
    }
}

#[test]
fn only_templates_without_a_system_role_get_it_in_the_first_user_turn() {
    for format in BuiltInTemplate::ALL {
        let expected = if format == BuiltInTemplate::Mistral { SystemRole::InFirstUser } else { SystemRole::Native };
        assert_eq!(SystemRole::for_template(Some(&format.template().unwrap())), expected, "{}", format.name());
    }
    assert_eq!(SystemRole::for_template(None), SystemRole::Native);
}

#[test]
fn the_published_prompts_are_rebuilt_around_their_instruction() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sra/data");
    let Ok(files) = fs::read_dir(&folder) else {
        println!("skipped: {} is absent", folder.display());
        return;
    };
    let template = ChatTemplate::built_in_by_name("llama2").unwrap();
    let mut rebuilt = 0;
    for file in files {
        let conversation = ReferenceConversation::read(&file.unwrap().path()).unwrap();
        let dialogue = Dialogue::from_speakers("sample", &conversation.speakers, &conversation.dialog).unwrap();
        for (strategy, prompt) in &conversation.prompts.0 {
            let system = prompt.split_once("\n<</SYS>>").unwrap().0;
            let text = system.rsplit_once("\n\n").unwrap().1.to_owned();
            assert!(text.contains(&format!("\"{strategy}\" strategy")));
            let parts = vec![Part { label: part::INSTRUCTION.into(), range: 0..text.len() }];
            let instruction = LabelledText { text, parts };
            let messages =
                build(Layout::C1HistoryFirst, &dialogue, &instruction, HistoryFormat::Prompting, SystemRole::Native);
            assert_eq!(template.render(&messages, GenerationPrompt::Add).unwrap().text, *prompt);
            rebuilt += 1;
        }
    }
    assert_eq!(rebuilt, 15);
}
