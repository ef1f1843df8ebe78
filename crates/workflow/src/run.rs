//! Handles of a run: to add to it, to cancel it, to wait for it.

mod finished;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::durations::Estimate;
use crate::engine::{Command, Link};
use crate::event::Outcome;
use crate::journal::CommitError;
use crate::machine::RunId;
use crate::planner::Splice;
use crate::task::{Grown, Task};
use crate::trace::TraceParent;

pub use finished::Finished;

/// A live run. Cheap to clone; it keeps nothing alive.
#[derive(Clone)]
pub struct Run {
    pub(crate) of: Arc<Address>,
    /// The task whose handle this is.
    pub(crate) by: Option<u32>,
}

/// What all handles of a run share: every attempt has one.
pub(crate) struct Address {
    pub(crate) id: RunId,
    pub(crate) link: Arc<Link>,
    /// Its id in its journal, if it has one.
    pub(crate) name: Option<Arc<str>>,
    /// Where in which trace it is, if somebody has said so.
    pub(crate) trace_parent: Option<Arc<TraceParent>>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.of.id.0).finish()
    }
}

/// Why a task is not running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "waiting_for", rename_all = "snake_case")]
pub enum Waiting {
    /// For the end of these tasks.
    Needs {
        /// Their ids.
        tasks: Vec<Arc<str>>,
    },
    /// For a slot under the overall limit, or for those that go first.
    Limit,
    /// For a slot of its agent.
    AgentLimit {
        /// The agent.
        agent: Arc<str>,
    },
    /// For its agent's requests of the last minute to leave the minute, or for the time to pass for which the agent, being
    /// [overloaded](crate::TaskError::overloaded), wanted nothing.
    Rate {
        /// The agent.
        agent: Arc<str>,
        /// How long still; `None` while the rate is 0.
        remaining: Option<Duration>,
    },
    /// For its agent's circuit breaker.
    Breaker {
        /// The agent.
        agent: Arc<str>,
        /// How long until one attempt is let through; `None` while that attempt runs.
        remaining: Option<Duration>,
    },
    /// For so much of a resource to be free, or kept for a task that has waited longer.
    Resource {
        /// The resource; that of an agent's memory is called `memory of` the agent.
        resource: Arc<str>,
        /// What it takes.
        wanted: u64,
        /// What is free.
        free: u64,
    },
    /// For its next attempt.
    Backoff {
        /// How long still.
        remaining: Duration,
    },
    /// For nothing: it runs.
    Running,
    /// For nothing: it is over.
    Over,
}

impl Run {
    pub(crate) fn new(address: Address) -> Self {
        Self { of: Arc::new(address), by: None }
    }

    /// The handle of one of its tasks.
    pub(crate) fn of_task(&self, task: u32) -> Self {
        Self { of: Arc::clone(&self.of), by: Some(task) }
    }

    /// Its number, as events carry it.
    pub fn id(&self) -> u64 {
        self.of.id.0
    }

    /// Adds a task to the run, placed before these tasks, which have to be waiting for others still. Whatever the task
    /// needs must be in the run.
    ///
    /// In a run with a journal the task is known to the process that goes on, its work is not: it comes back when whoever
    /// submitted it does so again, with its [version](Task::version); with another one it is another task, and is run. So a
    /// task that submits others by its [`Context::run`](crate::Context::run) is best not over before they and what they are placed
    /// before are in a graph or over themselves: otherwise [`StartError::Orphans`](crate::StartError::Orphans) tells.
    ///
    /// # Errors
    /// When the run is over, the id is taken, a need or a follower is unknown, a follower is past waiting, a cycle would
    /// close, or the run has a journal and the task is no [durable](Task::durable) one; nothing has changed then.
    ///
    /// # Cancel safety
    /// If the future is dropped, the task may have been added or not.
    pub async fn submit<K>(&self, task: Task<K>, before: &[&str]) -> Result<(), SubmitError> {
        self.submit_all([task], before).await
    }

    /// Adds several tasks at once, each placed before the same ones: nothing follows from one of them before all are in the
    /// run. So tasks that are over already, in a run with a journal, do not end those before which the others are placed.
    ///
    /// # Errors
    /// As of [`submit`](Self::submit), for the first task that cannot be added: those before it are in the run then.
    ///
    /// # Cancel safety
    /// If the future is dropped, the tasks may have been added or not.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// fn page(at: u32) -> Task {
    ///     Task::new(format!("page {at}"), async |_| Ok::<(), TaskError>(()))
    /// }
    /// let mut graph = Graph::new();
    /// graph.add(Task::new("list", async |cx: Context| {
    ///     cx.run().submit_all((0..3).map(page), &["index"]).await.map_err(TaskError::fatal)
    /// }))?;
    /// graph.add(Task::new("index", async |_| Ok::<(), TaskError>(())).needs(["list"]))?;
    /// let report = Orchestrator::builder().build()?.run(graph).await?.into_report();
    /// assert_eq!(report.tasks.len(), 5);
    /// # Ok(()) }
    /// ```
    pub async fn submit_all<K>(
        &self,
        tasks: impl IntoIterator<Item = Task<K>>,
        before: &[&str],
    ) -> Result<(), SubmitError> {
        let (reply, answer) = oneshot::channel();
        let before: Vec<Arc<str>> = before.iter().map(|id| Arc::from(*id)).collect();
        let grown = |task: Task<K>| Grown { task: task.erase(), before: before.clone() };
        let tasks = tasks.into_iter().map(grown).collect();
        let command = Command::Submit { run: self.of.id, by: self.by, tasks, reply };
        self.ask(command, answer).await
    }

    /// Puts the tasks of a plan into the run, one after the other; the plan goes into the journal before them, so that another
    /// process makes the same tasks of it. For the handle of a task.
    pub(crate) async fn splice(&self, plan: Vec<u8>, grown: Vec<Grown>) -> Result<(), SubmitError> {
        let Some(by) = self.by else { return Err(SubmitError::Over) };
        let (reply, answer) = oneshot::channel();
        let command = Command::Splice { run: self.of.id, by, plan, grown, reply };
        self.ask(command, answer).await
    }

    /// Sends what asks for something, and waits for the answer.
    pub(crate) async fn ask<T, E: From<Stopped>>(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<T, E>>,
    ) -> Result<T, E> {
        let gone = || Err(Stopped::Dropped.into());
        if self.of.link.send(command).is_err() {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }

    /// Lets everybody know of an alternative whose tasks are all in the run.
    pub(crate) fn tell_splice(&self, splice: Splice) {
        let _ = self.of.link.send(Command::Spliced { run: self.of.id, splice: Arc::new(splice) });
    }

    /// Cancels every task that is not over: what has not started never will, what runs is asked to stop.
    pub fn cancel(&self) {
        // A closed channel means that the engine is gone, and every run with it.
        let _ = self.of.link.send(Command::CancelRun(self.of.id));
    }

    /// Cancels one task; those that need it are skipped.
    pub fn cancel_task(&self, id: &str) {
        let _ = self.of.link.send(Command::CancelTask { run: self.of.id, task: Arc::from(id) });
    }

    /// Gives a task another priority.
    pub fn set_priority(&self, id: &str, priority: i32) {
        let _ = self.of.link.send(Command::SetPriority {
            run: self.of.id,
            task: Arc::from(id),
            priority,
        });
    }

    /// How far the run is; `None` when it is over.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.of.link.send(Command::Status { run: self.of.id, reply }).ok()?;
        answer.await.ok()?
    }

    /// How a task ended; `None` if it has not, the run is over, or has no such task.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator, Outcome};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let call = graph.task("call").run(async |()| Err::<(), _>("no connection".into()))?;
    /// let why = graph.task("why").after(call.optional()).run_with(async |cx, _| Ok(cx.run().outcome("call").await))?;
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// assert_eq!(*finished.get(&why)?, Some(Outcome::Failed { error: "no connection".into() }));
    /// # Ok(()) }
    /// ```
    pub async fn outcome(&self, id: &str) -> Option<Outcome> {
        let (reply, answer) = oneshot::channel();
        self.of.link.send(Command::Outcome { run: self.of.id, task: Arc::from(id), reply }).ok()?;
        answer.await.ok()?
    }

    /// Why a task is not running; `None` if the run is over or has no such task.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn why(&self, id: &str) -> Option<Waiting> {
        let (reply, answer) = oneshot::channel();
        self.of.link.send(Command::Why { run: self.of.id, task: Arc::from(id), reply }).ok()?;
        answer.await.ok()?
    }
}

/// A run that was started and has an owner. Dropping it cancels the run.
#[derive(Debug)]
#[must_use = "a run that is dropped is cancelled"]
pub struct Running {
    pub(crate) run: Run,
    pub(crate) done: oneshot::Receiver<Result<Finished, Stopped>>,
}

impl Running {
    /// Returns when every task of the run is over.
    ///
    /// # Errors
    /// When the orchestrator was dropped before, or the run's journal could not be written.
    ///
    /// # Cancel safety
    /// Dropping the future drops the run's owner: the run is cancelled.
    pub async fn wait(mut self) -> Result<Finished, Stopped> {
        (&mut self.done).await.unwrap_or(Err(Stopped::Dropped))
    }
}

impl Deref for Running {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Harmless when it is over.
        self.run.cancel();
    }
}

/// Why a run has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// The orchestrator was dropped while it was live.
    Dropped,
    /// Its journal could not be written. What was acknowledged before is in the journal; the run was cancelled, and another
    /// one can go on from there.
    Journal(CommitError),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped => f.write_str("the orchestrator was dropped before the run was over"),
            Self::Journal(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for Stopped {}

/// Why a task was not taken into a live run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitError {
    /// The run is over.
    Over,
    /// A task of this id is there.
    Duplicate {
        /// The id.
        id: String,
    },
    /// The task needs, or is to stand before, one that is not there.
    Unknown {
        /// The id.
        id: String,
    },
    /// The task is to stand before one that waits for nobody any more.
    Late {
        /// The follower.
        id: String,
    },
    /// The run has a journal, and the task cannot be kept there.
    Journal {
        /// The id.
        id: String,
        /// Why not.
        why: String,
    },
    /// The task asks for more than there can be.
    TooMuch(TooMuch),
    /// The run was stopped meanwhile: with a store that has failed, the task may be in the run's journal or not.
    Stopped(Stopped),
    /// The task would need itself.
    Cycle {
        /// A need of the task that needs one of its followers.
        need: String,
        /// That follower.
        follower: String,
    },
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("the run is over"),
            Self::Duplicate { id } => write!(f, "a task `{id}` is in the run"),
            Self::Unknown { id } => write!(f, "no task `{id}` is in the run"),
            Self::Late { id } => write!(
                f,
                "task `{id}` waits for nobody any more, so that nothing can be placed before it"
            ),
            Self::Journal { id, why } => write!(f, "task `{id}`: {why}"),
            Self::TooMuch(why) => why.fmt(f),
            Self::Stopped(why) => why.fmt(f),
            Self::Cycle { need, follower } if need == follower => {
                write!(f, "a cycle would close: the task needs `{need}`, which is to come after it")
            }
            Self::Cycle { need, follower } => {
                write!(
                    f,
                    "a cycle would close: the task needs `{need}`, which needs `{follower}`, which is to come after the task"
                )
            }
        }
    }
}

impl std::error::Error for SubmitError {}

impl From<Stopped> for SubmitError {
    fn from(why: Stopped) -> Self {
        Self::Stopped(why)
    }
}

/// A task asks for more of a resource than there is, even when nothing else runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMuch {
    /// The task.
    pub task: String,
    /// The resource; that of an agent's memory is called `memory of` the agent.
    pub resource: String,
    /// What the task takes.
    pub wanted: u64,
    /// What there is; `None` if nobody has made the resource known.
    pub capacity: Option<u64>,
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, resource, wanted, capacity } = self;
        match capacity {
            Some(capacity) => write!(
                f,
                "task `{task}` takes {wanted} of `{resource}`, of which there are only {capacity}"
            ),
            None => write!(
                f,
                "task `{task}` takes {wanted} of `{resource}`, which is not known: add it with `Builder::resource`"
            ),
        }
    }
}

impl std::error::Error for TooMuch {}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// How many tasks it has by now.
    pub tasks: usize,
    /// How many wait for others.
    pub pending: usize,
    /// How many are ready and wait for room.
    pub ready: usize,
    /// Those that run.
    pub running: Vec<Arc<str>>,
    /// How many wait for their next attempt.
    pub retrying: usize,
    /// How many are over, however they ended.
    pub over: usize,
    /// How many of those did not succeed.
    pub unsuccessful: usize,
    /// How long it has been live.
    pub elapsed: Duration,
    /// How much longer it will probably take, from the estimates of what is left and the slots there are: at least the
    /// longest chain of needs, at least all work over all slots. The range is that of the [`Durations`](crate::Durations)
    /// of the tasks' kinds; tasks of no kind are taken to last as long as was estimated.
    pub remaining: Estimate,
}

impl Status {
    /// The share of the tasks that are over, 0 to 1.
    pub fn progress(&self) -> f64 {
        if self.tasks == 0 { 1.0 } else { self.over as f64 / self.tasks as f64 }
    }
}
