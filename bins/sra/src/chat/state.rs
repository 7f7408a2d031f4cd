//! The chat: what was said, how the next answer is made, and what commands do to both.

use std::fmt::Write;
use std::path::PathBuf;

use command_line::Failure;
use esconv_data::{Strategy, StrategySet};
use llm_runtime::{Completion, FinishReason, Message, Role};
use mersenne_twister::MersenneTwister;
use strategy_prompting::{Dialogue, HistoryFormat, InstructionTemplate, LabelledText, Layout, SystemRole, Turn, build};

use crate::chat::command::{Command, HELP};
use crate::chat::file::Overwrite;
use crate::chat::measured::{self, Measured};

/// Each turn has seeds of its own, one for each `/retry`.
const SEEDS_PER_TURN: u64 = 1 << 20;

/// The word that stands for no strategy and no situation.
const NONE: &str = "none";

/// The template of a chat that was started without one: with a strategy, with a strategy and a situation, with neither.
const TEMPLATE: &str = "train";
const TEMPLATE_WITH_SITUATION: &str = "t1";
const TEMPLATE_WITHOUT_STRATEGY: &str = "chat-none";

/// How a chat begins.
#[derive(Clone)]
pub(crate) struct Start {
    /// The strategies to choose from.
    pub(crate) strategies: StrategySet,
    /// The instruction template, if one was asked for.
    pub(crate) instruction: Option<InstructionTemplate>,
    /// How the history is laid out at first.
    pub(crate) layout: Layout,
    /// The seeker's situation; empty if untold.
    pub(crate) situation: String,
    /// Seed of everything that is drawn.
    pub(crate) seed: u64,
}

impl Start {
    /// With strategies and an instruction by name or file.
    pub(crate) fn read(
        strategies: &str,
        instruction: Option<&str>,
        layout: Layout,
        situation: Option<&str>,
        seed: u64,
    ) -> Result<Self, Failure> {
        Ok(Self {
            strategies: StrategySet::by_name_or_path(strategies)?,
            instruction: instruction.map(InstructionTemplate::by_name_or_path).transpose()?,
            layout,
            situation: situation.unwrap_or_default().to_owned(),
            seed,
        })
    }
}

/// What a file tells of a chat.
pub(crate) struct Kept {
    /// The seeker's situation.
    pub(crate) situation: String,
    /// The layout chosen last.
    pub(crate) layout: Layout,
    /// The seed, if it is known.
    pub(crate) seed: Option<u64>,
    /// The strategy chosen last.
    pub(crate) strategy: Option<String>,
    /// What was said.
    pub(crate) history: Vec<Exchange>,
}

/// A text of the seeker and its answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exchange {
    /// What the seeker said.
    pub(crate) text: String,
    /// Which attempt at an answer this is, from 0.
    pub(crate) attempt: u64,
    /// What the supporter said.
    pub(crate) answer: Answer,
}

/// What the supporter said, and how it was made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The text, stripped.
    pub(crate) text: String,
    /// The strategy's name.
    pub(crate) strategy: Option<String>,
    /// The layout.
    pub(crate) layout: Layout,
    /// The seed.
    pub(crate) seed: u64,
    /// Why it ended.
    pub(crate) finish_reason: FinishReason,
    /// What was measured of it.
    pub(crate) measured: Measured,
}

impl Answer {
    /// Its text, and whether it was broken off.
    pub(crate) fn told(&self) -> String {
        let mark = if self.finish_reason == FinishReason::Cancelled { " [interrupted]" } else { "" };
        format!("{}{mark}", self.text)
    }
}

/// A text that is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// What the seeker says.
    pub(crate) text: String,
    /// Which attempt this is, from 0.
    pub(crate) attempt: u64,
    /// How many exchanges of the history come before it.
    pub(crate) before: usize,
}

/// What is to be done outside the chat.
pub(crate) enum Step {
    /// Tell the person this.
    Tell(String),
    /// Ask the model.
    Answer(Question),
    /// Keep the chat in a file.
    Save(PathBuf, Overwrite),
    /// Go on with a kept chat.
    Load(PathBuf),
    /// End.
    End,
}

/// A chat.
pub(crate) struct Chat {
    start: Start,
    strategy: Option<Strategy>,
    history: Vec<Exchange>,
    unanswered: Option<Question>,
    picks: MersenneTwister,
}

impl Chat {
    /// A chat without turns, with this choice of strategy.
    pub(crate) fn new(start: Start, strategy: &str) -> Result<Self, String> {
        let picks = MersenneTwister::from_python_seed(start.seed);
        let mut chat = Self { start, strategy: None, history: Vec::new(), unanswered: None, picks };
        chat.choose(strategy)?;
        Ok(chat)
    }

    /// A kept chat, with the strategies and the instruction of this one.
    pub(crate) fn go_on_with(&self, kept: Kept) -> Result<Self, String> {
        let Kept { situation, layout, seed, strategy, history } = kept;
        let start = Start { situation, layout, seed: seed.unwrap_or(self.start.seed), ..self.start.clone() };
        let mut chat = Self::new(start, strategy.as_deref().unwrap_or(NONE))?;
        chat.history = history;
        Ok(chat)
    }

    pub(crate) fn history(&self) -> &[Exchange] {
        &self.history
    }

    pub(crate) fn layout(&self) -> Layout {
        self.start.layout
    }

    pub(crate) fn situation(&self) -> &str {
        &self.start.situation
    }

    pub(crate) fn seed(&self) -> u64 {
        self.start.seed
    }

    pub(crate) fn strategy_name(&self) -> Option<&str> {
        self.strategy.as_ref().map(|strategy| strategy.name.as_str())
    }

    /// The strategy's name, as the screen has it.
    pub(crate) fn strategy_or_none(&self) -> &str {
        name_or_none(self.strategy_name())
    }

    /// Does what a command says; an error changes nothing.
    pub(crate) fn apply(&mut self, command: Command) -> Result<Step, String> {
        match command {
            Command::Say(text) => Ok(Step::Answer(Question { text, attempt: 0, before: self.history.len() })),
            Command::Retry => self.retry().map(Step::Answer),
            Command::Save { path, overwrite: true } => Ok(Step::Save(path, Overwrite::Yes)),
            Command::Save { path, overwrite: false } => Ok(Step::Save(path, Overwrite::No)),
            Command::Load(path) => Ok(Step::Load(path)),
            Command::Quit => Ok(Step::End),
            Command::Help => Ok(Step::Tell(HELP.to_owned())),
            Command::ListStrategies => Ok(Step::Tell(self.menu())),
            Command::Strategy(choice) => self.choose(&choice).map(Step::Tell),
            Command::ShowLayout => Ok(Step::Tell(format!("layout: {}", self.layout()))),
            Command::Layout(name) => self.lay_out(&name).map(Step::Tell),
            Command::ShowSituation => Ok(Step::Tell(self.situation_told())),
            Command::Situation(text) => Ok(Step::Tell(self.set_situation(text))),
            Command::History => Ok(Step::Tell(self.told())),
            Command::Monitor => Ok(Step::Tell(measured::table(&self.history))),
            Command::Undo => self.undo().map(Step::Tell),
            Command::Reset => Ok(Step::Tell(self.reset())),
        }
    }

    fn retry(&self) -> Result<Question, String> {
        if let Some(question) = &self.unanswered {
            let before = question.before.min(self.history.len());
            return Ok(Question { attempt: question.attempt + 1, before, ..question.clone() });
        }
        let last = self.history.last().ok_or("there is nothing to answer again yet")?;
        Ok(Question { text: last.text.clone(), attempt: last.attempt + 1, before: self.history.len() - 1 })
    }

    fn undo(&mut self) -> Result<String, String> {
        let last = self.history.pop().ok_or("there is no exchange to take back")?;
        // A text that came after it can still be asked again; the exchange itself can not.
        self.unanswered = self.unanswered.take().filter(|question| question.before > self.history.len());
        let mut told = format!("taken back: {}", last.text);
        // So is the layout that this exchange changed, unless another one was chosen since.
        if last.answer.measured.relayout == Some(self.layout()) {
            self.start.layout = last.answer.layout;
            let _ = write!(told, " (layout: {} again)", self.layout());
        }
        Ok(told)
    }

    fn reset(&mut self) -> String {
        self.history.clear();
        self.unanswered = None;
        "a new chat".to_owned()
    }

    /// Chooses the strategy by name or number, none, or one at random.
    fn choose(&mut self, choice: &str) -> Result<String, String> {
        let strategies = &self.start.strategies.strategies;
        let number = choice.parse::<usize>().ok();
        self.strategy = match (choice.to_lowercase().as_str(), number) {
            (NONE, _) => None,
            ("random", _) => {
                let count = u32::try_from(strategies.len()).unwrap_or(u32::MAX);
                strategies.get(self.picks.below(count) as usize).cloned()
            }
            (_, Some(number)) if number == strategies.len() + 1 => None,
            (_, Some(number)) => {
                let found = number.checked_sub(1).and_then(|index| strategies.get(index));
                let unknown =
                    || format!("there is no strategy {number}; /strategy lists 1 to {}", strategies.len() + 1);
                Some(found.ok_or_else(unknown)?.clone())
            }
            (_, None) => Some(self.start.strategies.find(choice).map_err(|error| error.to_string())?.clone()),
        };
        Ok(format!("strategy: {}", self.strategy_name().unwrap_or(NONE)))
    }

    fn menu(&self) -> String {
        let mut menu = String::new();
        let names = self.start.strategies.strategies.iter().map(|strategy| Some(strategy.name.as_str()));
        for (index, name) in names.chain([None]).enumerate() {
            let mark = if name == self.strategy_name() { '*' } else { ' ' };
            // Writing into a string can't fail.
            let _ = writeln!(menu, "{mark}{:>3}  {}", index + 1, name.unwrap_or(NONE));
        }
        menu + "/strategy NUMBER or NAME takes one, /strategy random any"
    }

    fn lay_out(&mut self, name: &str) -> Result<String, String> {
        self.start.layout = Layout::parse(name).map_err(|error| error.to_string())?;
        Ok(format!("layout: {}", self.layout()))
    }

    fn set_situation(&mut self, text: String) -> String {
        self.start.situation = if text == NONE { String::new() } else { text };
        self.situation_told()
    }

    fn situation_told(&self) -> String {
        let unused = match self.template() {
            Ok(template) if !template.uses_situation() && !self.situation().is_empty() => {
                format!(" (the instruction `{}`, now in use, does not tell it)", template.name())
            }
            _ => String::new(),
        };
        let situation = if self.situation().is_empty() { NONE } else { self.situation() };
        format!("situation: {situation}{unused}")
    }

    fn told(&self) -> String {
        if self.history.is_empty() {
            return "nothing was said yet".to_owned();
        }
        let lines = self.history.iter().map(|Exchange { text, answer, .. }| {
            format!("you> {text}\nsupporter ({})> {}", name_or_none(answer.strategy.as_deref()), answer.told())
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The seed of an answer: a number of the chat's seed, the turn and the attempt alone.
    pub(crate) fn seed_of(&self, question: &Question) -> u64 {
        let turn = (question.before as u64).wrapping_mul(SEEDS_PER_TURN);
        self.seed().wrapping_add(turn).wrapping_add(question.attempt)
    }

    /// The prompt of a question: today's instruction, and the history before it.
    pub(crate) fn messages(&self, question: &Question, role: SystemRole) -> Result<Vec<Message>, String> {
        self.messages_with(self.strategy.as_ref(), question, role)
    }

    /// The same prompt with every strategy of the set. That of the one in force comes last: of a cache that is too small for
    /// all of them its part stays, which the next answer begins with.
    pub(crate) fn messages_by_strategy(
        &self,
        question: &Question,
        role: SystemRole,
    ) -> Result<Vec<(&str, Vec<Message>)>, String> {
        let (own, others): (Vec<&Strategy>, Vec<&Strategy>) =
            self.start.strategies.strategies.iter().partition(|strategy| Some(*strategy) == self.strategy.as_ref());
        let prompt = |strategy| self.messages_with(Some(strategy), question, role);
        others.into_iter().chain(own).map(|strategy| Ok((strategy.name.as_str(), prompt(strategy)?))).collect()
    }

    fn messages_with(
        &self,
        strategy: Option<&Strategy>,
        question: &Question,
        role: SystemRole,
    ) -> Result<Vec<Message>, String> {
        let turn = |role, text: &str| Turn { role, text: text.to_owned() };
        let before = self.history.iter().take(question.before);
        let turns = before
            .flat_map(|exchange| [turn(Role::User, &exchange.text), turn(Role::Assistant, &exchange.answer.text)]);
        let dialogue = Dialogue::new("chat", turns.chain([turn(Role::User, &question.text)]).collect())
            .map_err(|error| error.to_string())?;
        Ok(build(self.layout(), &dialogue, &self.instruction(strategy)?, HistoryFormat::default(), role))
    }

    fn instruction(&self, strategy: Option<&Strategy>) -> Result<LabelledText, String> {
        self.template()?.render(self.situation(), strategy).map_err(|error| error.to_string())
    }

    /// Why no strategy steers the next answer, if none does.
    pub(crate) fn not_steered(&self) -> Option<String> {
        if self.strategy.is_none() {
            return Some("no strategy is in force".to_owned());
        }
        let template = self.template().ok().filter(|template| !template.is_conditional())?;
        Some(format!("the instruction `{}` names no strategy", template.name()))
    }

    /// The template in use: the one asked for, or what fits strategy and situation.
    fn template(&self) -> Result<InstructionTemplate, String> {
        let name = match (&self.start.instruction, &self.strategy) {
            (Some(template), Some(_)) => return Ok(template.clone()),
            (Some(template), None) if !template.is_conditional() => return Ok(template.clone()),
            (_, None) => TEMPLATE_WITHOUT_STRATEGY,
            (None, Some(_)) if self.situation().is_empty() => TEMPLATE,
            (None, Some(_)) => TEMPLATE_WITH_SITUATION,
        };
        InstructionTemplate::built_in(name).map_err(|error| error.to_string())
    }

    /// What the model answered, with how it was asked to.
    pub(crate) fn answer(&self, completion: &Completion, seed: u64) -> Answer {
        Answer {
            text: completion.text.trim().to_owned(),
            strategy: self.strategy_name().map(str::to_owned),
            layout: self.layout(),
            seed,
            finish_reason: completion.finish_reason,
            measured: Measured::default(),
        }
    }

    /// Takes an exchange into the history, in place of what `/retry` answers again. Its answer may change the layout.
    pub(crate) fn keep(&mut self, Question { text, attempt, before }: Question, answer: Answer) {
        self.start.layout = answer.measured.relayout.unwrap_or(self.start.layout);
        self.history.truncate(before);
        self.history.push(Exchange { text, attempt, answer });
        self.unanswered = None;
    }

    /// Notes a text that got no answer, for `/retry`.
    pub(crate) fn leave_unanswered(&mut self, question: Question) {
        self.unanswered = Some(question);
    }
}

/// A strategy's name, as the screen has it.
pub(crate) fn name_or_none(strategy: Option<&str>) -> &str {
    strategy.unwrap_or("no strategy")
}
