//! The seven layouts against texts written by hand.

use llm_runtime::{Message, Part, Role};
use proptest::prelude::*;
use strategy_prompting::{
    Dialogue, HistoryFormat, InstructionTemplate, LabelledText, Layout, StrategyText, SystemRole, Turn, build, part,
};

use crate::sample_data::{dialogue, turns};

const SEVEN: [&str; 7] = ["u1\n", "a1", " u2 ", "a2\nmore", "u3", "a3", "u4\n"];

fn instruction() -> LabelledText {
    let parts = vec![Part { label: part::INSTRUCTION.into(), range: 0..3 }];
    LabelledText { text: "DO!".into(), parts }
}

fn contents(layout: &str, texts: &[&str], format: HistoryFormat, role: SystemRole) -> Vec<String> {
    let messages = build(Layout::parse(layout).unwrap(), &dialogue(texts), &instruction(), format, role);
    messages.iter().map(|message| format!("{}|{}", message.role.as_str(), message.content)).collect()
}

fn check(format: HistoryFormat, expected: [(&str, &[&str]); 7]) {
    for (layout, lines) in expected {
        assert_eq!(contents(layout, &SEVEN, format, SystemRole::Native), lines, "{layout}");
    }
}

#[test]
fn the_prompting_format_is_as_written_by_hand() {
    check(
        HistoryFormat::Prompting,
        [
            (
                "standard",
                &[
                    "system|DO!",
                    "user|u1\n",
                    "assistant|a1",
                    "user| u2 ",
                    "assistant|a2\nmore",
                    "user|u3",
                    "assistant|a3",
                    "user|u4\n",
                ],
            ),
            (
                "c1_hf",
                &[
                    "system|conversation history:\nuser: u1\nassistant: a1\nuser: u2\nassistant: a2\nmore\nuser: u3\nassistant: a3\n\nDO!",
                    "user|u4",
                ],
            ),
            (
                "c1_hl",
                &[
                    "system|DO!\nconversation history:\nuser: u1\nassistant: a1\nuser: u2\nassistant: a2\nmore\nuser: u3\nassistant: a3\n",
                    "user|u4",
                ],
            ),
            (
                "c3_hf",
                &[
                    "system|conversation history:\nuser: u1\nassistant: a1\nuser: u2\nassistant: a2\nmore\n\nDO!",
                    "user|u3",
                    "assistant|a3",
                    "user|u4",
                ],
            ),
            (
                "c3_hl",
                &[
                    "system|DO!\nconversation history:\nuser: u1\nassistant: a1\nuser: u2\nassistant: a2\nmore\n",
                    "user|u3",
                    "assistant|a3",
                    "user|u4",
                ],
            ),
            (
                "c5_hf",
                &[
                    "system|conversation history:\nuser: u1\nassistant: a1\n\nDO!",
                    "user|u2",
                    "assistant|a2\nmore",
                    "user|u3",
                    "assistant|a3",
                    "user|u4",
                ],
            ),
            (
                "c5_hl",
                &[
                    "system|DO!\nconversation history:\nuser: u1\nassistant: a1\n",
                    "user|u2",
                    "assistant|a2\nmore",
                    "user|u3",
                    "assistant|a3",
                    "user|u4",
                ],
            ),
        ],
    );
}

#[test]
fn the_evaluation_format_is_as_written_by_hand() {
    check(
        HistoryFormat::Evaluation,
        [
            (
                "standard",
                &[
                    "system|DO!",
                    "user|u1\n",
                    "assistant|a1",
                    "user| u2 ",
                    "assistant|a2\nmore",
                    "user|u3",
                    "assistant|a3",
                    "user|u4\n",
                ],
            ),
            (
                "c1_hf",
                &[
                    "system|conversation history:\n\nUser: u1\nAssistant: a1\nUser: u2\nAssistant: a2\nmore\nUser: u3\nAssistant: a3\n\n\nDO!",
                    "user|u4",
                ],
            ),
            (
                "c1_hl",
                &[
                    "system|DO!\nconversation history:\n\nUser: u1\nAssistant: a1\nUser: u2\nAssistant: a2\nmore\nUser: u3\nAssistant: a3\n",
                    "user|u4",
                ],
            ),
            (
                "c3_hf",
                &[
                    "system|conversation history:\n\nUser: u1\nAssistant: a1\nUser: u2\nAssistant: a2\nmore\n\n\nDO!",
                    "user|u3",
                    "assistant|a3",
                    "user|u4",
                ],
            ),
            (
                "c3_hl",
                &[
                    "system|DO!\nconversation history:\n\nUser: u1\nAssistant: a1\nUser: u2\nAssistant: a2\nmore\n",
                    "user|u3",
                    "assistant|a3",
                    "user|u4",
                ],
            ),
            (
                "c5_hf",
                &[
                    "system|conversation history:\n\nUser: u1\nAssistant: a1\n\n\nDO!",
                    "user|u2",
                    "assistant|a2\nmore",
                    "user|u3",
                    "assistant|a3",
                    "user|u4",
                ],
            ),
            (
                "c5_hl",
                &[
                    "system|DO!\nconversation history:\n\nUser: u1\nAssistant: a1\n",
                    "user|u2",
                    "assistant|a2\nmore",
                    "user|u3",
                    "assistant|a3",
                    "user|u4",
                ],
            ),
        ],
    );
}

#[test]
fn a_short_dialogue_is_not_repeated_in_a_history_block() {
    for layout in ["c5_hf", "c5_hl"] {
        let lines = contents(layout, &SEVEN[2..], HistoryFormat::Prompting, SystemRole::Native);
        assert_eq!(lines, ["system|DO!", "user|u2", "assistant|a2\nmore", "user|u3", "assistant|a3", "user|u4"]);
    }
    let lines = contents("c3_hf", &["only\n"], HistoryFormat::Evaluation, SystemRole::Native);
    assert_eq!(lines, ["system|DO!", "user|only"]);
}

#[test]
fn without_a_system_role_the_instruction_is_in_the_first_user_turn_only() {
    let lines = contents("standard", &SEVEN[4..], HistoryFormat::Prompting, SystemRole::InFirstUser);
    assert_eq!(lines, ["user|DO!\n\nu3", "assistant|a3", "user|u4\n"]);
    let lines = contents("c1_hf", &SEVEN[4..], HistoryFormat::Prompting, SystemRole::InFirstUser);
    assert_eq!(lines, ["user|conversation history:\nuser: u3\nassistant: a3\n\nDO!\n\nu4"]);
    let lines = contents("c1_hl", &SEVEN[4..], HistoryFormat::Prompting, SystemRole::InFirstUser);
    assert_eq!(lines, ["user|DO!\nconversation history:\nuser: u3\nassistant: a3\n\n\nu4"]);
}

#[test]
fn names_are_read_and_unknown_ones_listed() {
    for layout in Layout::ALL {
        assert_eq!(layout.name().parse::<Layout>().unwrap(), layout);
    }
    let error = Layout::parse("c2_hf").unwrap_err().to_string();
    assert!(
        error.contains("`c2_hf`") && error.contains("standard, c1_hf, c1_hl, c3_hf, c3_hl, c5_hf, c5_hl"),
        "{error}"
    );
}

#[test]
fn an_opening_supporter_turn_is_dropped() {
    let dialogue = Dialogue::new("x", turns(&["Welcome", "u1", "a1", "u2"], Role::Assistant)).unwrap();
    assert_eq!(dialogue.texts(), ["u1", "a1", "u2"]);
    assert_eq!(dialogue.speakers(), ["seeker", "supporter", "seeker"]);
}

#[test]
fn dialogues_that_can_not_be_prompted_name_the_example() {
    let turn = |role, text: &str| Turn { role, text: text.into() };
    for (turns, expected) in [
        (vec![], "no seeker turn"),
        (turns(&["Welcome"], Role::Assistant), "no seeker turn"),
        (turns(&["u1", "a1"], Role::User), "last turn must be the seeker's"),
        (vec![turn(Role::User, "a"), turn(Role::User, "b")], "turns 1 and 2 are both the seeker's"),
        (vec![turn(Role::Assistant, "a"), turn(Role::Assistant, "b"), turn(Role::User, "c")], "first turn"),
        (vec![turn(Role::User, "a"), turn(Role::System, "b"), turn(Role::User, "c")], "role `system`"),
    ] {
        let error = Dialogue::new("conv9:3", turns).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("conv9:3"), "{error}");
    }
}

/// Label and text of every part, over all messages.
fn named(messages: &[Message]) -> Vec<(&str, &str)> {
    let parts = messages.iter().flat_map(|message| message.parts.iter().map(move |part| (message, part)));
    parts.map(|(message, part)| (part.label.as_str(), &message.content[part.range.clone()])).collect()
}

proptest! {
    #[test]
    fn every_part_slices_what_it_names(
        pairs in 0_usize..6,
        text in prop::collection::vec("[ \n]{0,2}[a-zé\n ]{0,8}[ \n]{0,2}", 13),
        at in 0_usize..7,
        evaluation: bool,
        in_user: bool,
    ) {
        let texts: Vec<&str> = text.iter().take(2 * pairs + 1).map(String::as_str).collect();
        let dialogue = dialogue(&texts);
        let strategy = StrategyText { name: "Chit Chat".into(), description: "Description: light talk".into() };
        let instruction = InstructionTemplate::default().fill("moved \n away", Some(&strategy)).unwrap();
        let format = if evaluation { HistoryFormat::Evaluation } else { HistoryFormat::Prompting };
        let role = if in_user { SystemRole::InFirstUser } else { SystemRole::Native };
        let messages = build(Layout::ALL[at], &dialogue, &instruction, format, role);
        let named = named(&messages);
        let find = |label: &str| named.iter().filter(|(known, _)| *known == label).map(|(_, text)| *text).collect::<Vec<_>>();
        for (index, turn) in dialogue.turns().iter().enumerate() {
            prop_assert_eq!(find(&part::turn(index + 1)), vec![turn.text.trim()]);
        }
        prop_assert_eq!(find(part::INSTRUCTION), vec![instruction.text.as_str()]);
        prop_assert_eq!(find(part::SITUATION), vec!["moved away"]);
        prop_assert_eq!(find(part::STRATEGY_NAME), vec!["\"Chit Chat\""]);
        prop_assert_eq!(find(part::STRATEGY_NAME_WORD), vec!["\"Chit Chat\" strategy"]);
        prop_assert_eq!(find(part::SYSTEM).len(), 1);
        prop_assert!(find(part::SYSTEM)[0].contains(&instruction.text));
        let has_history = Layout::ALL[at].recent_turns().is_some_and(|recent| texts.len() > recent);
        prop_assert_eq!(find(part::HISTORY).len(), usize::from(has_history));
        for block in find(part::HISTORY) {
            prop_assert!(block.starts_with("conversation history:\n") && block.ends_with('\n'));
        }
        prop_assert_eq!(messages.last().map(|message| message.role), Some(Role::User));
    }
}
