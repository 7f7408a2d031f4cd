//! A blind comparison at the terminal: answer 1, answer 2, and which is better.

use std::process::ExitCode;

use command_line::terminal::{Line, Screen, read_line};
use command_line::{Failure, Format, interrupt};

use super::duel::{Beginning, Duel, Model, Side};
use super::models::Models;
use super::preferences::{Liked, Preferences};
use crate::chat::answer;
use crate::chat::command::{self, Command};
use crate::chat::state::{Answer, Question, Step};
use crate::chat::view::end_text;

/// What `/help` says.
const HELP: &str = "\
After each turn: 1 or 2 for the better answer, = if they are equally good, Enter to say nothing.
/strategy                the strategies by number
/strategy CHOICE         answer by this strategy from now on: a name, a number, none or random
/layout [NAME]           lay the history out so: standard, c1_hf, c1_hl, c3_hf, c3_hl, c5_hf, c5_hl
/situation [TEXT|none]   what the instruction says about your situation
/retry                   answer the last text again, with the next seed
/undo                    take the last exchange back
/history                 the chat so far
/reset                   begin anew, with sides drawn anew (strategy, layout and situation stay)
/reveal                  tell which model is which, and begin anew
/help                    this list
/quit                    end (also Ctrl-D)
//TEXT                   send a text that begins with one slash
Ctrl-C ends an answer early; while you are typing it ends everything.";

const REVEAL: &str = "/reveal";

pub(super) fn run(
    beginning: Beginning,
    models: Models,
    mut preferences: Preferences,
    format: Format,
) -> Result<ExitCode, Failure> {
    let duel = beginning.duel(preferences.next_chat()).map_err(Failure::Usage)?;
    let mut session = Session { beginning, duel, models, preferences, view: Screen::new(format) };
    let code = session.run()?;
    session.preferences.print(format)?;
    Ok(code)
}

/// A chat with everything around it.
struct Session {
    beginning: Beginning,
    duel: Duel,
    models: Models,
    preferences: Preferences,
    view: Screen,
}

/// Whether the chat goes on.
#[derive(PartialEq)]
enum Next {
    Line,
    End,
}

impl Session {
    fn run(&mut self) -> Result<ExitCode, Failure> {
        self.view.greet("/help lists the commands, /strategy the strategies; Ctrl-D ends.")?;
        loop {
            if interrupt::was_asked_to_end() {
                return Ok(ExitCode::from(interrupt::EXIT_CODE));
            }
            let who = format!("[{}] you", self.duel.strategy_or_none());
            let next = match self.read(&who)? {
                Some(line) => self.take(&line)?,
                None => Next::End,
            };
            if next == Next::End {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }

    /// Asks for a line; `None` if there is no more.
    fn read(&mut self, who: &str) -> Result<Option<String>, Failure> {
        loop {
            self.view.prompt(who)?;
            match interrupt::end_at_once_during(read_line)? {
                Line::Text(line) => return Ok(Some(line.trim().to_owned())),
                Line::NotText => self.view.problem("that line is not UTF-8 text; nothing was sent")?,
                Line::End => {
                    self.view.part()?;
                    return Ok(None);
                }
            }
        }
    }

    fn take(&mut self, line: &str) -> Result<Next, Failure> {
        if line == REVEAL {
            return self.reveal();
        }
        match command::parse(line) {
            Ok(Some(command)) => self.carry_out(&command),
            Ok(None) => Ok(Next::Line),
            Err(problem) => self.tell(Err(problem)),
        }
    }

    fn carry_out(&mut self, command: &Command) -> Result<Next, Failure> {
        match command {
            Command::Help => return self.tell(Ok(HELP.to_owned())),
            Command::Reset => {
                let told = self.begin_anew();
                return self.tell(told);
            }
            Command::Save { .. } | Command::Load(_) => {
                let problem = "chats are kept by `sra chat`; here what you say of answers is kept, in --out";
                return self.tell(Err(problem.to_owned()));
            }
            Command::Monitor => {
                return self.tell(Err("answers are measured by `sra chat --monitor`".to_owned()));
            }
            _ => {}
        }
        match self.duel.apply(command) {
            Ok(Step::Answer(question)) => self.answer(&question),
            Ok(Step::Tell(told)) => self.tell(Ok(told)),
            Ok(Step::End) => Ok(Next::End),
            Ok(Step::Save(..) | Step::Load(_)) => Ok(Next::Line),
            Err(problem) => self.tell(Err(problem)),
        }
    }

    fn begin_anew(&mut self) -> Result<String, String> {
        self.duel = self.beginning.duel_like(&self.duel, self.preferences.next_chat())?;
        Ok("a new chat".to_owned())
    }

    fn reveal(&mut self) -> Result<Next, Failure> {
        let [left, right] = Side::BOTH.map(|side| &self.preferences.names()[self.duel.model_at(side).place()]);
        let told = format!("1 was {left}, 2 was {right}; ");
        let told = self.begin_anew().map(|anew| told + &anew);
        self.tell(told)
    }

    /// Shows what a command has to say, good or bad; the chat goes on.
    fn tell(&mut self, told: Result<String, String>) -> Result<Next, Failure> {
        match told {
            Ok(text) => self.view.tell(&text)?,
            Err(problem) => self.view.problem(&problem)?,
        }
        Ok(Next::Line)
    }

    fn answer(&mut self, question: &Question) -> Result<Next, Failure> {
        let mut answers = [None, None];
        for (name, side) in ["1", "2"].into_iter().zip(Side::BOTH) {
            let model = self.duel.model_at(side);
            match self.answer_of(name, model, question)? {
                Ok(answer) => answers[model.place()] = Some(answer),
                Err(problem) => {
                    self.duel.leave_unanswered(question);
                    return self.tell(Err(format!("answer {name}: {problem}")));
                }
            }
        }
        let [Some(first), Some(second)] = answers else { return Ok(Next::Line) };
        self.duel.keep(question, [first, second]);
        self.ask_which_is_better()
    }

    /// One model's answer, shown as it comes. The inner error is about this answer only.
    fn answer_of(&mut self, name: &str, model: Model, question: &Question) -> Result<Result<Answer, String>, Failure> {
        let request = match self.models.asking().request(&self.duel, model, question) {
            Ok(request) => request,
            Err(problem) => return Ok(Err(problem)),
        };
        let seed = request.options.seed;
        self.view.begin_answer(name)?;
        let view = &mut self.view;
        let answered = answer::answer(self.models.model(model), request, &mut |text| view.text(text))?;
        interrupt::forget();
        let answered = match answered {
            Ok(answered) => answered,
            Err(problem) => {
                self.view.end_text("")?;
                return Ok(Err(problem));
            }
        };
        let answer = self.duel.answer(model, &answered.completion, seed);
        end_text(&mut self.view, answer.finish_reason)?;
        match answer.text.is_empty() {
            true => Ok(Err("it is empty, and neither was kept; /retry asks again".to_owned())),
            false => Ok(Ok(answer)),
        }
    }

    /// A command instead of an opinion is carried out, and the turn has none.
    fn ask_which_is_better(&mut self) -> Result<Next, Failure> {
        loop {
            if interrupt::was_asked_to_end() {
                return Ok(Next::Line);
            }
            let Some(line) = self.read("better (1, 2, = or Enter)")? else { return Ok(Next::End) };
            let liked = match line.as_str() {
                "" => return Ok(Next::Line),
                "1" => Liked::Left,
                "2" => Liked::Right,
                "=" => Liked::Equal,
                line if line.starts_with('/') && !line.starts_with("//") => return self.take(line),
                _ => {
                    self.view
                        .problem("1 or 2 for the better answer, = if they are equally good, Enter to say nothing")?;
                    continue;
                }
            };
            self.preferences.add(&self.duel, liked)?;
            return Ok(Next::Line);
        }
    }
}
