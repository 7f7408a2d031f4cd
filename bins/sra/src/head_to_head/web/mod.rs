//! A blind comparison in the browser: a page with two answers beside each other, for several visitors.
//!
//! It binds to loopback unless told otherwise, answers there only to host names it knows, and takes nothing but JSON, which a page from elsewhere
//! can't send unasked. Which model is which leaves the server only when a visitor asks for it and ends the chat by that.

mod visitors;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use command_line::{AnyModel, Failure, Format, interrupt};
use llm_runtime::{CancelToken, Completion, Event, KnownHosts, Request as ModelRequest, RequestError, TextModel};
use serde_json::json;
use tokio::sync::Semaphore;

use self::visitors::{Ask, Asked, Visitors, Wish};
use super::duel::{Beginning, Model};
use super::models::{Asking, Models};
use super::preferences::Preferences;
use crate::judge_arguments::HeadToHead;

/// Largest body of a request in bytes.
const LARGEST_BODY: usize = 64 << 10;
/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that are answered at a time; none of them waits for a model.
const REQUESTS: usize = 128;
/// How soon an interrupt is noticed.
const LOOK_UP_EVERY: Duration = Duration::from_millis(50);
/// How long answers that are being made may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

const PAGE: &str = include_str!("../../../web/index.html");
const STYLE: &str = include_str!("../../../web/style.css");
const SCRIPT: &str = include_str!("../../../web/app.js");

/// What all requests share.
struct Site {
    hosts: KnownHosts,
    places: Semaphore,
    /// By model; each answers one question at a time.
    models: [Mutex<AnyModel>; 2],
    asking: Asking,
    visitors: Mutex<Visitors>,
}

pub(super) fn run(
    options: &HeadToHead,
    address: SocketAddr,
    beginning: Beginning,
    models: Models,
    preferences: Preferences,
    format: Format,
) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let unreachable = |error: std::io::Error| Failure::work(format!("{address}: {error}"));
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).map_err(unreachable)?;
    let address = listener.local_addr().map_err(unreachable)?;
    if !address.ip().is_loopback() {
        tracing::warn!("everybody who can reach {address} can chat with the models");
    }
    let (models, asking) = models.into_parts();
    let site = Arc::new(Site {
        hosts: KnownHosts::new(address, &options.allow_host),
        places: Semaphore::new(REQUESTS),
        models: models.map(Mutex::new),
        asking,
        visitors: Mutex::new(Visitors::new(usize::from(options.visitors), beginning, preferences)),
    });
    println!("http://{address}/  (Ctrl-C ends)");
    let router = router(site.clone());
    let serving = runtime.spawn(async move { axum::serve(listener, router).await });
    while !interrupt::was_asked_to_end() && !serving.is_finished() {
        std::thread::sleep(LOOK_UP_EVERY);
    }
    site.visitors().cancel_all();
    runtime.shutdown_timeout(FAREWELL);
    site.visitors().preferences().print(format)?;
    Ok(ExitCode::SUCCESS)
}

impl Site {
    fn visitors(&self) -> std::sync::MutexGuard<'_, Visitors> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn router(site: Arc<Site>) -> Router {
    let file = |kind: &'static str, text: &'static str| get(async move || ([(header::CONTENT_TYPE, kind)], text));
    Router::new()
        .route("/", file("text/html; charset=utf-8", PAGE))
        .route("/style.css", file("text/css; charset=utf-8", STYLE))
        .route("/app.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/api/{wish}", post(wish))
        .fallback(nowhere)
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

/// Why a request is not served, as the page shows it.
pub(super) struct Refusal {
    status: StatusCode,
    problem: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, problem: impl Into<String>) -> Self {
        Self { status, problem: problem.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "problem": self.problem }))).into_response()
    }
}

/// Refuses what is not meant for this server, and tells browsers to be strict.
async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let mut response = match admit(&site, request.headers()) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => match site.places.try_acquire() {
            Ok(_place) => next.run(request).await,
            Err(_) => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time").into_response(),
        },
    };
    let headers = response.headers_mut();
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                  frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn admit(site: &Site, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if site.hosts.admits(host) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::FORBIDDEN, "this host name is not served: allow it with --allow-host"))
}

/// A form can be sent by any page unasked; JSON can't.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn body(request: Request) -> Result<Bytes, Refusal> {
    if !is_json(request.headers()) {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be JSON"));
    }
    let reading = axum::body::to_bytes(request.into_body(), LARGEST_BODY);
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to come")),
    }
}

async fn nowhere() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such page")
}

/// What a visitor does; the answer is what their page shows from now on.
async fn wish(State(site): State<Arc<Site>>, Path(name): Path<String>, request: Request) -> Result<Response, Refusal> {
    let body = body(request).await?;
    let wish = Wish::parse(&name, &body)?;
    let Asked { view, ask } = site.visitors().carry_out(wish, &site.asking)?;
    if let Some(ask) = ask {
        tokio::spawn(answer(site.clone(), ask));
    }
    Ok(Json(view).into_response())
}

/// Asks both models at a time. Each waits until its model is free, on a thread of its own.
async fn answer(site: Arc<Site>, ask: Ask) {
    let Ask { ticket, requests: [first, second] } = ask;
    let ask = |model: Model, request: ModelRequest| {
        let (site, cancel) = (site.clone(), ticket.cancel.clone());
        tokio::task::spawn_blocking(move || {
            let mut model = site.models[model.place()].lock().unwrap_or_else(PoisonError::into_inner);
            complete(&mut *model, request, &cancel)
        })
    };
    let (first, second) = (ask(Model::First, first), ask(Model::Second, second));
    let answers = [first.await, second.await].map(|answer| answer.unwrap_or_else(|error| Err(unasked(&error))));
    site.visitors().take_answers(&ticket, answers);
}

/// A model's answer. The error is for the visitor, and tells nothing that names a model.
fn complete(model: &mut dyn TextModel, request: ModelRequest, cancel: &CancelToken) -> Result<Completion, String> {
    if cancel.is_cancelled() {
        return Err("it was not asked".to_owned());
    }
    let mut outcome = None;
    let run = model.generate(&mut std::iter::once(request), &mut |event| {
        match event {
            Event::Text { .. } => {}
            Event::Finished(completion) => outcome = Some(Ok(completion)),
            Event::Failed { error, .. } => outcome = Some(Err(error)),
        }
        std::ops::ControlFlow::Continue(())
    });
    match (run, outcome) {
        (Ok(_), Some(Ok(completion))) if completion.text.trim().is_empty() => {
            Err("a model's answer is empty, and neither was kept; send the text again".to_owned())
        }
        (Ok(_), Some(Ok(completion))) => Ok(completion),
        (Ok(_), Some(Err(RequestError::ContextTooLong { .. }))) => {
            Err("the chat has become too long for a model: clear it to begin anew".to_owned())
        }
        (Ok(_), Some(Err(error))) => Err(unasked(&error)),
        (Ok(_), None) => Err(unasked(&"it gave no answer")),
        (Err(error), _) => Err(unasked(&error)),
    }
}

fn unasked(error: &dyn std::fmt::Display) -> String {
    tracing::warn!("a model could not answer: {error}");
    "a model could not answer; who runs this server finds the reason in its log".to_owned()
}
