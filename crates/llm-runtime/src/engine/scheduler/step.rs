//! Which rows run in the next step, and what the model makes of them.
//!
//! Every step takes one row of each sequence that generates, then fills up with prompt tokens in the order of the requests.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{Device, Tensor};

use super::{Scheduler, Told};
use crate::Error;
use crate::cache::{BLOCK_SIZE, slot};
use crate::engine::job::{Decoder, Job};
use crate::engine::probe::StepWatch;
use crate::kernels::{Segment, Watch};
use crate::text_model::RequestError;

impl Scheduler<'_, '_> {
    /// Computes the next rows and uses their logits.
    pub(super) fn step(&mut self, tell: &mut dyn FnMut(Told) -> ControlFlow<()>) -> Result<ControlFlow<()>, Error> {
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
