//! What a model is worth on the test dialogues.

use command_line::Failure;
use helpfulness::{Exchange, HelpfulnessModel};
use serde::Serialize;
use thtra::{
    Answerer, Layout, Question, Responder, SampleDataset, ScorerContext, StageObjective, StrategyMode, context_text,
    ranked, sampling_options,
};
use training::Dataset;

use super::corpus::DemoCorpus;

/// Samples that go through a model together.
const BATCH: usize = 32;

/// A model's numbers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Worth {
    /// Of the real responses, strategies left out.
    pub(super) perplexity: f64,
    /// Share of samples whose strategy is the likeliest, or among the three likeliest, in percent.
    pub(super) strategy_top_1: f64,
    pub(super) strategy_top_3: f64,
    /// Mean helpfulness of answers, as the models of helpfulness see it.
    pub(super) helpfulness: Vec<(&'static str, f64)>,
    /// Share of answers that support nobody, in percent: the corpus knows which do.
    pub(super) unhelpful: f64,
}

/// Measures a model. Strategies are those that it finds likeliest; answers are drawn, always in the same way.
pub(super) fn judge(
    corpus: &DemoCorpus,
    responder: &Responder,
    scorers: &[(&'static str, &HelpfulnessModel)],
) -> Result<Worth, Failure> {
    let samples = corpus.samples(&corpus.test, Layout::Strat)?;
    let answerer = Answerer::new(responder, StrategyMode::Argmax, sampling_options(), 0);
    let mut answers = Vec::new();
    for (number, batch) in samples.chunks(BATCH).enumerate() {
        let question =
            |(place, sample): (usize, &thtra::Sample)| (sample.encoder_ids.clone(), (number * BATCH + place) as u64);
        let owned: Vec<_> = batch.iter().enumerate().map(question).collect();
        let questions: Vec<Question<'_>> =
            owned.iter().map(|(encoder_ids, stream)| Question { encoder_ids, gold: None, stream: *stream }).collect();
        for answer in answerer.answer(&questions)? {
            let ids = answer.responses.first().map(|found| found.ids.as_slice()).unwrap_or_default();
            answers.push(answerer.text(ids)?);
        }
    }
    let contexts: Vec<(&str, String)> = samples
        .iter()
        .map(|sample| {
            let dialogue = &corpus.test.dialogues[sample.dialogue];
            (dialogue.situation.as_str(), context_text(ScorerContext::default(), dialogue, sample.turn))
        })
        .collect();
    let exchanges: Vec<Exchange<'_>> = contexts
        .iter()
        .zip(&answers)
        .map(|((situation, context), response)| Exchange { situation, context, response })
        .collect();
    let mean = |(name, scorer): &(&'static str, &HelpfulnessModel)| -> Result<(&'static str, f64), Failure> {
        let scores = scorer.score(&exchanges)?;
        Ok((*name, scores.iter().map(|score| f64::from(score.helpfulness)).sum::<f64>() / scores.len() as f64))
    };
    let unhelpful = answers.iter().filter(|answer| demo_corpus::is_unhelpful(answer)).count();
    let (perplexity, strategy_top_1, strategy_top_3) = costs(corpus, responder)?;
    Ok(Worth {
        perplexity,
        strategy_top_1,
        strategy_top_3,
        helpfulness: scorers.iter().map(mean).collect::<Result<_, _>>()?,
        unhelpful: 100.0 * unhelpful as f64 / answers.len() as f64,
    })
}

/// Perplexity, and how well strategies are predicted.
fn costs(corpus: &DemoCorpus, responder: &Responder) -> Result<(f64, f64, f64), Failure> {
    let set = SampleDataset::new(corpus.samples(&corpus.test, Layout::Strat)?, &corpus.tokenizer);
    let objective = StageObjective::new(responder.model.model.clone())?;
    let (mut loss, mut tokens, mut top_1, mut top_3) = (0.0, 0, 0, 0);
    let numbers: Vec<usize> = (0..set.samples().len()).collect();
    for numbers in numbers.chunks(BATCH) {
        let batch = set.batch(numbers)?;
        let scores = objective.scores(&batch)?;
        loss += scores.response_losses.iter().flatten().map(|loss| f64::from(*loss)).sum::<f64>();
        tokens += scores.response_losses.iter().map(Vec::len).sum::<usize>();
        for (logits, strategy) in scores.strategy_logits.iter().zip(&batch.strategies) {
            let place = ranked(logits).iter().position(|found| found == strategy).unwrap_or(usize::MAX);
            top_1 += usize::from(place < 1);
            top_3 += usize::from(place < 3);
        }
    }
    let share = |count: usize| 100.0 * count as f64 / numbers.len() as f64;
    Ok(((loss / tokens as f64).exp(), share(top_1), share(top_3)))
}
