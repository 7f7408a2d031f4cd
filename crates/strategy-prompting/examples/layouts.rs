//! Prints one small dialogue in each of the seven layouts.
//!
//! `cargo run --package strategy-prompting --example layouts`

use llm_runtime::Role;
use strategy_prompting::{
    Dialogue, Error, HistoryFormat, InstructionTemplate, Layout, StrategyText, SystemRole, Turn, build,
};

const TURNS: [&str; 7] = [
    "Hello, is anyone there?",
    "Hi! I am here. What is on your mind?",
    "My landlord wants to sell the flat and I may have to move out.",
    "That sounds unsettling. How much time do you have?",
    "Three months, perhaps. I can hardly sleep.",
    "No wonder, it is your home. Have you told anyone?",
    "Only you. I feel stupid for being so upset.",
];

fn main() -> Result<(), Error> {
    let speakers = [Role::User, Role::Assistant].into_iter().cycle();
    let turns = TURNS.iter().zip(speakers).map(|(text, role)| Turn { role, text: (*text).to_owned() });
    let dialogue = Dialogue::new("landlord", turns.collect())?;
    let strategy = StrategyText {
        name: "Emotional Validation".to_owned(),
        description: "Description: Accept the feelings as legitimate. Examples: 'Of course you feel that way.' \
                      'Anyone would be upset.' 'That is a lot to carry.'"
            .to_owned(),
    };
    let instruction = InstructionTemplate::default().fill("I may lose my flat", Some(&strategy))?;
    for layout in Layout::ALL {
        println!("━━━━ {layout}");
        for message in build(layout, &dialogue, &instruction, HistoryFormat::Prompting, SystemRole::Native) {
            println!("[{}]\n{}", message.role.as_str(), message.content);
            for part in &message.parts {
                println!("    {:>22}  {:?}", part.label, part.range);
            }
        }
    }
    Ok(())
}
