//! The next strategy and why it fits, asked of a language model for each prompt.
//!
//! A model may write its answer freely, or its choice may be *scored*: of the eight beginnings "The motivation of the supporter in choosing the
//! strategy \[NAME\]" the likeliest is taken, and the model goes on from there. The likelihoods are those of whole beginnings, bracket and all, so
//! that no name is the beginning of another; divided by their sum they are the probabilities of the strategies, given that the answer begins
//! in this way.

use std::ops::ControlFlow;

use llm_runtime::{
    CancelToken, Completion, Continuation, Event, FinishReason, GenerationOptions, Prompt, Request, RunStatistics,
    ScoreRequest, TextModel,
};
use strategy_prompting::scored_by;

use crate::answer::parse_answer;
use crate::error::Error;
use crate::inferred_answer::{Distribution, InferenceItem, InferredAnswer, InferredRow, Split};
use crate::prompt_layout::{LaidPrompt, PromptLayout};
use crate::seeds::seed_of;
use crate::strategy::Strategy;
use crate::template::Template;

/// How an answer is decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decoding {
    /// The strategy is the likeliest beginning of an answer; the motivation follows greedily.
    Score,
    /// The likeliest token at each place.
    Greedy,
    /// Tokens are drawn.
    Sample {
        /// Softmax temperature.
        temperature: f32,
        /// Only so many of the likeliest tokens; 0 is all.
        top_k: usize,
    },
}

/// How strategies are inferred.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InferenceOptions {
    /// How an answer is decided.
    pub decoding: Decoding,
    /// New tokens at most; of a scored beginning those behind it.
    pub max_new_tokens: usize,
    /// Seed of drawing; each prompt has one of its own, made of this and the prompt.
    pub seed: u64,
}

impl InferenceOptions {
    /// What they mean for a model, for the item of that id.
    pub fn generation(&self, id: &str) -> GenerationOptions {
        let usual = GenerationOptions { max_new_tokens: self.max_new_tokens, ..GenerationOptions::default() };
        match self.decoding {
            Decoding::Score | Decoding::Greedy => usual,
            Decoding::Sample { temperature, top_k } => {
                GenerationOptions { temperature, top_k, seed: seed_of(self.seed, id), ..usual }
            }
        }
    }

    fn description(&self) -> String {
        let decoding = match self.decoding {
            Decoding::Score => "scored".to_owned(),
            Decoding::Greedy => "greedy".to_owned(),
            Decoding::Sample { temperature, top_k } => {
                format!("drawn at temperature {temperature}, top-k {top_k}, seed {}", self.seed)
            }
        };
        format!("{decoding}, at most {} tokens", self.max_new_tokens)
    }
}

/// News of an inference.
#[derive(Debug)]
pub enum Inferred {
    /// An answer, to be kept.
    Row(InferredRow),
    /// A prompt that got none.
    Failed {
        /// Its list.
        split: Split,
        /// Its place.
        index: usize,
        /// Why.
        reason: String,
    },
    /// Nothing yet; whoever wants the inference to end can say so.
    Waiting,
}

/// Who hears the news, and may end the inference.
pub type InferenceSink<'a> = dyn FnMut(Inferred) -> Result<ControlFlow<()>, Error> + 'a;

/// Prompts that are scored before their answers are written side by side: few, so that little is lost by a kill.
const SCORED_AT_A_TIME: usize = 8;

/// Asks a model for strategies.
#[derive(Debug)]
pub struct StrategyInference<'a> {
    layout: &'a PromptLayout,
    template: &'a Template,
    options: InferenceOptions,
    made_by: String,
    /// How the answer of each strategy begins, as in [`Strategy::ALL`].
    beginnings: Vec<String>,
    /// Tokens that have to fit beside a prompt.
    beside: usize,
}

/// A prompt on its way.
struct Asked<'i> {
    item: &'i InferenceItem,
    laid: LaidPrompt,
    /// What the model is made to begin with; empty where it writes freely.
    beginning: String,
    distribution: Option<Distribution>,
    /// What it wrote until now.
    text: String,
    cancel: CancelToken,
}

impl<'a> StrategyInference<'a> {
    /// An inference of a model.
    ///
    /// # Errors
    /// The tokenizer fails on the beginning of an answer.
    pub fn new(
        model: &dyn TextModel,
        layout: &'a PromptLayout,
        template: &'a Template,
        options: InferenceOptions,
    ) -> Result<Self, Error> {
        let opening = template.answer_opening();
        let beginnings: Vec<String> =
            Strategy::ALL.iter().map(|strategy| format!("{opening}[{}]", strategy.name())).collect();
        let (mut beside, mut wording) = (options.max_new_tokens, String::new());
        if options.decoding == Decoding::Score {
            let counts = beginnings.iter().map(|beginning| layout.count(beginning)).collect::<Result<Vec<_>, _>>()?;
            beside += counts.into_iter().max().unwrap_or(0);
            wording = format!(", \"{opening}[\"");
        }
        let (model, layout_words) = (scored_by(&model.identity()), layout.description());
        let made_by = format!("{model} · {}, {layout_words}{wording}", options.description());
        Ok(Self { layout, template, options, made_by, beginnings, beside })
    }

    /// How rows name their maker: the model, and whatever else decides its answers.
    pub fn made_by(&self) -> &str {
        &self.made_by
    }

    /// Asks about items and hands out each answer as soon as it is there, until the sink breaks.
    ///
    /// # Errors
    /// The model ends the whole run, or the sink fails.
    pub fn run(
        &self,
        items: &[&InferenceItem],
        model: &mut dyn TextModel,
        sink: &mut InferenceSink<'_>,
    ) -> Result<RunStatistics, Error> {
        let mut statistics = RunStatistics::default();
        let at_a_time = match self.options.decoding {
            Decoding::Score => SCORED_AT_A_TIME,
            Decoding::Greedy | Decoding::Sample { .. } => items.len().max(1),
        };
        for chunk in items.chunks(at_a_time) {
            let Some(asked) = self.ask(chunk, model, sink)? else { break };
            let (of_chunk, flow) = self.answer(asked, model, sink)?;
            add(&mut statistics, of_chunk);
            if flow.is_break() {
                break;
            }
        }
        Ok(statistics)
    }

    /// Lays prompts before the model and scores them where that is asked for; `None` if the sink breaks.
    fn ask<'i>(
        &self,
        items: &[&'i InferenceItem],
        model: &mut dyn TextModel,
        sink: &mut InferenceSink<'_>,
    ) -> Result<Option<Vec<Asked<'i>>>, Error> {
        let mut asked = Vec::new();
        for item in items {
            let laid = self.layout.lay(&item.prompt, self.template, self.beside);
            let prepared = match (laid, self.options.decoding) {
                (Ok(laid), Decoding::Score) => self.score(&laid, model)?.map(|scores| (laid, Some(scores))),
                (Ok(laid), _) => Ok((laid, None)),
                (Err(error), _) => Err(error.to_string()),
            };
            let news = match prepared {
                Ok((laid, scores)) => {
                    asked.push(Asked::new(item, laid, scores, &self.beginnings));
                    Inferred::Waiting
                }
                Err(reason) => Inferred::Failed { split: item.split, index: item.index, reason },
            };
            if sink(news)?.is_break() {
                return Ok(None);
            }
        }
        Ok(Some(asked))
    }

    /// The strategies' probabilities; why there are none, as text. The model computes the prompt once and keeps it for all beginnings.
    fn score(&self, laid: &LaidPrompt, model: &mut dyn TextModel) -> Result<Result<Distribution, String>, Error> {
        let request = |beginning: &String| {
            Ok::<_, Error>(ScoreRequest::new(laid.prompt.clone(), self.layout.beginning(beginning)?))
        };
        let requests = self.beginnings.iter().map(request).collect::<Result<Vec<_>, _>>()?;
        let scores = model.score(&requests)?.into_iter().collect::<Result<Vec<_>, _>>();
        Ok(scores.map_err(|error| error.to_string()).and_then(|scores| {
            let sums: Vec<f64> = scores.iter().map(|score| score.sum).collect();
            distribution(&sums).ok_or_else(|| format!("the likelihoods are no numbers: {sums:?}"))
        }))
    }

    /// Lets the model write, and hands out what it wrote.
    fn answer(
        &self,
        mut asked: Vec<Asked<'_>>,
        model: &mut dyn TextModel,
        sink: &mut InferenceSink<'_>,
    ) -> Result<(RunStatistics, ControlFlow<()>), Error> {
        let requests = asked.iter().enumerate().map(|(key, asked)| self.request(key as u64, asked));
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        let mut flow = Ok(ControlFlow::Continue(()));
        let statistics = model.generate(&mut requests.into_iter(), &mut |event| {
            flow = sink(self.news(event, &mut asked));
            match flow {
                Ok(flow) => flow,
                Err(_) => ControlFlow::Break(()),
            }
        });
        let flow = flow?;
        Ok((statistics?, flow))
    }

    fn request(&self, key: u64, asked: &Asked<'_>) -> Result<Request, Error> {
        let prompt = match (&asked.laid.prompt, self.layout.beginning(&asked.beginning)?) {
            (prompt, _) if asked.beginning.is_empty() => prompt.clone(),
            (Prompt::Tokens(prompt), Continuation::Tokens(beginning)) => {
                Prompt::Tokens([prompt.as_slice(), &beginning].concat())
            }
            (Prompt::Text(prompt), Continuation::Text(beginning)) => Prompt::Text(format!("{prompt}{beginning}")),
            // A chat has no place for the beginning of an answer.
            (prompt, _) => prompt.clone(),
        };
        let options = self.options.generation(&asked.item.id());
        Ok(Request { cancel: Some(asked.cancel.clone()), ..Request::new(key, prompt, options) })
    }

    fn news(&self, event: Event, asked: &mut [Asked<'_>]) -> Inferred {
        let (Event::Text { key, .. } | Event::Failed { key, .. } | Event::Finished(Completion { key, .. })) = &event;
        let Some(asked) = usize::try_from(*key).ok().and_then(|key| asked.get_mut(key)) else {
            return Inferred::Waiting;
        };
        match event {
            Event::Text { delta, .. } => {
                asked.read_on(&delta);
                Inferred::Waiting
            }
            Event::Failed { error, .. } => {
                let InferenceItem { split, index, .. } = *asked.item;
                Inferred::Failed { split, index, reason: error.to_string() }
            }
            // Ended by the end of its line, and not by that of the run.
            Event::Finished(completion)
                if completion.finish_reason != FinishReason::Cancelled || asked.cancel.is_cancelled() =>
            {
                Inferred::Row(self.row(asked, &completion))
            }
            Event::Finished(_) => Inferred::Waiting,
        }
    }

    fn row(&self, asked: &Asked<'_>, completion: &Completion) -> InferredRow {
        let InferenceItem { split, index, ref prompt_sha256, .. } = *asked.item;
        let raw = self.layout.written(&asked.beginning, completion);
        let answer = parse_answer(&raw, None, self.template);
        InferredRow {
            split,
            index,
            prompt_sha256: prompt_sha256.clone(),
            inferred: InferredAnswer { answer, distribution: asked.distribution.clone() },
            dropped_turns: asked.laid.dropped_turns,
            model: self.made_by.clone(),
        }
    }
}

impl<'i> Asked<'i> {
    fn new(
        item: &'i InferenceItem,
        laid: LaidPrompt,
        distribution: Option<Distribution>,
        beginnings: &[String],
    ) -> Self {
        let likeliest = distribution.as_ref().and_then(likeliest);
        let beginning = likeliest.and_then(|strategy| beginnings.get(strategy.id()).cloned()).unwrap_or_default();
        Self { item, laid, beginning, distribution, text: String::new(), cancel: CancelToken::new() }
    }

    /// An answer is one line: at its end the request is ended. Line ends before any text don't count.
    fn read_on(&mut self, delta: &str) {
        self.text.push_str(delta);
        let line = if self.beginning.is_empty() { self.text.trim_start() } else { &self.text };
        if line.contains('\n') {
            self.cancel.cancel();
        }
    }
}

/// Log-likelihoods in the order of the strategies, as probabilities; `None` where one is no number or all are impossible.
fn distribution(sums: &[f64]) -> Option<Distribution> {
    let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if sums.len() != Strategy::ALL.len() || sums.iter().any(|sum| sum.is_nan()) || !most.is_finite() {
        return None;
    }
    let shares: Vec<f64> = sums.iter().map(|sum| (sum - most).exp()).collect();
    let total: f64 = shares.iter().sum();
    Some(Strategy::ALL.into_iter().zip(shares.iter().map(|share| share / total)).collect())
}

/// The likeliest strategy; of equals the first.
fn likeliest(distribution: &Distribution) -> Option<Strategy> {
    let better = |best: (Strategy, f64), next: (Strategy, f64)| if next.1 > best.1 { next } else { best };
    distribution.iter().map(|(strategy, share)| (*strategy, *share)).reduce(better).map(|(strategy, _)| strategy)
}

fn add(sum: &mut RunStatistics, part: RunStatistics) {
    sum.requests += part.requests;
    sum.failed += part.failed;
    sum.prompt_tokens += part.prompt_tokens;
    sum.generated_tokens += part.generated_tokens;
    sum.attempts += part.attempts;
    sum.from_journal += part.from_journal;
    sum.cost = match (sum.cost, part.cost) {
        (Some(sum), Some(part)) => Some(sum + part),
        (sum, part) => sum.or(part),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihoods_become_probabilities_and_the_likeliest_wins() {
        let mut sums = [-1000.0_f64; 8];
        sums[5] = -1000.0 + 2.0_f64.ln();
        let shares = distribution(&sums).unwrap();
        assert!((shares[&Strategy::Suggestions] - 2.0 / 9.0).abs() < 1e-12);
        assert!((shares.values().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(likeliest(&shares), Some(Strategy::Suggestions));
        assert_eq!(likeliest(&distribution(&[-3.0; 8]).unwrap()), Some(Strategy::Question));
        sums[0] = f64::NEG_INFINITY;
        assert_eq!(distribution(&sums).unwrap()[&Strategy::Question], 0.0);
    }

    #[test]
    fn what_is_no_likelihood_gives_no_probabilities() {
        let mut sums = [-1.0; 8];
        sums[3] = f64::NAN;
        assert_eq!(distribution(&sums), None);
        assert_eq!(distribution(&[f64::NEG_INFINITY; 8]), None);
        assert_eq!(distribution(&[-1.0; 7]), None);
    }
}
