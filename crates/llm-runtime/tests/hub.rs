//! Downloads by hub id from a small local server.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use llm_runtime::hub::{DownloadProgress, HubError, HubSource};

const TOKEN: &str = "hf_very_secret_token";

/// What the server answers for a file. Everything else is 404.
#[derive(Clone)]
enum Answer {
    Content(Vec<u8>),
    Status(u16),
    /// The connection drops in the middle of the body, this many times.
    Dropped(Vec<u8>, usize),
    /// Fewer bytes than announced, in a well-formed answer.
    Short(Vec<u8>),
    /// A redirect that does not say where to.
    LostRedirect,
    /// No header of a hub.
    PlainWeb(Vec<u8>),
    /// An ETag that is a path out of the cache.
    HostileEtag(Vec<u8>),
    /// The file is of another commit.
    OtherCommit(Vec<u8>),
}

/// A hub with one repository, `owner/model`.
struct Hub {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    cache: tempfile::TempDir,
}

impl Hub {
    fn serve(files: &[(&str, Answer)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, mut files) = (requests.clone(), owned(files));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &mut files, &seen);
            }
        });
        Self { endpoint, requests, cache: tempfile::tempdir().unwrap() }
    }

    fn source(&self, id: &str) -> HubSource {
        let mut source: HubSource = id.parse().unwrap();
        source.endpoint = Some(self.endpoint.clone());
        source.cache_dir = Some(self.cache.path().to_path_buf());
        source.token = Some(TOKEN.to_string());
        source
    }

    fn fetch(&self, id: &str) -> Result<std::path::PathBuf, HubError> {
        self.source(id).fetch(&mut |_| {})
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn owned(files: &[(&str, Answer)]) -> HashMap<String, Answer> {
    files.iter().map(|(name, answer)| (name.to_string(), answer.clone())).collect()
}

fn answer(stream: TcpStream, files: &mut HashMap<String, Answer>, seen: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(&stream).lines();
    let Some(Ok(request)) = lines.next() else { return };
    let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    seen.lock().unwrap().push(format!("{request}\n{}", headers.join("\n")));

    let path = request.split(' ').nth(1).unwrap_or_default();
    let file = path.strip_prefix("/owner/model/resolve/main/").unwrap_or_default().to_string();
    let range =
        headers.iter().find_map(|header| header.to_lowercase().strip_prefix("range: bytes=").map(str::to_string));
    let (start, probe) = match range.as_deref().and_then(|range| range.split_once('-')) {
        Some((start, end)) => (start.parse::<usize>().unwrap(), !end.is_empty()),
        None => (0, false),
    };
    let (etag, commit) = (format!("etag-{}", file.replace('/', "-")), "abc123");
    let mut stream = &stream;
    // A client that has seen enough may close first: that is no failure of the server.
    let _ = match files.get_mut(&file) {
        None => status(stream, 404),
        Some(Answer::Status(code)) => status(stream, *code),
        Some(Answer::LostRedirect) => {
            let head = format!("HTTP/1.1 302 Found\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {commit}\r\n");
            write!(stream, "{head}Content-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Some(Answer::PlainWeb(content)) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len())
        }
        Some(Answer::Content(content)) => send(stream, content, start, probe, &etag, commit, usize::MAX),
        Some(Answer::HostileEtag(content)) => send(stream, content, start, probe, "../../outside", commit, usize::MAX),
        Some(Answer::OtherCommit(content)) => send(stream, content, start, probe, &etag, "def456", usize::MAX),
        Some(Answer::Dropped(content, times)) => {
            let limit = if probe || *times == 0 { usize::MAX } else { (content.len() - start) / 2 };
            *times -= usize::from(limit != usize::MAX);
            send(stream, content, start, probe, &etag, commit, limit)
        }
        Some(Answer::Short(content)) => {
            let body = if probe { &content[..1] } else { &content[..content.len() / 2] };
            head(stream, &etag, commit, content.len(), body.len()).and_then(|()| stream.write_all(body))
        }
    };
}

fn status(mut stream: &TcpStream, code: u16) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {code} Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn head(mut stream: &TcpStream, etag: &str, commit: &str, total: usize, length: usize) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {commit}\r\nContent-Range: bytes 0-0/{total}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

fn send(
    mut stream: &TcpStream,
    content: &[u8],
    start: usize,
    probe: bool,
    etag: &str,
    commit: &str,
    limit: usize,
) -> std::io::Result<()> {
    if start >= content.len() {
        return status(stream, 416);
    }
    let body = if probe { &content[..1] } else { &content[start..] };
    head(stream, etag, commit, content.len(), body.len())?;
    stream.write_all(&body[..limit.min(body.len())])
}

fn content(text: &str) -> Answer {
    Answer::Content(text.as_bytes().to_vec())
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// A whole small model, of which tests replace one file.
fn model_with<'a>(changes: &[(&'a str, Answer)]) -> Vec<(&'a str, Answer)> {
    let mut files = vec![
        ("config.json", content("{}")),
        ("tokenizer.json", content("[]")),
        ("model.safetensors", content("weights")),
    ];
    for (name, answer) in changes {
        files.retain(|(present, _)| present != name);
        files.push((name, answer.clone()));
    }
    files
}

#[test]
fn a_single_file_model_arrives_with_the_optional_files_it_has() {
    let hub = Hub::serve(&model_with(&[("chat_template.jinja", content("{{ messages }}"))]));
    let mut reports: Vec<DownloadProgress> = Vec::new();
    let folder = hub.source("owner/model").fetch(&mut |at| reports.push(at)).unwrap();
    assert_eq!(read(&folder, "config.json"), "{}");
    assert_eq!(read(&folder, "model.safetensors"), "weights");
    assert_eq!(read(&folder, "chat_template.jinja"), "{{ messages }}");
    assert!(!folder.join("generation_config.json").exists());
    let end = DownloadProgress { file: "model.safetensors".to_string(), downloaded: 7, total: 7 };
    assert!(reports.contains(&end), "{reports:?}");
    assert!(hub.requests().iter().all(|request| request.contains(&format!("Bearer {TOKEN}"))));
}

#[test]
fn a_sharded_model_arrives_with_each_shard_once() {
    let index =
        r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}"#;
    let hub = Hub::serve(&[
        ("config.json", content("{}")),
        ("tokenizer.model", content("pieces")),
        ("model.safetensors.index.json", content(index)),
        ("model-1.safetensors", content("one")),
        ("model-2.safetensors", content("two")),
    ]);
    let folder = hub.fetch("owner/model").unwrap();
    assert_eq!(read(&folder, "model-1.safetensors") + &read(&folder, "model-2.safetensors"), "onetwo");
    assert_eq!(read(&folder, "tokenizer.model"), "pieces");
    let first_shard = hub.requests().iter().filter(|request| request.contains("model-1.safetensors")).count();
    assert_eq!(first_shard, 3, "a look before, and hf-hub's own look and download");
}

#[test]
fn a_gguf_file_arrives_alone() {
    let hub = Hub::serve(&[("quantised/tiny.gguf", content("GGUF"))]);
    let path = hub.fetch("owner/model:quantised/tiny.gguf").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "GGUF");
    assert!(matches!(hub.fetch("owner/model:other.gguf"), Err(HubError::NotFound { .. })));
}

#[test]
fn a_cached_model_needs_no_network() {
    let hub = Hub::serve(&model_with(&[]));
    let folder = hub.fetch("owner/model").unwrap();
    let mut offline = hub.source("owner/model");
    offline.endpoint = Some(closed_endpoint());
    assert_eq!(offline.fetch(&mut |_| {}).unwrap(), folder);
}

/// An address at which nobody listens.
fn closed_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn without_a_network_the_error_names_endpoint_and_file() {
    let hub = Hub::serve(&[]);
    let mut source = hub.source("owner/model");
    source.endpoint = Some(closed_endpoint());
    let error = source.fetch(&mut |_| {}).unwrap_err();
    let endpoint = source.endpoint.unwrap();
    assert!(matches!(&error, HubError::Connection { at, .. } if at.file == "config.json" && at.endpoint == endpoint));
    assert!(error.to_string().contains("check the network"), "{error}");
}

#[test]
fn each_missing_required_file_is_named() {
    for (missing, named) in [
        ("config.json", "config.json"),
        ("tokenizer.json", "tokenizer.model"),
        ("model.safetensors", "model.safetensors"),
    ] {
        let hub = Hub::serve(&model_with(&[(missing, Answer::Status(404))]));
        let error = hub.fetch("owner/model").unwrap_err();
        assert!(matches!(&error, HubError::NotFound { at, .. } if at.file == named), "{error}");
        assert!(error.to_string().contains("owner/model@main"), "{error}");
    }
}

#[test]
fn a_refusal_says_that_a_token_is_needed_and_does_not_show_it() {
    for status in [401, 403] {
        let hub = Hub::serve(&model_with(&[("config.json", Answer::Status(status))]));
        let error = hub.fetch("owner/model").unwrap_err();
        assert!(matches!(error, HubError::Refused { status: told, .. } if told == status));
        assert!(error.to_string().contains("HF_TOKEN"), "{error}");
        assert!(!format!("{error} {error:?}").contains(TOKEN));
        assert_eq!(hub.requests().len(), 1, "a refusal is final");
    }
}

#[test]
fn a_server_error_is_told_after_several_attempts() {
    let hub = Hub::serve(&model_with(&[("config.json", Answer::Status(500))]));
    let error = hub.fetch("owner/model").unwrap_err();
    assert!(matches!(error, HubError::Status { status: 500, attempts: 4, .. }), "{error}");
    assert_eq!(hub.requests().len(), 4);
}

#[test]
fn an_optional_file_that_fails_is_not_taken_for_absent() {
    let hub = Hub::serve(&model_with(&[("tokenizer_config.json", Answer::Status(500))]));
    assert!(matches!(hub.fetch("owner/model"), Err(HubError::Status { status: 500, .. })));
}

#[test]
fn a_dropped_connection_continues_where_it_broke() {
    let weights: String = (0..100_000).map(|number| format!("{number} ")).collect();
    let dropped = Answer::Dropped(weights.clone().into_bytes(), 2);
    let hub = Hub::serve(&model_with(&[("model.safetensors", dropped)]));
    let folder = hub.fetch("owner/model").unwrap();
    assert!(read(&folder, "model.safetensors") == weights);
    let continued = format!("bytes={}-", weights.len() / 2);
    assert!(hub.requests().iter().any(|request| request.contains(&continued)));
}

#[test]
fn a_connection_that_always_drops_is_an_error() {
    let dropped = Answer::Dropped(vec![b'x'; 10_000], usize::MAX - 1);
    let hub = Hub::serve(&model_with(&[("model.safetensors", dropped)]));
    let error = hub.fetch("owner/model").unwrap_err();
    assert!(
        matches!(&error, HubError::Connection { attempts: 4, at, .. } if at.file == "model.safetensors"),
        "{error}"
    );
}

#[test]
fn a_truncated_file_is_never_kept() {
    let hub = Hub::serve(&model_with(&[("model.safetensors", Answer::Short(vec![b'x'; 1000]))]));
    let error = hub.fetch("owner/model").unwrap_err();
    assert!(matches!(&error, HubError::Connection { .. }), "{error}");
    assert!(error.to_string().contains("1000 bytes were announced"), "{error}");
    assert!(hub.fetch("owner/model").is_err());
}

#[test]
fn a_part_that_is_complete_already_does_not_block_the_download() {
    let hub = Hub::serve(&model_with(&[]));
    let blobs = hub.cache.path().join("models--owner--model/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    // The server's ETag is `etag-model.safetensors`, whose extension gives way to that of the part.
    std::fs::write(blobs.join("etag-model.part"), "weights").unwrap();
    let folder = hub.fetch("owner/model").unwrap();
    assert_eq!(read(&folder, "model.safetensors"), "weights");
}

#[test]
fn damaged_and_hostile_indexes_are_refused() {
    let hostile =
        ["../../evil.safetensors", "/etc/evil.safetensors", "a\\\\b.safetensors", "..", "", ".x.safetensors", "x.bin"];
    let mut indexes: Vec<String> =
        hostile.iter().map(|name| format!(r#"{{"weight_map": {{"a": "{name}"}}}}"#)).collect();
    indexes.extend(["not json", "{}", r#"{"weight_map": {}}"#, r#"{"weight_map": {"a": 3}}"#].map(str::to_string));
    for index in indexes {
        let hub = Hub::serve(&model_with(&[("model.safetensors.index.json", content(&index))]));
        let error = hub.fetch("owner/model").unwrap_err();
        assert!(matches!(error, HubError::Index { .. }), "{index}: {error}");
        assert!(!hub.requests().iter().any(|request| request.contains("evil")));
    }
}

#[test]
fn an_answer_that_is_not_a_hub_s_is_an_error_and_not_a_panic() {
    let answers = [Answer::PlainWeb(b"<html>".to_vec()), Answer::LostRedirect, Answer::HostileEtag(b"{}".to_vec())];
    for answer in answers {
        let hub = Hub::serve(&model_with(&[("config.json", answer)]));
        let error = hub.fetch("owner/model").unwrap_err();
        assert!(matches!(error, HubError::Protocol { .. }), "{error}");
        assert!(!hub.cache.path().join("outside").exists());
    }
}

#[test]
fn files_of_two_commits_are_never_mixed() {
    let hub = Hub::serve(&model_with(&[("model.safetensors", Answer::OtherCommit(b"newer".to_vec()))]));
    assert!(matches!(hub.fetch("owner/model"), Err(HubError::Moved { .. })));
}

#[test]
fn ids_are_parsed_into_their_parts() {
    let source: HubSource = "owner/name".parse().unwrap();
    assert_eq!((source.repo.as_str(), source.revision.as_str(), source.file), ("owner/name", "main", None));
    let source: HubSource = "owner/name@refs/pr/1:sub/file.gguf".parse().unwrap();
    assert_eq!((source.revision.as_str(), source.file.as_deref()), ("refs/pr/1", Some("sub/file.gguf")));
    for id in [
        "",
        "name",
        "a/b/c",
        "../x",
        "a/..",
        "a/b@",
        "a/b@../c",
        "a/b:x.bin",
        "a/b:../x.gguf",
        "a/b:/x.gguf",
        "a b/c",
        "a/b?c",
    ] {
        let error = id.parse::<HubSource>().unwrap_err();
        assert!(matches!(error, HubError::InvalidId { .. }), "{id}");
    }
}

#[test]
fn secrets_stay_out_of_debug_output_and_messages() {
    let hub = Hub::serve(&[]);
    let mut source = hub.source("owner/model");
    source.endpoint = Some(closed_endpoint().replace("://", "://user:password@"));
    let error = source.fetch(&mut |_| {}).unwrap_err();
    let shown = format!("{source:?} {error} {error:?}");
    assert!(!shown.contains(TOKEN) && !shown.contains("password"), "{shown}");

    source.token = Some(format!("{TOKEN}\nX-Injected: 1"));
    source.endpoint = Some(hub.endpoint.clone());
    let error = source.fetch(&mut |_| {}).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(TOKEN), "{error}");
    assert!(hub.requests().iter().all(|request| !request.contains("X-Injected")));
}
