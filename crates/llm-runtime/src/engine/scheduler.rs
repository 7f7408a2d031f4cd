//! Which rows run in the next step.
//!
//! Every step takes one row of each sequence that generates, then fills up with prompt tokens in the order of the
//! requests. A request whose prompt begins like one that is just being computed waits for it, so that a shared prefix is
//! computed once. When cache blocks run out, the youngest request gives its blocks back and starts again later; since
//! results do not depend on the batch, it continues with the same tokens.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{Device, Tensor};

use super::job::{Advance, Decoder, Job, Outcome};
use super::probe::StepWatch;
use super::sequence::Sequence;
use super::source::{Pressure, RequestSource, Supply};
use crate::cache::{BLOCK_SIZE, KvCache, PrefixTree, common_prefix, slot};
use crate::kernels::{Segment, Watch};
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

    fn step(&mut self, tell: &mut dyn FnMut(Told) -> ControlFlow<()>) -> Result<ControlFlow<()>, Error> {
        let start = Instant::now();
        let (plan, failed) = self.plan();
        if let Some((key, error)) = failed {
            return Ok(self.fail(key, error, tell));
        }
        let generating = plan.chunks.iter().any(|chunk| self.generates(chunk));
        self.compute(&plan)?;
        let flow = self.use_logits(tell)?;
        let seconds = start.elapsed().as_secs_f64();
        match generating {
            true => self.statistics.decode_seconds += seconds,
            false => self.statistics.prefill_seconds += seconds,
        }
        Ok(flow)
    }

    fn generates(&self, chunk: &Chunk) -> bool {
        let job = &self.active[chunk.job];
        job.sequences[chunk.sequence].tokens.len() > job.prompt.tokens.len() && !job.is_score()
    }

    /// Chooses the rows of the next step and makes room for them.
    fn plan(&mut self) -> (Plan, Option<(u64, RequestError)>) {
        let mut plan = Plan::default();
        for pass in [Pass::Generate, Pass::Prompt] {
            let mut number = 0;
            while number < self.active.len() {
                if let Err(failed) = self.plan_job(pass, number, &mut plan) {
                    return (plan, Some(failed));
                }
                number += 1;
            }
        }
        (plan, None)
    }

    fn plan_job(&mut self, pass: Pass, number: usize, plan: &mut Plan) -> Result<(), (u64, RequestError)> {
        for sequence in 0..self.active[number].sequences.len() {
            let pending = self.active[number].sequences[sequence].pending();
            let count = match pass {
                Pass::Generate if pending == 1 => 1,
                Pass::Prompt if pending > 1 => pending.min(self.limits.rows.saturating_sub(plan.rows)),
                _ => 0,
            };
            if count == 0 || (pass == Pass::Generate && plan.rows >= self.limits.rows) {
                continue;
            }
            while !self.active[number].sequences[sequence].reserve(self.tree, count) {
                if !self.make_room(number, plan)? {
                    return Ok(());
                }
            }
            plan.rows += count;
            plan.chunks.push(Chunk { job: number, sequence, count });
        }
        Ok(())
    }

    /// Sends the youngest request back to the queue. False if that is the one that asks.
    fn make_room(&mut self, asking: usize, plan: &mut Plan) -> Result<bool, (u64, RequestError)> {
        let youngest = self.active.len() - 1;
        if youngest == 0 {
            let mut job = self.active.remove(0);
            job.sequences.iter_mut().for_each(|sequence| sequence.detach(self.tree));
            plan.drop_job(0);
            let needed = job.sequences.len() * job.longest.div_ceil(BLOCK_SIZE);
            let error = RequestError::CacheTooSmall { needed, block: BLOCK_SIZE, available: self.limits.blocks };
            return Err((job.key, error));
        }
        let mut job = self.active.remove(youngest);
        tracing::debug!("request {} gives its cache blocks back", job.key);
        job.sequences.iter_mut().for_each(|sequence| sequence.detach(self.tree));
        plan.drop_job(youngest);
        self.waiting.push_front(job);
        Ok(youngest != asking)
    }

    /// Runs the planned rows and hands out their logits.
    fn compute(&mut self, plan: &Plan) -> Result<(), Error> {
        if plan.chunks.is_empty() {
            return Ok(());
        }
        let mut rows = Rows::default();
        for chunk in &plan.chunks {
            let job = &self.active[chunk.job];
            let sequence = &job.sequences[chunk.sequence];
            rows.add(&sequence.tokens, sequence.computed(), chunk.count, sequence.blocks(self.tree));
        }
        let mut watch = self.watch(plan, &rows);
        let watching: Option<&mut dyn Watch> = if watch.is_empty() { None } else { Some(&mut watch) };
        let mut attention = self.cache.step(&rows.slots, &rows.segments, watching);
        let model = self.model;
        let hidden = among_threads(model.device(), rows.ids.len(), || {
            model.hidden_states(&rows.ids, &rows.positions, &mut attention)
        })?;
        self.keep_attention(plan, &rows, &mut watch);
        for chunk in &plan.chunks {
            let job = &mut self.active[chunk.job];
            let sequence = &mut job.sequences[chunk.sequence];
            if sequence.computed() < job.prompt.tokens.len() {
                self.statistics.prompt_tokens_computed += chunk.count as u64;
            }
            sequence.commit(self.tree, chunk.count);
        }
        self.take_logits(plan, &rows, &hidden)
    }

    /// The rows of a step that are to be watched or edited.
    fn watch(&self, plan: &Plan, rows: &Rows) -> StepWatch {
        let mut watch = StepWatch::default();
        let heads = self.model.config().heads;
        for (chunk, segment) in plan.chunks.iter().zip(&rows.segments) {
            let job = &self.active[chunk.job];
            for row in segment.rows.clone() {
                let position = segment.first_position + row - segment.rows.start;
                watch.add(row, position, &job.wishes, job.keeps_attention(position), heads);
            }
        }
        watch
    }

    fn keep_attention(&mut self, plan: &Plan, rows: &Rows, watch: &mut StepWatch) {
        for (chunk, segment) in plan.chunks.iter().zip(&rows.segments) {
            let Job { wishes, attention, .. } = &mut self.active[chunk.job];
            let (Some(probe), Some(capture)) = (&wishes.probe, attention) else { continue };
            for row in segment.rows.clone().filter_map(|row| watch.take(row)) {
                probe.add(capture, row);
            }
        }
    }

    fn take_logits(&mut self, plan: &Plan, rows: &Rows, hidden: &Tensor) -> Result<(), Error> {
        let wanted: Vec<(usize, u32)> = plan
            .chunks
            .iter()
            .zip(&rows.segments)
            .enumerate()
            .flat_map(|(number, (chunk, segment))| {
                let job = &self.active[chunk.job];
                let first = self.first_row(job, chunk, segment);
                (first..segment.rows.end).map(move |row| (number, row as u32))
            })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let selected = Tensor::new(wanted.iter().map(|(_, row)| *row).collect::<Vec<_>>(), hidden.device())?;
        let (model, hidden) = (self.model, hidden.index_select(&selected, 0)?);
        let logits = among_threads(model.device(), wanted.len(), || model.logits(&hidden))?.to_vec2::<f32>()?;
        for ((number, row), logits) in wanted.into_iter().zip(logits) {
            let chunk = &plan.chunks[number];
            let segment = &rows.segments[number];
            let position = segment.first_position + row as usize - segment.rows.start;
            let Job { decoder, sequences, .. } = &mut self.active[chunk.job];
            let sequence = &mut sequences[chunk.sequence];
            match decoder {
                // A value that is not finite is told when the job advances.
                Decoder::Score(score) => {
                    if score.take(position, &logits, sequence).is_err() {
                        sequence.logits = Some(logits);
                    }
                }
                _ => sequence.logits = Some(logits),
            }
        }
        Ok(())
    }

    /// The first row of a chunk whose logits are needed.
    fn first_row(&self, job: &Job<'_>, chunk: &Chunk, segment: &Segment) -> usize {
        let sequence = &job.sequences[chunk.sequence];
        if job.is_score() {
            let skipped = job.first_needed(sequence).saturating_sub(segment.first_position);
            return (segment.rows.start + skipped).min(segment.rows.end);
        }
        if sequence.pending() == 0 { segment.rows.end - 1 } else { segment.rows.end }
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Generate,
    Prompt,
}

/// The next `count` tokens of a job's sequence.
#[derive(Debug)]
struct Chunk {
    job: usize,
    sequence: usize,
    count: usize,
}

#[derive(Debug, Default)]
struct Plan {
    chunks: Vec<Chunk>,
    rows: usize,
}

/// Rows of a step that is mostly waiting for its threads.
const FEW_ROWS: usize = 64;

/// Does the work of so many rows, if they are few, in one of the threads that compute: from another thread each of a step's operators, hundreds, would be handed over and
/// waited for. (A tenth of the time of a token of 1.1 billion weights and two threads. With hundreds of rows it took longer instead.)
fn among_threads<T: Send>(device: &Device, rows: usize, work: impl FnOnce() -> T + Send) -> T {
    if device.is_cpu() && rows <= FEW_ROWS { rayon::scope(|_| work()) } else { work() }
}

impl Plan {
    /// Forgets the chunks of a job that left; it was the last one.
    fn drop_job(&mut self, job: usize) {
        self.chunks.retain(|chunk| chunk.job != job);
        self.rows = self.chunks.iter().map(|chunk| chunk.count).sum();
    }
}

/// The rows of a step as the model takes them.
#[derive(Debug, Default)]
struct Rows {
    ids: Vec<u32>,
    positions: Vec<usize>,
    slots: Vec<u32>,
    segments: Vec<Segment>,
}

impl Rows {
    fn add(&mut self, tokens: &[u32], first: usize, count: usize, blocks: Vec<u32>) {
        let start = self.ids.len();
        self.ids.extend_from_slice(&tokens[first..first + count]);
        self.positions.extend(first..first + count);
        self.slots.extend((first..first + count).map(|position| slot(&blocks, position)));
        self.segments.push(Segment { rows: start..start + count, first_position: first, blocks });
    }
}
