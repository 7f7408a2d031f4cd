//! The seven layouts of one dialogue, word for word.

use llm_runtime::{BuiltInTemplate, GenerationPrompt, Message, Role};
use strategy_prompting::{
    Dialogue, HistoryFormat, InstructionTemplate, LabelledText, Layout, StrategyText, SystemRole, Turn, build,
};

fn dialogue(count: usize) -> Dialogue {
    let speakers = [Role::User, Role::Assistant].into_iter().cycle();
    let turns = (1..=count).zip(speakers).map(|(number, role)| Turn { role, text: format!(" turn {number}\n") });
    Dialogue::new("seven", turns.collect()).unwrap()
}

fn instruction() -> LabelledText {
    let template = InstructionTemplate::parse("short", "Use the \"{strategy}\" strategy ({description}).").unwrap();
    let strategy = StrategyText { name: "Offer Hope".into(), description: "Description: hope.".into() };
    template.fill("", Some(&strategy)).unwrap()
}

fn texts(layout: Layout, turns: usize, format: HistoryFormat) -> Vec<(Role, String)> {
    let messages = build(layout, &dialogue(turns), &instruction(), format, SystemRole::Native);
    messages.into_iter().map(|message| (message.role, message.content)).collect()
}

const INSTRUCTION: &str = "Use the \"Offer Hope\" strategy (Description: hope.).";

/// The history block of the turns before `n`.
fn history(n: usize) -> String {
    let line = |number: usize| format!("{}: turn {number}\n", if number % 2 == 1 { "user" } else { "assistant" });
    format!("conversation history:\n{}", (1..n).map(line).collect::<String>())
}

#[test]
fn standard_keeps_every_turn_as_a_message_and_its_blanks() {
    let found = texts(Layout::Standard, 7, HistoryFormat::Prompting);
    assert_eq!(found[0], (Role::System, INSTRUCTION.to_owned()));
    let turns: Vec<&str> = found[1..].iter().map(|(_, text)| text.as_str()).collect();
    let expected: Vec<String> = (1..=7).map(|number| format!(" turn {number}\n")).collect();
    assert_eq!(turns, expected);
}

#[test]
fn partial_layouts_put_older_turns_into_the_system_text() {
    for (name, recent) in [("c1", 1), ("c3", 3), ("c5", 5)] {
        let first = 8 - recent;
        for (suffix, system) in
            [("hf", format!("{}\n{INSTRUCTION}", history(first))), ("hl", format!("{INSTRUCTION}\n{}", history(first)))]
        {
            let layout = Layout::parse(&format!("{name}_{suffix}")).unwrap();
            let found = texts(layout, 7, HistoryFormat::Prompting);
            assert_eq!(found[0], (Role::System, system), "{layout}");
            let expected: Vec<String> = (first..=7).map(|number| format!("turn {number}")).collect();
            let turns: Vec<&str> = found[1..].iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(turns, expected, "{layout}");
            assert_eq!((found[1].0, found[found.len() - 1].0), (Role::User, Role::User));
        }
    }
}

#[test]
fn a_dialogue_of_five_turns_is_not_repeated_in_c5() {
    let found = texts(Layout::parse("c5_hf").unwrap(), 5, HistoryFormat::Prompting);
    assert_eq!(found[0].1, INSTRUCTION);
    assert_eq!(found.len(), 6);
}

#[test]
fn the_evaluation_format_has_its_own_header_and_names() {
    let found = texts(Layout::parse("c1_hf").unwrap(), 3, HistoryFormat::Evaluation);
    let expected = format!("conversation history:\n\nUser: turn 1\nAssistant: turn 2\n\n\n{INSTRUCTION}");
    assert_eq!(found[0].1, expected);
}

#[test]
fn every_part_is_found_in_the_rendered_prompt() {
    for layout in Layout::ALL {
        for format in BuiltInTemplate::ALL {
            let template = format.template().unwrap();
            let role = SystemRole::for_template(Some(&template));
            let messages: Vec<Message> = build(layout, &dialogue(7), &instruction(), HistoryFormat::Prompting, role);
            let rendered = template.render(&messages, GenerationPrompt::Add).unwrap();
            let of = |label: &str| {
                let span = rendered.spans.iter().find(|span| span.label == label);
                span.map(|span| &rendered.text[span.range.clone()])
            };
            let place = format!("{layout}, {}", format.name());
            assert_eq!(of("strategy_name"), Some("\"Offer Hope\""), "{place}");
            assert_eq!(of("strategy_name_word"), Some("\"Offer Hope\" strategy"), "{place}");
            assert_eq!(of("strategy_description"), Some("Description: hope."), "{place}");
            assert_eq!(of("instruction"), Some(INSTRUCTION), "{place}");
            for number in 1..=7 {
                assert_eq!(of(&format!("turn:{number}")), Some(format!("turn {number}").as_str()), "{place}");
            }
        }
    }
}

#[test]
fn an_opening_supporter_turn_is_dropped_and_the_ends_are_checked() {
    let turn = |role| Turn { role, text: "x".into() };
    let opened = Dialogue::new("one", vec![turn(Role::Assistant), turn(Role::User)]).unwrap();
    assert_eq!(opened.turns().len(), 1);
    for turns in [vec![], vec![turn(Role::Assistant)], vec![turn(Role::User), turn(Role::Assistant)]] {
        let error = Dialogue::new("the example", turns).unwrap_err().to_string();
        assert!(error.contains("the example"), "{error}");
    }
}

#[test]
fn built_in_templates_have_their_slots() {
    for name in InstructionTemplate::built_in_names() {
        let template = InstructionTemplate::built_in(name).unwrap();
        let strategy = StrategyText { name: "Chit Chat".into(), description: "Description: {situation}".into() };
        let text = template.fill("a {strategy}\nof mine", Some(&strategy)).unwrap();
        assert!(!text.text.contains('\n'), "{name}");
        if template.is_conditional() {
            assert!(text.text.contains("\"Chit Chat\" strategy"), "{name}: {}", text.text);
            assert!(
                text.text.contains("Description: {situation}"),
                "a slot's value is not filled again: {}",
                text.text
            );
        }
        assert_eq!(template.uses_situation(), text.text.contains("a {strategy} of mine"), "{name}: {}", text.text);
    }
}
