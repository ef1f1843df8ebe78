//! What is known of a run, and the right to go on with it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ledger::{Entry, Ledger};
use super::record::{Outcome, Record};
use super::store::Store;
use super::{CommitError, Durability, Journal, OpenError, Opened, Tail, TooLarge};
use crate::durable::to_bytes;

/// A run as its journal tells it, open for going on: nobody else can while this lives. Of a new store it is the empty
/// history of a run that is to begin.
///
/// What is decided here is written with the first commit of the run that goes on, so that deciding and not going on changes
/// nothing.
///
/// # Examples
/// ```
/// use tidegate_workflow::journal::{Durability, History, MemoryStore};
/// use tidegate_workflow::{Graph, Orchestrator};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::default(); // `FileStore::open(path)` in earnest
/// let orchestrator = Orchestrator::builder().build()?;
/// for process in ["first", "second"] {
///     let mut graph = Graph::durable();
///     let name = graph.task("name").run(move |_| async move { Ok(process.to_owned()) })?;
///     let history = History::open(store.clone())?;
///     let finished = orchestrator.run(graph.journal(history, Durability::ProcessCrash)).await?;
///     assert_eq!(*finished.get(&name)?, "first"); // it is not run again
/// }
/// # Ok(()) }
/// ```
pub struct History {
    journal: Journal<Box<dyn Store>>,
    ledger: Ledger,
    places: HashMap<Arc<str>, u32>,
    cut: Option<Tail>,
    pub(crate) accepts_changes: bool,
    run: Option<String>,
    description: Vec<u8>,
    /// Whether nothing of the run may start before what is decided is kept.
    is_first: bool,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("run", &self.ledger.run)
            .field("tasks", &self.ledger.tasks.len())
            .finish_non_exhaustive()
    }
}

impl History {
    /// Reads a journal and cuts off what is damaged at its end, or begins one.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(store: impl Store + 'static) -> Result<Self, OpenError> {
        let Opened { journal, records, cut } = Journal::open(Box::new(store) as Box<dyn Store>)?;
        let ledger = Ledger::of(records);
        let places = (0..).zip(&ledger.tasks).map(|(at, entry)| (Arc::clone(&entry.id), at));
        let places = places.collect();
        let (accepts_changes, run, description, is_first) = (false, None, Vec::new(), false);
        Ok(Self { journal, ledger, places, cut, accepts_changes, run, description, is_first })
    }

    /// What is known.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The damaged end of the journal that was cut off.
    pub fn cut(&self) -> Option<Tail> {
        self.cut
    }

    /// What is known of a task.
    pub fn task(&self, id: &str) -> Option<&Entry> {
        Some(&self.ledger.tasks[*self.places.get(id)? as usize])
    }

    /// What a task returned, if it succeeded and returned a `T`.
    pub fn output<T: DeserializeOwned>(&self, id: &str) -> Option<T> {
        self.task(id)?.returned()
    }

    /// Names the run that is to begin, and says what it is; without it the id is a number by chance. A run that has begun
    /// keeps its own.
    pub fn begin(&mut self, run: impl Into<String>, description: impl Into<Vec<u8>>) {
        self.run = Some(run.into());
        self.description = description.into();
    }

    /// Takes tasks that are others than they were: what is over stays as it is, the rest is run as it is now, also without what
    /// was placed before it and will not be submitted again. Without it a graph with such tasks is refused.
    pub fn accept_changes(&mut self) {
        self.accepts_changes = true;
    }

    /// Lets a task run again, whatever it came to; its attempts are numbered on. One that had put a planner's alternative into
    /// the run asks for another.
    ///
    /// # Errors
    /// When the run has no such task.
    pub fn again(&mut self, id: &str) -> Result<(), HistoryError> {
        let task = self.place(id)?;
        if self.ledger.tasks[task as usize].plan.is_some() {
            let forgotten = Record::Planned { by: Some(task), plan: Vec::new() };
            self.tell(forgotten).map_err(HistoryError::TooLarge)?;
        }
        self.tell(Record::Reset { task }).map_err(HistoryError::TooLarge)
    }

    /// Takes a task as done, with this output: the decision about one of which nobody knows the end.
    ///
    /// # Errors
    /// When the run has no such task, or the output cannot be kept.
    pub fn done<T: Serialize + 'static>(
        &mut self,
        id: &str,
        output: &T,
    ) -> Result<(), HistoryError> {
        let output = to_bytes(output).map_err(HistoryError::Output)?;
        self.settle(id, Outcome::Done, output)
    }

    /// Takes a task as failed: the other decision.
    ///
    /// # Errors
    /// When the run has no such task.
    pub fn failed(&mut self, id: &str, error: impl Into<String>) -> Result<(), HistoryError> {
        self.settle(id, Outcome::Failed(error.into()), Vec::new())
    }

    /// Keeps a value for a later process, which finds it in [`Ledger::facts`].
    ///
    /// # Errors
    /// When it is too large.
    pub fn note(&mut self, name: impl Into<String>, value: Vec<u8>) -> Result<(), TooLarge> {
        self.tell(Record::Fact { name: name.into(), value })
    }

    /// Keeps the plan of the whole run before anything of it starts.
    pub(crate) fn planned(&mut self, plan: Vec<u8>) -> Result<(), TooLarge> {
        self.is_first = true;
        self.tell(Record::Planned { by: None, plan })
    }

    /// Stores what has to be there before anything starts.
    pub(crate) fn commit_first(&mut self, durability: Durability) -> Result<(), CommitError> {
        if self.is_first { self.journal.commit(durability) } else { Ok(()) }
    }

    /// The tasks that need this one, directly or through others.
    pub fn downstream(&self, id: &str) -> Vec<Arc<str>> {
        let Some(first) = self.places.get(id) else { return Vec::new() };
        let mut dependents: HashMap<u32, Vec<u32>> = HashMap::new();
        for (at, entry) in (0..).zip(&self.ledger.tasks) {
            entry.needs.iter().for_each(|need| dependents.entry(*need).or_default().push(at));
        }
        let (mut seen, mut open) = (HashSet::new(), vec![*first]);
        while let Some(at) = open.pop() {
            let further = dependents.get(&at).into_iter().flatten().copied();
            open.extend(further.filter(|at| seen.insert(*at)));
        }
        let mut found: Vec<u32> = seen.into_iter().collect();
        found.sort_unstable();
        found.into_iter().map(|at| Arc::clone(&self.ledger.tasks[at as usize].id)).collect()
    }

    fn place(&self, id: &str) -> Result<u32, HistoryError> {
        self.places.get(id).copied().ok_or_else(|| HistoryError::NoSuchTask { id: id.to_owned() })
    }

    fn settle(&mut self, id: &str, outcome: Outcome, output: Vec<u8>) -> Result<(), HistoryError> {
        let task = self.place(id)?;
        let attempt = self.ledger.tasks[task as usize].attempt;
        let at_ms = self.since();
        let settled = Record::Settled { task, attempt, outcome, output, took_us: 0, at_ms };
        self.tell(settled).map_err(HistoryError::TooLarge)
    }

    fn tell(&mut self, record: Record) -> Result<(), TooLarge> {
        self.journal.append(&record)?;
        self.ledger.add(record);
        Ok(())
    }

    /// How long ago the run began, in milliseconds. A clock that was set back makes it short, never negative.
    fn since(&self) -> u64 {
        now_ms().saturating_sub(self.ledger.since_1970_ms)
    }

    /// Writes down that the run begins or goes on; how long ago it began.
    pub(crate) fn go_on(&mut self) -> Result<Duration, TooLarge> {
        if self.ledger.is_empty() {
            let run = self.run.take().unwrap_or_else(by_chance);
            let description = std::mem::take(&mut self.description);
            self.tell(Record::RunStarted { run, description, since_1970_ms: now_ms() })?;
            return Ok(Duration::ZERO);
        }
        let at_ms = self.since();
        self.tell(Record::RunResumed { at_ms })?;
        Ok(Duration::from_millis(at_ms))
    }

    /// Writes down that the run has this task, or that it is another than it was. The ledger stays that of what others have
    /// left: a run of a million new tasks has nothing in it.
    pub(crate) fn add_task(
        &mut self,
        task: u32,
        id: Arc<str>,
        needs: Vec<u32>,
        version: u64,
    ) -> Result<(), TooLarge> {
        self.journal.append(&Record::TaskAdded { task, id, needs, version, live: false })
    }

    pub(crate) fn number_of(&self, id: &str) -> Option<u32> {
        self.places.get(id).copied()
    }

    pub(crate) fn into_parts(self) -> (Journal<Box<dyn Store>>, Ledger) {
        (self.journal, self.ledger)
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Sixteen hexadecimal digits.
fn by_chance() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    format!("{:016x}", RandomState::new().hash_one(now_ms()))
}

/// Why a decision was not taken.
#[derive(Debug)]
pub enum HistoryError {
    /// The run has no such task.
    NoSuchTask {
        /// The id.
        id: String,
    },
    /// The output cannot be encoded.
    Output(String),
    /// The output is too large.
    TooLarge(TooLarge),
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchTask { id } => write!(f, "the run has no task `{id}`"),
            Self::Output(why) => write!(f, "the output cannot be kept: {why}"),
            Self::TooLarge(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for HistoryError {}
