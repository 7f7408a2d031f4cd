//! How good an answer is, 1 to 5: the mean of several samples, or the mean over the probabilities of all ratings (Liu et al., "G-Eval", 2023).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use esc_metrics::judge::{ExpectedRating, sampled_rating};
use llm_runtime::TextModel;
use serde::{Deserialize, Serialize};

use crate::ask::{Answer, Decision, Inquiry, ask};
use crate::error::Error;
use crate::item::{RatingItem, written_history};
use crate::pairs::judge_name;
use crate::template::{JudgeTemplate, Question};
use crate::verdict::{HIGHEST_RATING, parse_rating, written_rating};

/// A rated answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    /// The answer's id.
    pub id: String,
    /// The conversation.
    pub conversation: String,
    /// The strategy.
    pub strategy: String,
    /// The judge: model, template and way of deciding.
    pub judge: String,
    /// The rating, 1 to 5: a mean over samples or over probabilities. Absent if the judge gave none.
    pub rating: Option<f64>,
    /// What the judge wrote, sample by sample.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// Probabilities of 1 to 5, where ratings were scored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probabilities: Vec<f64>,
    /// Why samples are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

impl Rating {
    /// Why a sample is missing, if one is. The rating is worth asking again.
    pub fn failure(&self) -> Option<&str> {
        self.errors.first().map(String::as_str)
    }
}

/// How ratings name their judge, as [`judge_name`], with how often it is asked.
pub fn rater_name(model: &dyn TextModel, template: &JudgeTemplate, decision: &Decision, samples: usize) -> String {
    let name = judge_name(model, template, decision);
    match decision {
        Decision::Text { .. } if samples > 1 => format!("{name} · mean of {samples}"),
        _ => name,
    }
}

/// Rates answers and hands out each rating as soon as its samples are there, until the sink breaks; the sink also hears `None` now and then, so that it can. `samples` only
/// counts where the judge writes.
///
/// # Errors
/// The template does not rate, can't be filled, or the model fails as a whole. An answer whose requests fail gets a rating with a [`Rating::failure`].
pub fn rate(
    items: &[RatingItem],
    template: &JudgeTemplate,
    decision: &Decision,
    samples: usize,
    model: &mut dyn TextModel,
    sink: &mut dyn FnMut(Option<Rating>) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    template.expect(Question::Rating)?;
    let judge = rater_name(model, template, decision, samples);
    let samples = if *decision == Decision::Likelihood { 1 } else { samples.max(1) };
    let inquiries = items.iter().map(|item| inquiry(item, template, samples)).collect::<Result<Vec<_>, _>>()?;
    ask(&inquiries, model, decision, &mut |complete| {
        sink(complete.map(|(at, answers)| rating(&items[at], &judge, answers)))
    })
}

fn rating(item: &RatingItem, judge: &str, answers: Vec<Answer>) -> Rating {
    let (mut texts, mut probabilities, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Answer::Text(text) => texts.push(text),
            Answer::Probabilities(found) => probabilities = found,
            Answer::Failed(error) => errors.push(error.to_string()),
        }
    }
    let RatingItem { id, conversation, strategy, .. } = item.clone();
    let rating = rating_of(&texts, &probabilities);
    Rating { id, conversation, strategy, judge: judge.to_owned(), rating, texts, probabilities, errors }
}

fn inquiry(item: &RatingItem, template: &JudgeTemplate, samples: usize) -> Result<Inquiry, Error> {
    let history = written_history(&item.history);
    let prompt = template.messages(&BTreeMap::from([
        ("instruction", item.instruction.as_str()),
        ("history", &history),
        ("response", item.response.trim()),
    ]))?;
    let choices = (1..=HIGHEST_RATING).map(written_rating).collect();
    Ok(Inquiry { id: item.id.clone(), prompts: vec![prompt; samples], choices })
}

fn rating_of(texts: &[String], probabilities: &[f64]) -> Option<f64> {
    if probabilities.is_empty() {
        let read: Vec<i64> = texts.iter().filter_map(|text| parse_rating(text)).map(i64::from).collect();
        return sampled_rating(&read).ok();
    }
    let rated: Vec<(f64, f64)> = (1..).map(f64::from).zip(probabilities.iter().map(|share| share.ln())).collect();
    ExpectedRating::new(&rated).ok().map(|rating| rating.mean)
}
