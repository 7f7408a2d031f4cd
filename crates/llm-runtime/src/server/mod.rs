//! The engine behind OpenAI's API: [`serve`].
//!
//! | path | |
//! |---|---|
//! | `POST /v1/chat/completions` | answers chats |
//! | `POST /v1/completions` | continues text or token ids; `echo` with `logprobs` scores them |
//! | `POST /tokenize` | token ids of text or a chat, as vLLM has it |
//! | `GET /v1/models`, `/v1/models/NAME` | the model that is served |
//! | `GET /health` | whether the engine runs |
//!
//! Requests of all clients run in one batch, and the same request and seed give the same answer whoever else is being served. The
//! engine works on the thread that calls [`serve`]; connections are served beside it. Beyond the API's own parameters there
//! are `top_k`, `min_p`, `typical_p`, `repetition_penalty`, `no_repeat_ngram_size`, `min_tokens`, `ignore_eos`, `return_token_ids` and
//! `return_tokens_as_token_ids`, with vLLM's names where it has them. Parameters that can't be served are refused by name.
//!
//! It binds to loopback unless told otherwise. There it answers only to host names it knows, so that a page from elsewhere can't
//! reach it through a name that points here; bodies must be `application/json`, which a page can't send unasked.

mod answer;
mod desk;
mod errors;
mod fields;
mod job;
mod logprobs;
mod parameters;
mod prompts;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use self::desk::{Desk, desk};
use self::errors::ApiError;
use self::fields::Fields;
use self::job::{Job, seconds_since_1970};
use self::parameters::{Form, Parameters};
use self::prompts::ToTokenise;
use crate::engine::{Engine, Front};
use crate::text_model::{CancelToken, ModelIdentity, Prompt, RequestError, RunStatistics, TextModel};
use crate::{ApiKey, Error, KnownHosts};

/// Longer addresses are refused.
const LONGEST_URI: usize = 8 << 10;
/// Connections at a time; further ones wait.
const CONNECTIONS: usize = 1024;
/// How long answers may take to reach their readers after the server was told to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where, to whom and how much a server answers.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Address and port; port 0 takes a free one. Default: port 8080 of loopback.
    pub address: SocketAddr,
    /// The name under which clients ask for the model.
    pub name: String,
    /// Host names that are answered beside loopback and the address itself; of no effect where the address is not loopback.
    pub hosts: Vec<String>,
    /// The key that clients have to send, if any.
    pub key: Option<ApiKey>,
    /// Answers that are being made or waited for at a time, over all clients; more are refused with status 503. Default 256.
    pub queue: usize,
    /// Largest body in bytes. Default 4 MiB.
    pub largest_body: usize,
    /// How long a client may take to send a request's head. Default 10 s.
    pub head_timeout: Duration,
    /// How long a client may take to send a request's body. Default 30 s.
    pub body_timeout: Duration,
}

impl ServerOptions {
    /// The defaults, for a model of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            name: name.into(),
            hosts: Vec::new(),
            key: None,
            queue: 256,
            largest_body: 4 << 20,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
        }
    }
}

/// Serves until `stop` is set. `ready` hears the address once the server listens.
///
/// Requests that are under way then are answered with status 503; a stream ends with an error.
///
/// # Errors
/// The address can't be had, or the engine fails.
pub fn serve(
    engine: &mut Engine,
    options: &ServerOptions,
    stop: &CancelToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<RunStatistics, Error> {
    let io = |source| Error::Io { path: options.address.to_string().into(), source };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(io)?;
    let listener = runtime.block_on(TcpListener::bind(options.address)).map_err(io)?;
    let address = listener.local_addr().map_err(io)?;
    let (desk, backroom) = desk(options.queue);
    let site = Arc::new(Site::new(engine, options, address, desk));
    runtime.spawn(accept(listener, router(site.clone()), options.head_timeout));
    ready(address);
    let result = backroom.serve(engine, stop);
    runtime.block_on(site.desk.empty(options.queue, FAREWELL));
    runtime.shutdown_timeout(FAREWELL);
    result
}

/// What all requests share.
struct Site {
    front: Arc<Front>,
    desk: Desk,
    name: String,
    fingerprint: Option<String>,
    created: u64,
    hosts: KnownHosts,
    key: Option<ApiKey>,
    largest_body: usize,
    body_timeout: Duration,
    requests: AtomicU64,
}

impl Site {
    fn new(engine: &Engine, options: &ServerOptions, address: SocketAddr, desk: Desk) -> Self {
        Self {
            front: engine.front(),
            desk,
            name: options.name.clone(),
            fingerprint: fingerprint(&engine.identity()),
            created: seconds_since_1970(),
            hosts: KnownHosts::new(address, &options.hosts),
            key: options.key.clone(),
            largest_body: options.largest_body,
            body_timeout: options.body_timeout,
            requests: AtomicU64::new(0),
        }
    }

    fn next_id(&self, form: Form) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        match form {
            Form::Chat => format!("chatcmpl-{}-{number}", self.created),
            Form::Completions => format!("cmpl-{}-{number}", self.created),
        }
    }

    /// A request's fields, without its `model`, which is ours.
    async fn fields(&self, request: Request) -> Result<Fields, ApiError> {
        check_type(request.headers())?;
        let reading = read(request.into_body(), self.largest_body);
        let bytes = tokio::time::timeout(self.body_timeout, reading).await.unwrap_or_else(|_| {
            Err(ApiError::invalid(StatusCode::REQUEST_TIMEOUT, "the body took too long to come"))
        })?;
        let mut fields = Fields::parse(&bytes)?;
        let name = fields.text("model")?.ok_or_else(|| ApiError::parameter("model", "missing: name the model"))?;
        if name == self.name { Ok(fields) } else { Err(ApiError::unknown_model(&name, &self.name)) }
    }
}

/// A body that is too large is read on for a while and forgotten: many clients read no answer before they have sent everything.
async fn read(mut body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame
            .map_err(|error| ApiError::invalid(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        match length <= limit {
            true => bytes.extend_from_slice(&data),
            false if length > limit.saturating_mul(8) => break,
            false => bytes = Vec::new(),
        }
    }
    if length <= limit {
        return Ok(bytes);
    }
    Err(ApiError::invalid(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes")))
}

/// A form can be sent by any page unasked; JSON can't.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        true => Ok(()),
        false => {
            let message = "the body must be JSON: send `Content-Type: application/json`";
            Err(ApiError::invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
        }
    }
}

fn fingerprint(identity: &ModelIdentity) -> Option<String> {
    identity.sha256.get(..12).map(|digits| format!("fp_{digits}"))
}

/// Takes connections in; what is wrong with one of them concerns nobody else.
async fn accept(listener: TcpListener, router: Router, head_timeout: Duration) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles, say: connections that end free some.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            connection(stream, router, head_timeout).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, router: Router, head_timeout: Duration) {
    // Pieces of a stream are small and should leave at once.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection ended early: {error}");
    }
}

fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completions))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/tokenize", post(tokenize))
        .route("/health", get(health))
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Result<Response, ApiError> {
    admit(&site, request.uri(), request.headers())?;
    Ok(next.run(request).await)
}

/// Refuses what is not meant for this server, and those who lack its key.
fn admit(site: &Site, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    if uri.to_string().len() > LONGEST_URI {
        return Err(ApiError::invalid(StatusCode::URI_TOO_LONG, "the address is too long"));
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if !site.hosts.admits(text(header::HOST)) {
        let message = "this host name is not served: allow it with --allow-host";
        return Err(ApiError::invalid(StatusCode::FORBIDDEN, message));
    }
    let presented = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    match &site.key {
        Some(key) if uri.path() != "/health" && !key.is(presented.trim()) => Err(ApiError::wrong_key()),
        _ => Ok(()),
    }
}

async fn chat(State(site): State<Arc<Site>>, request: Request) -> Result<Response, ApiError> {
    let mut fields = site.fields(request).await?;
    let prompts = vec![Prompt::Chat(prompts::messages(&mut fields)?)];
    let parameters = Parameters::take(fields, Form::Chat)?;
    answer::answer(begin(site, Form::Chat, parameters, prompts).await?).await
}

async fn completions(State(site): State<Arc<Site>>, request: Request) -> Result<Response, ApiError> {
    let mut fields = site.fields(request).await?;
    let prompts = prompts::prompts(&mut fields)?;
    let parameters = Parameters::take(fields, Form::Completions)?;
    if parameters.stream
        && parameters.echo
        && (parameters.options.logprobs.is_some() || parameters.max_tokens == Some(0))
    {
        return Err(ApiError::parameter("echo", "scores come in one piece: leave `stream` out"));
    }
    answer::answer(begin(site, Form::Completions, parameters, prompts).await?).await
}

/// Tokenising a long prompt takes its time, so it has a thread of its own.
async fn begin(site: Arc<Site>, form: Form, parameters: Parameters, prompts: Vec<Prompt>) -> Result<Job, ApiError> {
    blocking(move || Job::begin(site, form, parameters, &prompts)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(ApiError::shutting_down()))
}

async fn tokenize(State(site): State<Arc<Site>>, request: Request) -> Result<Response, ApiError> {
    let mut fields = site.fields(request).await?;
    let wanted = prompts::to_tokenise(&mut fields)?;
    fields.finish()?;
    let length = site.front.context_length;
    let form = wanted.form();
    let tokens = blocking(move || tokens(&site.front, wanted).map_err(|error| ApiError::request(form, &error))).await?;
    Ok(Json(json!({"count": tokens.len(), "max_model_len": length, "tokens": tokens})).into_response())
}

fn tokens(front: &Front, wanted: ToTokenise) -> Result<Vec<u32>, RequestError> {
    match wanted {
        ToTokenise::Prompt { prompt: Prompt::Text(text), special_tokens: false } => front
            .tokenizer
            .encode(&text)
            .map(|found| found.ids)
            .map_err(|error| RequestError::Tokenizer(error.to_string())),
        ToTokenise::Prompt { prompt, .. } => Ok(front.prompt(&prompt)?.tokens),
        ToTokenise::Begun { messages, answer } => {
            let prompt = Prompt::Chat(messages);
            let mut report = front.prompt(&prompt)?;
            front.append(&mut report, &prompt, &answer)?;
            Ok(report.tokens)
        }
    }
}

async fn models(State(site): State<Arc<Site>>) -> Json<Value> {
    Json(json!({"object": "list", "data": [model_object(&site)]}))
}

async fn model(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    if name == site.name { Ok(Json(model_object(&site))) } else { Err(ApiError::unknown_model(&name, &site.name)) }
}

fn model_object(site: &Site) -> Value {
    json!({
        "id": site.name,
        "object": "model",
        "created": site.created,
        "owned_by": "solace",
        "max_model_len": site.front.context_length,
    })
}

async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn nowhere() -> Result<Infallible, ApiError> {
    Err(ApiError::invalid(StatusCode::NOT_FOUND, "there is no such path: the API begins at /v1"))
}

async fn wrong_method() -> Result<Infallible, ApiError> {
    Err(ApiError::invalid(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method"))
}
