//! Which requests run together.
//!
//! Steps ([`step`]) follow each other as long as there are requests. A request whose prompt begins like one that is just being computed waits for it, so that a shared prefix is
//! computed once. When cache blocks run out, the youngest request gives its blocks back and starts again later; since
//! results do not depend on the batch, it continues with the same tokens.

mod step;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Instant;

use super::job::{Advance, Job, Outcome};
use super::sequence::Sequence;
use super::source::{Pressure, RequestSource, Supply};
use crate::cache::{BLOCK_SIZE, KvCache, PrefixTree, common_prefix};
use crate::memory::peak_memory;
use crate::text_model::{RequestError, RunStatistics};
use crate::{Error, Llama};

/// Limits of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Sequences that run at a time.
    pub(super) batch: usize,
    /// Rows of one step.
    pub(super) rows: usize,
    /// Cache blocks in all.
    pub(super) blocks: usize,
}

/// What a run tells.
pub(crate) enum Told {
    Text { key: u64, delta: String },
    Finished { key: u64, outcome: Outcome },
    Failed { key: u64, error: RequestError },
}

/// A request as it comes in: ready to run, or refused.
pub(super) type Incoming<'a> = Result<Job<'a>, (u64, RequestError)>;

pub(super) struct Scheduler<'m, 'a> {
    model: &'m Llama,
    cache: &'m KvCache,
    tree: &'m mut PrefixTree,
    limits: Limits,
    waiting: VecDeque<Job<'a>>,
    /// Oldest first.
    active: Vec<Job<'a>>,
    /// Whether more requests may come.
    is_open: bool,
    statistics: RunStatistics,
    /// When the first request began, until its first token.
    awaiting_first_token: Option<Instant>,
}

/// How many requests are looked at to find one that may start.
const WINDOW: usize = 64;

/// A request waits for a prefix that is being computed if that saves at least this many tokens.
const WORTH_WAITING: usize = BLOCK_SIZE;

impl<'m, 'a> Scheduler<'m, 'a> {
    pub(super) fn new(model: &'m Llama, cache: &'m KvCache, tree: &'m mut PrefixTree, limits: Limits) -> Self {
        Self {
            model,
            cache,
            tree,
            limits,
            waiting: VecDeque::new(),
            active: Vec::new(),
            is_open: true,
            statistics: RunStatistics::default(),
            awaiting_first_token: None,
        }
    }

    /// Runs jobs until no more can come or `tell` breaks.
    pub(super) fn run(
        mut self,
        incoming: &mut dyn RequestSource<Incoming<'a>>,
        tell: &mut dyn FnMut(Told) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        let start = Instant::now();
        let result = self.run_steps(incoming, tell);
        for job in self.active.iter_mut().chain(&mut self.waiting) {
            job.sequences.iter_mut().for_each(|sequence| sequence.detach(self.tree));
        }
        result?;
        self.statistics.seconds = start.elapsed().as_secs_f64();
        self.statistics.peak_memory = peak_memory();
        Ok(self.statistics)
    }

    fn run_steps(
        &mut self,
        incoming: &mut dyn RequestSource<Incoming<'a>>,
        tell: &mut dyn FnMut(Told) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        loop {
            let going_on = self.take_in(incoming, tell);
            if going_on.is_break() || self.end_cancelled(tell).is_break() {
                return Ok(());
            }
            self.admit()?;
            if self.active.is_empty() {
                if self.waiting.is_empty() && !self.is_open {
                    return Ok(());
                }
                continue;
            }
            if self.step(tell)?.is_break() {
                return Ok(());
            }
        }
    }

    fn take_in(
        &mut self,
        incoming: &mut dyn RequestSource<Incoming<'a>>,
        tell: &mut dyn FnMut(Told) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while self.is_open && self.waiting.len() < WINDOW {
            let is_idle = self.active.is_empty() && self.waiting.is_empty();
            match incoming.next_request(if is_idle { Pressure::Idle } else { Pressure::Busy }) {
                Supply::Ready(Ok(job)) => self.waiting.push_back(job),
                Supply::Ready(Err((key, error))) => self.fail(key, error, tell)?,
                Supply::Pending => break,
                Supply::Closed => self.is_open = false,
            }
        }
        ControlFlow::Continue(())
    }

    fn fail(
        &mut self,
        key: u64,
        error: RequestError,
        tell: &mut dyn FnMut(Told) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.statistics.failed += 1;
        tell(Told::Failed { key, error })
    }

    fn end_cancelled(&mut self, tell: &mut dyn FnMut(Told) -> ControlFlow<()>) -> ControlFlow<()> {
        let is_cancelled = |job: &Job<'_>| job.cancel.as_ref().is_some_and(|cancel| cancel.is_cancelled());
        while let Some(at) = self.active.iter().position(is_cancelled) {
            let job = self.active.remove(at);
            self.cancel(job, tell)?;
        }
        while let Some(at) = self.waiting.iter().position(is_cancelled) {
            if let Some(job) = self.waiting.remove(at) {
                self.cancel(job, tell)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn cancel(&mut self, mut job: Job<'a>, tell: &mut dyn FnMut(Told) -> ControlFlow<()>) -> ControlFlow<()> {
        let completion = job.cancelled();
        job.sequences.iter_mut().for_each(|sequence| sequence.detach(self.tree));
        self.statistics.requests += 1;
        match completion {
            Some(completion) => tell(Told::Finished { key: job.key, outcome: Outcome::Completion(completion) }),
            None => ControlFlow::Continue(()),
        }
    }

    /// Starts waiting requests while there is room.
    fn admit(&mut self) -> Result<(), Error> {
        let mut at = 0;
        while at < self.waiting.len() {
            let running: usize = self.active.iter().map(|job| job.sequences.len().max(job.width())).sum();
            let job = &self.waiting[at];
            if !self.active.is_empty() && running + job.width() > self.limits.batch {
                break;
            }
            let tokens = &job.sequences[0].tokens;
            let cached = self.tree.find(tokens).tokens();
            if self.is_being_computed(tokens, cached) {
                at += 1;
                continue;
            }
            let needed = tokens.len().div_ceil(BLOCK_SIZE) - cached / BLOCK_SIZE + job.width();
            if !self.active.is_empty() && needed + self.active.len() > self.tree.available() {
                break;
            }
            if let Some(job) = self.waiting.remove(at) {
                self.start(job)?;
            }
        }
        Ok(())
    }

    /// Whether a request that runs is about to compute more of these tokens' beginning than the cache has.
    fn is_being_computed(&self, tokens: &[u32], cached: usize) -> bool {
        self.active.iter().flat_map(|job| &job.sequences).filter(|sequence| sequence.pending() > 1).any(|sequence| {
            sequence.offered(common_prefix(&sequence.tokens, tokens)) >= cached.max(sequence.computed()) + WORTH_WAITING
        })
    }

    fn start(&mut self, mut job: Job<'a>) -> Result<(), Error> {
        let first_time = job.started.is_none();
        let mut reused = 0;
        let mut sequences = std::mem::take(&mut job.sequences);
        for sequence in &mut sequences {
            let limit = job.first_needed(sequence);
            reused = sequence.attach(self.tree, self.cache, limit)?;
        }
        job.sequences = sequences;
        if first_time {
            let now = Instant::now();
            job.started = Some(now);
            job.prompt.reused = reused;
            self.statistics.prompt_tokens += job.prompt.tokens.len() as u64;
            self.statistics.prompt_tokens_reused += reused as u64;
            if self.statistics.time_to_first_token == 0.0 {
                self.awaiting_first_token.get_or_insert(now);
            }
        }
        self.active.push(job);
        Ok(())
    }

    /// Lets every job with logits take its next step.
    fn use_logits(&mut self, tell: &mut dyn FnMut(Told) -> ControlFlow<()>) -> Result<ControlFlow<()>, Error> {
        let mut number = 0;
        while number < self.active.len() {
            let job = &mut self.active[number];
            let damaged = job.is_score() && job.sequences[0].logits.is_some();
            if !damaged && !job.is_ready() {
                number += 1;
                continue;
            }
            let key = job.key;
            let advanced = match damaged {
                true => Err(RequestError::NotFinite { position: job.sequences[0].computed() - 1 }),
                false => job.advance(),
            };
            let flow = match advanced {
                Ok(Advance::Continue { extend, delta }) => {
                    self.extend(number, &extend)?;
                    number += 1;
                    self.note_token();
                    if delta.is_empty() { ControlFlow::Continue(()) } else { tell(Told::Text { key, delta }) }
                }
                Ok(Advance::Finished(outcome)) => {
                    self.leave(number);
                    self.note_finished(&outcome);
                    tell(Told::Finished { key, outcome })
                }
                Err(error) => {
                    self.leave(number);
                    self.fail(key, error, tell)
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn leave(&mut self, number: usize) {
        let mut job = self.active.remove(number);
        job.sequences.iter_mut().for_each(|sequence| sequence.detach(self.tree));
    }

    /// Extends a job's sequences; one that is extended several times is forked.
    fn extend(&mut self, number: usize, extend: &[(usize, u32)]) -> Result<(), Error> {
        let job = &mut self.active[number];
        let mut parents: Vec<Option<Sequence>> = std::mem::take(&mut job.sequences).into_iter().map(Some).collect();
        for (at, (parent, token)) in extend.iter().enumerate() {
            let used_again = extend[at + 1..].iter().any(|(later, _)| later == parent);
            let child = match (used_again, &parents[*parent]) {
                (true, Some(sequence)) => Some(sequence.fork(self.tree, self.cache)?),
                _ => parents[*parent].take(),
            };
            if let Some(mut child) = child {
                child.tokens.push(*token);
                job.sequences.push(child);
            }
        }
        parents.into_iter().flatten().for_each(|mut dropped| dropped.detach(self.tree));
        Ok(())
    }

    fn note_token(&mut self) {
        if let Some(start) = self.awaiting_first_token.take() {
            self.statistics.time_to_first_token = start.elapsed().as_secs_f64();
        }
    }

    fn note_finished(&mut self, outcome: &Outcome) {
        self.statistics.requests += 1;
        if let Outcome::Completion(completion) = outcome {
            self.note_token();
            self.statistics.generated_tokens += completion.tokens.len() as u64;
        }
    }
}
