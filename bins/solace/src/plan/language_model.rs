//! A language model that is asked for the next strategy and its motivation, as MAGIC asks.

use std::ops::ControlFlow;

use command_line::{AnyModel, Delivery, Failure, Wording, is_remote};
use esconv_data::StrategySet;
use lora::sft::Bos;
use magic::{
    Decoding, InferenceItem, InferenceOptions, Inferred, InferredRow, PromptLayout, SampleRule, Split,
    StrategyInference, Task, Template, inference_clips,
};

use super::planner::{PlanSink, Planner, PlannerOptions, Proposal};
use crate::point::Point;

/// New tokens of a motivation, as for `magic infer-strategy`.
const MOTIVATION_TOKENS: usize = 128;

pub(super) struct LanguageModelPlanner {
    model: AnyModel,
    layout: PromptLayout,
    template: Template,
    options: InferenceOptions,
    made_by: String,
}

impl LanguageModelPlanner {
    /// A server can't score given texts unless it says so, so that its model writes freely.
    pub(super) fn open(name: &str, options: PlannerOptions<'_>) -> Result<Self, Failure> {
        let model = AnyModel::load(name, options.runtime, options.server, Delivery::Whole)?;
        let layout = PromptLayout::of(&model, &Wording { plain: Some(options.plain.to_owned()), bos: Bos::Always })?;
        let template = Template::built_in(Task::Inference);
        let decoding = if is_remote(name) { Decoding::Greedy } else { Decoding::Score };
        let options = InferenceOptions { decoding, max_new_tokens: MOTIVATION_TOKENS, seed: 0 };
        let made_by = StrategyInference::new(&model, &layout, &template, options)?.made_by().to_owned();
        Ok(Self { model, layout, template, options, made_by: format!("magic {made_by}") })
    }
}

impl Planner for LanguageModelPlanner {
    fn made_by(&self) -> String {
        self.made_by.clone()
    }

    fn plan(&mut self, points: &[&Point], _set: &StrategySet, sink: &mut PlanSink<'_>) -> Result<(), Failure> {
        let inference = StrategyInference::new(&self.model, &self.layout, &self.template, self.options)?;
        let prompt = |point: &&Point| {
            let clips = inference_clips(&[point.for_magic()], SampleRule::LastTurn);
            self.template.prompt(clips.first().map_or("", String::as_str))
        };
        let items = InferenceItem::of_list(Split::Test, points.iter().map(prompt).collect());
        let mut problem = None;
        inference.run(&items.iter().collect::<Vec<_>>(), &mut self.model, &mut |news| {
            let flow = match news {
                Inferred::Row(row) => points.get(row.index).map(|point| sink(point, proposals(row))),
                Inferred::Failed { index, reason, .. } => {
                    let id = points.get(index).map_or("", |point| point.id());
                    Some(Err(Failure::work(format!("{id}: {reason}"))))
                }
                Inferred::Waiting => None,
            };
            match flow {
                None => Ok(ControlFlow::Continue(())),
                Some(Ok(flow)) => Ok(flow),
                Some(Err(failure)) => {
                    problem = Some(failure);
                    Ok(ControlFlow::Break(()))
                }
            }
        })?;
        problem.map_or(Ok(()), Err)
    }
}

/// The strategies by their probabilities, the likeliest with its motivation; where none were scored, the one that was written.
fn proposals(row: InferredRow) -> Vec<Proposal> {
    let answer = row.inferred.answer;
    let written =
        Proposal { label: answer.strategy.name().to_owned(), probability: None, motivation: answer.motivation };
    let Some(distribution) = row.inferred.distribution else { return vec![written] };
    let mut proposals: Vec<Proposal> = distribution
        .into_iter()
        .map(|(strategy, probability)| Proposal {
            label: strategy.name().to_owned(),
            probability: Some(probability),
            motivation: if strategy.name() == written.label { written.motivation.clone() } else { String::new() },
        })
        .collect();
    proposals.sort_by(|left, right| right.probability.unwrap_or(0.0).total_cmp(&left.probability.unwrap_or(0.0)));
    proposals
}
