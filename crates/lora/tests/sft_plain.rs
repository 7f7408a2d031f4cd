//! Plain templates.

use llm_runtime::{GenerationPrompt, Message};
use lora::sft::{BuiltInPlain, PlainTemplate, SftRecord};

fn question() -> Message {
    let mut question = Message::user("");
    question.push_part(SftRecord::INSTRUCTION, "Shorten.");
    question.push("\n");
    question.push_part(SftRecord::INPUT, "A long text.");
    question
}

#[test]
fn the_shipped_templates_can_be_read() {
    for built_in in BuiltInPlain::ALL {
        let template = built_in.template().unwrap();
        assert_eq!(template.name(), built_in.name());
        assert!(template.supports_system_role());
    }
}

#[test]
fn a_question_in_two_parts_has_its_own_section() {
    let template = BuiltInPlain::Plain.template().unwrap();
    let messages = [Message::system("Be brief."), question(), Message::assistant("Short.")];
    let rendered = template.render(&messages, "</s>", GenerationPrompt::Omit).unwrap();
    let expected = "Be brief.\n\n## Task\nShorten.\n\n## Material\nA long text.\n\n## Answer\nShort.</s>";
    assert_eq!(rendered.text, expected);
    assert_eq!(&rendered.text[rendered.contents[2].clone()], "Short.");
    let labels: Vec<(&str, &str)> =
        rendered.spans.iter().map(|part| (part.label.as_str(), &rendered.text[part.range.clone()])).collect();
    assert_eq!(labels, [("instruction", "Shorten."), ("input", "A long text.")]);
    let prefix = template.render(&messages[..2], "</s>", GenerationPrompt::Add).unwrap();
    assert!(rendered.text.starts_with(&prefix.text));
    assert!(prefix.text.ends_with("## Answer\n"));
}

#[test]
fn turns_are_joined_by_what_follows_the_response() {
    let template = BuiltInPlain::HumanAssistant.template().unwrap();
    let messages = [Message::user("a"), Message::assistant("b"), question(), Message::assistant("d")];
    let rendered = template.render(&messages, "</s>", GenerationPrompt::Omit).unwrap();
    assert_eq!(rendered.text, "Human: a\nAssistant: b</s>\nHuman: Shorten.\nA long text.\nAssistant: d</s>");
}

#[test]
fn messages_that_do_not_alternate_are_refused() {
    let template = BuiltInPlain::Plain.template().unwrap();
    for messages in [
        vec![Message::user("a"), Message::user("b")],
        vec![Message::assistant("a")],
        vec![Message::user("a"), Message::assistant("b"), Message::assistant("c")],
    ] {
        assert!(template.render(&messages, "", GenerationPrompt::Omit).is_err(), "{messages:?}");
    }
    assert!(template.render(&[], "", GenerationPrompt::Add).is_err());
}

#[test]
fn templates_say_what_is_wrong_with_them() {
    for (source, expected) in [
        ("", "no section `turn`"),
        ("%% turn\n{instruction}", "each of {instruction}, {response} exactly once"),
        ("%% turn\n{response}{instruction}", "{response} must come after"),
        ("%% turn\n{instruction}{input}{response}", "{input} has no place here"),
        ("%% answer\n", "unknown section `answer`"),
        ("%% turn\n{instruction}{response}\n%% turn\n{instruction}{response}", "occurs twice"),
    ] {
        let error = PlainTemplate::from_source("own", source).unwrap_err().to_string();
        assert!(error.starts_with("plain template `own`: ") && error.contains(expected), "{error}");
    }
}

#[test]
fn other_braces_and_windows_line_ends_are_fine() {
    let template = PlainTemplate::from_source("own", "%% turn\r\n{x} {instruction}\r\n> {response}\r\n").unwrap();
    let rendered = template.render(&[Message::user("{response}")], "", GenerationPrompt::Add).unwrap();
    assert_eq!(rendered.text, "{x} {response}\n> ");
}
