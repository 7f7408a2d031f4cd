//! What a judge is told: templates with slots, in files that can be edited.
//!
//! A template is a text in two parts, divided by a line of three dashes: the system message and the user message. Slots are written `{{ history }}`; values
//! are put in as they are, so that an answer which looks like a slot stays an answer.

use std::collections::BTreeMap;
use std::path::Path;

use llm_runtime::{Message, input_file, sha256_of};
use minijinja::{Environment, UndefinedBehavior};

use crate::error::Error;

const BUILT_IN: [(&str, &str); 5] = [
    ("strategy-following", include_str!("../data/strategy-following.txt")),
    ("quality", include_str!("../data/quality.txt")),
    ("rate-strategy-following", include_str!("../data/rate-strategy-following.txt")),
    ("rate-empathy", include_str!("../data/rate-empathy.txt")),
    ("rate-coherence", include_str!("../data/rate-coherence.txt")),
];

/// Divides the system message from the user message.
const DIVIDER: &str = "\n---\n";

/// Slots of a template for pairs, those it must have first.
const PAIR_SLOTS: [&str; 4] = ["response_a", "response_b", "history", "instruction"];
/// Slots of a template for single answers, the one it must have first.
const RATING_SLOTS: [&str; 3] = ["response", "history", "instruction"];

/// What a template asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Which of two answers is better.
    Pair,
    /// How good one answer is, 1 to 5.
    Rating,
}

/// What a judge is told, with slots.
#[derive(Debug, Clone)]
pub struct JudgeTemplate {
    name: String,
    source: String,
    sha256: String,
    question: Question,
    environment: Environment<'static>,
}

impl JudgeTemplate {
    /// Names of the built-in templates.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in template by name, or else the template in the file of that path.
    ///
    /// # Errors
    /// Neither a built-in name nor a readable file with a valid template.
    pub fn by_name_or_path(name_or_path: &str) -> Result<Self, Error> {
        if let Some((name, source)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(name, source);
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            let known = Self::built_in_names().collect::<Vec<_>>().join(", ");
            return Err(Error::UnknownTemplate { name: name_or_path.to_owned(), known });
        }
        Self::parse(name_or_path, &input_file::read_template(path).map_err(Error::io(path))?)
    }

    /// Parses a template: system message, a line `---`, user message. With the slots `response_a` and `response_b` it compares, with `response` it rates;
    /// `history` and `instruction` may be used by both.
    ///
    /// # Errors
    /// The divider is missing, a slot is unknown, or the slots of both kinds are mixed.
    pub fn parse(name: &str, source: &str) -> Result<Self, Error> {
        let refuse = |problem: String| Error::Template { template: name.to_owned(), problem };
        let source = source.trim().replace("\r\n", "\n");
        let Some((system, user)) = source.split_once(DIVIDER) else {
            return Err(refuse("a line `---` must divide the system message from the user message".into()));
        };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let problem = |error: minijinja::Error| refuse(format!("{error:#}"));
        environment.add_template_owned("system", system.to_owned()).map_err(problem)?;
        environment.add_template_owned("user", user.to_owned()).map_err(problem)?;
        let question = question(&slots(&environment)).map_err(&refuse)?;
        let sha256 = sha256_of(&source);
        Ok(Self { name: name.to_owned(), sha256, source, question, environment })
    }

    /// Its name or file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text with its slots.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Hex SHA-256 of [`Self::source`].
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What it asks for.
    pub fn question(&self) -> Question {
        self.question
    }

    /// Refuses a template that asks for something else.
    pub(crate) fn expect(&self, question: Question) -> Result<(), Error> {
        let problem = match (self.question, question) {
            (asked, wanted) if asked == wanted => return Ok(()),
            (Question::Rating, _) => "it asks for a rating of one answer, but pairs are to be compared",
            (Question::Pair, _) => "it compares two answers, but single ones are to be rated",
        };
        Err(Error::Template { template: self.name.clone(), problem: problem.to_owned() })
    }

    /// The judge's messages.
    pub(crate) fn messages(&self, values: &BTreeMap<&str, &str>) -> Result<Vec<Message>, Error> {
        let values = minijinja::Value::from_pairs(values.iter().map(|(slot, value)| (*slot, *value)));
        let render = |part: &str| {
            let template = self.environment.get_template(part).and_then(|template| template.render(&values));
            template.map_err(|error| Error::Template { template: self.name.clone(), problem: format!("{error:#}") })
        };
        Ok(vec![Message::system(render("system")?.trim()), Message::user(render("user")?.trim())])
    }
}

/// All slots that a template names.
fn slots(environment: &Environment<'_>) -> Vec<String> {
    let templates = environment.templates().map(|(_, template)| template);
    let mut slots: Vec<String> = templates.flat_map(|template| template.undeclared_variables(false)).collect();
    slots.sort();
    slots.dedup();
    slots
}

fn question(slots: &[String]) -> Result<Question, String> {
    let has = |name: &str| slots.iter().any(|slot| slot == name);
    let (question, known) = match (has("response_a") || has("response_b"), has("response")) {
        (true, false) if has("response_a") && has("response_b") => (Question::Pair, &PAIR_SLOTS[..]),
        (false, true) => (Question::Rating, &RATING_SLOTS[..]),
        _ => {
            return Err("expected the slots {{ response_a }} and {{ response_b }} to compare two answers, or {{ \
                        response }} to rate one"
                .into());
        }
    };
    match slots.iter().find(|slot| !known.contains(&slot.as_str())) {
        Some(slot) => Err(format!("unknown slot {{{{ {slot} }}}} (slots: {})", known.join(", "))),
        None => Ok(question),
    }
}
