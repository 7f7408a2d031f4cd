//! How a turn ends, for the person and for the program that reads along.

use std::io;

use command_line::terminal::Screen;
use llm_runtime::{Completion, FinishReason};
use serde::Serialize;

use crate::chat::measured::Measured;
use crate::chat::state::{Answer, Question};

/// A turn as one JSON object.
#[derive(Serialize)]
struct TurnObject<'a> {
    turn: usize,
    attempt: u64,
    strategy: Option<&'a str>,
    layout: &'static str,
    seed: u64,
    user: &'a str,
    text: &'a str,
    finish_reason: FinishReason,
    prompt_tokens: usize,
    reused_tokens: usize,
    new_tokens: usize,
    #[serde(flatten)]
    measured: Option<&'a Measured>,
}

/// The turn is whole. What was measured of it is told where the chat is monitored.
pub(crate) fn turn(
    screen: &mut Screen,
    question: &Question,
    answer: &Answer,
    completion: &Completion,
    measured: Option<&Measured>,
) -> io::Result<()> {
    screen.object(&TurnObject {
        turn: question.before + 1,
        attempt: question.attempt,
        strategy: answer.strategy.as_deref(),
        layout: answer.layout.name(),
        seed: answer.seed,
        user: &question.text,
        text: &answer.text,
        finish_reason: answer.finish_reason,
        prompt_tokens: completion.prompt_tokens,
        reused_tokens: completion.prompt.reused,
        new_tokens: completion.new_tokens,
        measured,
    })
}

/// The end of an answer's text.
pub(crate) fn end_text(screen: &mut Screen, reason: FinishReason) -> io::Result<()> {
    screen.end_text(if reason == FinishReason::Cancelled { "[interrupted]" } else { "" })
}
