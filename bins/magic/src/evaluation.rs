//! How good responses are: the published scores with intervals, perplexity, and the same by strategy and by turn.

use std::sync::Arc;

use esc_metrics::breakdown::{Likelihood, Part, parts, perplexity_by_dialogue, turns_together};
use esc_metrics::interval::{Estimate, Resampling};
use esc_metrics::tokenize::clean_hypothesis;
use esc_metrics::{ComparedRow, Error, Item, Metric, NamedMetric, Preset, Resources, ScoreRow, Scored, Suite};
use serde::Serialize;

use crate::response::ResponseRow;
use crate::sample::Sample;
use crate::strategy::Strategy;

/// Metrics beside those of the published evaluation.
const FURTHER: [&str; 2] = ["distinct", "length"];

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
        let likelihoods: Vec<Likelihood> =
            responses.iter().map(|row| Likelihood { nll: row.nll, tokens: row.labels }).collect();
        let rows = |places: &[usize]| scored.rows_of_items(places);
        let named = given.iter().map(|strategy| (*strategy, strategy.name().to_owned()));
        let by_strategy = parts(&likelihoods, named, rows);
        let turns = samples.iter().map(|sample| turns_together(sample.context.len() - 1));
        let by_turn = parts(&likelihoods, turns, rows);
        let perplexity = perplexity_by_dialogue(&likelihoods, dialogues, &self.resampling)?;
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
}
