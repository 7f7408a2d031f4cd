//! A process that is asked for work in lines of JSON: our own or a peer's, all alike.
//!
//! Each is a process of its own, so that its peak of memory is its own, and they are asked in turn, so that a change of the machine's speed hits all.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// A running process; it ends with its standard input.
pub struct Side {
    name: String,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    process: Child,
}

/// An answer, and what the machine did meanwhile.
#[derive(Debug)]
pub struct Asked<A> {
    /// What the process said.
    pub answer: A,
    /// Processor time of all its threads.
    pub cpu_seconds: f64,
    /// Processor time of everything else on the machine; 0 where the system does not tell.
    pub other_cpu_seconds: f64,
    /// Energy of the processors, where the machine tells.
    pub joules: Option<f64>,
}

/// What a process says when it is ready.
#[derive(Deserialize)]
struct Ready {
    name: String,
}

impl Side {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It does not start, or ends before it is ready.
    pub fn start(mut command: Command, threads: usize) -> Outcome<Self> {
        command.env("OMP_NUM_THREADS", threads.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("a side without standard input and output".into());
        };
        let answers = BufReader::new(answers);
        let mut side = Self { name: format!("{command:?}"), requests: Some(requests), answers, process };
        side.name = side.read::<Ready>()?.name;
        Ok(side)
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a request that has no answer.
    ///
    /// # Errors
    /// It has ended.
    pub fn send(&mut self, request: &impl Serialize) -> Outcome<()> {
        let requests = self.requests.as_mut().ok_or("a side that has ended")?;
        writeln!(requests, "{}", serde_json::to_string(request)?)?;
        Ok(requests.flush()?)
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// It has ended, or says something else.
    pub fn ask<A: DeserializeOwned>(&mut self, request: &impl Serialize) -> Outcome<Asked<A>> {
        let (own, all, joules) = (self.cpu_seconds(), busy_seconds(), joules());
        self.send(request)?;
        let answer = self.read()?;
        let cpu_seconds = self.cpu_seconds() - own;
        let other_cpu_seconds = (busy_seconds() - all - cpu_seconds).max(0.0);
        // The counter begins anew now and then.
        let joules = joules.and_then(|before| Some(self::joules()? - before)).filter(|joules| *joules >= 0.0);
        Ok(Asked { answer, cpu_seconds, other_cpu_seconds, joules })
    }

    /// Of all its threads so far; 0 where the system does not tell.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        // Behind the name, which is in parentheses, user and system time are the 12th and 13th field, in hundredths of seconds.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    fn read<A: DeserializeOwned>(&mut self) -> Outcome<A> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("{} ended without an answer", self.name).into());
        }
        Ok(serde_json::from_str(&line).map_err(|error| format!("{} said `{}`: {error}", self.name, line.trim()))?)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.process.wait();
    }
}

/// In a process that is asked: the next request; `None` when the standard input has ended.
///
/// # Errors
/// The line can't be read, or is no such request.
pub fn next_request<R: DeserializeOwned>() -> Outcome<Option<R>> {
    match std::io::stdin().lock().lines().next() {
        Some(line) => Ok(Some(serde_json::from_str(&line?)?)),
        None => Ok(None),
    }
}

/// All processors' time at work so far, in seconds; 0 where the system does not tell.
fn busy_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // user, nice, system; then idle and waiting, which are not work; then interrupts.
    let fields: Vec<f64> = fields.filter_map(|ticks| ticks.parse().ok()).collect();
    fields.iter().enumerate().filter(|(at, _)| !matches!(at, 3 | 4) && *at < 7).map(|(_, ticks)| ticks).sum::<f64>()
        / 100.0
}

/// Energy of the first processor package so far.
fn joules() -> Option<f64> {
    let text = std::fs::read_to_string("/sys/class/powercap/intel-rapl:0/energy_uj").ok()?;
    text.trim().parse::<f64>().ok().map(|microjoules| microjoules / 1e6)
}
