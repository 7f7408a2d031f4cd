//! Answers on the wire: one object, or server-sent events as text comes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame};
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::desk::Reply;
use super::errors::ApiError;
use super::job::Job;
use crate::text_model::{CancelToken, Completion, Score};

/// Events that wait for a slow reader; then the stream waits.
const EVENTS: usize = 64;
/// A reader that takes nothing for so long is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Answers a job in the way it asks for.
pub(super) async fn answer(job: Job) -> Result<Response, ApiError> {
    if !job.parameters.stream {
        return whole(job).await;
    }
    let (events, body) = channel(EVENTS);
    let body = EventBody { events: body, cancel: job.ticket.cancel_token() };
    tokio::spawn(stream(job, Events(events)));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::new(body)).into_response())
}

async fn whole(mut job: Job) -> Result<Response, ApiError> {
    let (mut completions, mut scores) = (vec![None; job.answers()], Vec::new());
    for _ in job.awaited() {
        let (part, reply) = end_of_part(&mut job).await?;
        put(&mut completions, &mut scores, job.answers(), part, reply);
    }
    Ok(Json(job.whole(&completions, &scores)).into_response())
}

/// The next reply that ends a part.
async fn end_of_part(job: &mut Job) -> Result<(usize, Reply), ApiError> {
    loop {
        match job.ticket.reply().await {
            None => return Err(ApiError::shutting_down()),
            Some((_, Reply::Failed(error))) => return Err(ApiError::request(job.form, &error)),
            Some((_, Reply::Text(_))) => {}
            Some((part, reply)) => return Ok((part, reply)),
        }
    }
}

fn put(
    completions: &mut [Option<Completion>],
    scores: &mut Vec<Option<Score>>,
    answers: usize,
    part: usize,
    reply: Reply,
) {
    match reply {
        Reply::Finished(completion) => {
            if let Some(place) = completions.get_mut(part) {
                *place = Some(*completion);
            }
        }
        Reply::Scored(score) => {
            let number = part.saturating_sub(answers);
            if scores.len() <= number {
                scores.resize(number + 1, None);
            }
            scores[number] = Some(score);
        }
        Reply::Text(_) | Reply::Failed(_) => {}
    }
}

/// The reader has gone.
struct Gone;

async fn stream(mut job: Job, events: Events) {
    // Whoever is gone needs no answer; the job's orders are cancelled as it is dropped.
    let _ = stream_parts(&mut job, &events).await;
}

async fn stream_parts(job: &mut Job, events: &Events) -> Result<(), Gone> {
    for part in 0..job.answers() {
        if let Some(opening) = job.opening(part) {
            events.send(&opening).await?;
        }
    }
    let (mut told, mut completions) = (vec![0; job.answers()], vec![None; job.answers()]);
    let mut open = job.answers();
    while open > 0 {
        match job.ticket.reply().await {
            None => return events.send(&ApiError::shutting_down().body()).await,
            Some((_, Reply::Failed(error))) => return events.send(&ApiError::request(job.form, &error).body()).await,
            Some((part, Reply::Text(delta))) => {
                if let Some(told) = told.get_mut(part) {
                    *told += delta.len();
                }
                events.send(&job.piece(part, &delta, Value::Null)).await?;
            }
            Some((part, Reply::Finished(completion))) => {
                for piece in job.ending(part, &completion, told.get(part).copied().unwrap_or(0)) {
                    events.send(&piece).await?;
                }
                if let Some(place) = completions.get_mut(part) {
                    *place = Some(*completion);
                }
                open -= 1;
            }
            Some((_, Reply::Scored(_))) => {}
        }
    }
    if job.parameters.stream_usage {
        events.send(&job.usage_piece(&completions)).await?;
    }
    events.send_line("[DONE]").await
}

/// The sending side of a stream.
struct Events(Sender<Bytes>);

impl Events {
    async fn send(&self, object: &Value) -> Result<(), Gone> {
        self.send_line(&object.to_string()).await
    }

    async fn send_line(&self, data: &str) -> Result<(), Gone> {
        let event = Bytes::from(format!("data: {data}\n\n"));
        self.0.send_timeout(event, LONGEST_WAIT).await.map_err(|_| Gone)
    }
}

/// The reading side, as a response's body. It is dropped when the client hangs up: then nobody wants the answers.
struct EventBody {
    events: Receiver<Bytes>,
    cancel: CancelToken,
}

impl Drop for EventBody {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.events.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
