//! How good responses are: the published scores with intervals, perplexity, and the same by strategy and by turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use esc_metrics::interval::{Estimate, Resampling};
use esc_metrics::tokenize::clean_hypothesis;
use esc_metrics::{ComparedRow, Error, Item, Metric, NamedMetric, Preset, Resources, ScoreRow, Scored, Suite};
use serde::Serialize;

use crate::response::ResponseRow;
use crate::sample::Sample;
use crate::strategy::Strategy;

/// Metrics beside those of the published evaluation.
const FURTHER: [&str; 2] = ["distinct", "length"];

/// Turns that are reported together: so many from the first on.
const TURNS_TOGETHER: usize = 5;
/// Turns from here on are reported together.
const LAST_TURNS: usize = 20;

/// The metrics that an evaluation reports, by name: for the resources they need.
pub fn metric_names() -> Vec<&'static str> {
    Preset::Magic.metric_names().chain(FURTHER).collect()
}

/// The scores of one set of responses.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// Whose strategies and motivations were followed.
    pub source: String,
    /// Responses.
    pub responses: usize,
    /// Scores, with 95 % intervals by dialogue.
    pub scores: Vec<ScoreRow>,
    /// `exp(Σ nll / Σ tokens)` of the real responses, with its interval.
    pub perplexity: Estimate,
    /// The same by the strategy of the test file.
    pub by_strategy: Vec<Part>,
    /// The same by turn of the dialogue.
    pub by_turn: Vec<Part>,
}

/// A set of responses that was measured.
pub struct Evaluated {
    /// Its scores.
    pub scores: Evaluation,
    scored: Scored,
}

/// The scores of some responses.
#[derive(Debug, Serialize)]
pub struct Part {
    /// Which ones.
    pub name: String,
    /// How many.
    pub responses: usize,
    /// Scores.
    pub scores: Vec<ScoreRow>,
    /// Perplexity of the real responses.
    pub perplexity: f64,
}

/// How responses are measured.
pub struct Evaluator {
    suite: Suite,
    resampling: Resampling,
    cleans_references: bool,
}

impl Evaluator {
    /// With the tables of `resources`. Responses are cleaned before they are scored, references only if so wished.
    ///
    /// # Errors
    /// A table that a metric needs is damaged.
    pub fn new(resources: &Resources, resampling: Resampling, cleans_references: bool) -> Result<Self, Error> {
        let further = FURTHER.iter().map(|name| NamedMetric::by_name(name)?.make(resources));
        let further: Vec<Arc<dyn Metric>> = further.collect::<Result<_, _>>()?;
        let suite = further.into_iter().fold(Suite::preset(Preset::Magic, resources)?, Suite::with);
        Ok(Self { suite, resampling, cleans_references })
    }

    /// Scores responses to samples, one each, in their order. `given` are the strategies by which they are told apart, those of the test file, and
    /// `dialogues` name the dialogue of each.
    ///
    /// # Errors
    /// There is not one response and one dialogue for each sample, or none at all.
    pub fn evaluate(
        &self,
        source: &str,
        samples: &[Sample],
        given: &[Strategy],
        dialogues: &[&str],
        responses: &[&ResponseRow],
    ) -> Result<Evaluated, Error> {
        if samples.len() != responses.len() {
            return Err(Error::Lengths { what: "samples and responses", left: samples.len(), right: responses.len() });
        }
        let scored = self.suite.score(samples.iter().zip(responses).map(|(sample, row)| self.item(sample, row)))?;
        let scores = scored.rows_with_intervals(dialogues, &self.resampling)?;
        let named = given.iter().map(|strategy| (*strategy, strategy.name().to_owned()));
        let by_strategy = parts(&scored, responses, named);
        let by_turn = parts(&scored, responses, samples.iter().map(|sample| turns(sample.context.len() - 1)));
        let perplexity = self.perplexity(dialogues, responses)?;
        let source = source.to_owned();
        let scores = Evaluation { source, responses: responses.len(), scores, perplexity, by_strategy, by_turn };
        Ok(Evaluated { scores, scored })
    }

    /// Two sets of responses to the same samples beside each other.
    ///
    /// # Errors
    /// They are not of the same samples.
    pub fn compare(
        &self,
        first: &Evaluated,
        second: &Evaluated,
        dialogues: &[&str],
    ) -> Result<Vec<ComparedRow>, Error> {
        first.scored.compare(&second.scored, dialogues, Some(&self.resampling))
    }

    fn item(&self, sample: &Sample, row: &ResponseRow) -> Item {
        let reference = sample.response.as_str();
        match self.cleans_references {
            true => Item::new(row.response.as_str(), clean_hypothesis(reference)),
            false => Item::new(row.response.as_str(), reference),
        }
    }

    fn perplexity(&self, dialogues: &[&str], responses: &[&ResponseRow]) -> Result<Estimate, Error> {
        let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (dialogue, row) in dialogues.iter().zip(responses) {
            let sum = sums.entry(dialogue).or_default();
            sum.0 += row.nll;
            sum.1 += row.labels as f64;
        }
        let sums: Vec<(f64, f64)> = sums.into_values().collect();
        let of = |drawn: &[usize]| {
            let nats: f64 = drawn.iter().map(|dialogue| sums[*dialogue].0).sum();
            let labels: f64 = drawn.iter().map(|dialogue| sums[*dialogue].1).sum();
            (labels > 0.0).then(|| (nats / labels).exp())
        };
        let found = self.resampling.estimate(sums.len(), of);
        found.ok_or_else(|| Error::Setting("there is no response to take a perplexity of".to_owned()))
    }
}

/// The name of the turns that are reported with this one, behind a key to order them by.
fn turns(turn: usize) -> (usize, String) {
    if turn >= LAST_TURNS {
        return (LAST_TURNS, format!("turns {LAST_TURNS} and later"));
    }
    let first = turn / TURNS_TOGETHER * TURNS_TOGETHER;
    (first, format!("turns {first} to {}", first + TURNS_TOGETHER - 1))
}

/// Scores by key, which comes with a name.
fn parts<K: Ord>(scored: &Scored, responses: &[&ResponseRow], keys: impl Iterator<Item = (K, String)>) -> Vec<Part> {
    let mut places: BTreeMap<K, (String, Vec<usize>)> = BTreeMap::new();
    for (place, (key, name)) in keys.enumerate() {
        places.entry(key).or_insert((name, Vec::new())).1.push(place);
    }
    let part = |(name, places): (String, Vec<usize>)| {
        let nats: f64 = places.iter().map(|place| responses[*place].nll).sum();
        let labels: usize = places.iter().map(|place| responses[*place].labels).sum();
        let perplexity = (nats / labels as f64).exp();
        Part { name, responses: places.len(), scores: scored.rows_of_items(&places), perplexity }
    };
    places.into_values().map(part).collect()
}
