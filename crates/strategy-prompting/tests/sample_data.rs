//! Dialogues written for the tests, and plans over them.

use esconv_data::{Example, Speaker, StrategySet};
use llm_runtime::{GenerationOptions, Role};
use strategy_prompting::{Dialogue, InstructionTemplate, Layout, SweepPlan, SweepSettings, Turn};

/// A dialogue of these texts, seeker first.
pub(crate) fn dialogue(texts: &[&str]) -> Dialogue {
    Dialogue::new("test", turns(texts, Role::User)).unwrap()
}

/// Alternating turns.
pub(crate) fn turns(texts: &[&str], first: Role) -> Vec<Turn> {
    let second = if first == Role::User { Role::Assistant } else { Role::User };
    let roles = [first, second].into_iter().cycle();
    texts.iter().zip(roles).map(|(text, role)| Turn { role, text: (*text).to_owned() }).collect()
}

/// An example before supporter turn `turn`, optionally with an opening supporter turn in front.
pub(crate) fn example(conversation: &str, turn: usize, opened_by_supporter: bool) -> Example {
    let mut history: Vec<String> = (1..2 * turn).map(|number| format!("{conversation} says {number}\n")).collect();
    let mut speakers: Vec<Speaker> =
        [Speaker::Seeker, Speaker::Supporter].into_iter().cycle().take(history.len()).collect();
    if opened_by_supporter {
        history.insert(0, "Welcome!".into());
        speakers.insert(0, Speaker::Supporter);
    }
    Example {
        id: format!("{conversation}-{turn}"),
        conversation: conversation.into(),
        emotion_type: "sadness".into(),
        problem_type: "moving house".into(),
        situation: format!("{conversation} must {{move}}\nsoon"),
        prev_strategies: vec![vec![String::new()]; history.len()],
        dialog_history: history,
        prev_speakers: speakers,
        strategy: vec!["Question".into()],
        response: "I see.".into(),
        turn,
    }
}

/// Three conversations, turns 1 to 4 each; the second one is opened by the supporter.
pub(crate) fn examples() -> Vec<Example> {
    ["anna", "ben", "cleo"]
        .into_iter()
        .flat_map(|name| (1..=4).map(move |turn| example(name, turn, name == "ben")))
        .collect()
}

/// The fifteen strategies.
pub(crate) fn strategies() -> StrategySet {
    StrategySet::built_in("extes15").unwrap()
}

/// Two layouts, turns 2 to 4, sampling at temperature 0.7.
pub(crate) fn settings() -> SweepSettings {
    SweepSettings {
        layouts: vec![Layout::C1HistoryFirst, Layout::Standard],
        turns: "2..4".parse().unwrap(),
        seed: 7,
        generation: GenerationOptions { max_new_tokens: 8, temperature: 0.7, ..GenerationOptions::default() },
        ..SweepSettings::default()
    }
}

/// The plan of the settings over [`examples`].
pub(crate) fn plan(settings: SweepSettings) -> SweepPlan {
    SweepPlan::new(settings, &strategies(), InstructionTemplate::default(), &examples()).unwrap()
}
