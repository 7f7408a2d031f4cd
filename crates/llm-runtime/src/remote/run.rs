//! Many requests at a time: a thread for each that is under way, and one place where their news come together.
//!
//! Blocking threads are enough: a request spends its time waiting, and there are as many as the concurrency limit allows. A thread
//! whose request is over (cancelled, or the sink broke) ends by itself; nobody waits for it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::http::TroubleKind;
use super::retry::Outcome;
use super::wire;
use super::{Question, Remote};
use crate::Error;
use crate::text_model::{
    CancelToken, Completion, Event, FinishReason, PromptReport, Request, RequestError, RunStatistics,
};

/// How often cancellations are looked at, and the sink is asked whether the run goes on.
const SIGN_OF_LIFE: Duration = Duration::from_millis(50);

/// One call of [`crate::RemoteModel::generate`].
pub(super) struct Run<'s> {
    remote: Arc<Remote>,
    sink: &'s mut dyn FnMut(Event) -> ControlFlow<()>,
    /// By the order of beginning.
    under_way: BTreeMap<u64, UnderWay>,
    begun: u64,
    news: Receiver<News>,
    sender: Sender<News>,
    statistics: RunStatistics,
    start: Instant,
    attempts_before: u64,
    has_succeeded: bool,
    lacks_usage: bool,
}

/// A request that is waited for.
struct UnderWay {
    key: u64,
    cancel: Option<CancelToken>,
    over: Arc<AtomicBool>,
    /// The text that the sink was told.
    told: String,
}

/// What a thread has to say.
enum News {
    Text { number: u64, delta: String },
    End { number: u64, outcome: Result<Outcome<Answer>, Error> },
}

impl<'s> Run<'s> {
    pub(super) fn new(remote: Arc<Remote>, sink: &'s mut dyn FnMut(Event) -> ControlFlow<()>) -> Self {
        let (sender, news) = channel();
        let attempts_before = remote.pace.attempts();
        Self {
            remote,
            sink,
            under_way: BTreeMap::new(),
            begun: 0,
            news,
            sender,
            statistics: RunStatistics::default(),
            start: Instant::now(),
            attempts_before,
            has_succeeded: false,
            lacks_usage: false,
        }
    }

    pub(super) fn serve(mut self, requests: &mut dyn Iterator<Item = Request>) -> Result<RunStatistics, Error> {
        let result = self.serve_all(requests);
        self.under_way.values().for_each(|request| request.over.store(true, Ordering::Relaxed));
        result?;
        if self.lacks_usage {
            tracing::warn!("the server did not tell token counts with every answer: totals and cost are too low");
        }
        self.statistics.seconds = self.start.elapsed().as_secs_f64();
        self.statistics.attempts = self.remote.pace.attempts() - self.attempts_before;
        let prices = self.remote.options.prices;
        let RunStatistics { prompt_tokens, generated_tokens, .. } = self.statistics;
        self.statistics.cost = prices.map(|prices| prices.cost(prompt_tokens, generated_tokens));
        Ok(self.statistics)
    }

    fn serve_all(&mut self, requests: &mut dyn Iterator<Item = Request>) -> Result<(), Error> {
        let mut requests = requests.fuse();
        loop {
            while self.under_way.len() < self.remote.options.concurrency {
                let Some(request) = requests.next() else { break };
                if self.begin(request)?.is_break() {
                    return Ok(());
                }
            }
            if self.under_way.is_empty() {
                return Ok(());
            }
            let flow = match self.news.recv_timeout(SIGN_OF_LIFE) {
                Ok(news) => self.take(news)?,
                Err(RecvTimeoutError::Timeout) => self.give_sign_of_life(),
                // This side holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
            };
            if flow.is_break() || self.end_cancelled().is_break() {
                return Ok(());
            }
        }
    }

    /// Answers a request from the journal, refuses it, or sends it on its way.
    fn begin(&mut self, request: Request) -> Result<ControlFlow<()>, Error> {
        let Request { key, ref options, .. } = request;
        let (model, dialect) = (self.remote.options.address.model(), self.remote.options.dialect());
        let call = match wire::generation(model, dialect, &request) {
            Ok(call) => call,
            Err(error) => return Ok(self.fail(key, error)),
        };
        if request.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Ok(self.cancelled(key, String::new()));
        }
        let question = self.remote.question(call, options.logprobs, 0);
        if let Some(answer) = self.remote.remembered(&question) {
            self.statistics.from_journal += 1;
            return Ok(self.finish(key, "", completion(key, answer, 0)));
        }
        let over = Arc::new(AtomicBool::new(false));
        let number = self.begun;
        self.begun += 1;
        let thread = Thread { remote: self.remote.clone(), number, over: over.clone(), sender: self.sender.clone() };
        let spawned = thread::Builder::new().name(format!("request {number}")).spawn(move || thread.run(&question));
        spawned.map_err(|error| {
            Error::Remote(format!("no thread for another request ({error}): lower the concurrency"))
        })?;
        self.under_way.insert(number, UnderWay { key, cancel: request.cancel, over, told: String::new() });
        Ok(ControlFlow::Continue(()))
    }

    fn take(&mut self, news: News) -> Result<ControlFlow<()>, Error> {
        match news {
            News::Text { number, delta } => Ok(self.tell_text(number, delta)),
            News::End { number, outcome } => {
                // A cancelled request was told already.
                let Some(UnderWay { key, told, .. }) = self.under_way.remove(&number) else {
                    return Ok(ControlFlow::Continue(()));
                };
                match outcome? {
                    Outcome::Answered(answer, attempts) => {
                        self.has_succeeded = true;
                        self.count(&answer);
                        Ok(self.finish(key, &told, completion(key, answer, attempts)))
                    }
                    Outcome::Over => Ok(self.cancelled(key, told)),
                    Outcome::Failed(trouble) if trouble.kind == TroubleKind::Setup && !self.has_succeeded => {
                        Err(Error::Remote(format!("{}: {}", self.remote.options.address, trouble.message)))
                    }
                    Outcome::Failed(trouble) => Ok(self.fail(key, RequestError::Remote(trouble.message))),
                }
            }
        }
    }

    fn tell_text(&mut self, number: u64, delta: String) -> ControlFlow<()> {
        let Some(request) = self.under_way.get_mut(&number) else { return ControlFlow::Continue(()) };
        request.told.push_str(&delta);
        let key = request.key;
        self.note_first_text();
        (self.sink)(Event::Text { key, delta })
    }

    fn give_sign_of_life(&mut self) -> ControlFlow<()> {
        let Some(UnderWay { key, .. }) = self.under_way.values().next() else { return ControlFlow::Continue(()) };
        (self.sink)(Event::Text { key: *key, delta: String::new() })
    }

    fn end_cancelled(&mut self) -> ControlFlow<()> {
        let is_cancelled = |request: &UnderWay| request.cancel.as_ref().is_some_and(CancelToken::is_cancelled);
        let numbers = self.under_way.iter().filter(|(_, request)| is_cancelled(request)).map(|(number, _)| *number);
        for number in numbers.collect::<Vec<_>>() {
            if let Some(UnderWay { key, over, told, .. }) = self.under_way.remove(&number) {
                over.store(true, Ordering::Relaxed);
                self.cancelled(key, told)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Tells what the sink does not know of the text yet, then the end.
    fn finish(&mut self, key: u64, told: &str, completion: Completion) -> ControlFlow<()> {
        self.statistics.requests += 1;
        self.note_first_text();
        if let Some(rest) = completion.text.strip_prefix(told).filter(|rest| !rest.is_empty()) {
            (self.sink)(Event::Text { key, delta: rest.to_owned() })?;
        }
        (self.sink)(Event::Finished(completion))
    }

    fn cancelled(&mut self, key: u64, text: String) -> ControlFlow<()> {
        self.statistics.requests += 1;
        let nothing = Answer {
            text,
            finish: FinishReason::Cancelled,
            tokens: Vec::new(),
            logprobs: Vec::new(),
            text_logprobs: Vec::new(),
            echoed: Vec::new(),
            usage: None,
            served_by: Default::default(),
        };
        (self.sink)(Event::Finished(completion(key, nothing, 0)))
    }

    fn fail(&mut self, key: u64, error: RequestError) -> ControlFlow<()> {
        self.statistics.failed += 1;
        (self.sink)(Event::Failed { key, error })
    }

    fn count(&mut self, answer: &Answer) {
        let Some(usage) = answer.usage else {
            self.lacks_usage = true;
            return;
        };
        self.statistics.prompt_tokens += usage.prompt_tokens;
        self.statistics.prompt_tokens_reused += usage.cached_tokens();
        self.statistics.prompt_tokens_computed += usage.prompt_tokens - usage.cached_tokens();
        self.statistics.generated_tokens += usage.completion_tokens;
    }

    fn note_first_text(&mut self) {
        if self.statistics.time_to_first_token == 0.0 {
            self.statistics.time_to_first_token = self.start.elapsed().as_secs_f64();
        }
    }
}

fn completion(key: u64, answer: Answer, attempts: u32) -> Completion {
    let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let (prompt, new, cached) = match &answer.usage {
        Some(usage) => (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens()),
        None => (0, answer.tokens.len() as u64, 0),
    };
    Completion {
        key,
        text: answer.text,
        tokens: answer.tokens,
        new_tokens: count(new),
        finish_reason: answer.finish,
        stop: None,
        logprobs: answer.logprobs,
        text_logprobs: answer.text_logprobs,
        hypotheses: Vec::new(),
        prompt: PromptReport { reused: count(cached), ..PromptReport::default() },
        prompt_tokens: count(prompt),
        served_by: Some(answer.served_by),
        attempts,
        attention: None,
    }
}

/// A request's own thread.
struct Thread {
    remote: Arc<Remote>,
    number: u64,
    over: Arc<AtomicBool>,
    sender: Sender<News>,
}

impl Thread {
    fn run(self, question: &Question) {
        let Self { remote, number, over, sender } = self;
        let is_over = || over.load(Ordering::Relaxed);
        let mut told = String::new();
        let mut tell = |text: String| {
            // An attempt that says something else than the one before is heard at the end only.
            if let Some(delta) = text.strip_prefix(&told).filter(|delta| !delta.is_empty()) {
                // Who does not listen any more has set `over`.
                let _ = sender.send(News::Text { number, delta: delta.to_owned() });
                told = text;
            }
        };
        let ask = || remote.ask(question, remote.options.streaming, &is_over, &mut tell);
        // Without an end, who listens would wait for ever.
        let outcome = catch_unwind(AssertUnwindSafe(ask));
        let outcome = outcome.unwrap_or_else(|_| Err(Error::Remote("the thread of a request failed".into())));
        // Who hears the last end may drop the model and open its journal anew at once.
        drop(remote);
        let _ = sender.send(News::End { number, outcome });
    }
}
