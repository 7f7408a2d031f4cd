//! Chat templates against jinja2, and the parts of a prompt after rendering.

use golden_files::family;
use llm_runtime::{BuiltInTemplate, ChatTemplate, GenerationPrompt, Message, Part, Role, TemplateError, Tokenizer};
use proptest::prelude::*;
use serde_json::Value;

use crate::llama::{ids, json};

fn messages(dialogue: &Value) -> Vec<Message> {
    let role = |name: &str| match name {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => panic!("role {other}"),
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let message = |one: &Value| Message::new(role(&text(&one["role"])), text(&one["content"])).labelled("all");
    dialogue["messages"].as_array().unwrap().iter().map(message).collect()
}

fn prompt(case: &Value) -> GenerationPrompt {
    match case["add_generation_prompt"].as_bool().unwrap() {
        true => GenerationPrompt::Add,
        false => GenerationPrompt::Omit,
    }
}

#[test]
fn golden_tokenizers_chat_templates() {
    let Some(family) = family("tokenizers") else { return };
    let golden = json(family.join("chat_templates.json"));
    let dialogues = golden["dialogues"].as_array().unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let name = case["template"].as_str().unwrap();
        let source = &golden["templates"][name];
        let text = |key: &str| source[key].as_str().unwrap();
        let own = ChatTemplate::from_source(name, text("template"), text("bos_token"), text("eos_token")).unwrap();
        let built_in = ChatTemplate::built_in_by_name(name);
        let dialogue = dialogues.iter().find(|dialogue| dialogue["name"] == case["dialogue"]).unwrap();
        for template in std::iter::once(own).chain(built_in) {
            let rendered = template.render(&messages(dialogue), prompt(case));
            let place = format!("{name}, {}, {:?}", case["dialogue"], prompt(case));
            match (rendered, &case["error"]) {
                (Ok(rendered), Value::Null) => assert_eq!(rendered.text, case["text"].as_str().unwrap(), "{place}"),
                (Err(TemplateError::Raised(message)), Value::String(expected)) => {
                    assert!(expected.ends_with(&message), "{place}: {message} instead of {expected}");
                }
                (found, expected) => panic!("{place}: {found:?}, expected error {expected}"),
            }
        }
    }
}

#[test]
fn golden_tokenizers_rendered_chats() {
    let Some(family) = family("tokenizers") else { return };
    let golden = json(family.join("chat_templates.json"));
    let model = std::fs::read(family.join("assets/llama2.tokenizer.model")).unwrap();
    let tokenizer = Tokenizer::from_sentencepiece(&model).unwrap();
    let mut checked = 0;
    for case in golden["cases"].as_array().unwrap().iter().filter(|case| case.get("ids_fast_legacy").is_some()) {
        let text = case["text"].as_str().unwrap();
        let encoding = tokenizer.encode_rendered(text, &[]).unwrap();
        assert_eq!(encoding.ids, ids(&case["ids_fast_legacy"]), "{text:?}");
        checked += 1;
    }
    assert!(checked > 0);
}

#[test]
fn every_built_in_template_is_read() {
    for format in BuiltInTemplate::ALL {
        let template = format.template().unwrap();
        assert_eq!(template.name(), format.name());
        assert_eq!(template.supports_system_role(), format != BuiltInTemplate::Mistral, "{}", format.name());
    }
}

#[test]
fn llama_3_1_begins_with_its_dates() {
    let template = BuiltInTemplate::Llama31.template().unwrap();
    let rendered = template.render(&[Message::system("Be kind."), Message::user("Hi")], GenerationPrompt::Add).unwrap();
    let system = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nBe kind.<|eot_id|>";
    assert!(rendered.text.contains(system), "{}", rendered.text);
    assert!(rendered.text.ends_with("<|start_header_id|>assistant<|end_header_id|>\n\n"));
}

#[test]
fn parts_are_found_where_they_end_up() {
    let mut system = Message::system("");
    system.push_part("instruction", "  Use the \"Offer Hope\" strategy. ");
    system.parts.push(Part { label: "name".into(), range: 11..21 });
    let messages = [system, Message::user("Help </s> me ").labelled("turn:1")];
    let rendered = BuiltInTemplate::Llama2.template().unwrap().render(&messages, GenerationPrompt::Add).unwrap();
    let texts: Vec<(&str, &str)> =
        rendered.spans.iter().map(|span| (span.label.as_str(), &rendered.text[span.range.clone()])).collect();
    let expected =
        [("instruction", "Use the \"Offer Hope\" strategy."), ("name", "Offer Hope"), ("turn:1", "Help </s> me")];
    assert_eq!(texts, expected);
    assert_eq!(&rendered.text[rendered.contents[1].clone()], "Help </s> me");
}

#[test]
fn a_template_that_counts_characters_is_refused() {
    let source = "{% for message in messages %}{{ message.content | length }}{% endfor %}";
    let template = ChatTemplate::from_source("counter", source, "", "").unwrap();
    let error = template.render(&[Message::user("abc")], GenerationPrompt::Add).unwrap_err();
    assert_eq!(error, TemplateError::Untraceable { name: "counter".into() });
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let source = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
    let template = ChatTemplate::from_source("endless", source, "", "").unwrap();
    let error = template.render(&[Message::user("abc")], GenerationPrompt::Add).unwrap_err();
    assert!(matches!(error, TemplateError::Render { .. }), "{error}");
}

#[test]
fn wrong_sources_and_parts_are_named() {
    let error = ChatTemplate::from_source("mine", "{% for %}", "", "").unwrap_err().to_string();
    assert!(error.contains("`mine`") && error.contains("line 1"), "{error}");
    let mut message = Message::user("é");
    message.parts.push(Part { label: "half".into(), range: 0..1 });
    let template = BuiltInTemplate::ChatMl.template().unwrap();
    let error = template.render(&[message], GenerationPrompt::Add).unwrap_err();
    assert_eq!(error, TemplateError::Part { label: "half".into() });
}

fn content() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ \n\ta-zé🙂]{0,8}",
        Just("</s>".to_owned()),
        Just("[/INST] <<SYS>>".to_owned()),
        Just("\u{f0000}\u{f0001}".to_owned()),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn spans_hold_what_their_parts_held(system in content(), user in content(), cut in 0usize..40) {
        let mut message = Message::user(user.clone());
        let cut = (0..=cut.min(user.len())).rev().find(|at| user.is_char_boundary(*at)).unwrap();
        message.parts.push(Part { label: "head".into(), range: 0..cut });
        message.parts.push(Part { label: "tail".into(), range: cut..user.len() });
        for format in [BuiltInTemplate::Llama2, BuiltInTemplate::ChatMl, BuiltInTemplate::Llama3] {
            let template = format.template().unwrap();
            let plain = [Message::system(system.clone()), Message::user(user.clone())];
            let rendered = template.render(&[plain[0].clone(), message.clone()], GenerationPrompt::Add).unwrap();
            prop_assert_eq!(&rendered.text, &template.render(&plain, GenerationPrompt::Add).unwrap().text);
            prop_assert_eq!(&rendered.text[rendered.contents[1].clone()], user.trim());
            for span in &rendered.spans {
                let part = if span.label == "head" { &user[..cut] } else { &user[cut..] };
                prop_assert_eq!(&rendered.text[span.range.clone()], part.trim());
            }
        }
    }
}
