//! What generations are worth: the published scores with intervals, perplexity, strategies, helpfulness, and the same by strategy and by turn.
//!
//! Two lines of numbers stand side by side: those of the thu-coai line, which ThTra's papers print (BLEU of NLTK, Distinct without the last n-gram, shares times
//! 100), and those of nlg-eval (BLEU and ROUGE-L of the COCO tools, METEOR, CIDEr, embeddings; 0 to 1). Where both have a metric of one name, that
//! of nlg-eval ends in `-coco`.

use esc_metrics::breakdown::{Likelihood, Part, compare_perplexities, parts, perplexity_by_dialogue, turns_together};
use esc_metrics::classification::{Averaged, ClassificationIntervals, ClassificationReport, Labelled, top_k_accuracy};
use esc_metrics::interval::{Estimate, Interval, Resampling};
use esc_metrics::significance::{Comparison, ItemSums, Paired, mean_of_sums};
use esc_metrics::{ComparedRow, Error, Item, Preset, Resources, ScoreRow, Scored, Suite};
use serde::Serialize;

use crate::generations::Generation;
use crate::strategy::Strategy;
use crate::strategy_mode::StrategyMode;

/// Accuracy is told up to the so many likeliest strategies.
const MOST_RANKS: usize = 5;
/// The presets that are reported.
const PRESETS: [Preset; 2] = [Preset::ThuCoai, Preset::NlgEval];

/// The metrics that an evaluation reports, by name: for the resources they need.
pub fn metric_names() -> Vec<&'static str> {
    PRESETS.iter().flat_map(|preset| preset.metric_names()).collect()
}

/// The scores of one set of generations.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// Who has chosen strategies; none where the model knows none.
    pub mode: Option<StrategyMode>,
    /// Whether strategies come from the annotators of the responses that the generations are compared with: no system has them that answers somebody.
    pub is_oracle: bool,
    /// Generations.
    pub responses: usize,
    /// Dialogues that they are from.
    pub dialogues: usize,
    /// `exp(Σ loss / Σ tokens)` of the real responses, strategies left out.
    pub perplexity: Estimate,
    /// Scores, with intervals by dialogue.
    pub scores: Vec<ScoreRow>,
    /// How well strategies are predicted, where there are any.
    pub strategies: Option<StrategyScores>,
    /// Mean helpfulness of the generations, and of the real responses, where a model of it was asked.
    pub helpfulness: Option<Helpfulness<Interval>>,
    /// The same by the annotated strategy.
    pub by_strategy: Vec<Part>,
    /// The same by turn of the dialogue.
    pub by_turn: Vec<Part>,
}

/// How well strategies are predicted. An oracle's or an asker's choice says nothing about the model: then it is the model's likeliest one that is judged.
#[derive(Debug, Serialize)]
pub struct StrategyScores {
    /// The share of samples whose annotated strategy is among the 1, 2, … likeliest of the model.
    pub top_k: Vec<Interval>,
    /// Precision, recall, F1 and confusion (annotated, down; predicted, across).
    pub report: ClassificationReport,
    /// Intervals of that by dialogue.
    pub intervals: ClassificationIntervals,
}

/// Something about helpfulness, of what a model and of what people said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Helpfulness<T> {
    /// Of generations.
    pub generations: T,
    /// Of real responses.
    pub responses: T,
}

/// Two sets of generations for the same samples.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// Scores.
    pub scores: Vec<ComparedRow>,
    /// Perplexity.
    pub perplexity: Comparison,
    /// Mean helpfulness of the generations.
    pub helpfulness: Option<Comparison>,
}

/// The scores of one generation: a line of `metrics_list.jsonl`.
#[derive(Debug, Serialize)]
pub struct SampleScoreRow {
    /// Number of the dialogue.
    pub sample_id: usize,
    /// Number of the turn.
    pub turn: usize,
    /// Of the real response.
    pub perplexity: f64,
    /// Of the generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helpfulness: Option<f64>,
    /// Scores by name.
    #[serde(flatten)]
    pub scores: std::collections::BTreeMap<String, f64>,
}

/// A set of generations that was measured.
pub struct Evaluated {
    /// Its scores.
    pub scores: Evaluation,
    places: Vec<(usize, usize)>,
    dialogues: Vec<String>,
    likelihoods: Vec<Likelihood>,
    scored: Vec<Scored>,
    helpfulness: Option<Vec<f64>>,
}

/// How generations are measured.
pub struct Evaluator {
    suites: Vec<Suite>,
    resampling: Resampling,
}

impl Evaluator {
    /// With the tables of `resources`.
    ///
    /// # Errors
    /// A table that a metric needs is damaged.
    pub fn new(resources: &Resources, resampling: Resampling) -> Result<Self, Error> {
        let suites = PRESETS.iter().map(|preset| Suite::preset(*preset, resources)).collect::<Result<_, _>>()?;
        Ok(Self { suites, resampling })
    }

    /// Scores generations of one model; `helpfulness` holds one number for each of them and its real response.
    ///
    /// # Errors
    /// There is no generation, or there are more or fewer numbers of helpfulness.
    pub fn evaluate(
        &self,
        rows: &[Generation],
        helpfulness: Option<Helpfulness<Vec<f64>>>,
    ) -> Result<Evaluated, Error> {
        let dialogues: Vec<String> = rows.iter().map(|row| row.sample_id.to_string()).collect();
        let names: Vec<&str> = dialogues.iter().map(String::as_str).collect();
        let items = || rows.iter().map(|row| Item::new(row.generation.as_str(), row.response.as_str()));
        let scored = self.suites.iter().map(|suite| suite.score(items())).collect::<Result<Vec<_>, _>>()?;
        let likelihoods: Vec<Likelihood> =
            rows.iter().map(|row| Likelihood { nll: row.loss, tokens: row.token_num }).collect();
        let with_intervals = scored
            .iter()
            .map(|scored| scored.rows_with_intervals(&names, &self.resampling))
            .collect::<Result<_, _>>()?;
        let some = |places: &[usize]| {
            let mut scores = merged(scored.iter().map(|scored| scored.rows_of_items(places)).collect(), score_name);
            scores.extend(further(rows, helpfulness.as_ref(), places));
            scores
        };
        let by_strategy = rows.iter().map(|row| (row.strategy, row.strategy.name().to_owned()));
        let mode = rows.first().and_then(|row| row.mode);
        let scores = Evaluation {
            mode,
            is_oracle: mode.is_some_and(StrategyMode::is_oracle),
            responses: rows.len(),
            dialogues: names.iter().collect::<std::collections::BTreeSet<_>>().len(),
            perplexity: perplexity_by_dialogue(&likelihoods, &names, &self.resampling)?,
            scores: merged(with_intervals, score_name),
            strategies: mode.map(|mode| self.strategies(mode, rows, &names)).transpose()?,
            helpfulness: helpfulness.as_ref().map(|both| self.mean_helpfulness(both, &names)).transpose()?,
            by_strategy: parts(&likelihoods, by_strategy, some),
            by_turn: parts(&likelihoods, rows.iter().map(|row| turns_together(row.turn)), some),
        };
        let places = rows.iter().map(|row| (row.sample_id, row.turn)).collect();
        let helpfulness = helpfulness.map(|both| both.generations);
        Ok(Evaluated { scores, places, dialogues, likelihoods, scored, helpfulness })
    }

    /// Two sets of generations beside each other: whole dialogues are drawn and swapped.
    ///
    /// # Errors
    /// They are not of the same samples.
    pub fn compare(&self, first: &Evaluated, second: &Evaluated) -> Result<Compared, Error> {
        if first.places != second.places {
            let problem =
                "the generations answer different samples: infer both from the same file, with the same --limit";
            return Err(Error::Setting(problem.into()));
        }
        let names: Vec<&str> = first.dialogues.iter().map(String::as_str).collect();
        let compared = first.scored.iter().zip(&second.scored);
        let scores = compared.map(|(one, two)| one.compare(two, &names, Some(&self.resampling)));
        let helpfulness = match (&first.helpfulness, &second.helpfulness) {
            (Some(one), Some(two)) => {
                let sums = |values: &[f64]| ItemSums::of_values(values)?.by_group(&names);
                Some(Paired::new(&sums(one)?, &sums(two)?, mean_of_sums)?.compare(&self.resampling))
            }
            _ => None,
        };
        Ok(Compared {
            scores: merged(scores.collect::<Result<_, _>>()?, |row| &mut row.name),
            perplexity: compare_perplexities(&first.likelihoods, &second.likelihoods, &names, &self.resampling)?,
            helpfulness,
        })
    }

    fn strategies(&self, mode: StrategyMode, rows: &[Generation], dialogues: &[&str]) -> Result<StrategyScores, Error> {
        let names: Vec<String> = Strategy::ALL.map(|strategy| strategy.name().to_owned()).to_vec();
        let gold: Vec<usize> = rows.iter().map(|row| row.strategy.index()).collect();
        let predicted = rows.iter().map(|row| if mode == StrategyMode::Sample { row.chosen } else { row.top1 });
        let predicted = predicted.map(|strategy| strategy.map(Strategy::index)).collect::<Option<Vec<_>>>();
        let predicted = predicted.ok_or_else(|| Error::Setting("a generation has no strategy".into()))?;
        let labelled = Labelled::new(&names, &gold, &predicted)?;
        let hits = |k: usize| -> Result<Interval, Error> {
            let hit = |row: &Generation| {
                let probabilities: Vec<f64> = row.distribution.iter().map(|share| f64::from(*share)).collect();
                top_k_accuracy(&[probabilities], &[row.strategy.index()], k)
            };
            let hits = rows.iter().map(hit).collect::<Result<Vec<_>, _>>()?;
            let hits = dialogues.iter().copied().zip(hits);
            Interval::by_group_with(hits, &self.resampling).ok_or(Error::Empty("no strategy is predicted"))
        };
        Ok(StrategyScores {
            top_k: (1..=MOST_RANKS).map(hits).collect::<Result<_, _>>()?,
            report: labelled.report(Averaged::Present),
            intervals: labelled.intervals(Averaged::Present, dialogues, &self.resampling)?,
        })
    }

    fn mean_helpfulness(
        &self,
        both: &Helpfulness<Vec<f64>>,
        dialogues: &[&str],
    ) -> Result<Helpfulness<Interval>, Error> {
        let mean = |values: &[f64]| {
            if values.len() != dialogues.len() {
                let (left, right) = (dialogues.len(), values.len());
                return Err(Error::Lengths { what: "generations and numbers of helpfulness", left, right });
            }
            let values = dialogues.iter().copied().zip(values.iter().copied());
            Interval::by_group_with(values, &self.resampling).ok_or(Error::Empty("no helpfulness is known"))
        };
        Ok(Helpfulness { generations: mean(&both.generations)?, responses: mean(&both.responses)? })
    }
}

impl Evaluated {
    /// The scores of each generation, in their order.
    pub fn samples(&self) -> impl Iterator<Item = SampleScoreRow> + '_ {
        self.places.iter().enumerate().map(|(place, (sample_id, turn))| {
            let likelihood = self.likelihoods[place];
            let rows = merged(self.scored.iter().map(|scored| scored.rows_of_items(&[place])).collect(), score_name);
            SampleScoreRow {
                sample_id: *sample_id,
                turn: *turn,
                perplexity: (likelihood.nll / likelihood.tokens as f64).exp(),
                helpfulness: self.helpfulness.as_ref().map(|values| values[place]),
                scores: rows.into_iter().map(|row| (row.name, row.value)).collect(),
            }
        })
    }
}

/// Of some generations, how many of their strategies are predicted, and how helpful they are; for the tables by strategy and turn.
fn further(rows: &[Generation], helpfulness: Option<&Helpfulness<Vec<f64>>>, places: &[usize]) -> Vec<ScoreRow> {
    let count = places.len() as f64;
    let row = |name: String, value: f64| ScoreRow { name, value, interval: None, signature: "mean".into() };
    let some = || places.iter().filter_map(|place| rows.get(*place));
    let ranks: Vec<usize> = some().filter_map(rank_of_annotated).collect();
    let top = |k: usize| {
        row(format!("strategy-top-{k}"), 100.0 * ranks.iter().filter(|rank| **rank < k).count() as f64 / count)
    };
    let mut found: Vec<ScoreRow> =
        if ranks.len() == places.len() { (1..=MOST_RANKS).map(top).collect() } else { Vec::new() };
    if let Some(both) = helpfulness {
        let sum: f64 = places.iter().filter_map(|place| both.generations.get(*place)).sum();
        found.push(row("helpfulness".into(), sum / count));
    }
    found
}

/// The place of the annotated strategy among the model's, the likeliest first and equals in the order of their tokens; none of a model without strategies.
fn rank_of_annotated(row: &Generation) -> Option<usize> {
    let own = *row.distribution.get(row.strategy.index())?;
    let before = |(index, share): (usize, &f32)| *share > own || (*share == own && index < row.strategy.index());
    Some(row.distribution.iter().enumerate().filter(|(index, share)| before((*index, share))).count())
}

fn score_name(row: &mut ScoreRow) -> &mut String {
    &mut row.name
}

/// The rows of both presets as one list in which each has a name of its own.
fn merged<R>(suites: Vec<Vec<R>>, name: impl Fn(&mut R) -> &mut String) -> Vec<R> {
    let mut taken = std::collections::BTreeSet::new();
    let mut all: Vec<R> = suites.into_iter().flatten().collect();
    for row in &mut all {
        if !taken.insert(name(row).clone()) {
            name(row).push_str("-coco");
        }
    }
    all
}
