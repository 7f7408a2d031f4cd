//! Load: `sra serve` and `sra view` on loopback, with good and bad requests mixed, for as long as one likes.
//!
//! Counts replies by status and how soon they came, looks at the servers' memory every ten seconds, and asks seeded requests again, among the others and at the end.
//! The rate is bounded, so that a machine can do other work beside it.

mod chat_server;
mod counts;
mod kind;
mod memory;
mod viewer;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use self::chat_server::ChatServer;
use self::counts::Counts;
use self::kind::{Kind, draw};
use self::memory::Memory;
use self::viewer::Viewer;
use crate::server_process::ServerProcess;

/// Time between two looks at memory.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Of a hundred requests so many go to the viewer.
const TO_VIEWER: u32 = 30;
/// How long the servers get to forget what clients have left behind, before the last questions.
const CALM: Duration = Duration::from_secs(2);

/// Mix good and bad requests to `sra serve` and `sra view`, and look at answers and memory
#[derive(Debug, Parser)]
#[command(name = "xtask load", max_term_width = 100)]
pub(crate) struct Options {
    /// How long
    #[arg(long, default_value_t = 30.0, value_name = "MINUTES")]
    minutes: f64,
    /// Clients at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    connections: u32,
    /// Requests a second at most, over all clients
    #[arg(long, default_value_t = 20.0, value_name = "X")]
    requests_per_second: f64,
    /// Seed of what is asked
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Threads of the model
    #[arg(long, default_value_t = 2, value_name = "N")]
    threads: usize,
    /// Also write the results here (JSON)
    #[arg(long, value_name = "FILE")]
    report: Option<std::path::PathBuf>,
}

/// Runs the load and prints what came of it.
///
/// # Errors
/// A server can't be started or died, a reply was not right, memory grew, or a seeded request was answered otherwise at the end.
pub(crate) fn run(root: &Path, words: impl Iterator<Item = String>) -> Result<(), String> {
    let options = match Options::try_parse_from(words) {
        Ok(options) => options,
        Err(told) => told.exit(),
    };
    if !(options.minutes > 0.0 && options.requests_per_second > 0.0) {
        return Err("--minutes and --requests-per-second must be above 0".into());
    }
    let mut servers = Servers::start(root, options.threads)?;
    let targets =
        Targets { chat: ChatServer::new(&servers.chat.address)?, viewer: Viewer::new(&servers.viewer.address)? };
    let begun = Instant::now();
    let (counts, memories) = work(&options, &targets, &servers)?;
    let seconds = begun.elapsed().as_secs_f64();
    std::thread::sleep(CALM);
    let mut problems = counts.unexpected();
    for (name, server) in servers.each() {
        if !server.is_running() {
            problems.push(format!("`sra {name}` has ended"));
        }
    }
    for (name, answered) in [("serve", targets.chat.answers_as_before()), ("view", targets.viewer.answers_as_before())]
    {
        problems.extend(answered.err().map(|problem| format!("`sra {name}` {problem}")));
    }
    problems.extend(grown(&memories));
    tell(&counts, &memories, seconds);
    if let Some(path) = &options.report {
        let report = report(&options, &counts, &memories, seconds, &problems);
        std::fs::write(path, report).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if problems.is_empty() {
        println!(
            "both servers run, every reply was one of those expected, and seeded requests are answered as at the beginning"
        );
        return Ok(());
    }
    Err(problems.join("\n"))
}

/// Both servers.
struct Servers {
    chat: ServerProcess,
    viewer: ServerProcess,
    /// What they say.
    _logs: tempfile::TempDir,
}

impl Servers {
    fn start(root: &Path, threads: usize) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| format!("the folder of the built programs: {error}"))?;
        let program = own.with_file_name("sra");
        if !program.is_file() {
            return Err(format!("{}: not there; build it first: cargo build -p sra", program.display()));
        }
        let logs = tempfile::tempdir().map_err(|error| error.to_string())?;
        let serve = |words: &[&str], name: &str| {
            let mut command = Command::new(&program);
            command.args(words).args(["--address", "127.0.0.1:0"]).current_dir(root).stdin(Stdio::null());
            command.env_remove("RUST_LOG").env_remove("OPENAI_API_KEY");
            ServerProcess::start(command, &logs.path().join(name))
        };
        let threads = threads.to_string();
        let model = "fixtures/models/tiny-llama";
        let chat = serve(
            &["serve", "--model", model, "--name", chat_server::MODEL, "--kv-memory", "128M", "--threads", &threads],
            "serve",
        )?;
        let viewer = serve(&["view", "fixtures/runs/attention"], "view")?;
        Ok(Self { chat, viewer, _logs: logs })
    }

    fn each(&mut self) -> [(&'static str, &mut ServerProcess); 2] {
        [("serve", &mut self.chat), ("view", &mut self.viewer)]
    }
}

/// Who is asked.
struct Targets {
    chat: ChatServer,
    viewer: Viewer,
}

type Memories = [(&'static str, Memory); 2];

/// All clients at work, and somebody who looks at memory.
fn work(options: &Options, targets: &Targets, servers: &Servers) -> Result<(Counts, Memories), String> {
    let end = Instant::now() + Duration::from_secs_f64(60.0 * options.minutes);
    let counts = Mutex::new(Counts::default());
    let is_over = AtomicBool::new(false);
    let mut memories = [("serve", Memory::of(servers.chat.id())), ("view", Memory::of(servers.viewer.id()))];
    let watched = std::thread::scope(|scope| {
        for number in 0..options.connections {
            let (counts, is_over) = (&counts, &is_over);
            scope.spawn(move || {
                let own = client(options, targets, number, end, is_over);
                counts.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
            });
        }
        let watched = watch(&mut memories, end);
        is_over.store(true, Ordering::Relaxed);
        watched
    });
    watched?;
    Ok((counts.into_inner().unwrap_or_else(PoisonError::into_inner), memories))
}

/// Looks at memory until the end, or until a server is gone.
fn watch(memories: &mut Memories, end: Instant) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        for (name, memory) in memories.iter_mut() {
            memory
                .look(begun.elapsed().as_secs_f64())
                .map_err(|problem| format!("`sra {name}` has ended: {problem}"))?;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}

/// One client: a request after the other, at its share of the rate.
fn client(options: &Options, targets: &Targets, number: u32, end: Instant, is_over: &AtomicBool) -> Counts {
    let mut random = ChaCha8Rng::seed_from_u64(options.seed ^ (u64::from(number) << 32));
    let pause = f64::from(options.connections) / options.requests_per_second;
    let mut counts = Counts::default();
    while Instant::now() < end && !is_over.load(Ordering::Relaxed) {
        // Pauses of any length around the mean, so that clients do not march in step.
        let next = Instant::now() + Duration::from_secs_f64(pause * random.random_range(0.0..2.0));
        match random.random_range(0..100) < TO_VIEWER {
            true => ask("view", viewer::KINDS, &targets.viewer, &mut random, &mut counts),
            false => ask("serve", chat_server::KINDS, &targets.chat, &mut random, &mut counts),
        }
        std::thread::sleep(next.min(end).saturating_duration_since(Instant::now()));
    }
    counts
}

fn ask<T>(server: &'static str, kinds: &[Kind<T>], target: &T, random: &mut ChaCha8Rng, counts: &mut Counts) {
    let kind = draw(kinds, random);
    let begun = Instant::now();
    let reply = kind.ask(target, random);
    counts.add(server, kind.name, reply, kind.expected, begun.elapsed());
}

fn grown(memories: &Memories) -> Vec<String> {
    let grown = memories.iter().filter(|(_, memory)| !memory.is_flat());
    grown
        .map(|(name, memory)| {
            let (second, last) = memory.quarters();
            format!("`sra {name}`: memory grew from {} to {}", mebibytes(second), mebibytes(last))
        })
        .collect()
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn tell(counts: &Counts, memories: &Memories, seconds: f64) {
    print!("{}", counts.table());
    let all = counts.all();
    println!("{all} requests in {:.1} minutes, {:.1} a second", seconds / 60.0, all as f64 / seconds);
    let statuses: Vec<String> =
        counts.by_status().into_iter().map(|(status, count)| format!("{status}: {count}")).collect();
    println!("replies  {}", statuses.join("  "));
    for (name, memory) in memories {
        let (second, last) = memory.quarters();
        let sizes = || memory.samples().iter().map(|sample| sample.resident);
        let files = memory.samples().iter().map(|sample| sample.files).max().unwrap_or(0);
        println!(
            "memory of `sra {name}`: {} at the start, {} at most, median {} in the second quarter and {} in the last: {}; at most {files} open files",
            mebibytes(sizes().next().unwrap_or(0)),
            mebibytes(sizes().max().unwrap_or(0)),
            mebibytes(second),
            mebibytes(last),
            if memory.is_flat() { "flat" } else { "NOT FLAT" },
        );
    }
}

fn report(options: &Options, counts: &Counts, memories: &Memories, seconds: f64, problems: &[String]) -> String {
    let of_memory = |(name, memory): &(&str, Memory)| {
        let (second, last) = memory.quarters();
        let samples = memory.samples().iter();
        let samples: Vec<_> = samples.map(|sample| json!([sample.at, sample.resident, sample.files])).collect();
        json!({
            "server": name, "median_of_second_quarter": second, "median_of_last_quarter": last, "is_flat": memory.is_flat(),
            "samples_seconds_bytes_files": samples,
        })
    };
    let report = json!({
        "connections": options.connections, "requests_per_second_at_most": options.requests_per_second, "seed": options.seed,
        "threads": options.threads, "seconds": seconds, "requests": counts.all(), "replies": counts.by_status(), "kinds": counts.json(),
        "memory": memories.iter().map(of_memory).collect::<Vec<_>>(), "problems": problems,
    });
    format!("{report:#}\n")
}
