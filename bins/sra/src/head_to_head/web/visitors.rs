//! The visitors of the page: each has a chat of their own.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use axum::http::StatusCode;
use llm_runtime::{CancelToken, Completion, FinishReason, Request};
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::chat::command::Command;
use crate::chat::state::{Exchange, Question, Step};
use crate::head_to_head::duel::{Beginning, Duel, Model, Side};
use crate::head_to_head::models::Asking;
use crate::head_to_head::preferences::{Liked, Preferences};

/// Longest text of a visitor, in characters.
const LONGEST_TEXT: usize = 4000;

/// What a visitor does.
pub(super) struct Wish {
    /// Who; nobody yet if they come for the first time.
    visitor: Option<String>,
    deed: Deed,
}

enum Deed {
    /// Look at the chat; a new one begins for those who have none.
    Visit,
    /// See what became of a text.
    Look,
    Choose(Option<String>),
    Say(String),
    Prefer(Liked),
    Reveal,
    Clear,
}

/// The body of a request; each deed has its own fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    visitor: Option<String>,
    strategy: Option<String>,
    text: Option<String>,
    preferred: Option<Liked>,
}

impl Wish {
    /// Reads a request to `/api/NAME`.
    pub(super) fn parse(name: &str, body: &[u8]) -> Result<Self, Refusal> {
        let invalid = |problem: String| Refusal::new(StatusCode::BAD_REQUEST, problem);
        let fields: Fields = serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
        let missing = |field: &str| invalid(format!("`{field}` is missing"));
        let deed = match name {
            "visit" => Deed::Visit,
            "look" => Deed::Look,
            "choose" => Deed::Choose(fields.strategy),
            "say" => Deed::Say(fields.text.ok_or_else(|| missing("text"))?),
            "prefer" => Deed::Prefer(fields.preferred.ok_or_else(|| missing("preferred"))?),
            "reveal" => Deed::Reveal,
            "clear" => Deed::Clear,
            _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such page")),
        };
        Ok(Self { visitor: fields.visitor, deed })
    }
}

/// All visitors, and what they said.
pub(super) struct Visitors {
    most: usize,
    beginning: Beginning,
    preferences: Preferences,
    by_name: HashMap<String, Visitor>,
}

/// A visitor's chat and where it stands.
struct Visitor {
    duel: Duel,
    /// The text that both models are asked about.
    waiting: Option<Waiting>,
    /// Why the last text has no answers.
    problem: Option<String>,
    /// What was said of each exchange.
    liked: Vec<Option<Liked>>,
    is_revealed: bool,
    seen: Instant,
}

struct Waiting {
    question: Question,
    /// By model.
    seeds: [u64; 2],
    cancel: CancelToken,
}

/// What is to be shown, and what is to be asked beside.
pub(super) struct Asked {
    pub(super) view: View,
    pub(super) ask: Option<Ask>,
}

/// A text for both models.
pub(super) struct Ask {
    pub(super) ticket: Ticket,
    /// By model.
    pub(super) requests: [Request; 2],
}

/// Which text of whom is answered.
pub(super) struct Ticket {
    visitor: String,
    chat: u64,
    asked: usize,
    pub(super) cancel: CancelToken,
}

/// All that a page shows.
#[derive(Serialize)]
pub(super) struct View {
    visitor: String,
    strategies: Vec<String>,
    strategy: Option<String>,
    exchanges: Vec<ExchangeView>,
    waiting: Option<String>,
    problem: Option<String>,
    revealed: Option<[String; 2]>,
}

#[derive(Serialize)]
struct ExchangeView {
    text: String,
    strategy: Option<String>,
    /// Left and right.
    answers: [String; 2],
    /// Whether the answer was cut at its longest length.
    is_cut: [bool; 2],
    preferred: Option<Liked>,
}

impl Visitors {
    pub(super) fn new(most: usize, beginning: Beginning, preferences: Preferences) -> Self {
        Self { most, beginning, preferences, by_name: HashMap::new() }
    }

    pub(super) fn preferences(&self) -> &Preferences {
        &self.preferences
    }

    /// Does what a visitor wants; a refusal changes nothing.
    pub(super) fn carry_out(&mut self, wish: Wish, asking: &Asking) -> Result<Asked, Refusal> {
        let name = match (wish.visitor.filter(|name| self.by_name.contains_key(name)), &wish.deed) {
            (Some(name), _) => name,
            (None, Deed::Visit) => self.admit()?,
            (None, _) => {
                return Err(Refusal::new(StatusCode::GONE, "this chat is no longer kept: load the page again"));
            }
        };
        let Some(visitor) = self.by_name.get_mut(&name) else { return Err(conflict("this chat is no longer kept")) };
        visitor.seen = Instant::now();
        let mut ask = None;
        match wish.deed {
            Deed::Visit | Deed::Look => {}
            Deed::Choose(strategy) => visitor.choose(strategy)?,
            Deed::Say(text) => ask = Some(visitor.say(&name, &text, asking)?),
            Deed::Prefer(liked) => visitor.prefer(liked, &mut self.preferences)?,
            Deed::Reveal => visitor.reveal()?,
            Deed::Clear => {
                let duel = self.beginning.duel(self.preferences.next_chat()).map_err(conflict)?;
                visitor.begin(duel);
            }
        }
        let view = visitor.view(name, &self.beginning, self.preferences.names());
        Ok(Asked { view, ask })
    }

    /// A new visitor; the one who was idle longest gives way.
    fn admit(&mut self) -> Result<String, Refusal> {
        if self.by_name.len() >= self.most {
            let idle = self.by_name.iter().filter(|(_, visitor)| visitor.waiting.is_none());
            let longest = idle.min_by_key(|(_, visitor)| visitor.seen).map(|(name, _)| name.clone());
            let longest = longest.ok_or_else(|| {
                Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many visitors are waiting for answers: come back soon",
                )
            })?;
            self.by_name.remove(&longest);
        }
        let duel = self.beginning.duel(self.preferences.next_chat()).map_err(conflict)?;
        let name = random_name();
        self.by_name.insert(name.clone(), Visitor::new(duel));
        Ok(name)
    }

    /// Takes both models' answers, unless the chat was cleared meanwhile.
    pub(super) fn take_answers(&mut self, ticket: &Ticket, answers: [Result<Completion, String>; 2]) {
        let Some(visitor) = self.by_name.get_mut(&ticket.visitor) else { return };
        if visitor.duel.number() == ticket.chat && visitor.duel.asked() == ticket.asked {
            visitor.take_answers(answers);
        }
    }

    pub(super) fn cancel_all(&self) {
        self.by_name
            .values()
            .filter_map(|visitor| visitor.waiting.as_ref())
            .for_each(|waiting| waiting.cancel.cancel());
    }
}

impl Visitor {
    fn new(duel: Duel) -> Self {
        Self { duel, waiting: None, problem: None, liked: Vec::new(), is_revealed: false, seen: Instant::now() }
    }

    /// Begins a new chat in place of this one, whose answers are no longer waited for.
    fn begin(&mut self, duel: Duel) {
        if let Some(waiting) = &self.waiting {
            waiting.cancel.cancel();
        }
        *self = Self::new(duel);
    }

    fn choose(&mut self, strategy: Option<String>) -> Result<(), Refusal> {
        self.must_go_on()?;
        let choice = strategy.unwrap_or_else(|| "none".to_owned());
        self.duel.apply(&Command::Strategy(choice)).map(drop).map_err(conflict)
    }

    fn say(&mut self, name: &str, text: &str, asking: &Asking) -> Result<Ask, Refusal> {
        self.must_go_on()?;
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 {
            return Err(conflict("there is nothing to send"));
        }
        if length > LONGEST_TEXT {
            return Err(conflict(format!("the text has {length} characters; {LONGEST_TEXT} are the most")));
        }
        let Step::Answer(question) = self.duel.apply(&Command::Say(text.to_owned())).map_err(conflict)? else {
            return Err(conflict("there is nothing to answer"));
        };
        let [first, second] = Model::BOTH.map(|model| asking.request(&self.duel, model, &question));
        let cancel = CancelToken::new();
        let requests = [first.map_err(conflict)?, second.map_err(conflict)?];
        let seeds = [requests[0].options.seed, requests[1].options.seed];
        let requests = requests.map(|request| Request { cancel: Some(cancel.clone()), ..request });
        let ticket = Ticket {
            visitor: name.to_owned(),
            chat: self.duel.number(),
            asked: self.duel.asked(),
            cancel: cancel.clone(),
        };
        self.problem = None;
        self.waiting = Some(Waiting { question, seeds, cancel });
        Ok(Ask { ticket, requests })
    }

    fn take_answers(&mut self, answers: [Result<Completion, String>; 2]) {
        let Some(Waiting { question, seeds, .. }) = self.waiting.take() else { return };
        let [first, second] = answers;
        match (first, second) {
            (Ok(first), Ok(second)) => {
                let first = self.duel.answer(Model::First, &first, seeds[0]);
                let second = self.duel.answer(Model::Second, &second, seeds[1]);
                self.duel.keep(&question, [first, second]);
                self.liked.push(None);
            }
            (Err(problem), _) | (_, Err(problem)) => self.problem = Some(problem),
        }
    }

    fn prefer(&mut self, liked: Liked, preferences: &mut Preferences) -> Result<(), Refusal> {
        self.must_go_on()?;
        match self.liked.last_mut() {
            Some(last @ None) => {
                preferences.add(&self.duel, liked).map_err(|failure| {
                    tracing::error!("a preference could not be kept: {}", failure.message());
                    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "this could not be kept; nothing was said")
                })?;
                *last = Some(liked);
                Ok(())
            }
            Some(Some(_)) => Err(conflict("you have said already which answer is better")),
            None => Err(conflict("there are no answers yet")),
        }
    }

    fn reveal(&mut self) -> Result<(), Refusal> {
        self.must_go_on()?;
        self.is_revealed = true;
        Ok(())
    }

    /// Refuses what makes no sense while answers are waited for, or after it was told which model is which.
    fn must_go_on(&self) -> Result<(), Refusal> {
        match (self.waiting.is_some(), self.is_revealed) {
            (true, _) => Err(conflict("the answers are not there yet")),
            (false, true) => Err(conflict("this chat is over: clear it to begin anew")),
            (false, false) => Ok(()),
        }
    }

    fn view(&self, visitor: String, beginning: &Beginning, names: &[String; 2]) -> View {
        let exchanges = self.duel.exchanges().zip(&self.liked).map(|(sides, liked)| exchange_view(sides, *liked));
        let revealed = || Side::BOTH.map(|side| names[self.duel.model_at(side).place()].clone());
        View {
            visitor,
            strategies: beginning.strategies().into_iter().map(str::to_owned).collect(),
            strategy: self.duel.strategy_name().map(str::to_owned),
            exchanges: exchanges.collect(),
            waiting: self.waiting.as_ref().map(|waiting| waiting.question.text.clone()),
            problem: self.problem.clone(),
            revealed: self.is_revealed.then(revealed),
        }
    }
}

fn exchange_view(sides: [&Exchange; 2], preferred: Option<Liked>) -> ExchangeView {
    let [left, _] = sides;
    ExchangeView {
        text: left.text.clone(),
        strategy: left.answer.strategy.clone(),
        answers: sides.map(|side| side.answer.text.clone()),
        is_cut: sides.map(|side| side.answer.finish_reason == FinishReason::Length),
        preferred,
    }
}

fn conflict(problem: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, problem)
}

/// A name that can't be guessed: 128 bits of hashes with keys of the system's randomness.
fn random_name() -> String {
    let bits = || RandomState::new().hash_one("visitor");
    format!("{:016x}{:016x}", bits(), bits())
}
