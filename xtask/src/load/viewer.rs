//! Requests to `sra view`: pages and arrays of records drawn at random, and what is none.

use std::io;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::kind::{Kind, Reply};
use crate::client::{Answer, Connection};

/// The viewer, and the records that it lists.
pub(super) struct Viewer {
    address: String,
    records: Vec<Record>,
    first: Vec<Vec<u8>>,
}

struct Record {
    id: String,
    layers: usize,
}

impl Viewer {
    /// Asks for the list.
    ///
    /// # Errors
    /// The viewer does not answer, or lists nothing.
    pub(super) fn new(address: &str) -> Result<Self, String> {
        let mut viewer = Self { address: address.to_owned(), records: Vec::new(), first: Vec::new() };
        let listing = viewer.get("/api/index").map_err(|error| format!("{address}: {error}"))?.json();
        let record = |entry: &Value| {
            Some(Record {
                id: entry["id"].as_str()?.to_owned(),
                layers: usize::try_from(entry["layers"].as_u64()?).ok()?,
            })
        };
        viewer.records = listing["runs"][0]["records"].as_array().into_iter().flatten().filter_map(record).collect();
        if viewer.records.is_empty() {
            return Err(format!("{address}: the viewer lists no record"));
        }
        viewer.first = viewer.references().map_err(|error| format!("{address}: {error}"))?;
        Ok(viewer)
    }

    /// Whether what is never different is as it was at the beginning.
    pub(super) fn answers_as_before(&self) -> Result<(), String> {
        match self.references().map_err(|error| error.to_string())? == self.first {
            true => Ok(()),
            false => Err("a page, a record or an array is not what it was at the beginning".into()),
        }
    }

    fn references(&self) -> io::Result<Vec<Vec<u8>>> {
        let id = &self.records[0].id;
        let paths =
            ["/".into(), "/api/index".into(), format!("/api/record/0/{id}"), format!("/api/tensor/0/{id}/span_sums")];
        paths.iter().map(|path: &String| Ok(self.get(path)?.body)).collect()
    }

    fn get(&self, path: &str) -> io::Result<Answer> {
        let mut connection = Connection::open(&self.address)?;
        let request = connection.get(path);
        connection.ask(&request)
    }

    fn drawn(&self, random: &mut ChaCha8Rng) -> &Record {
        &self.records[random.random_range(0..self.records.len())]
    }
}

pub(super) const KINDS: &[Kind<Viewer>] = &[
    Kind { name: "page", weight: 4, expected: &[Reply::Status(200)], act: page },
    Kind { name: "list of records", weight: 4, expected: &[Reply::Status(200)], act: list },
    Kind { name: "record", weight: 8, expected: &[Reply::Status(200)], act: record },
    Kind { name: "array", weight: 16, expected: &[Reply::Status(200), Reply::Status(204)], act: array },
    Kind { name: "standalone page", weight: 1, expected: &[Reply::Status(200)], act: standalone },
    Kind { name: "unknown record or array", weight: 4, expected: &[Reply::Status(404)], act: unknown },
    Kind {
        name: "a path out of the run",
        weight: 2,
        expected: &[Reply::Status(400), Reply::Status(404)],
        act: path_out,
    },
    Kind { name: "no number", weight: 2, expected: &[Reply::Status(400)], act: no_number },
    Kind { name: "other method", weight: 1, expected: &[Reply::Status(405)], act: other_method },
    Kind { name: "other host name", weight: 2, expected: &[Reply::Status(403)], act: other_host },
    Kind { name: "long address", weight: 1, expected: &[Reply::Status(414)], act: long_address },
    Kind { name: "no HTTP", weight: 2, expected: &[Reply::Status(400), Reply::Closed], act: no_http },
    Kind { name: "left before the answer", weight: 2, expected: &[Reply::Left], act: leave },
    Kind { name: "half a head, then left", weight: 2, expected: &[Reply::Left], act: half_a_head },
];

fn asked(viewer: &Viewer, path: &str) -> io::Result<Reply> {
    Ok(Reply::Status(viewer.get(path)?.status))
}

fn page(viewer: &Viewer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let answer = viewer.get("/")?;
    Ok(if answer.body == viewer.first[0] { Reply::Status(answer.status) } else { Reply::Wrong("another page".into()) })
}

fn list(viewer: &Viewer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    asked(viewer, "/api/index")
}

fn record(viewer: &Viewer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let id = &viewer.drawn(random).id;
    let answer = viewer.get(&format!("/api/record/0/{id}"))?;
    match answer.status {
        200 if answer.json()["record"]["id"] != **id => Ok(Reply::Wrong("another record".into())),
        status => Ok(Reply::Status(status)),
    }
}

fn array(viewer: &Viewer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    const WHOLE: [&str; 6] = ["span_sums", "head_profile", "head_shares", "rows_drop", "rows_keep", "layer_rows"];
    const OF_LAYER: [&str; 3] = ["layer_rows", "head_rows", "head_span_sums"];
    let Record { id, layers } = viewer.drawn(random);
    let path = match random.random_range(0..2) {
        0 => format!("/api/tensor/0/{id}/{}", WHOLE[random.random_range(0..WHOLE.len())]),
        _ => {
            let (name, layer) = (OF_LAYER[random.random_range(0..OF_LAYER.len())], random.random_range(0..*layers));
            format!("/api/tensor/0/{id}/{name}?layer={layer}")
        }
    };
    asked(viewer, &path)
}

fn standalone(viewer: &Viewer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    asked(viewer, &format!("/api/html/0/{}", viewer.drawn(random).id))
}

fn unknown(viewer: &Viewer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let id = &viewer.drawn(random).id;
    let path = match random.random_range(0..5) {
        0 => "/api/record/0/nothing".to_owned(),
        1 => format!("/api/record/99/{id}"),
        2 => format!("/api/tensor/0/{id}/nothing"),
        3 => format!("/api/tensor/0/{id}/layer_rows?layer=9999"),
        _ => "/no/such/page.js".to_owned(),
    };
    asked(viewer, &path)
}

fn path_out(viewer: &Viewer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    const PATHS: [&str; 4] = [
        "/api/record/0/..%2f..%2f..%2fetc%2fpasswd",
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/Cargo.toml",
        "/api/html/0/%00",
    ];
    asked(viewer, PATHS[random.random_range(0..PATHS.len())])
}

fn no_number(viewer: &Viewer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let id = &viewer.drawn(random).id;
    let path = match random.random_range(0..3) {
        0 => format!("/api/record/one/{id}"),
        1 => format!("/api/tensor/0/{id}/layer_rows?layer=x"),
        _ => format!("/api/tensor/-1/{id}/span_sums"),
    };
    asked(viewer, &path)
}

fn other_method(viewer: &Viewer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = Connection::open(&viewer.address)?;
    let request = connection.post("/api/index", b"{}");
    Ok(Reply::Status(connection.ask(&request)?.status))
}

fn other_host(viewer: &Viewer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = Connection::open(&viewer.address)?;
    let request = connection.request("GET", "/api/index", &[("Host", "elsewhere.example")]);
    Ok(Reply::Status(connection.ask(&request)?.status))
}

fn long_address(viewer: &Viewer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    asked(viewer, &format!("/api/record/0/{}", "x".repeat(20_000)))
}

fn no_http(viewer: &Viewer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = Connection::open(&viewer.address)?;
    let mut bytes: Vec<u8> = (0..200).map(|_| random.random_range(0..=255_u32) as u8).collect();
    bytes.extend_from_slice(b"\r\n\r\n");
    Ok(Reply::Status(connection.ask(&bytes)?.status))
}

fn leave(viewer: &Viewer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = Connection::open(&viewer.address)?;
    let request = connection.get(&format!("/api/html/0/{}", viewer.drawn(random).id));
    connection.send(&request)?;
    Ok(Reply::Left)
}

fn half_a_head(viewer: &Viewer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = Connection::open(&viewer.address)?;
    connection.send(b"GET /api/index HTTP/1.1\r\nHo")?;
    Ok(Reply::Left)
}
