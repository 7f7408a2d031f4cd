//! A study: trials, shared by the processes that run them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::journal::{self, Journal};
use crate::ledger::Ledger;
use crate::number::as_value;
use crate::record::{Line, Record, VERSION};
use crate::worker::{self, SignOfLife};
use crate::{ActiveTrial, Direction, History, JOINTLY, Outcome, Pruner, Sampler, SearchError, StudyOptions, Trial};

/// A process is lost that was silent for so many intervals.
const SILENT_INTERVALS: f64 = 3.0;

/// A search for the best parameters of something.
///
/// What is known about its trials is in the file `journal.jsonl` of the study's folder. Any number of processes and threads can work on
/// one study, on any number of machines that share the folder; all of them can be killed at any time. A study can be used by several
/// threads.
///
/// ```
/// use hyper_search::{SearchError, Study, StudyOptions, TpeOptions, TpeSampler};
///
/// let sampler = TpeSampler::new(TpeOptions::default())?;
/// let study = Study::in_memory(StudyOptions::minimize(sampler))?;
/// study.optimize(40, |trial| -> Result<f64, SearchError> {
///     let x = trial.float("x", -10.0..=10.0)?;
///     Ok((x - 2.0).powi(2))
/// })?;
/// assert!(study.best()?.and_then(|trial| trial.value).is_some_and(|value| value < 0.5));
/// # Ok::<(), SearchError>(())
/// ```
pub struct Study {
    shared: Arc<Shared>,
}

/// What a study, its trials and its heartbeat have in common.
pub(crate) struct Shared {
    folder: Option<PathBuf>,
    worker: String,
    machine: Option<String>,
    pruner: Box<dyn Pruner>,
    retry: u64,
    heartbeat: Duration,
    desk: Mutex<Desk>,
    // Dropping it stops the heartbeat.
    _pulse: Option<Mutex<Sender<()>>>,
    // Dropped last: whoever finds its lock free takes this process' trials for lost.
    _life: Option<SignOfLife>,
}

/// What one thread uses at a time.
pub(crate) struct Desk {
    worker: String,
    journal: Option<Journal>,
    pub(crate) ledger: Ledger,
    pub(crate) sampler: Box<dyn Sampler>,
}

impl Study {
    /// Begins a study in a folder.
    ///
    /// # Errors
    ///
    /// If there is one already, or the folder can't be written.
    pub fn create(folder: impl AsRef<Path>, options: StudyOptions) -> Result<Self, SearchError> {
        let folder = folder.as_ref();
        let study = Self::open_or_create(folder, options)?;
        let is_mine = study.desk().ledger.study.as_ref().is_some_and(|known| known.founder == study.shared.worker);
        if !is_mine {
            let path = folder.join(journal::FILE);
            let advice = "open it to go on with it, or choose another folder";
            return Err(SearchError::Search(format!("{}: holds a study already; {advice}", path.display())));
        }
        Ok(study)
    }

    /// Goes on with a study, beside other processes or after them.
    ///
    /// # Errors
    ///
    /// If there is none, it has another name or direction, or its journal can't be read and written.
    pub fn open(folder: impl AsRef<Path>, options: StudyOptions) -> Result<Self, SearchError> {
        let path = folder.as_ref().join(journal::FILE);
        if !path.is_file() {
            return Err(SearchError::Search(format!("{}: there is no study; create one", path.display())));
        }
        Self::open_or_create(folder, options)
    }

    /// Goes on with the study of a folder, or begins it; processes may do so at the same time.
    ///
    /// # Errors
    ///
    /// If there is one of another name or direction, or the folder can't be written.
    pub fn open_or_create(folder: impl AsRef<Path>, options: StudyOptions) -> Result<Self, SearchError> {
        let folder = folder.as_ref();
        let default_name =
            folder.file_name().map_or_else(|| "study".into(), |name| name.to_string_lossy().into_owned());
        let journal = Journal::open(folder)?;
        let name = worker::new_name();
        let life = SignOfLife::begin(folder, &name)?;
        Self::begin(options, &default_name, name, Some((folder.to_owned(), journal, life)))
    }

    /// A study that is forgotten when it is dropped.
    ///
    /// # Errors
    ///
    /// If a setting makes no sense.
    pub fn in_memory(options: StudyOptions) -> Result<Self, SearchError> {
        Self::begin(options, "study", worker::new_name(), None)
    }

    fn begin(
        options: StudyOptions,
        default_name: &str,
        worker: String,
        place: Option<(PathBuf, Journal, SignOfLife)>,
    ) -> Result<Self, SearchError> {
        options.check()?;
        let StudyOptions { name, direction, sampler, pruner, retry, heartbeat } = options;
        let (folder, journal, life) = match place {
            Some((folder, journal, life)) => (Some(folder), Some(journal), Some(life)),
            None => (None, None, None),
        };
        let machine = worker::machine();
        let mut desk = Desk { worker: worker.clone(), journal, ledger: Ledger::default(), sampler };
        desk.read()?;
        if desk.ledger.study.is_none() {
            let name = name.clone().unwrap_or_else(|| default_name.into());
            desk.write(vec![Record::Study { version: VERSION, name, direction: direction.into() }])?;
        }
        desk.check_is_same(name.as_deref(), direction)?;
        desk.write(vec![Record::Worker { machine: machine.clone() }])?;
        let (pulse, stopped) = mpsc::channel();
        let has_file = folder.is_some();
        let shared = Arc::new(Shared {
            folder,
            worker,
            machine,
            pruner,
            retry,
            heartbeat,
            desk: Mutex::new(desk),
            _pulse: has_file.then(|| Mutex::new(pulse)),
            _life: life,
        });
        if has_file {
            let weak = Arc::downgrade(&shared);
            std::thread::Builder::new()
                .name("heartbeat".into())
                .spawn(move || beat(&weak, &stopped, heartbeat))
                .map_err(|error| SearchError::Search(format!("the heartbeat could not begin: {error}")))?;
        }
        Ok(Self { shared })
    }

    /// Runs trials until the study has so many, those of other processes counted. Waiting trials come first: enqueued ones, released
    /// ones, and those that are tried again.
    ///
    /// The objective's value, or [`Outcome::Pruned`], ends a trial; an error ends it as failed, with the error as reason, and the search
    /// goes on. So does a value that is not finite. [`Outcome::Released`] ends the search; the trial waits to be gone on with.
    ///
    /// # Errors
    ///
    /// If the journal can't be read and written.
    pub fn optimize<T, E>(
        &self,
        trials: u64,
        mut objective: impl FnMut(&mut ActiveTrial) -> Result<T, E>,
    ) -> Result<(), SearchError>
    where
        T: Into<Outcome>,
        E: std::fmt::Display,
    {
        while let Some(mut trial) = self.ask_within(Some(trials))? {
            let ended = match objective(&mut trial).map(Into::into) {
                Ok(Outcome::Complete(value)) => trial.complete(value),
                Ok(Outcome::Pruned) => trial.prune(),
                Ok(Outcome::Released) => return trial.release(),
                Err(error) => trial.fail(error),
            };
            match ended {
                // Another process tries these parameters again.
                Err(SearchError::Lost { .. }) => {}
                ended => ended?,
            }
        }
        Ok(())
    }

    /// Begins a trial: the first that waits, else a new one.
    ///
    /// # Errors
    ///
    /// If the journal can't be read and written, or the sampler can't go on.
    pub fn ask(&self) -> Result<ActiveTrial, SearchError> {
        let asked = self.ask_within(None)?;
        asked.ok_or_else(|| SearchError::Search(String::from("a trial began, and its number is not known")))
    }

    /// As [`ask`](Self::ask); none if no trial waits, and the study has so many trials already or the sampler has nothing left to try.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub fn ask_within(&self, trials: Option<u64>) -> Result<Option<ActiveTrial>, SearchError> {
        let mut desk = self.desk();
        desk.read()?;
        self.expire_lost(&mut desk)?;
        let Some(number) = claim(&mut desk, trials)? else { return Ok(None) };
        let joint = sample_jointly(&mut desk, number);
        let trial = ActiveTrial::new(Arc::clone(&self.shared), number);
        drop(desk);
        match joint {
            Ok(joint) => Ok(Some(trial.with_joint(joint))),
            Err(error) => {
                trial.fail(&error)?;
                Err(error)
            }
        }
    }

    /// Has given values tried before others are drawn; parameters that are not named are drawn. The answer is whether they were not
    /// enqueued before, so that a program that does this each time it starts does it once.
    ///
    /// # Errors
    ///
    /// If the journal can't be read and written.
    pub fn enqueue<N: Into<String>>(
        &self,
        parameters: impl IntoIterator<Item = (N, Value)>,
    ) -> Result<bool, SearchError> {
        let fixed: Map<String, Value> = parameters.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let mut desk = self.desk();
        desk.read()?;
        let before = desk.ledger.trials.len();
        desk.write(vec![Record::Trial { waits: true, fixed, at_most: None, once: true }])?;
        Ok(desk.ledger.trials.len() > before)
    }

    /// The complete trial of the best value, the first of equals; none if none is complete, or all violate constraints.
    ///
    /// # Errors
    ///
    /// If the journal can't be read.
    pub fn best(&self) -> Result<Option<Trial>, SearchError> {
        let mut desk = self.desk();
        desk.read()?;
        Ok(desk.ledger.history().and_then(|history| history.best()).cloned())
    }

    /// All trials by number.
    ///
    /// # Errors
    ///
    /// If the journal can't be read.
    pub fn trials(&self) -> Result<Vec<Trial>, SearchError> {
        self.with_history(|history| history.trials.to_vec())
    }

    /// Shows what samplers and pruners go by, without copying it. The study's other calls wait meanwhile, so `look` can't make any.
    ///
    /// # Errors
    ///
    /// If the journal can't be read.
    pub fn with_history<T>(&self, look: impl FnOnce(&History<'_>) -> T) -> Result<T, SearchError> {
        let mut desk = self.desk();
        desk.read()?;
        let history = desk.ledger.history();
        history
            .map(|history| look(&history))
            .ok_or_else(|| SearchError::Search(String::from("the study has not begun")))
    }

    /// The study's name.
    pub fn name(&self) -> String {
        self.desk().ledger.study.as_ref().map(|study| study.name.clone()).unwrap_or_default()
    }

    /// Whether small or large values are good.
    pub fn direction(&self) -> Direction {
        self.desk().ledger.study.as_ref().map_or(Direction::Minimize, |study| study.direction)
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.shared.desk()
    }

    /// Ends the trials of processes that are no more.
    fn expire_lost(&self, desk: &mut Desk) -> Result<(), SearchError> {
        let shared = &self.shared;
        let mut records = Vec::new();
        for (number, owner) in desk.ledger.running().filter(|(_, owner)| *owner != shared.worker) {
            let known = desk.ledger.worker(owner);
            let silence = worker::now() - known.seen;
            let is_near = known.machine.is_some() && known.machine == shared.machine;
            let reason = if is_near && shared.folder.as_ref().is_some_and(|folder| worker::is_gone(folder, owner)) {
                String::from("its process ended")
            } else if silence > SILENT_INTERVALS * shared.heartbeat.as_secs_f64() {
                format!("its process was silent for {silence:.0} seconds")
            } else {
                continue;
            };
            let retry = desk.ledger.trial(number).is_some_and(|trial| trial.retries() < shared.retry);
            records.push(Record::Expire { trial: number, seen: known.seen, retry, reason });
        }
        if records.is_empty() { Ok(()) } else { desk.write(records) }
    }
}

impl Desk {
    /// Whether the sampler has nothing left to try.
    fn is_exhausted(&self) -> bool {
        self.ledger.history().is_some_and(|history| self.sampler.is_exhausted(&history))
    }
}

/// Gets a trial for this process. Others may be faster, so that it may take several attempts.
fn claim(desk: &mut Desk, at_most: Option<u64>) -> Result<Option<u64>, SearchError> {
    loop {
        let worker = desk.worker.clone();
        let begun = desk.ledger.worker(&worker).begun;
        let waiting = desk.ledger.first_waiting();
        if waiting.is_none() && at_most.is_some_and(|most| desk.ledger.count() >= most || desk.is_exhausted()) {
            return Ok(None);
        }
        let new = Record::Trial { waits: false, fixed: Map::new(), at_most, once: false };
        desk.write(vec![waiting.map_or(new, |trial| Record::Claim { trial })])?;
        let facts = desk.ledger.worker(&worker);
        if facts.begun > begun {
            return Ok(facts.newest);
        }
    }
}

/// What the sampler suggests for several parameters at once; a trial that was begun before has it already.
fn sample_jointly(desk: &mut Desk, number: u64) -> Result<BTreeMap<String, f64>, SearchError> {
    let known = desk.ledger.trial(number).and_then(|trial| trial.system_attributes.get(JOINTLY)?.as_object());
    if let Some(known) = known {
        return Ok(known.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect());
    }
    let Desk { ledger, sampler, .. } = &mut *desk;
    let Some(history) = ledger.history() else { return Ok(BTreeMap::new()) };
    let joint = sampler.sample_jointly(&history, number)?;
    if !joint.is_empty() {
        let value = joint.iter().map(|(name, value)| (name.clone(), as_value(*value))).collect();
        desk.write(vec![Record::SystemAttribute { trial: number, name: JOINTLY.into(), value }])?;
    }
    Ok(joint)
}

/// Gives signs of life as long as this process has trials.
fn beat(shared: &Weak<Shared>, stopped: &mpsc::Receiver<()>, interval: Duration) {
    while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        let Some(shared) = shared.upgrade() else { return };
        let mut desk = shared.desk();
        let is_busy = desk.ledger.running().any(|(_, owner)| owner == shared.worker);
        if is_busy {
            // Should it fail, the trial's next line tells.
            let _ = desk.write(vec![Record::Alive]);
        }
    }
}

impl Shared {
    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        // What a panicking thread leaves is whole: lines are applied one by one.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    pub(crate) fn pruner(&self) -> &dyn Pruner {
        self.pruner.as_ref()
    }
}

impl Desk {
    /// Takes in what other processes have written.
    pub(crate) fn read(&mut self) -> Result<(), SearchError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        for (number, line) in journal.read()? {
            self.ledger.apply(line).map_err(|problem| SearchError::format(journal.path(), number, problem))?;
        }
        Ok(())
    }

    /// Writes down what happened, and takes it in, after what other processes have written before.
    pub(crate) fn write(&mut self, records: Vec<Record>) -> Result<(), SearchError> {
        self.write_at(worker::now(), records)
    }

    /// As [`write`](Self::write), of another time.
    pub(crate) fn write_at(&mut self, t: f64, records: Vec<Record>) -> Result<(), SearchError> {
        let lines: Vec<Line> =
            records.into_iter().map(|record| Line { t, worker: self.worker.clone(), record }).collect();
        if let Some(journal) = &self.journal {
            journal.append(&lines)?;
            return self.read();
        }
        lines.into_iter().try_for_each(|line| self.ledger.apply(line)).map_err(SearchError::Search)
    }

    /// The trial that this process got last.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.ledger.worker(&self.worker).newest
    }

    fn check_is_same(&self, name: Option<&str>, direction: Direction) -> Result<(), SearchError> {
        let Some(known) = &self.ledger.study else { return Ok(()) };
        if let Some(name) = name.filter(|name| *name != known.name) {
            let problem = format!("is `{name}`; the study that is there is `{}`", known.name);
            return Err(SearchError::setting("name", problem));
        }
        if direction != known.direction {
            let problem = format!("is {direction:?}; the study that is there has {:?}", known.direction);
            return Err(SearchError::setting("direction", problem));
        }
        Ok(())
    }
}
