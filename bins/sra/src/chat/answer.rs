//! One answer of the model, which Ctrl-C may end early.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use command_line::{Failure, interrupt};
use llm_runtime::{CancelToken, Completion, Event, Request, RequestError, RunStatistics, TextModel};

/// How soon an interrupt reaches a model that is still reading the prompt.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// An answer and what it cost.
pub(crate) struct Answered {
    pub(crate) completion: Completion,
    statistics: RunStatistics,
}

/// Asks the model and hands its text on as it comes. The inner error is about this answer only; the chat goes on.
pub(crate) fn answer(
    model: &mut dyn TextModel,
    mut request: Request,
    show: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<Result<Answered, String>, Failure> {
    let watch = Watch::start();
    request.cancel = Some(watch.token.clone());
    let mut text = StrippedText::default();
    let mut outcome = None;
    let mut shown = Ok(());
    let run = model.generate(&mut std::iter::once(request), &mut |event| {
        match event {
            Event::Text { delta, .. } => shown = show(&text.next(&delta)),
            Event::Finished(completion) => {
                shown = show(text.rest_of(&completion.text));
                outcome = Some(Ok(completion));
            }
            Event::Failed { error, .. } => outcome = Some(Err(error)),
        }
        if shown.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    shown.map_err(Failure::work)?;
    Ok(match (run, outcome) {
        (Ok(statistics), Some(Ok(completion))) => Ok(Answered { completion, statistics }),
        (Ok(_), Some(Err(error))) => Err(advice(&error)),
        (Ok(_), None) => Err("the model gave no answer; /retry asks again".to_owned()),
        (Err(error), _) => Err(error.to_string()),
    })
}

fn advice(error: &RequestError) -> String {
    match error {
        RequestError::ContextTooLong { prompt, new, context } => format!(
            "the chat has become too long: {prompt} tokens and up to {new} new ones, but the context holds {context}. \
             /undo takes the last exchange back (/retry then asks this again), /reset begins anew; or start with fewer \
             --max-new-tokens, or a larger --context if the model can bear it"
        ),
        RequestError::CacheTooSmall { .. } => format!("{error}; or /undo, or /reset"),
        other => other.to_string(),
    }
}

impl Answered {
    /// Tokens, reuse and speed, for `-v`.
    pub(crate) fn log(&self) {
        let RunStatistics { generated_tokens, decode_seconds, seconds, .. } = self.statistics;
        // A server does not tell how long it read and how long it wrote.
        let seconds = if decode_seconds > 0.0 { decode_seconds } else { seconds };
        let rate = if seconds > 0.0 { generated_tokens as f64 / seconds } else { 0.0 };
        tracing::info!(
            "{} prompt tokens ({} reused), {generated_tokens} new, {rate:.1} tokens/s, first after {:.3} s",
            self.completion.prompt_tokens,
            self.completion.prompt.reused,
            self.statistics.time_to_first_token
        );
    }
}

/// A text that comes in pieces, without the white space around the whole.
#[derive(Default)]
struct StrippedText {
    text: String,
    shown: usize,
}

impl StrippedText {
    /// What can be shown now.
    fn next(&mut self, delta: &str) -> String {
        self.text.push_str(if self.text.is_empty() { delta.trim_start() } else { delta });
        let from = std::mem::replace(&mut self.shown, self.text.trim_end().len());
        self.text[from..self.shown].to_owned()
    }

    /// What the whole text has beyond what was shown: its last token's piece; with beam search everything.
    fn rest_of<'a>(&self, whole: &'a str) -> &'a str {
        whole.trim().strip_prefix(&self.text[..self.shown]).unwrap_or_default()
    }
}

/// Cancels its token once an interrupt was asked for.
struct Watch {
    token: CancelToken,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn start() -> Self {
        let (token, over) = (CancelToken::new(), Arc::new(AtomicBool::new(false)));
        let (watched, ended) = (token.clone(), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if interrupt::was_asked() {
                    return watched.cancel();
                }
                thread::park_timeout(WATCH_EVERY);
            }
        });
        Self { token, over, thread }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_stripped_text() {
        let whole = "  \n Well,  I see.\n\nYes \n ";
        for size in 1..whole.len() {
            let mut text = StrippedText::default();
            let pieces = whole.as_bytes().chunks(size);
            let shown: String = pieces.map(|piece| text.next(std::str::from_utf8(piece).unwrap())).collect();
            assert_eq!(shown, whole.trim(), "{size}");
            assert_eq!(text.rest_of(whole), "");
        }
    }
    #[test]
    fn the_rest_is_what_was_not_told() {
        let mut text = StrippedText::default();
        assert_eq!(text.rest_of(" all \n"), "all");
        assert_eq!(text.next(" I see "), "I see");
        assert_eq!(text.rest_of(" I see it. "), " it.");
    }
}
