//! An ordinal model that knows its raters: a rating is a step on a scale, and raters differ in how severe and how discerning they are.
//!
//! With the network's value `f(x)`, ordered thresholds `τ`, and for rater `r` a severity `β_r` and a discrimination `α_r`:
//!
//! `P(y ≤ k | x, r) = σ( α_r (τ_k + β_r − f(x)) )`
//!
//! It is the cumulative-link model of McCullagh (1980, J. R. Stat. Soc. B 42) with the rater facets of many-facet Rasch models (Linacre 1989) and a
//! discrimination for each (as Uto & Ueno 2020, Behaviormetrika 47). Normal priors `β_r ~ N(0, s²)`, `log α_r ~ N(0, d²)` draw raters who rated
//! little towards the population, which has `β = 0`, `α = 1`: who is unknown is judged as it.
//!
//! Unlike d-PM, which takes five annotations and forgets whose they are, this can tell a severe rater from a bad response, and its
//! likelihood is a proper score, so its distribution is that of ratings and not sharper.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use candle_core::{D, Device, Tensor};
use esc_metrics::correlation::spearman;
use llm_runtime::LinearLoader;
use serde::{Deserialize, Serialize};
use text_encoder::{EncoderTokenizer, TextEncoder};
use training::{Batches, Dataset, LossParts, Metric, Objective, Pass, SetScores, TrainingError};

use crate::score::{ResponseScorer, Score};
use crate::{
    EncodedExchange, Exchange, ExchangeLayout, HelpfulnessError, HelpfulnessRecord, LabelTable, NetworkOptions,
    ResponseNetwork, SPEARMAN,
};

/// Where the trained part's names begin in a file.
const NAME: &str = "multi_prefix.ordinal";
/// Name of a metric: the mean `−log p` of ratings without the raters' priors.
pub const RATING_LOSS: &str = "rating_loss";

/// Settings of an [`OrdinalModel`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrdinalOptions {
    /// Steps of the scale.
    pub ratings: usize,
    /// Deviation of the prior of severities.
    pub severity_deviation: f64,
    /// Deviation of the prior of discriminations' logarithms.
    pub discrimination_deviation: f64,
}

impl Default for OrdinalOptions {
    fn default() -> Self {
        Self { ratings: 5, severity_deviation: 1.0, discrimination_deviation: 0.3 }
    }
}

/// The model.
pub struct OrdinalModel {
    network: ResponseNetwork,
    /// `[ratings − 1]`: the first threshold, then distances through softplus.
    thresholds: Tensor,
    /// `[raters]`, both.
    severity: Tensor,
    log_discrimination: Tensor,
    options: OrdinalOptions,
    raters: Vec<String>,
}

impl OrdinalModel {
    /// Takes what is trained from `loader`: the network's tensors, `thresholds`, and for the raters of these names `severity` and
    /// `log_discrimination`, under names that begin with `multi_prefix.ordinal`. Fresh thresholds are as far apart as they begin, at 0.69.
    ///
    /// # Errors
    /// A setting is out of range, there is no rater, or as [`ResponseNetwork::load`].
    pub fn load(
        encoder: Arc<TextEncoder>,
        loader: &dyn LinearLoader,
        network: &NetworkOptions,
        options: &OrdinalOptions,
        raters: Vec<String>,
    ) -> Result<Self, HelpfulnessError> {
        check(options, &raters)?;
        let tensor = |part: &str, count: usize| loader.tensor(&format!("{NAME}.{part}"), &[count]);
        Ok(Self {
            thresholds: tensor("thresholds", options.ratings - 1)?,
            severity: tensor("severity", raters.len())?,
            log_discrimination: tensor("log_discrimination", raters.len())?,
            network: ResponseNetwork::load(encoder, loader, network, NAME, 1)?,
            options: options.clone(),
            raters,
        })
    }

    /// The network.
    pub fn network(&self) -> &ResponseNetwork {
        &self.network
    }

    /// Its settings.
    pub fn options(&self) -> &OrdinalOptions {
        &self.options
    }

    /// The raters it knows, by number.
    pub fn raters(&self) -> &[String] {
        &self.raters
    }

    /// Severities `β` of all raters: who has more gives lower ratings.
    ///
    /// # Errors
    /// The device fails.
    pub fn severities(&self) -> Result<Vec<f32>, HelpfulnessError> {
        Ok(self.severity.to_vec1()?)
    }

    /// Discriminations `α` of all raters: who has more keeps good and bad responses further apart.
    ///
    /// # Errors
    /// The device fails.
    pub fn discriminations(&self) -> Result<Vec<f32>, HelpfulnessError> {
        Ok(self.log_discrimination.exp()?.to_vec1()?)
    }

    /// The ordered thresholds `τ`, `[ratings − 1]` with history.
    ///
    /// # Errors
    /// The device fails.
    pub fn thresholds(&self) -> Result<Tensor, HelpfulnessError> {
        let count = self.thresholds.dim(0)?;
        if count == 1 {
            return Ok(self.thresholds.clone());
        }
        let first = self.thresholds.narrow(0, 0, 1)?;
        let steps = softplus(&self.thresholds.narrow(0, 1, count - 1)?)?;
        Ok(Tensor::cat(&[first, steps], 0)?.unsqueeze(0)?.cumsum(1)?.squeeze(0)?)
    }

    /// `log P(y = k)` of each input from the lowest rating to the highest, `[inputs, ratings]` f32, as the rater of each would rate it; `None` is the
    /// population.
    ///
    /// # Errors
    /// There is not one rater for each input, one is unknown, or as [`ResponseNetwork::forward`].
    pub fn log_distribution(
        &self,
        inputs: &[&EncodedExchange],
        raters: &[Option<usize>],
        pass: &Pass,
    ) -> Result<Tensor, HelpfulnessError> {
        let value = self.network.forward(inputs, pass)?;
        let (severity, discrimination) = self.of_raters(raters, inputs.len())?;
        let thresholds = self.thresholds()?.unsqueeze(0)?;
        // [inputs, ratings − 1]
        let logits = thresholds.broadcast_sub(&(value - severity)?)?.broadcast_mul(&discrimination)?;
        Ok(log_steps(&logits)?)
    }

    /// `β` and `α` of each input's rater, both `[inputs, 1]`.
    fn of_raters(&self, raters: &[Option<usize>], inputs: usize) -> Result<(Tensor, Tensor), HelpfulnessError> {
        let unknown = raters.iter().flatten().find(|rater| **rater >= self.raters.len());
        if raters.len() != inputs || unknown.is_some() {
            let problem = match unknown {
                Some(rater) => format!("there is no rater {rater} among {}", self.raters.len()),
                None => format!("{} raters for {inputs} inputs", raters.len()),
            };
            return Err(HelpfulnessError::Invalid(problem));
        }
        let device: &Device = self.severity.device();
        let numbers: Vec<u32> = raters.iter().map(|rater| rater.unwrap_or(0) as u32).collect();
        let known: Vec<f32> = raters.iter().map(|rater| if rater.is_some() { 1.0 } else { 0.0 }).collect();
        let numbers = Tensor::new(numbers, device)?;
        let known = Tensor::new(known, device)?.to_dtype(self.severity.dtype())?;
        let of = |values: &Tensor| (values.index_select(&numbers, 0)? * &known)?.unsqueeze(1);
        Ok((of(&self.severity)?, of(&self.log_discrimination)?.exp()?))
    }

    /// `−log` of the raters' priors but for constants, a scalar with history.
    fn penalty(&self) -> Result<Tensor, candle_core::Error> {
        let squares = |values: &Tensor, deviation: f64| values.sqr()?.sum_all()? * (0.5 / deviation.powi(2));
        squares(&self.severity, self.options.severity_deviation)?
            + squares(&self.log_discrimination, self.options.discrimination_deviation)?
    }
}

fn check(options: &OrdinalOptions, raters: &[String]) -> Result<(), HelpfulnessError> {
    let problem = if options.ratings < 2 {
        format!("a scale of {} steps: at least 2 are needed", options.ratings)
    } else if raters.is_empty() {
        "no rater: name at least one".to_owned()
    } else if let Some(deviation) = [options.severity_deviation, options.discrimination_deviation]
        .into_iter()
        .find(|deviation| !deviation.is_finite() || *deviation <= 0.0)
    {
        format!("a prior with the deviation {deviation}: expected a positive number")
    } else {
        return Ok(());
    };
    Err(HelpfulnessError::Invalid(problem))
}

/// `log P(y = k)` from the logits of `P(y ≤ k)`, which grow along a row. Differences of sigmoids are taken as
/// `σ(b) − σ(a) = σ(b) σ(−a) (1 − e^{a−b})`, which stays exact where both are near 0 or 1.
fn log_steps(logits: &Tensor) -> Result<Tensor, candle_core::Error> {
    let count = logits.dim(1)?;
    let below = log_sigmoid(logits)?;
    let above = log_sigmoid(&logits.neg()?)?;
    let lowest = below.narrow(1, 0, 1)?;
    let highest = above.narrow(1, count - 1, 1)?;
    if count == 1 {
        return Tensor::cat(&[lowest, highest], 1);
    }
    let apart = (logits.narrow(1, 0, count - 1)? - logits.narrow(1, 1, count - 1)?)?;
    let gaps = apart.exp()?.affine(-1.0, 1.0)?.maximum(SMALLEST_GAP)?.log()?;
    let between = ((below.narrow(1, 1, count - 1)? + above.narrow(1, 0, count - 1)?)? + gaps)?;
    Tensor::cat(&[lowest, between, highest], 1)
}

/// Thresholds that fall together leave a rating this much room.
const SMALLEST_GAP: f64 = 1e-12;

fn log_sigmoid(x: &Tensor) -> Result<Tensor, candle_core::Error> {
    softplus(&x.neg()?)?.neg()
}

/// `log(1 + e^x)`, as `max(x, 0) + log(1 + e^{−|x|})`.
fn softplus(x: &Tensor) -> Result<Tensor, candle_core::Error> {
    x.relu()? + x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?
}

impl ResponseScorer for OrdinalModel {
    /// As the population rates.
    fn scores(&self, inputs: &[&EncodedExchange]) -> Result<Vec<Score>, HelpfulnessError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let population = vec![None; inputs.len()];
        let rows = self.log_distribution(inputs, &population, &Pass::evaluation())?.exp()?.to_vec2::<f32>()?;
        Ok(rows.into_iter().map(score_of).collect())
    }
}

/// Helpfulness is how far the expected rating lies up the scale.
fn score_of(distribution: Vec<f32>) -> Score {
    let steps = distribution.len().saturating_sub(1).max(1) as f32;
    let along = |place: &dyn Fn(usize) -> f32| -> f32 {
        distribution.iter().enumerate().map(|(step, probability)| place(step) * probability).sum::<f32>() / steps
    };
    let (helpfulness, unhelpfulness) = (along(&|step| step as f32), along(&|step| steps - step as f32));
    Score { distribution, helpfulness, unhelpfulness, rating: 1.0 + 4.0 * helpfulness }
}

/// A rating by somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatedExample {
    /// What the model reads.
    pub input: EncodedExchange,
    /// Number of the rater; `None` is one whom the model does not know.
    pub rater: Option<usize>,
    /// The step of the scale, from 0 for the lowest.
    pub rating: usize,
}

/// Ratings of responses, and who the raters are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RatedDataset {
    raters: Vec<String>,
    examples: Vec<RatedExample>,
}

impl RatedDataset {
    /// No examples yet, by these raters.
    pub fn new(raters: Vec<String>) -> Self {
        Self { raters, examples: Vec::new() }
    }

    /// The feedback in records: each conversation has one rater, its seeker, and the number of annotations that say helpful (class 0) is the rating, from
    /// 1 on.
    ///
    /// # Errors
    /// A label is not in the table, no annotation of a response says helpful, or a text can't be tokenised.
    pub fn of_feedback<'a>(
        records: impl IntoIterator<Item = &'a HelpfulnessRecord>,
        table: &LabelTable,
        layout: &ExchangeLayout,
        tokenizer: &EncoderTokenizer,
    ) -> Result<Self, HelpfulnessError> {
        let records: Vec<&HelpfulnessRecord> = records.into_iter().collect();
        let mut seen = HashSet::new();
        let names = records.iter().map(|record| record.conversation_name());
        let raters = names.filter(|name| seen.insert(name.clone())).collect();
        Self::of_feedback_by(raters, records, table, layout, tokenizer)
    }

    /// As [`Self::of_feedback`], with raters that are known already; all others are nobody that the model knows. So held-out conversations are rated.
    ///
    /// # Errors
    /// As [`Self::of_feedback`].
    pub fn of_feedback_by<'a>(
        raters: Vec<String>,
        records: impl IntoIterator<Item = &'a HelpfulnessRecord>,
        table: &LabelTable,
        layout: &ExchangeLayout,
        tokenizer: &EncoderTokenizer,
    ) -> Result<Self, HelpfulnessError> {
        let numbers: HashMap<String, usize> = raters.iter().cloned().zip(0..).collect();
        let mut dataset = Self::new(raters);
        for (number, record) in records.into_iter().enumerate() {
            let rater = numbers.get(&record.conversation_name()).copied();
            let context = record.context_text();
            for response in &record.responses {
                let classes = table.classes_of(&response.annotations).map_err(|error| record.problem(number, error))?;
                let helpful = classes.iter().filter(|class| **class == Some(0)).count();
                let rating = helpful.checked_sub(1).ok_or_else(|| {
                    let problem = "no annotation says helpful: expected as many as the rating, at least 1";
                    record.problem(number, problem)
                })?;
                let exchange = Exchange { situation: &record.situation, context: &context, response: &response.text };
                dataset.push(RatedExample { input: layout.encode(&exchange, tokenizer)?, rater, rating })?;
            }
        }
        Ok(dataset)
    }

    /// Adds an example.
    ///
    /// # Errors
    /// There is no such rater.
    pub fn push(&mut self, example: RatedExample) -> Result<(), HelpfulnessError> {
        if let Some(rater) = example.rater.filter(|rater| *rater >= self.raters.len()) {
            let problem = format!("there is no rater {rater} among {}", self.raters.len());
            return Err(HelpfulnessError::Invalid(problem));
        }
        self.examples.push(example);
        Ok(())
    }

    /// The raters, by number.
    pub fn raters(&self) -> &[String] {
        &self.raters
    }

    /// The ratings.
    pub fn examples(&self) -> &[RatedExample] {
        &self.examples
    }
}

impl Dataset for RatedDataset {
    type Batch = Vec<RatedExample>;

    fn lengths(&self) -> Vec<usize> {
        self.examples.iter().map(|example| example.input.token_count()).collect()
    }

    fn batch(&self, examples: &[usize]) -> Result<Vec<RatedExample>, TrainingError> {
        let example = |number: &usize| {
            let example = self.examples.get(*number).cloned();
            example.ok_or_else(|| {
                let problem = format!("there is no example {number} among {}", self.examples.len());
                HelpfulnessError::Invalid(problem).into()
            })
        };
        examples.iter().map(example).collect()
    }
}

/// The mean `−log P(rating)`, and the raters' priors shared out over all ratings.
pub struct OrdinalObjective {
    model: Arc<OrdinalModel>,
    ratings: usize,
}

impl OrdinalObjective {
    /// For a model whose trained part are variables, learning from so many ratings.
    pub fn new(model: Arc<OrdinalModel>, ratings: usize) -> Self {
        Self { model, ratings: ratings.max(1) }
    }

    /// `log P` of all ratings, `[batch, ratings]`.
    fn log_distribution(&self, batch: &[RatedExample], pass: &Pass) -> Result<Tensor, HelpfulnessError> {
        let inputs: Vec<&EncodedExchange> = batch.iter().map(|example| &example.input).collect();
        let raters: Vec<Option<usize>> = batch.iter().map(|example| example.rater).collect();
        self.model.log_distribution(&inputs, &raters, pass)
    }

    /// `−log P` of the ratings that were given, summed up.
    fn cost(&self, log_distribution: &Tensor, batch: &[RatedExample]) -> Result<Tensor, HelpfulnessError> {
        let steps = self.model.options.ratings;
        if let Some(example) = batch.iter().find(|example| example.rating >= steps) {
            let problem = format!("a rating of {}: the scale has {steps} steps", example.rating + 1);
            return Err(HelpfulnessError::Invalid(problem));
        }
        let ratings: Vec<u32> = batch.iter().map(|example| example.rating as u32).collect();
        let ratings = Tensor::new(ratings, log_distribution.device())?.unsqueeze(D::Minus1)?;
        Ok(log_distribution.gather(&ratings, 1)?.sum_all()?.neg()?)
    }
}

impl Objective for OrdinalObjective {
    type Batch = Vec<RatedExample>;

    fn loss(&self, batch: &Vec<RatedExample>, pass: &Pass) -> Result<LossParts, TrainingError> {
        let cost = self.cost(&self.log_distribution(batch, pass)?, batch)?;
        let weight = batch.len() as f64;
        let sum = f64::from(cost.to_scalar::<f32>()?);
        let penalty = (self.model.penalty()? * (weight / self.ratings as f64))?;
        let tokens = batch.iter().map(|example| example.input.token_count()).sum();
        let metrics = vec![Metric { name: RATING_LOSS, sum, weight }];
        Ok(LossParts { sum: (cost + penalty)?, weight, tokens, metrics })
    }

    /// The loss is that of the ratings alone: the raters' priors have nothing to say about held-out ones.
    fn evaluate(&self, batches: Batches<'_, Vec<RatedExample>>) -> Result<SetScores, TrainingError> {
        let (mut loss, mut ratings) = (0.0, Vec::new());
        for batch in batches {
            let batch = batch?;
            let log_distribution = self.log_distribution(&batch, &Pass::evaluation())?;
            loss += f64::from(self.cost(&log_distribution, &batch)?.to_scalar::<f32>()?);
            let expected =
                log_distribution.exp()?.to_vec2::<f32>()?.into_iter().map(|row| f64::from(score_of(row).rating));
            ratings.extend(expected.zip(batch.iter().map(|example| example.rating as f64)));
        }
        let correlation = spearman(&ratings).map(|value| (SPEARMAN.to_owned(), value));
        Ok(SetScores { loss: loss / ratings.len() as f64, metrics: correlation.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn steps_are_differences_of_sigmoids() {
        let logits = [-2.0f64, 0.5, 3.0];
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let expected = [sigmoid(-2.0), sigmoid(0.5) - sigmoid(-2.0), sigmoid(3.0) - sigmoid(0.5), 1.0 - sigmoid(3.0)];
        let found = values(&log_steps(&Tensor::new(&[logits], &Device::Cpu).unwrap()).unwrap().exp().unwrap());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
    }

    #[test]
    fn far_out_steps_stay_finite_in_single_precision() {
        let logits = Tensor::new(&[[60f32, 61.0, 62.0], [-62.0, -61.0, -60.0]], &Device::Cpu).unwrap();
        let found = log_steps(&logits).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(found.iter().all(|value| value.is_finite()), "{found:?}");
        assert!((found[1] + 60.46).abs() < 0.02 && found[0].abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_scale_of_two_steps_is_a_logistic_regression() {
        let found = values(&log_steps(&Tensor::new(&[[0.0f64]], &Device::Cpu).unwrap()).unwrap());
        assert_eq!(found, [0.5f64.ln(); 2]);
    }

    #[test]
    fn the_expected_rating_is_the_helpfulness() {
        let score = score_of(vec![0.0, 0.0, 0.5, 0.0, 0.5]);
        assert_eq!((score.helpfulness, score.unhelpfulness, score.rating), (0.75, 0.25, 4.0));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let raters = vec!["a".to_owned()];
        let default = OrdinalOptions::default();
        assert!(check(&default, &raters).is_ok());
        assert!(check(&default, &[]).is_err());
        assert!(check(&OrdinalOptions { ratings: 1, ..default.clone() }, &raters).is_err());
        assert!(check(&OrdinalOptions { severity_deviation: 0.0, ..default }, &raters).is_err());
        let mut ratings = RatedDataset::new(raters);
        let input = EncodedExchange::new(vec![2, 3], 1).unwrap();
        assert!(ratings.push(RatedExample { input, rater: Some(1), rating: 0 }).is_err());
    }
}
