//! Which of two answers is better: each pair is judged twice, with the answers shown in both orders, because judges prefer what they see first.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use esc_metrics::judge::{Verdict, VerdictPair};
use llm_runtime::TextModel;
use serde::{Deserialize, Serialize};

use crate::ask::{Answer, Decision, Inquiry, ask};
use crate::error::Error;
use crate::item::{PairItem, written_history};
use crate::template::{JudgeTemplate, Question};
use crate::verdict::{VERDICTS, parse_verdict, written_verdict};

/// What a judge said of a pair in one order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// The verdict on the answers as they were shown; absent if the judge gave none.
    pub verdict: Option<Verdict>,
    /// What the judge wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Probabilities of A, B and C, where verdicts were scored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probabilities: Vec<f64>,
    /// Why there is no opinion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A judged pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairJudgement {
    /// The pair's id.
    pub id: String,
    /// The conversation.
    pub conversation: String,
    /// The strategy.
    pub strategy: String,
    /// The judge: model, template and way of deciding.
    pub judge: String,
    /// With the first system's answer shown first.
    pub forward: Opinion,
    /// With the second system's answer shown first.
    pub swapped: Opinion,
}

impl PairJudgement {
    /// The verdicts in both orders.
    pub fn verdicts(&self) -> VerdictPair {
        VerdictPair { first_as_a: self.forward.verdict, second_as_a: self.swapped.verdict }
    }

    /// Why the judge could not be asked, if so. Such a pair says nothing about the systems and is worth asking again.
    pub fn failure(&self) -> Option<&str> {
        self.forward.error.as_deref().or(self.swapped.error.as_deref())
    }
}

/// How judgements name their judge: model, template and way of deciding. Those of different judges are not mixed in one file.
pub fn judge_name(model: &dyn TextModel, template: &JudgeTemplate, decision: &Decision) -> String {
    let identity = model.identity();
    let weights = identity.sha256.get(..12).map(|digits| format!(" {digits}")).unwrap_or_default();
    format!("{}{weights} · {} {} · {}", identity.name, template.name(), &template.sha256()[..12], decision.name())
}

/// Judges pairs and hands out each judgement as soon as both orders are decided, until the sink breaks; the sink also hears `None` now and then, so that it can.
///
/// # Errors
/// The template does not compare, can't be filled, or the model fails as a whole. A pair whose requests fail gets a judgement with a
/// [`PairJudgement::failure`].
pub fn judge_pairs(
    items: &[PairItem],
    template: &JudgeTemplate,
    decision: &Decision,
    model: &mut dyn TextModel,
    sink: &mut dyn FnMut(Option<PairJudgement>) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    template.expect(Question::Pair)?;
    let judge = judge_name(model, template, decision);
    let inquiries = items.iter().map(|item| inquiry(item, template)).collect::<Result<Vec<_>, _>>()?;
    ask(&inquiries, model, decision, &mut |complete| {
        let judgement = complete.and_then(|(at, answers)| {
            let mut opinions = answers.into_iter().map(opinion);
            let (forward, swapped) = (opinions.next()?, opinions.next()?);
            let PairItem { id, conversation, strategy, .. } = items[at].clone();
            Some(PairJudgement { id, conversation, strategy, judge: judge.clone(), forward, swapped })
        });
        sink(judgement)
    })
}

fn inquiry(item: &PairItem, template: &JudgeTemplate) -> Result<Inquiry, Error> {
    let history = written_history(&item.history);
    let prompt = |first: &str, second: &str| {
        template.messages(&BTreeMap::from([
            ("instruction", item.instruction.as_str()),
            ("history", &history),
            ("response_a", first.trim()),
            ("response_b", second.trim()),
        ]))
    };
    Ok(Inquiry {
        id: item.id.clone(),
        prompts: vec![prompt(&item.first, &item.second)?, prompt(&item.second, &item.first)?],
        choices: VERDICTS.map(|verdict| written_verdict(verdict).to_owned()).to_vec(),
    })
}

fn opinion(answer: Answer) -> Opinion {
    let none = Opinion { verdict: None, text: String::new(), probabilities: Vec::new(), error: None };
    match answer {
        Answer::Text(text) => Opinion { verdict: parse_verdict(&text), text, ..none },
        Answer::Probabilities(probabilities) => {
            let best = (0..probabilities.len())
                .reduce(|best, at| if probabilities[at] > probabilities[best] { at } else { best });
            Opinion { verdict: best.and_then(|best| VERDICTS.get(best)).copied(), probabilities, ..none }
        }
        Answer::Failed(error) => Opinion { error: Some(error.to_string()), ..none },
    }
}
