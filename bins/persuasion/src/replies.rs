//! Replies that a model generates to prompts.

use std::collections::HashMap;
use std::ops::ControlFlow;

use command_line::Failure;
use llm_runtime::{Event, FinishReason, GenerationOptions, Prompt, Request, TextModel};

/// A finished reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) new_tokens: usize,
    pub(crate) finish_reason: FinishReason,
}

/// Replies to prompts, in their order; `told` hears of each as it is finished, with its place, and may break off.
pub(crate) fn replies(
    model: &mut dyn TextModel,
    prompts: &[Prompt],
    options: &GenerationOptions,
    told: &mut dyn FnMut(usize, &Reply) -> ControlFlow<()>,
) -> Result<Vec<Option<Reply>>, Failure> {
    let mut requests = prompts.iter().enumerate().map(|(place, prompt)| {
        // Each place draws from a stream of its own, whatever else is asked for.
        let options = GenerationOptions { seed: options.seed.wrapping_add(place as u64), ..options.clone() };
        Request::new(place as u64, prompt.clone(), options)
    });
    let mut finished = HashMap::new();
    let mut failure = None;
    model.generate(&mut requests, &mut |event| match event {
        Event::Finished(completion) if completion.finish_reason != FinishReason::Cancelled => {
            let reply = Reply {
                text: completion.text.trim().to_owned(),
                new_tokens: completion.new_tokens,
                finish_reason: completion.finish_reason,
            };
            let flow = told(completion.key as usize, &reply);
            finished.insert(completion.key, reply);
            flow
        }
        Event::Failed { key, error } => {
            failure = Some(format!("prompt {}: {error}", key + 1));
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })?;
    match failure {
        Some(problem) => Err(Failure::work(problem)),
        None => Ok((0..prompts.len() as u64).map(|place| finished.remove(&place)).collect()),
    }
}

/// How a finish is called in tables.
pub(crate) fn finish_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::EndOfSequence => "end_of_sequence",
        FinishReason::Length => "length",
        FinishReason::Stop => "stop",
        FinishReason::Cancelled => "cancelled",
    }
}
