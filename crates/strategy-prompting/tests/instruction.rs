//! Instruction templates: slots, parts, and what is refused.

use esconv_data::Strategy;
use proptest::prelude::*;
use strategy_prompting::{InstructionTemplate, LabelledText, StrategyText, part};

use crate::sample_data::strategies;

fn slice<'a>(text: &'a LabelledText, label: &str) -> Option<&'a str> {
    let part = text.parts.iter().find(|part| part.label == label)?;
    Some(&text.text[part.range.clone()])
}

fn offer_hope() -> Strategy {
    strategies().find("Offer Hope").unwrap().clone()
}

#[test]
fn built_in_templates_have_the_slots_of_the_specification() {
    // Name, situation, strategy, description in parentheses, label repeated unquoted, answer format.
    let table = [
        ("t1", true, true, false, true, false),
        ("t2", true, true, false, true, false),
        ("t3", true, true, false, true, false),
        ("t4", true, true, true, true, true),
        ("t5", true, true, true, false, true),
        ("t6", false, true, true, false, true),
        ("train", false, true, true, false, false),
        ("train-unconditional", false, false, false, false, false),
        ("chat-none", false, false, false, false, false),
    ];
    assert!(InstructionTemplate::built_in_names().eq(table.iter().map(|row| row.0)));
    for (name, situation, strategy, parentheses, repeated, format) in table {
        let template = InstructionTemplate::built_in(name).unwrap();
        let source = template.source();
        assert!(!source.contains('\n'), "{name}");
        assert_eq!(template.uses_situation(), situation, "{name}");
        assert_eq!(template.is_conditional(), strategy, "{name}");
        assert_eq!(source.contains("{description}"), strategy, "{name}");
        assert_eq!(source.contains("({description})"), parentheses, "{name}");
        assert_eq!(source.matches("{strategy}").count(), usize::from(strategy) + usize::from(repeated), "{name}");
        assert_eq!(source.contains("assistant: <"), format, "{name}");
        assert_eq!(template.sha256().len(), 64);
    }
}

#[test]
fn parts_slice_what_they_name() {
    let strategy = offer_hope();
    for name in InstructionTemplate::built_in_names() {
        let template = InstructionTemplate::built_in(name).unwrap();
        let text = template.render("  I lost\nmy   job ", Some(&strategy)).unwrap();
        assert_eq!(slice(&text, part::INSTRUCTION), Some(text.text.as_str()));
        assert_eq!(slice(&text, part::SITUATION), template.uses_situation().then_some("I lost my job"));
        let conditional = template.is_conditional();
        assert_eq!(slice(&text, part::STRATEGY_NAME), conditional.then_some("\"Offer Hope\""));
        assert_eq!(slice(&text, part::STRATEGY_NAME_WORD), conditional.then_some("\"Offer Hope\" strategy"));
        let description = strategy.paragraph();
        assert_eq!(slice(&text, part::STRATEGY_DESCRIPTION), conditional.then_some(description.as_str()));
    }
}

#[test]
fn braces_in_values_are_not_slots() {
    let template = InstructionTemplate::default();
    let strategy = StrategyText { name: "{situation}".into(), description: "{strategy} }} {".into() };
    let text = template.fill("{description} {{", Some(&strategy)).unwrap();
    assert_eq!(slice(&text, part::SITUATION), Some("{description} {{"));
    assert_eq!(slice(&text, part::STRATEGY_NAME), Some("\"{situation}\""));
    assert_eq!(slice(&text, part::STRATEGY_DESCRIPTION), Some("{strategy} }} {"));
}

#[test]
fn the_quoted_name_is_found_even_if_an_unquoted_one_comes_first() {
    let template = InstructionTemplate::parse("x", "Use {strategy}, the \"{strategy}\" strategy.").unwrap();
    let text = template.render("", Some(&offer_hope())).unwrap();
    assert_eq!(slice(&text, part::STRATEGY_NAME), Some("\"Offer Hope\""));
    assert_eq!(slice(&text, part::STRATEGY_MENTION), Some("Offer Hope"));
}

#[test]
fn bad_templates_are_refused_with_the_reason() {
    for (source, expected) in [
        ("", "empty"),
        ("Hello {name}", "unknown slot `{name}`"),
        ("Hello {situation", "unpaired brace"),
        ("Hello }", "unpaired brace"),
        ("Use {strategy}.", "\"{strategy}\" strategy"),
        ("Use \u{201c}{strategy}\u{201d} strategy.", "straight double quotes"),
        ("Do this: {description}", "needs {strategy}"),
    ] {
        let error = InstructionTemplate::parse("mine", source).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("mine"), "{source}: {error}");
    }
    assert!(InstructionTemplate::default().render("x", None).is_err());
}

#[test]
fn a_user_file_is_read_by_path_and_named_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gentle.txt");
    std::fs::write(&path, "Be gentle. Use the \"{strategy}\" strategy: {description}\r\n").unwrap();
    let template = InstructionTemplate::by_name_or_path(path.to_str().unwrap()).unwrap();
    assert_eq!(template.name(), "gentle");
    assert!(template.source().ends_with("{description}"));
    std::fs::write(&path, "{slot}").unwrap();
    let error = InstructionTemplate::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("gentle.txt") && error.contains("{slot}"), "{error}");
    let error = InstructionTemplate::by_name_or_path("t7").unwrap_err().to_string();
    assert!(error.contains("t1, t2, t3, t4"), "{error}");
}

proptest! {
    #[test]
    fn parts_slice_any_values(situation in ".{0,60}", name in ".{1,20}", description in ".{0,60}") {
        let strategy = StrategyText { name: name.clone(), description: description.clone() };
        for template in ["t1", "t4", "t6"] {
            let text = InstructionTemplate::built_in(template).unwrap().fill(&situation, Some(&strategy)).unwrap();
            let quoted = format!("\"{name}\"");
            prop_assert_eq!(slice(&text, part::STRATEGY_NAME), Some(quoted.as_str()));
            prop_assert_eq!(slice(&text, part::STRATEGY_DESCRIPTION), Some(description.as_str()));
        }
    }

    #[test]
    fn no_text_makes_parsing_panic(source in "[{}a-z\"é ]{0,40}") {
        let _ = InstructionTemplate::parse("x", &source);
    }
}
