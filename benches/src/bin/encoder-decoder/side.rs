//! A process that is asked for work, and what is said to it: lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::Outcome;

/// What is asked of a side.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Request {
    /// Outputs of exactly `new` tokens, by beam search.
    Decode {
        /// What the encoder reads.
        inputs: Vec<Vec<u32>>,
        /// Beam width.
        beams: usize,
        /// New tokens.
        new: usize,
    },
    /// All candidates, by diverse beam search with one beam in a group.
    Candidates {
        /// What the encoder reads, of several lengths.
        inputs: Vec<Vec<u32>>,
        /// What each decoder has said before.
        prompts: Vec<Vec<u32>>,
        /// Beams, groups, and hypotheses that are given.
        candidates: usize,
        /// Taken off for each earlier group that chose an id.
        penalty: f32,
        /// New tokens at most; the last possible one ends the output.
        new: usize,
        /// Tokens before the end at least, those of the prompt included.
        least: usize,
        /// What is never said.
        banned: Vec<u32>,
    },
    /// The batch of all training steps; nothing is answered.
    Lesson {
        /// What the encoder reads.
        inputs: Vec<Vec<u32>>,
        /// What the decoder shall say.
        labels: Vec<Vec<u32>>,
    },
    /// A training step.
    Step {},
}

/// What a side answers; a first answer without figures says that it is ready.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// Who it is.
    pub(crate) name: String,
    /// That the work took.
    pub(crate) seconds: f64,
    /// Of all processors, during the work.
    pub(crate) cpu_seconds: f64,
    /// The best outputs' new tokens, or those of all candidates.
    pub(crate) ids: Vec<Vec<u32>>,
    /// Before the step.
    pub(crate) loss: Option<f64>,
    /// Before clipping.
    pub(crate) gradient_norm: Option<f64>,
    /// Of its resident memory so far.
    pub(crate) peak_bytes: u64,
}

/// A running process; it ends with its standard input.
pub(crate) struct Side {
    name: String,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    process: Child,
}

impl Side {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(mut command: Command, threads: usize) -> Outcome<Self> {
        command.env("OMP_NUM_THREADS", threads.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("a side without standard input and output".into());
        };
        let answers = BufReader::new(answers);
        let mut side = Self { name: format!("{command:?}"), requests: Some(requests), answers, process };
        side.name = side.read()?.name;
        Ok(side)
    }

    /// What it calls itself.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a request that has no answer.
    pub(crate) fn send(&mut self, request: &Request) -> Outcome<()> {
        let requests = self.requests.as_mut().ok_or("a side that has ended")?;
        writeln!(requests, "{}", serde_json::to_string(request)?)?;
        Ok(requests.flush()?)
    }

    /// Sends a request, waits for its answer, and counts the processor time that lies between.
    pub(crate) fn ask(&mut self, request: &Request) -> Outcome<Answer> {
        let before = self.cpu_seconds();
        self.send(request)?;
        let answer = self.read()?;
        Ok(Answer { cpu_seconds: self.cpu_seconds() - before, ..answer })
    }

    /// Of all its threads so far; 0 where the system does not tell.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        // Behind the name, which is in parentheses, user and system time are the 12th and 13th field, in hundredths of seconds.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    fn read(&mut self) -> Outcome<Answer> {
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
