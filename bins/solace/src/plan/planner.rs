//! Who plans.

use std::fmt;
use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::PathBuf;

use command_line::{Failure, Runtime, Server};
use esconv_data::StrategySet;
use thtra::{Answerer, EncodedDialogues, Layout, Lengths, Question, Strategy, StrategyMode, TrainedModel};

use super::language_model::LanguageModelPlanner;
use crate::point::Point;

/// Who plans, as a command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlannerName {
    /// A model of ThTra's, which knows strategies.
    Thtra(PathBuf),
    /// A language model that is asked as MAGIC asks.
    Magic(String),
    /// Always the same.
    Fixed(Vec<String>),
    /// What was really done.
    Gold,
    /// Somebody at the keyboard.
    Person,
    /// Nobody.
    Free,
}

impl PlannerName {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected thtra:DIR, magic:MODEL, fixed:NAME,NAME…, gold, person or none";
        let given = |rest: &str| if rest.is_empty() { Err(expected.to_owned()) } else { Ok(rest.to_owned()) };
        match text.split_once(':').unwrap_or((text, "")) {
            ("thtra", rest) => Ok(Self::Thtra(given(rest)?.into())),
            ("magic", rest) => Ok(Self::Magic(given(rest)?)),
            ("fixed", rest) => Ok(Self::Fixed(given(rest)?.split(',').map(|name| name.trim().to_owned()).collect())),
            ("gold", "") => Ok(Self::Gold),
            ("person", "") => Ok(Self::Person),
            ("none", "") => Ok(Self::Free),
            _ => Err(expected.to_owned()),
        }
    }
}

impl fmt::Display for PlannerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thtra(folder) => write!(f, "thtra:{}", folder.display()),
            Self::Magic(model) => write!(f, "magic:{model}"),
            Self::Fixed(names) => write!(f, "fixed:{}", names.join(",")),
            Self::Gold => f.write_str("gold"),
            Self::Person => f.write_str("person"),
            Self::Free => f.write_str("none"),
        }
    }
}

/// What planners need beside their names.
#[derive(Clone, Copy)]
pub(crate) struct PlannerOptions<'a> {
    /// Text template of MAGIC's prompts.
    pub(crate) plain: &'a str,
    pub(crate) runtime: &'a Runtime,
    pub(crate) server: &'a Server,
}

/// A label of the planner's own and what it thinks of it.
pub(crate) struct Proposal {
    pub(crate) label: String,
    pub(crate) probability: Option<f64>,
    pub(crate) motivation: String,
}

impl Proposal {
    fn bare(label: &str) -> Self {
        Self { label: label.to_owned(), probability: None, motivation: String::new() }
    }
}

/// Hears what is proposed for a place, and may end the planning.
pub(crate) type PlanSink<'s> = dyn FnMut(&Point, Vec<Proposal>) -> Result<ControlFlow<()>, Failure> + 's;

/// Somebody who plans.
pub(crate) trait Planner {
    /// For records: all that decides the plan beside the places.
    fn made_by(&self) -> String;
    /// Proposes strategies for each place, the best first; none at all where whoever answers shall choose. `set` are the strategies that can be
    /// carried out.
    fn plan(&mut self, points: &[&Point], set: &StrategySet, sink: &mut PlanSink<'_>) -> Result<(), Failure>;
}

/// Makes a planner ready.
pub(crate) fn planner(name: &PlannerName, options: PlannerOptions<'_>) -> Result<Box<dyn Planner>, Failure> {
    Ok(match name {
        PlannerName::Thtra(folder) => {
            let model = TrainedModel::open(folder, None, &options.runtime.model.machine.device.open()?)?;
            if !model.layout.has_strategies() {
                return Err(Failure::wrong_use(format!(
                    "{}: this model knows no strategies, so it can't plan",
                    folder.display()
                )));
            }
            Box::new(ThtraPlanner { model })
        }
        PlannerName::Magic(model) => Box::new(LanguageModelPlanner::open(model, options)?),
        PlannerName::Fixed(names) => Box::new(FixedPlanner { names: names.clone() }),
        PlannerName::Gold => Box::new(GoldPlanner),
        PlannerName::Person => Box::new(Person),
        PlannerName::Free => Box::new(NoPlanner),
    })
}

/// Whose first step of the decoder gives the probabilities of all eight.
struct ThtraPlanner {
    model: TrainedModel,
}

/// Dialogues that go through a model together.
const BATCH: usize = 16;

impl Planner for ThtraPlanner {
    fn made_by(&self) -> String {
        format!("thtra {}", self.model.sha256)
    }

    fn plan(&mut self, points: &[&Point], _set: &StrategySet, sink: &mut PlanSink<'_>) -> Result<(), Failure> {
        let responder = &self.model.responder;
        // Only the first step is of interest.
        let options = thtra::candidate_options(1);
        let options = seq2seq::search::DecodingOptions { max_new_tokens: 1, min_length: 0, ..options };
        let answerer = Answerer::new(responder, StrategyMode::Argmax, options, 0);
        for points in points.chunks(BATCH) {
            let inputs = encoder_inputs(&self.model, points)?;
            let questions: Vec<Question<'_>> =
                inputs.iter().map(|ids| Question { encoder_ids: ids, gold: None, stream: 0 }).collect();
            for (point, answer) in points.iter().zip(answerer.answer(&questions)?) {
                let Some(prediction) = answer.strategy else { continue };
                let probabilities = prediction.probabilities();
                let proposal = |strategy: Strategy| Proposal {
                    label: strategy.name().to_owned(),
                    probability: probabilities.get(strategy.index()).map(|probability| f64::from(*probability)),
                    motivation: String::new(),
                };
                if sink(point, prediction.ranked().into_iter().map(proposal).collect())?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// What ThTra's encoder reads before the answer of each place.
pub(crate) fn encoder_inputs(model: &TrainedModel, points: &[&Point]) -> Result<Vec<Vec<u32>>, Failure> {
    let dialogues: Vec<thtra::Dialogue> = points.iter().map(|point| point.for_thtra()).collect();
    let encoded = EncodedDialogues::new(&model.responder.tokenizer, &dialogues)?;
    let positions = model.responder.model.model.config().max_positions;
    let usual = Lengths::default();
    let lengths = Lengths { max_input_length: usual.max_input_length.min(positions), ..usual };
    let layout = if model.layout.has_strategies() { Layout::Strat } else { Layout::Vanilla };
    let samples = encoded.lay_out(layout, lengths).samples;
    let input = |(number, dialogue): (usize, &thtra::Dialogue)| {
        // The real answer stands last.
        let last = dialogue.turns.len().saturating_sub(1);
        let sample = samples.iter().find(|sample| sample.dialogue == number && sample.turn == last);
        sample.map(|sample| sample.encoder_ids.clone()).unwrap_or_default()
    };
    Ok(dialogues.iter().enumerate().map(input).collect())
}

struct FixedPlanner {
    names: Vec<String>,
}

impl Planner for FixedPlanner {
    fn made_by(&self) -> String {
        format!("fixed {}", self.names.join(", "))
    }

    fn plan(&mut self, points: &[&Point], set: &StrategySet, sink: &mut PlanSink<'_>) -> Result<(), Failure> {
        for name in &self.names {
            if crate::strategies::counterparts(set, name).is_empty() {
                set.find(name).map_err(Failure::wrong_use)?;
            }
        }
        each(points, sink, |_| Ok(self.names.iter().map(|name| Proposal::bare(name)).collect()))
    }
}

struct GoldPlanner;

impl Planner for GoldPlanner {
    fn made_by(&self) -> String {
        "gold".into()
    }

    fn plan(&mut self, points: &[&Point], _set: &StrategySet, sink: &mut PlanSink<'_>) -> Result<(), Failure> {
        each(points, sink, |point| {
            let missing = || {
                Failure::work(format!("{}: the turn has no annotated strategy, so `gold` can't tell it", point.id()))
            };
            Ok(vec![Proposal::bare(point.gold().ok_or_else(missing)?)])
        })
    }
}

struct NoPlanner;

impl Planner for NoPlanner {
    fn made_by(&self) -> String {
        "none".into()
    }

    fn plan(&mut self, points: &[&Point], _set: &StrategySet, sink: &mut PlanSink<'_>) -> Result<(), Failure> {
        each(points, sink, |_| Ok(Vec::new()))
    }
}

fn each(
    points: &[&Point],
    sink: &mut PlanSink<'_>,
    mut propose: impl FnMut(&Point) -> Result<Vec<Proposal>, Failure>,
) -> Result<(), Failure> {
    for point in points {
        let proposals = propose(point)?;
        if sink(point, proposals)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Turns of a dialogue that a person is shown.
const SHOWN_TURNS: usize = 6;

struct Person;

impl Planner for Person {
    fn made_by(&self) -> String {
        "person".into()
    }

    /// Shows each place on standard error and reads a number or a name from standard input; its end ends the planning.
    fn plan(&mut self, points: &[&Point], set: &StrategySet, sink: &mut PlanSink<'_>) -> Result<(), Failure> {
        let mut lines = std::io::stdin().lock().lines();
        for point in points {
            show(point, set);
            let chosen = loop {
                eprint!("strategy> ");
                let Some(line) = lines.next() else { return Ok(()) };
                let line = line.map_err(|error| Failure::work(format!("standard input: {error}")))?;
                match choice(line.trim(), set) {
                    Ok(name) => break name,
                    Err(problem) => eprintln!("{problem}"),
                }
            };
            if sink(point, vec![Proposal::bare(&chosen)])?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn show(point: &Point, set: &StrategySet) {
    eprintln!("\nsituation  {}", point.example.situation.trim());
    let turns = point.dialogue.turns();
    for turn in &turns[turns.len().saturating_sub(SHOWN_TURNS)..] {
        let who = if turn.role == llm_runtime::Role::User { "seeker" } else { "supporter" };
        eprintln!("{who:<10} {}", turn.text.trim());
    }
    for (number, strategy) in set.strategies.iter().enumerate() {
        eprintln!("{:>4}  {}", number + 1, strategy.name);
    }
}

fn choice(text: &str, set: &StrategySet) -> Result<String, String> {
    let by_number = text.parse::<usize>().ok().and_then(|number| set.strategies.get(number.checked_sub(1)?));
    match by_number {
        Some(strategy) => Ok(strategy.name.clone()),
        None => set.find(text).map(|strategy| strategy.name.clone()).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planners_have_names() {
        for name in
            ["thtra:a b", "magic:openai:x@http://127.0.0.1:1", "fixed:Question,Offer Hope", "gold", "person", "none"]
        {
            assert_eq!(PlannerName::parse(name).unwrap().to_string(), name);
        }
        for wrong in ["", "thtra", "thtra:", "fixed:", "gold:x", "best"] {
            assert!(PlannerName::parse(wrong).unwrap_err().contains("thtra:DIR"), "{wrong}");
        }
    }

    #[test]
    fn a_person_chooses_by_number_or_name() {
        let set = StrategySet::built_in("extes15").unwrap();
        assert_eq!(choice("1", &set).unwrap(), set.strategies[0].name);
        assert_eq!(choice("offer hope", &set).unwrap(), "Offer Hope");
        for wrong in ["0", "16", "", "Hypnosis"] {
            assert!(choice(wrong, &set).is_err(), "{wrong}");
        }
    }
}
