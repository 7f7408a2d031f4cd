//! A model by its hub id, from a server on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use crate::program::{model, records, run, short_run, text};

/// Serves the shipped model as `tiny/llama`, in the way hf-hub asks for files.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut request = String::new();
                reader.read_line(&mut request).unwrap();
                let mut range = None;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if line.trim().is_empty() {
                        break;
                    }
                    if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                        range = Some(bytes.trim().to_owned());
                    }
                }
                let path = request.split_whitespace().nth(1).unwrap_or_default().to_owned();
                let file = path.strip_prefix("/tiny/llama/resolve/main/").map(|name| model().join(name));
                let Some(mut file) = file.and_then(|file| std::fs::File::open(file).ok()) else {
                    let _ =
                        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    return;
                };
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                let whole = bytes.len();
                let first_only = range.as_deref() == Some("0-0");
                let body = if first_only { &bytes[..1] } else { &bytes[..] };
                let head = format!(
                    "HTTP/1.1 206 Partial Content\r\nETag: \"x{whole}\"\r\nX-Repo-Commit: 0123\r\nContent-Range: bytes 0-{}/{whole}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len() - 1,
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(body);
            });
        }
    });
    address
}

#[test]
fn a_hub_id_is_fetched_and_gives_the_records_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("local");
    assert!(run(&short_run(&local)).status.success());
    let remote = folder.path().join("remote");
    let mut words = short_run(&remote);
    let at = words.iter().position(|word| word == "--model").unwrap();
    words[at + 1] = "tiny/llama".into();
    let cache = folder.path().join("cache").to_string_lossy().into_owned();
    words.extend(["--hub-endpoint", &serve(), "--hub-cache", &cache].map(str::to_owned));
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let texts = |lines: Vec<String>| -> Vec<(String, String)> {
        lines
            .iter()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|record| (record["strategy"].to_string(), record["text"].to_string()))
            .collect()
    };
    let sorted = |mut texts: Vec<(String, String)>| {
        texts.sort();
        texts
    };
    assert_eq!(sorted(texts(records(&remote))), sorted(texts(records(&local))));
}

#[test]
fn an_unknown_hub_id_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut words = short_run(&folder.path().join("run"));
    let at = words.iter().position(|word| word == "--model").unwrap();
    words[at + 1] = "nobody/nothing".into();
    let cache = folder.path().join("cache").to_string_lossy().into_owned();
    words.extend(["--hub-endpoint", &serve(), "--hub-cache", &cache].map(str::to_owned));
    let output = run(&words);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nobody/nothing"), "{}", text(&output.stderr));
}
