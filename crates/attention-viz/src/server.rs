//! The viewer's server: the page, the list of records, and their arrays as raw bytes.
//!
//! It is meant for one person at the same machine. It binds to loopback unless told otherwise, answers only to host names
//! it knows (so that a page from elsewhere can't read through a name that points here), only reads, and finds files by the
//! index alone: nothing of a request ever becomes part of a path.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::sync::{OnceCell, Semaphore};

use crate::assets;
use crate::container::{AttentionRecord, read_manifest};
use crate::error::Error;
use crate::html::standalone_html;
use crate::index::{RunIndex, check_place};
use crate::manifest::Manifest;
use crate::tensors::{Found, Tensor, tensor};

/// Longer addresses are refused.
const LONGEST_URI: usize = 8 << 10;
/// Records that are read at a time: each may need much memory.
const READERS: usize = 2;
/// Records kept after they were read: the two sides of a comparison.
const KEPT: usize = 2;

/// Where and to whom the server answers.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Host names that are answered beside loopback and the address itself.
    pub hosts: Vec<String>,
}

impl Default for ServerOptions {
    /// Port 5220 of loopback.
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 5220)), hosts: Vec::new() }
    }
}

struct Site {
    index: RunIndex,
    hosts: Vec<String>,
    readers: Semaphore,
    kept: Mutex<Vec<Kept>>,
}

/// A record with its place in the index: read, or being read by whoever asked first.
type Kept = ((usize, String), Arc<OnceCell<Arc<AttentionRecord>>>);

/// Serves until the process ends. `ready` hears the address once the server listens.
///
/// # Errors
/// The address can't be had.
pub fn serve(index: RunIndex, options: &ServerOptions, ready: impl FnOnce(SocketAddr)) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(Error::io("server"))?.block_on(async {
        let at = options.address.to_string();
        let listener = tokio::net::TcpListener::bind(options.address).await.map_err(Error::io(&at))?;
        let address = listener.local_addr().map_err(Error::io(&at))?;
        let site = Site {
            index,
            hosts: hosts(address, &options.hosts),
            readers: Semaphore::new(READERS),
            kept: Mutex::default(),
        };
        ready(address);
        axum::serve(listener, router(Arc::new(site))).await.map_err(Error::io(&at))
    })
}

fn hosts(address: SocketAddr, others: &[String]) -> Vec<String> {
    let port = address.port();
    let mut hosts: Vec<String> =
        ["localhost", "127.0.0.1", "[::1]"].iter().map(|name| format!("{name}:{port}")).collect();
    hosts.push(address.to_string());
    for other in others {
        hosts.push(other.to_ascii_lowercase());
        hosts.push(format!("{}:{port}", other.to_ascii_lowercase()));
    }
    hosts
}

fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/api/index", get(listing))
        .route("/api/record/{run}/{id}", get(manifest))
        .route("/api/tensor/{run}/{id}/{name}", get(array))
        .route("/api/html/{run}/{id}", get(page))
        .fallback(get(asset))
        .layer(middleware::from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

/// Refuses what is no request of the page, and tells browsers to be strict.
async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if request.uri().to_string().len() > LONGEST_URI {
        return refuse(StatusCode::URI_TOO_LONG, "the address is too long");
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
    if !host.is_some_and(|host| site.hosts.contains(&host)) {
        return refuse(StatusCode::FORBIDDEN, "this host name is not served: allow it with --allow-host");
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; \
                  script-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    (status, why).into_response()
}

async fn asset(uri: Uri) -> Response {
    let found = match uri.path().trim_start_matches('/') {
        "" | "index.html" => Some((assets::index().into_bytes(), "text/html; charset=utf-8")),
        assets::SCRIPTS => Some((assets::scripts().into_bytes(), "text/javascript; charset=utf-8")),
        path => assets::file(path),
    };
    match found {
        Some((bytes, kind)) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "there is no such page"),
    }
}

async fn listing(State(site): State<Arc<Site>>) -> Response {
    axum::Json(site.index.listing()).into_response()
}

async fn manifest(State(site): State<Arc<Site>>, Path((run, id)): Path<(usize, String)>) -> Response {
    let Some(file) = site.index.file(run, &id).map(std::path::Path::to_owned) else { return unknown() };
    match blocking(move || check_place(&file).and_then(|()| read_manifest(&file))).await {
        Ok(Ok(manifest)) => axum::Json(manifest).into_response(),
        Ok(Err(error)) => damaged(&error),
        Err(response) => response,
    }
}

#[derive(Deserialize)]
struct Slice {
    layer: Option<usize>,
}

async fn array(
    State(site): State<Arc<Site>>,
    Path((run, id, name)): Path<(usize, String, String)>,
    Query(slice): Query<Slice>,
) -> Response {
    let record = match record(&site, run, &id).await {
        Ok(record) => record,
        Err(response) => return response,
    };
    match blocking(move || tensor(&record, &name, slice.layer)).await {
        Ok(Found::Array(Tensor { dtype, shape, bytes })) => {
            let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
            let headers = [
                ("content-type", "application/octet-stream".to_owned()),
                ("x-shape", shape.join(",")),
                ("x-dtype", dtype.to_owned()),
            ];
            (headers, Body::from(bytes)).into_response()
        }
        Ok(Found::NotKept) => StatusCode::NO_CONTENT.into_response(),
        Ok(Found::Unknown) => refuse(StatusCode::NOT_FOUND, "there is no such array"),
        Err(response) => response,
    }
}

async fn page(State(site): State<Arc<Site>>, Path((run, id)): Path<(usize, String)>) -> Response {
    let record = match record(&site, run, &id).await {
        Ok(record) => record,
        Err(response) => return response,
    };
    let name = format!("attachment; filename=\"attention-{}.html\"", file_name(&id));
    match blocking(move || standalone_html(&record)).await {
        Ok(html) => ([("content-type", "text/html; charset=utf-8".to_owned()), ("content-disposition", name)], html)
            .into_response(),
        Err(response) => response,
    }
}

fn file_name(id: &str) -> String {
    id.chars().filter(|character| character.is_ascii_alphanumeric() || "-_".contains(*character)).collect()
}

/// Reads a record, or takes it from those that were read last.
async fn record(site: &Arc<Site>, run: usize, id: &str) -> Result<Arc<AttentionRecord>, Response> {
    let file = site.index.file(run, id).map(std::path::Path::to_owned).ok_or_else(unknown)?;
    let record = kept(site, (run, id.to_owned()));
    let read = async || {
        let _permit = site.readers.acquire().await.map_err(|error| failed(&error))?;
        let read = blocking(move || check_place(&file).and_then(|()| AttentionRecord::read(&file))).await?;
        read.map(Arc::new).map_err(|error| damaged(&error))
    };
    record.get_or_try_init(read).await.cloned()
}

/// The place of a record among those that are kept.
fn kept(site: &Site, key: (usize, String)) -> Arc<OnceCell<Arc<AttentionRecord>>> {
    let mut kept = site.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let known = kept.iter().position(|(known, _)| *known == key).map(|at| kept.remove(at));
    let (key, record) = known.unwrap_or_else(|| (key, Arc::default()));
    kept.insert(0, (key, record.clone()));
    kept.truncate(KEPT);
    record
}

fn unknown() -> Response {
    refuse(StatusCode::NOT_FOUND, "there is no such record")
}

/// The record's file is at fault, not the server.
fn damaged(error: &Error) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response()
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
}

/// Work that would keep other requests waiting.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Response> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
}

/// What [`manifest`] answers, for the standalone page.
pub(crate) fn manifest_of(record: &AttentionRecord) -> Manifest {
    Manifest::new(&record.info, &record.token_texts, &record.capture)
}
