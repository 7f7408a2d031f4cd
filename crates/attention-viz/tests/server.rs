//! The server over a real socket: what it gives, and whom it refuses.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use attention_viz::{Precision, RunIndex, ServerOptions, serve};

use crate::sample::{SMALL, info, record};

/// Serves a folder on a free port until the test ends.
fn serve_folder(folder: &Path) -> SocketAddr {
    serve_runs(&[folder.to_owned()])
}

pub(crate) fn serve_runs(runs: &[PathBuf]) -> SocketAddr {
    let index = RunIndex::open(runs).unwrap();
    let (told, heard) = mpsc::channel();
    let options = ServerOptions { address: "127.0.0.1:0".parse().unwrap(), hosts: vec!["viewer.example".into()] };
    std::thread::spawn(move || serve(index, &options, |address| told.send(address).unwrap()));
    heard.recv().unwrap()
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn ask(address: SocketAddr, line: &str, host: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    Answer { status: head[9..12].parse().unwrap(), head, body: bytes[end + 4..].to_vec() }
}

#[test]
fn it_gives_records_and_refuses_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let attention = folder.path().join("attention");
    std::fs::create_dir(&attention).unwrap();
    let sample = record(1, SMALL, info(1, 1, 4, "c1_hf", "Offer Hope"));
    sample.write(&attention.join("a.attn"), Precision::F16).unwrap();
    let mut lower = record(2, SMALL, info(2, 1, 5, "c1_hf", "Offer Hope"));
    lower.capture.head_rows.clear();
    lower.write(&attention.join("c.attn"), Precision::F16).unwrap();
    std::fs::write(attention.join("b.attn"), b"nothing").unwrap();
    std::fs::write(folder.path().join("secret.txt"), b"secret").unwrap();
    let address = serve_folder(folder.path());
    let host = address.to_string();
    let get = |path: &str| ask(address, &format!("GET {path}"), &host);
    let json = |path: &str| -> serde_json::Value {
        let answer = get(path);
        assert_eq!(answer.status, 200, "{path}");
        let start = answer.body.iter().position(|byte| *byte == b'{').unwrap();
        let end = answer.body.iter().rposition(|byte| *byte == b'}').unwrap();
        serde_json::from_slice(&answer.body[start..=end]).unwrap()
    };

    // The page is two files, and has all of its scripts.
    let page = String::from_utf8(get("/").body).unwrap();
    assert_eq!((page.matches("<script").count(), page.matches("stylesheet").count()), (1, 0));
    let scripts = String::from_utf8(get("/page.js").body).unwrap();
    let place = |text: &str| scripts.find(text).unwrap_or_else(|| panic!("{text} is not among the scripts"));
    assert!(place("window.Attn = ") < place("Attn.Map = ") && place("Attn.Map = ") < place("Attn.guard(start)"));
    let index = json("/api/index");
    assert_eq!(index["runs"][0]["records"][0]["id"], "record-1");
    assert!(index["problems"][0].as_str().unwrap().contains("b.attn"));
    assert_eq!(json("/api/record/0/record-1")["record"]["strategy"], "Offer Hope");
    let tensor = get("/api/tensor/0/record-1/layer_rows");
    assert!(tensor.head.contains("x-shape: 12,3,71") && tensor.head.contains("x-dtype: f16"), "{}", tensor.head);
    assert_eq!(tensor.body.len(), 12 * 3 * 71 * 2);
    assert!(get("/api/tensor/0/record-1/layer_rows?layer=2").head.contains("x-shape: 12,1,71"));
    for name in ["rows_drop", "rows_keep"] {
        let means = get(&format!("/api/tensor/0/record-1/{name}"));
        assert!(means.head.contains("x-shape: 12,71") && means.head.contains("x-dtype: f32"), "{}", means.head);
        let first_row = means.body[..71 * 4].as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        assert!((first_row.sum::<f32>() - 1.0).abs() < 1e-3, "{name} are rows of attention");
    }
    assert!(get("/api/tensor/0/record-1/head_rows?layer=2").head.contains("x-shape: 12,4,71"));
    assert_eq!(get("/api/tensor/0/record-2/head_rows?layer=2").status, 204, "a lower level is no error");
    let sums = get("/api/tensor/0/record-1/head_span_sums?layer=2");
    assert!(sums.head.contains("x-shape: 12,4,8") && sums.head.contains("x-dtype: f32"), "{}", sums.head);
    // Row 1 of the layer, head 3.
    let start = ((3 + 2) * 4 + 3) * 8;
    let expected: Vec<u8> =
        sample.capture.head_span_sums[start..start + 8].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(sums.body[(4 + 3) * 8 * 4..][..8 * 4], expected);
    assert!(get("/api/tensor/0/record-1/head_shares").head.contains("x-shape: 3,4,6"));
    let page = get("/");
    assert!(page.head.contains("content-security-policy: default-src 'self'") && page.head.contains("nosniff"));
    assert!(get("/api/html/0/record-1").head.contains("attachment; filename=\"attention-record-1.html\""));

    for path in [
        "/api/tensor/0/record-1/other",
        "/api/tensor/0/record-1/head_rows",
        "/api/tensor/0/record-1/head_rows?layer=9",
        "/api/tensor/0/record-1/head_span_sums",
        "/api/tensor/0/record-1/span_sums?layer=1",
        "/api/record/0/unknown",
        "/api/record/7/record-1",
        "/api/record/0/..%2F..%2Fsecret.txt",
        "/../secret.txt",
        "/secret.txt",
        "/js/../../Cargo.toml",
    ] {
        let answer = get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret\n"));
    }
    assert_eq!(get("/api/tensor/0/record-1/head_rows?layer=x").status, 400);
    assert_eq!(ask(address, "POST /api/index", &host).status, 405);
    assert_eq!(ask(address, "DELETE /", &host).status, 405);
    assert_eq!(get(&format!("/{}", "a".repeat(9000))).status, 414);
    for other in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""] {
        assert_eq!(ask(address, "GET /api/index", other).status, 403, "{other}");
    }
    let port = address.port();
    for known in [format!("localhost:{port}"), format!("[::1]:{port}"), "viewer.example".into()] {
        assert_eq!(ask(address, "GET /api/index", &known).status, 200, "{known}");
    }
}

#[test]
fn a_folder_without_attention_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = RunIndex::open(&[folder.path().to_owned()]).unwrap_err().to_string();
    assert!(error.contains("--attention layers"), "{error}");
}

#[test]
fn a_file_that_changes_after_the_start_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let files = [1, 2].map(|number| {
        let file = folder.path().join(format!("{number}.attn"));
        record(number, SMALL, info(number, 1, 4, "c1_hf", "Offer Hope")).write(&file, Precision::F16).unwrap();
        file
    });
    let secret = tempfile::tempdir().unwrap();
    let elsewhere = secret.path().join("x.attn");
    record(9, SMALL, info(9, 1, 4, "c1_hf", "secret")).write(&elsewhere, Precision::F16).unwrap();
    let address = serve_folder(folder.path());
    let bytes = std::fs::read(&files[0]).unwrap();
    std::fs::write(&files[0], &bytes[..bytes.len() - 100]).unwrap();
    std::fs::remove_file(&files[1]).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &files[1]).unwrap();
    for (path, says) in [
        ("/api/record/0/record-1", "ends within its arrays"),
        ("/api/tensor/0/record-1/span_sums", "1.attn"),
        ("/api/html/0/record-1", "1.attn"),
        ("/api/record/0/record-2", "now leads to"),
        ("/api/tensor/0/record-2/span_sums", "now leads to"),
    ] {
        let answer = ask(address, &format!("GET {path}"), &address.to_string());
        let body = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 422 && body.contains(says), "{path}: {} {body}", answer.status);
    }
}
