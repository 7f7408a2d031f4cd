//! What a stage of the demonstration is worth: rewards on test pairs, and what it says itself.

use std::ops::ControlFlow;
use std::path::Path;

use command_line::Failure;
use dpo::{PairEncoder, PreferenceObjective, PreferenceOptions, PromptTemplate, REWARD_ACCURACY, Wording};
use llm_runtime::{GenerationOptions, Prompt};
use lora::AdaptedLlama;
use serde::Serialize;
use training::{Dataset, Mode, Objective};

use crate::commands::train::{ADAPTER, Part, REFERENCE_ADAPTER, Workbench, distinct_prompts, engine};
use crate::replies::replies;

/// Prompts that are replied to.
const PROMPTS: usize = 60;
/// Pairs that go through the model at a time.
const BATCH: usize = 16;

/// Which model is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The demonstration model.
    Base,
    /// With the adapter that learned all replies.
    Pft,
    /// With the one that learned which are better.
    Dpo,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Base => "demo",
            Self::Pft => "pft on all replies",
            Self::Dpo => "dpo from there",
        }
    }

    fn active(self) -> &'static [&'static str] {
        match self {
            Self::Base => &[],
            Self::Pft => &[REFERENCE_ADAPTER],
            Self::Dpo => &[ADAPTER],
        }
    }
}

/// What it is worth on test pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Worth {
    pub(super) model: &'static str,
    /// Share of pairs whose better reply has the higher reward, beside the pft adapter: a value of DPO alone.
    pub(super) reward_accuracy: Option<f64>,
    pub(super) margin: Option<f64>,
    /// Percent of generated replies that help nobody.
    pub(super) unhelpful: f64,
    /// Of the better replies.
    pub(super) perplexity: f64,
}

/// Judges a stage with the workbench of the DPO run, which holds both adapters.
pub(super) fn judge(stage: Stage, bench: &Workbench, pairs: &Path, seed: u64) -> Result<Worth, Failure> {
    let wording = Wording::Plain(PromptTemplate::bare());
    let encoder = PairEncoder::new(&bench.loaded.tokenizer, &wording, bench.encoding)?;
    let test = Part::read(&pairs.join("test.jsonl"), None, &encoder)?;
    let policy = AdaptedLlama::new(bench.loaded.llama.clone(), &bench.adapters, stage.active())?;
    let objective = PreferenceObjective::new(
        policy.clone(),
        Some(bench.reference()?),
        PreferenceOptions::default(),
        bench.device(),
    )?;
    let places: Vec<usize> = (0..test.pairs.len()).collect();
    let mut batches = places.chunks(BATCH).map(|places| test.encoded.batch(places));
    let scores = objective.evaluate(&mut batches)?;
    let value = |name: &str| scores.metrics.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
    policy.activate()?;
    bench.adapters.set_mode(Mode::Evaluate);
    Ok(Worth {
        model: stage.name(),
        reward_accuracy: value(REWARD_ACCURACY).filter(|_| stage == Stage::Dpo),
        margin: value("rewards/margins").filter(|_| stage == Stage::Dpo),
        unhelpful: unhelpful(bench, &test, seed)?,
        perplexity: value("perplexity_policy_tokens/chosen").unwrap_or(f64::NAN),
    })
}

/// Percent of sampled replies to test prompts that help nobody.
fn unhelpful(bench: &Workbench, test: &Part, seed: u64) -> Result<f64, Failure> {
    let mut engine = engine(bench)?;
    let pairs = test.encoded.pairs();
    let prompts: Vec<Prompt> =
        distinct_prompts(test, PROMPTS).into_iter().map(|place| Prompt::Tokens(pairs[place].prompt.clone())).collect();
    let options = GenerationOptions { max_new_tokens: 40, temperature: 0.7, seed, ..GenerationOptions::default() };
    let found = replies(&mut engine, &prompts, &options, &mut |_, _| ControlFlow::Continue(()))?;
    let unhelpful = found.iter().flatten().filter(|reply| demo_corpus::is_unhelpful(&reply.text)).count();
    Ok(100.0 * unhelpful as f64 / prompts.len().max(1) as f64)
}
