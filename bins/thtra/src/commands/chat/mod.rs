//! `thtra chat`: a conversation with a trained model at the terminal, or through a pipe.

mod line;

use std::path::Path;
use std::process::ExitCode;

use command_line::terminal::{Line, Screen, read_line};
use command_line::{Failure, Format, interrupt};
use seq2seq::search::DecodingOptions;
use serde::Serialize;
use thtra::{
    Answer, Answerer, Conversation, Dialogue, Exchange, Layout, Question, Strategy, StrategyMode, StrategyPrediction,
    TrainedModel, candidate_options,
};

use self::line::{Command, HELP};
use crate::answer_arguments::Chat;

/// Strategies that are shown of those that a model has thought of.
const SHOWN: usize = 3;

/// A turn as one JSON object.
#[derive(Serialize)]
struct TurnObject<'a> {
    turn: usize,
    user: &'a str,
    text: &'a str,
    strategy: Option<Strategy>,
    /// Who has chosen it.
    mode: Option<StrategyMode>,
    top3: Vec<Likely>,
}

/// A strategy that a model has thought of.
#[derive(Serialize)]
struct Likely {
    strategy: Strategy,
    probability: f32,
}

pub(crate) fn run(options: &Chat, format: Format) -> Result<ExitCode, Failure> {
    if options.strategy.is_oracle() {
        return Err(Failure::wrong_use(
            "--strategy gold: nobody has annotated a chat; take sample, argmax or given:NAME",
        ));
    }
    let decoding = options.decoding.options()?;
    let lengths = options.lengths.lengths();
    lengths.check().map_err(Failure::wrong_use)?;
    let model = options.trained.open(&options.machine.device.open()?)?;
    interrupt::listen();
    let session = Session {
        model: &model,
        options,
        decoding,
        longest: lengths.max_input_length,
        conversation: Conversation::default(),
        followed: None,
        answers: 0,
        screen: Screen::new(format),
    };
    session.answerer(session.decoding.clone()).0.check()?;
    session.run()
}

/// A chat with everything around it.
struct Session<'a> {
    model: &'a TrainedModel,
    options: &'a Chat,
    decoding: DecodingOptions,
    longest: usize,
    conversation: Conversation,
    /// The strategy that somebody asked for.
    followed: Option<Strategy>,
    /// Answers that were made, those that were taken back as well: each draws from a stream of its own.
    answers: u64,
    screen: Screen,
}

/// Whether the chat goes on.
#[derive(PartialEq)]
enum Next {
    Line,
    End,
}

impl Session<'_> {
    fn run(mut self) -> Result<ExitCode, Failure> {
        self.screen.greet("/help lists the commands, /strategy the strategies; Ctrl-D ends.")?;
        loop {
            if interrupt::was_asked_to_end() {
                return Ok(ExitCode::from(interrupt::EXIT_CODE));
            }
            self.screen.prompt("you")?;
            let next = match interrupt::end_at_once_during(read_line)? {
                Line::End => {
                    self.screen.part()?;
                    Next::End
                }
                Line::NotText => self.tell(Err("that line is not UTF-8 text; nothing was sent".to_owned()))?,
                Line::Text(line) => self.take(&line)?,
            };
            if next == Next::End {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }

    fn take(&mut self, line: &str) -> Result<Next, Failure> {
        let command = match line::parse(line) {
            Ok(Some(command)) => command,
            Ok(None) => return Ok(Next::Line),
            Err(problem) => return self.tell(Err(problem)),
        };
        let told = match command {
            Command::Say(text) => return self.answer(text),
            Command::Quit => return Ok(Next::End),
            Command::Candidates(count) => self.candidates(count)?,
            Command::ListStrategies => Ok(self.strategies()),
            Command::Follow(strategy) => self.follow(strategy),
            Command::Undo => self.undo(),
            Command::History => Ok(self.history()),
            Command::Save { path, overwrite } => self.save(&path, overwrite),
            Command::Help => Ok(HELP.to_owned()),
        };
        self.tell(told)
    }

    /// Shows what a command has to say, good or bad; the chat goes on.
    fn tell(&mut self, told: Result<String, String>) -> Result<Next, Failure> {
        match told {
            Ok(text) => self.screen.tell(&text)?,
            Err(problem) => self.screen.problem(&problem)?,
        }
        Ok(Next::Line)
    }

    fn answer(&mut self, said: String) -> Result<Next, Failure> {
        let ids = self.encoder_ids(&self.conversation, &said)?;
        let (answerer, mode) = self.answerer(self.decoding.clone());
        let answer = first(answerer.answer(&[self.question(&ids)])?)?;
        let text = match answer.responses.first() {
            Some(best) => answerer.text(&best.ids)?,
            None => String::new(),
        };
        self.answers += 1;
        if text.is_empty() {
            return self.tell(Err("the answer is empty and was not kept; say it again for another one".to_owned()));
        }
        let prediction = answer.strategy;
        let strategy = prediction.as_ref().map(|prediction| prediction.chosen);
        self.screen.begin_answer(&named("supporter", strategy))?;
        self.screen.text(&text)?;
        self.screen.end_text("")?;
        let top3 = prediction.as_ref().map(likely).unwrap_or_default();
        if self.options.show_strategies && !top3.is_empty() {
            self.screen.tell(&in_words(&top3))?;
        }
        let turn = self.conversation.exchanges.len() + 1;
        self.screen.object(&TurnObject { turn, user: &said, text: &text, strategy, mode, top3 })?;
        self.conversation.exchanges.push(Exchange { said, answer: text, strategy });
        Ok(Next::Line)
    }

    /// Other answers to what was said last, by its strategy.
    fn candidates(&self, count: usize) -> Result<Result<String, String>, Failure> {
        let Some((last, before)) = self.conversation.exchanges.split_last() else {
            return Ok(Err("nothing was said yet that could be answered".to_owned()));
        };
        let ids = self.encoder_ids(&Conversation { exchanges: before.to_vec() }, &last.said)?;
        let (answerer, _) = match last.strategy {
            Some(strategy) => self.answerer_by(StrategyMode::Given(strategy), candidate_options(count)),
            None => self.answerer(candidate_options(count)),
        };
        let answer = first(answerer.answer(&[self.question(&ids)])?)?;
        let mut lines = vec![format!("{}:", named("to your last words", last.strategy))];
        for (number, candidate) in answer.responses.iter().enumerate() {
            lines.push(format!("{:>3}. {}  ({:.2})", number + 1, answerer.text(&candidate.ids)?, candidate.score));
        }
        Ok(Ok(lines.join("\n")))
    }

    fn strategies(&self) -> String {
        let numbered = Strategy::ALL.into_iter().enumerate();
        let mut lines: Vec<String> =
            numbered.map(|(number, strategy)| format!("{}  {}", number + 1, strategy.name())).collect();
        lines.push(match (self.model.layout, self.followed) {
            (Layout::Vanilla, _) => "this model knows no strategies".to_owned(),
            (_, Some(strategy)) => format!("followed is {}", strategy.name()),
            (_, None) => format!("the model chooses ({})", self.options.strategy),
        });
        lines.join("\n")
    }

    fn follow(&mut self, strategy: Option<Strategy>) -> Result<String, String> {
        if self.model.layout == Layout::Vanilla {
            return Err("this model knows no strategies".to_owned());
        }
        self.followed = strategy;
        Ok(match strategy {
            Some(strategy) => format!("answers follow {} from now on", strategy.name()),
            None => format!("the model chooses ({})", self.options.strategy),
        })
    }

    fn undo(&mut self) -> Result<String, String> {
        let taken_back = self.conversation.exchanges.pop().ok_or("there is nothing to take back")?;
        Ok(format!("taken back: {}", taken_back.said))
    }

    fn history(&self) -> String {
        if self.conversation.exchanges.is_empty() {
            return "nothing was said yet".to_owned();
        }
        let exchange =
            |one: &Exchange| format!("you> {}\n{}> {}", one.said, named("supporter", one.strategy), one.answer);
        self.conversation.exchanges.iter().map(exchange).collect::<Vec<_>>().join("\n")
    }

    fn save(&self, path: &Path, overwrite: bool) -> Result<String, String> {
        if self.conversation.exchanges.is_empty() {
            return Err("nothing was said yet that could be saved".to_owned());
        }
        if !overwrite && std::fs::symlink_metadata(path).is_ok() {
            return Err(format!("{} exists; `/save! {}` replaces it", path.display(), path.display()));
        }
        Dialogue::write_all(path, [&self.conversation.dialogue()]).map_err(|error| error.to_string())?;
        Ok(format!("saved: {}", path.display()))
    }

    fn encoder_ids(&self, conversation: &Conversation, said: &str) -> Result<Vec<u32>, Failure> {
        let tokenizer = &self.model.responder.tokenizer;
        Ok(conversation.encoder_ids(said, tokenizer, self.model.layout, self.longest)?)
    }

    fn question<'q>(&self, encoder_ids: &'q [u32]) -> Question<'q> {
        Question { encoder_ids, gold: None, stream: self.answers }
    }

    fn answerer(&self, decoding: DecodingOptions) -> (Answerer<'_>, Option<StrategyMode>) {
        self.answerer_by(self.followed.map_or(self.options.strategy, StrategyMode::Given), decoding)
    }

    fn answerer_by(&self, mode: StrategyMode, decoding: DecodingOptions) -> (Answerer<'_>, Option<StrategyMode>) {
        let (responder, seed) = (&self.model.responder, self.options.seed);
        match self.model.layout {
            Layout::Vanilla => (Answerer::without_strategies(responder, decoding, seed), None),
            Layout::Strat | Layout::StratLookAhead => (Answerer::new(responder, mode, decoding, seed), Some(mode)),
        }
    }
}

/// The answer to the one question that was asked.
fn first(answers: Vec<Answer>) -> Result<Answer, Failure> {
    answers.into_iter().next().ok_or_else(|| Failure::work("the model gave no answer"))
}

fn named(who: &str, strategy: Option<Strategy>) -> String {
    strategy.map_or_else(|| who.to_owned(), |strategy| format!("{who} ({})", strategy.name()))
}

fn likely(prediction: &StrategyPrediction) -> Vec<Likely> {
    let probabilities = prediction.probabilities();
    let ranked = prediction.ranked().into_iter().take(SHOWN);
    ranked.map(|strategy| Likely { strategy, probability: probabilities[strategy.index()] }).collect()
}

fn in_words(likely: &[Likely]) -> String {
    let one = |one: &Likely| format!("{} {:.0} %", one.strategy.name(), 100.0 * one.probability);
    likely.iter().map(one).collect::<Vec<_>>().join(", ")
}
