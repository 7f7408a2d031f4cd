//! A chat with two models: both get the same texts and the same strategy, each keeps its own answers as history.

use llm_runtime::{GenerationOptions, Prompt, Request, seeded_stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use strategy_prompting::SystemRole;

use crate::chat::command::Command;
use crate::chat::state::{Answer, Chat, Exchange, Kept, Question, Start, Step};

/// One of the two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Model {
    /// The one of `--model`.
    First,
    /// The one of `--against`.
    Second,
}

impl Model {
    pub(super) const BOTH: [Self; 2] = [Self::First, Self::Second];

    fn other(self) -> Self {
        if self == Self::First { Self::Second } else { Self::First }
    }

    /// Its place in arrays of two.
    pub(super) fn place(self) -> usize {
        usize::from(self == Self::Second)
    }
}

/// Where an answer stands; the terminal shows the left one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Left, Self::Right];
}

/// How every chat begins.
pub(super) struct Beginning {
    start: Start,
    strategy: String,
}

impl Beginning {
    /// Refuses a strategy that is not in the set.
    pub(super) fn new(start: Start, strategy: &str) -> Result<Self, String> {
        Chat::new(start.clone(), strategy)?;
        Ok(Self { start, strategy: strategy.to_owned() })
    }

    /// The chat of this number. Sides and seed are drawn by it and the seed of all chats alone.
    pub(super) fn duel(&self, number: u64) -> Result<Duel, String> {
        let (left, seed) = draw(self.start.seed, number);
        let chat = || Chat::new(Start { seed, ..self.start.clone() }, &self.strategy);
        Ok(Duel { number, left, asked: 0, chats: [chat()?, chat()?] })
    }

    /// The chat of this number, with the strategy, the layout and the situation of another.
    pub(super) fn duel_like(&self, other: &Duel, number: u64) -> Result<Duel, String> {
        let (left, seed) = draw(self.start.seed, number);
        let [before, _] = &other.chats;
        let chat = || {
            before.go_on_with(Kept {
                situation: before.situation().to_owned(),
                layout: before.layout(),
                seed: Some(seed),
                strategy: before.strategy_name().map(str::to_owned),
                history: Vec::new(),
            })
        };
        Ok(Duel { number, left, asked: 0, chats: [chat()?, chat()?] })
    }

    /// Names of the strategies that can be chosen.
    pub(super) fn strategies(&self) -> Vec<&str> {
        self.start.strategies.strategies.iter().map(|strategy| strategy.name.as_str()).collect()
    }
}

/// Which model stands on the left in a chat, and the seed of its answers (below 2^52, so that turns can be added and every server
/// still reads it exactly).
fn draw(seed: u64, number: u64) -> (Model, u64) {
    let mut stream = seeded_stream(seed, &format!("head2head chat {number}"));
    let left = if stream.random_bool(0.5) { Model::First } else { Model::Second };
    (left, stream.random::<u64>() >> 12)
}

/// A chat with two models.
pub(super) struct Duel {
    number: u64,
    left: Model,
    /// Questions so far, those that were asked again or taken back included.
    asked: usize,
    /// One for each model, the same but for the answers.
    chats: [Chat; 2],
}

impl Duel {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Which question of the chat was asked last, from 1.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    pub(super) fn model_at(&self, side: Side) -> Model {
        if side == Side::Left { self.left } else { self.left.other() }
    }

    pub(super) fn strategy_name(&self) -> Option<&str> {
        self.chats[0].strategy_name()
    }

    pub(super) fn strategy_or_none(&self) -> &str {
        self.chats[0].strategy_or_none()
    }

    pub(super) fn situation(&self) -> &str {
        self.chats[0].situation()
    }

    /// Does what a command says, to both chats; an error changes nothing.
    pub(super) fn apply(&mut self, command: &Command) -> Result<Step, String> {
        let [first, second] = &mut self.chats;
        let step = first.apply(command.clone())?;
        second.apply(command.clone())?;
        Ok(match (command, step) {
            (Command::History, Step::Tell(told)) if self.chats[0].history().is_empty() => Step::Tell(told),
            (Command::History, Step::Tell(_)) => Step::Tell(self.told()),
            (_, Step::Answer(question)) => {
                self.asked += 1;
                Step::Answer(question)
            }
            (_, step) => step,
        })
    }

    fn told(&self) -> String {
        let lines = self.exchanges().map(|[left, right]| {
            let strategy = left.answer.strategy.as_deref().unwrap_or("no strategy");
            let (one, two) = (left.answer.told(), right.answer.told());
            format!("you> {}\n1 ({strategy})> {one}\n2 ({strategy})> {two}", left.text)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What was said, with the left and the right answer.
    pub(super) fn exchanges(&self) -> impl Iterator<Item = [&Exchange; 2]> {
        let [left, right] = Side::BOTH.map(|side| self.chats[self.model_at(side).place()].history());
        left.iter().zip(right).map(|(left, right)| [left, right])
    }

    /// What a model is asked.
    pub(super) fn request(
        &self,
        model: Model,
        question: &Question,
        generation: &GenerationOptions,
        role: SystemRole,
    ) -> Result<Request, String> {
        let chat = &self.chats[model.place()];
        let options = GenerationOptions { seed: chat.seed_of(question), ..generation.clone() };
        Ok(Request::new(0, Prompt::Chat(chat.messages(question, role)?), options))
    }

    /// What a model answered, with how it was asked to.
    pub(super) fn answer(&self, model: Model, completion: &llm_runtime::Completion, seed: u64) -> Answer {
        self.chats[model.place()].answer(completion, seed)
    }

    /// Takes both models' answers into the histories.
    pub(super) fn keep(&mut self, question: &Question, answers: [Answer; 2]) {
        for (chat, answer) in self.chats.iter_mut().zip(answers) {
            chat.keep(question.clone(), answer);
        }
    }

    /// Notes a text that got no answer, for `/retry`.
    pub(super) fn leave_unanswered(&mut self, question: &Question) {
        for chat in &mut self.chats {
            chat.leave_unanswered(question.clone());
        }
    }

    /// The last exchange, by model.
    pub(super) fn last(&self) -> Option<[&Exchange; 2]> {
        let [first, second] = &self.chats;
        Some([first.history().last()?, second.history().last()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_drawn_evenly_and_again_by_the_same_seed() {
        let drawn: Vec<(Model, u64)> = (1..=200).map(|number| draw(7, number)).collect();
        assert_eq!(drawn, (1..=200).map(|number| draw(7, number)).collect::<Vec<_>>());
        let first = drawn.iter().filter(|(left, _)| *left == Model::First).count();
        assert!((70..=130).contains(&first), "{first} of 200");
        assert!(drawn.iter().all(|(_, seed)| *seed < 1 << 52));
        assert_ne!(drawn, (1..=200).map(|number| draw(8, number)).collect::<Vec<_>>());
    }
}
