//! Running a sweep: requests stream to the model, finished records stream to the journal.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::ControlFlow;

use llm_runtime::{
    AttentionCapture, Completion, Event, FinishReason, ModelIdentity, Request, RequestError, RunStatistics, TextModel,
};
use serde::Serialize;

use crate::attention::{CapturedRecord, KeepAttention};
use crate::error::Error;
use crate::journal::{FailureRecord, Journal};
use crate::layout::SystemRole;
use crate::record::ContinuationRecord;
use crate::sweep::{SweepItem, SweepPlan};

/// What to do when a request can't be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Note it and go on with the others.
    #[default]
    Skip,
    /// Note it and end the run with the error.
    Stop,
}

/// What an observer is told.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The run begins.
    Started {
        /// Records of the whole plan.
        total: usize,
        /// Records that an earlier run finished.
        already_finished: usize,
    },
    /// New text of a request that goes on.
    Text {
        /// The item's number in the plan.
        key: u64,
        /// What was added.
        delta: &'a str,
    },
    /// A record is finished and in the journal.
    Finished {
        /// The record.
        record: &'a ContinuationRecord,
        /// Prompt tokens that came from the prefix cache.
        reused: usize,
        /// Records finished so far, earlier runs included.
        done: usize,
        /// Records of the whole plan.
        total: usize,
    },
    /// A request could not be served; it is in `failures.jsonl`.
    Failed {
        /// What failed and why.
        failure: &'a FailureRecord,
    },
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct RunSummary {
    /// Records of the whole plan.
    pub planned: usize,
    /// Records that an earlier run finished.
    pub already_finished: usize,
    /// Records that this run finished.
    pub finished: usize,
    /// Requests that could not be served.
    pub failed: usize,
    /// Whether the observer ended the run early.
    pub stopped: bool,
    /// What this run cost.
    pub statistics: RunStatistics,
}

/// Generates all records of a plan that the journal does not hold yet.
///
/// Each finished record is in the journal before the observer hears of it. If the observer breaks, the run ends early and
/// the summary says so; requests that were cancelled leave no record. The system text goes where the model's chat template
/// wants it ([`SystemRole::for_template`]). Attention that the settings ask for goes to `keep_attention`.
///
/// # Errors
/// A record or its attention can't be kept, the settings ask for attention and nobody keeps it, the model ends the whole run or breaks its contract, or a request fails and `on_failure`
/// is [`OnFailure::Stop`]. What was finished before is in the journal in every case.
pub fn run_sweep(
    plan: &SweepPlan,
    model: &mut dyn TextModel,
    journal: &mut Journal,
    on_failure: OnFailure,
    keep_attention: Option<&mut KeepAttention<'_>>,
    observer: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<RunSummary, Error> {
    if plan.settings().attention.is_some() && keep_attention.is_none() {
        return Err(Error::Contract("the run captures attention, but nobody keeps it".into()));
    }
    let pending = pending_keys(plan, journal)?;
    let mut run = Run {
        plan,
        journal,
        observer,
        on_failure,
        keep_attention,
        model: model.identity(),
        system_role: SystemRole::for_template(model.template()),
        outstanding: HashSet::new(),
        summary: RunSummary {
            planned: plan.len(),
            already_finished: plan.len() - pending.len(),
            ..RunSummary::default()
        },
        error: None,
    };
    if run.begin().is_break() || pending.is_empty() {
        return Ok(run.summary);
    }
    run.outstanding.extend(&pending);
    // The model pulls requests and pushes events in turn; both sides need the run.
    let shared = RefCell::new(run);
    let mut requests = pending.iter().map_while(|key| shared.borrow_mut().request(*key));
    let outcome = model.generate(&mut requests, &mut |event| shared.borrow_mut().handle(event));
    shared.into_inner().close(outcome)
}

fn pending_keys(plan: &SweepPlan, journal: &Journal) -> Result<Vec<u64>, Error> {
    let mut pending = Vec::new();
    for item in plan.items() {
        if !journal.contains(&item.id()?) {
            pending.push(item.key);
        }
    }
    Ok(pending)
}

struct Run<'a, 'k> {
    plan: &'a SweepPlan,
    journal: &'a mut Journal,
    observer: &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    on_failure: OnFailure,
    keep_attention: Option<&'a mut KeepAttention<'k>>,
    model: ModelIdentity,
    system_role: SystemRole,
    outstanding: HashSet<u64>,
    summary: RunSummary,
    error: Option<Error>,
}

impl<'a> Run<'a, '_> {
    fn begin(&mut self) -> ControlFlow<()> {
        let RunSummary { planned: total, already_finished, .. } = self.summary;
        self.tell(Progress::Started { total, already_finished })
    }

    /// The request of an item; `None` ends the run's requests, with the reason noted.
    fn request(&mut self, key: u64) -> Option<Request> {
        if self.error.is_some() || self.summary.stopped {
            return None;
        }
        match self.item(key).and_then(|item| item.request(self.system_role)) {
            Ok(request) => Some(request),
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    fn handle(&mut self, event: Event) -> ControlFlow<()> {
        if self.error.is_some() || self.summary.stopped {
            return ControlFlow::Break(());
        }
        let outcome = match event {
            Event::Text { key, delta } => Ok(self.tell(Progress::Text { key, delta: &delta })),
            Event::Finished(completion) => self.keep(completion),
            Event::Failed { key, error } => self.note_failure(key, error),
        };
        outcome.unwrap_or_else(|error| {
            self.error = Some(error);
            ControlFlow::Break(())
        })
    }

    fn keep(&mut self, mut completion: Completion) -> Result<ControlFlow<()>, Error> {
        let item = self.answered(completion.key)?;
        if completion.finish_reason == FinishReason::Cancelled {
            // Half a text is no result: it is made again when the run is resumed.
            return Ok(ControlFlow::Continue(()));
        }
        let reused = completion.prompt.reused;
        let (prompt_tokens, attention) = (completion.prompt.tokens.clone(), completion.attention.take());
        let record = ContinuationRecord::new(&item, &self.model, self.system_role, completion)?;
        self.keep_attention(&record, &prompt_tokens, attention.as_deref())?;
        self.journal.append(&record)?;
        self.summary.finished += 1;
        let done = self.summary.already_finished + self.summary.finished;
        Ok(self.tell(Progress::Finished { record: &record, reused, done, total: self.summary.planned }))
    }

    fn keep_attention(
        &mut self,
        record: &ContinuationRecord,
        prompt_tokens: &[u32],
        capture: Option<&AttentionCapture>,
    ) -> Result<(), Error> {
        match (&mut self.keep_attention, capture) {
            (Some(keep), Some(capture)) => keep(CapturedRecord { record, prompt_tokens, capture }),
            (_, None) if self.plan.settings().attention.is_some() => {
                Err(Error::Contract("attention was asked for and not given: only local models can capture it".into()))
            }
            _ => Ok(()),
        }
    }

    fn note_failure(&mut self, key: u64, error: RequestError) -> Result<ControlFlow<()>, Error> {
        let item = self.answered(key)?;
        let failure = FailureRecord {
            id: item.id()?,
            example: item.example.id.clone(),
            strategy: item.strategy_name().to_owned(),
            layout: item.layout.name().to_owned(),
            error: error.to_string(),
        };
        self.journal.append_failure(&failure)?;
        self.summary.failed += 1;
        if self.on_failure == OnFailure::Stop {
            let FailureRecord { example, strategy, .. } = failure;
            return Err(Error::Request { example, strategy, layout: item.layout.name(), error });
        }
        Ok(self.tell(Progress::Failed { failure: &failure }))
    }

    fn tell(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        let answer = (self.observer)(progress);
        self.summary.stopped |= answer.is_break();
        answer
    }

    fn answered(&mut self, key: u64) -> Result<SweepItem<'a>, Error> {
        if !self.outstanding.remove(&key) {
            return Err(Error::Contract(format!("request {key} was answered twice or never asked")));
        }
        self.item(key)
    }

    fn item(&self, key: u64) -> Result<SweepItem<'a>, Error> {
        self.plan.item(key).ok_or_else(|| Error::Contract(format!("there is no request {key}")))
    }

    fn close(mut self, outcome: Result<RunStatistics, llm_runtime::Error>) -> Result<RunSummary, Error> {
        let synced = self.journal.sync();
        if let Some(error) = self.error {
            return Err(error);
        }
        self.summary.statistics = outcome?;
        synced?;
        if !self.outstanding.is_empty() && !self.summary.stopped {
            return Err(Error::Contract(format!("{} requests were left without an answer", self.outstanding.len())));
        }
        Ok(self.summary)
    }
}
