//! `sra chat`: a conversation at the terminal, each answer by a strategy of one's choice.
//!
//! From the inside out: [`command`] understands a line, [`state`] is the chat and what lines do to it, [`mod@file`] keeps it;
//! [`answer`] asks the model, [`monitor`] measures what it said ([`measured`]), [`view`] and [`command_line::terminal`] are the
//! screen. This file puts them together.

pub(crate) mod answer;
pub(crate) mod command;
mod file;
mod measured;
mod monitor;
pub(crate) mod state;
pub(crate) mod view;

use std::process::ExitCode;

use command_line::terminal::{self, Line, Screen};
use command_line::{AnyModel, Delivery, Failure, Format, interrupt, output_place};
use llm_runtime::{GenerationOptions, Prompt, Request, TextModel};
use strategy_prompting::SystemRole;

use crate::arguments::Chat as Options;
use crate::chat::answer::Answered;
use crate::chat::command::Command;
use crate::chat::file::{Autosave, SavedChat};
use crate::chat::monitor::Monitor;
use crate::chat::state::{Answer, Chat, Question, Start, Step};
use crate::continuation;

pub(crate) fn run(options: &Options, format: Format) -> Result<ExitCode, Failure> {
    let generation = continuation::generation_options(&options.generation);
    generation.validate().map_err(Failure::wrong_use)?;
    let start = start(options)?;
    let monitor = Monitor::new(&options.monitoring, &options.model, &generation, &start.strategies)?;
    let chat = Chat::new(start, &options.strategy).map_err(Failure::Usage)?;
    if let Some(file) = &options.save {
        output_place::check_file(file)?;
    }
    let autosave = options.save.as_deref().map(Autosave::begin).transpose().map_err(Failure::wrong_use)?;
    let model = AnyModel::load(&options.model, &options.runtime, &options.server, Delivery::Streamed)?;
    model.check(&generation)?;
    let view = Screen::new(format);
    interrupt::listen();
    Session { chat, model, generation, monitor, autosave, view, format }.run()
}

fn start(options: &Options) -> Result<Start, Failure> {
    let (instruction, situation) = (options.instruction.as_deref(), options.situation.as_deref());
    Start::read(&options.strategies, instruction, options.layout, situation, options.seed)
}

/// A chat with everything around it.
struct Session {
    chat: Chat,
    model: AnyModel,
    generation: GenerationOptions,
    monitor: Option<Monitor>,
    autosave: Option<Autosave>,
    view: Screen,
    format: Format,
}

/// Whether the chat goes on.
#[derive(PartialEq)]
enum Next {
    Line,
    End,
}

impl Session {
    fn run(mut self) -> Result<ExitCode, Failure> {
        self.view.greet("/help lists the commands, /strategy the strategies; Ctrl-D ends.")?;
        loop {
            if interrupt::was_asked_to_end() {
                return Ok(ExitCode::from(interrupt::EXIT_CODE));
            }
            self.view.prompt(&format!("[{}] you", self.chat.strategy_or_none()))?;
            let next = match interrupt::end_at_once_during(terminal::read_line)? {
                Line::End => {
                    self.view.part()?;
                    Next::End
                }
                Line::NotText => self.tell(Err("that line is not UTF-8 text; nothing was sent".to_owned()))?,
                Line::Text(line) => self.take(&line)?,
            };
            if next == Next::End {
                return Ok(self.exit_code());
            }
        }
    }

    /// A chat that was to be kept and is not is a failure, however well it went.
    fn exit_code(&self) -> ExitCode {
        match &self.autosave {
            Some(autosave) if autosave.is_behind() => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    }

    fn take(&mut self, line: &str) -> Result<Next, Failure> {
        let command = match command::parse(line) {
            Ok(Some(command)) => command,
            Ok(None) => return Ok(Next::Line),
            Err(problem) => return self.tell(Err(problem)),
        };
        if command == Command::Reset {
            self.put_aside();
        }
        match self.chat.apply(command) {
            Ok(Step::Tell(text)) => self.tell(Ok(text)),
            Ok(Step::Answer(question)) => self.answer(question),
            Ok(Step::Save(path, overwrite)) => {
                let saved = SavedChat::of(&self.chat, &self.model.identity().name, &path);
                let told = file::save(&path, &[saved], overwrite).map(|()| format!("saved: {}", path.display()));
                self.tell(told)
            }
            Ok(Step::Load(path)) => {
                let told = self.load(&path);
                self.tell(told)
            }
            Ok(Step::End) => Ok(Next::End),
            Err(problem) => self.tell(Err(problem)),
        }
    }

    /// Shows what a command has to say, good or bad; the chat goes on.
    fn tell(&mut self, told: Result<String, String>) -> Result<Next, Failure> {
        match told {
            Ok(text) => self.view.tell(&text)?,
            Err(problem) => self.view.problem(&problem)?,
        }
        Ok(Next::Line)
    }

    fn load(&mut self, path: &std::path::Path) -> Result<String, String> {
        let (saved, count) = file::load(path)?;
        let restored = saved.restore(&self.chat).map_err(|problem| format!("{}: {problem}", path.display()))?;
        self.put_aside();
        self.chat = restored;
        let which = if count > 1 { format!(", the last of {count} chats") } else { String::new() };
        Ok(format!("{} exchanges from {}{which}", self.chat.history().len(), path.display()))
    }

    /// What was autosaved so far stays in its file when another chat begins.
    fn put_aside(&mut self) {
        if let Some(autosave) = &mut self.autosave {
            autosave.put_aside(&self.chat, &self.model.identity().name);
        }
    }

    fn answer(&mut self, question: Question) -> Result<Next, Failure> {
        let request = match self.request(&question) {
            Ok(request) => request,
            Err(problem) => return self.tell(Err(problem)),
        };
        let seed = request.options.seed;
        self.view.begin_answer(&format!("supporter ({})", self.chat.strategy_or_none()))?;
        let view = &mut self.view;
        let answered = answer::answer(&mut self.model, request, &mut |text| view.text(text))?;
        interrupt::forget();
        match answered {
            Ok(answered) => self.keep(question, seed, answered),
            Err(problem) => {
                self.chat.leave_unanswered(question);
                self.view.end_text("")?;
                self.tell(Err(problem))
            }
        }
    }

    fn request(&self, question: &Question) -> Result<Request, String> {
        let messages = self.chat.messages(question, SystemRole::for_template(self.model.template()))?;
        let options = GenerationOptions { seed: self.chat.seed_of(question), ..self.generation.clone() };
        let probe = self.monitor.as_ref().and_then(|monitor| monitor.probe(&self.chat));
        Ok(Request { probe, ..Request::new(0, Prompt::Chat(messages), options) })
    }

    fn keep(&mut self, question: Question, seed: u64, answered: Answered) -> Result<Next, Failure> {
        answered.log();
        let mut answer = self.chat.answer(&answered.completion, seed);
        view::end_text(&mut self.view, answer.finish_reason)?;
        if let Some(monitor) = &self.monitor {
            answer.measured = monitor.measure(&self.chat, &question, &answered.completion, &mut self.model);
            interrupt::forget();
        }
        let measured = self.monitor.as_ref().map(|_| &answer.measured);
        view::turn(&mut self.view, &question, &answer, &answered.completion, measured)?;
        if answer.text.is_empty() {
            self.chat.leave_unanswered(question);
            return self.tell(Err("the answer is empty and was not kept; /retry asks again".to_owned()));
        }
        self.tell_measured(&question, &answer)?;
        self.chat.keep(question, answer);
        if let Some(autosave) = &mut self.autosave
            && let Err(problem) = autosave.save(&self.chat, &self.model.identity().name)
        {
            return self.tell(Err(format!("not saved: {problem}")));
        }
        Ok(Next::Line)
    }

    /// What was measured of an answer; a program finds it in the turn's object.
    fn tell_measured(&mut self, question: &Question, answer: &Answer) -> Result<(), Failure> {
        let Some(monitor) = &self.monitor else { return Ok(()) };
        if self.format == Format::Text {
            let before = &self.chat.history()[..question.before];
            self.view.tell(&measured::told_beneath(answer, before))?;
        }
        if let Some(relayout) = monitor.relayout_told(&answer.measured) {
            self.view.tell(&relayout)?;
        }
        Ok(())
    }
}
