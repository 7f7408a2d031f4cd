//! Replies that a model generates to prompts.

use std::collections::HashMap;
use std::ops::ControlFlow;

use command_line::Failure;
use llm_runtime::{Event, FinishReason, GenerationOptions, Prompt, Request, RequestError, TextModel};

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
    each_reply(model, &mut requests, &mut |known| match known {
        Some((key, Ok(reply))) => {
            let flow = told(key as usize, &reply);
            finished.insert(key, reply);
            flow
        }
        Some((key, Err(error))) => {
            failure = Some(format!("prompt {}: {error}", key + 1));
            ControlFlow::Break(())
        }
        None => ControlFlow::Continue(()),
    })?;
    match failure {
        Some(problem) => Err(Failure::work(problem)),
        None => Ok((0..prompts.len() as u64).map(|place| finished.remove(&place)).collect()),
    }
}

/// A request's key, and its reply or why there is none.
pub(crate) type Known = (u64, Result<Reply, RequestError>);

/// Hands out each reply as soon as it is known. `told` may break off, and hears `None` now and then so that it can.
pub(crate) fn each_reply(
    model: &mut dyn TextModel,
    requests: &mut dyn Iterator<Item = Request>,
    told: &mut dyn FnMut(Option<Known>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    model.generate(requests, &mut |event| match event {
        Event::Finished(completion) if completion.finish_reason != FinishReason::Cancelled => {
            let reply = Reply {
                text: completion.text.trim().to_owned(),
                new_tokens: completion.new_tokens,
                finish_reason: completion.finish_reason,
            };
            told(Some((completion.key, Ok(reply))))
        }
        Event::Failed { key, error } => told(Some((key, Err(error)))),
        _ => told(None),
    })?;
    Ok(())
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
