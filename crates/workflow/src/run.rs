//! Handles of a run: to add to it, to cancel it, to wait for it.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::context::{InputError, Missing};
use crate::engine::Command;
use crate::machine::RunId;
use crate::report::Report;
use crate::task::{Output, Task};

/// A live run. Cheap to clone; it keeps nothing alive.
#[derive(Clone)]
pub struct Run {
    pub(crate) id: RunId,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.id.0).finish()
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
    /// For a slot under the overall limit.
    Limit,
    /// For a slot of its agent.
    AgentLimit {
        /// The agent.
        agent: Arc<str>,
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
    /// Its number, as events carry it.
    pub fn id(&self) -> u64 {
        self.id.0
    }

    /// Adds a task to the run, placed before these tasks, which have to be waiting for others still. Whatever the task
    /// needs must be in the run.
    ///
    /// # Errors
    /// When the run is over, the id is taken, a need or a follower is unknown, a follower is past waiting, or a cycle would
    /// close; nothing has changed then.
    ///
    /// # Cancel safety
    /// If the future is dropped, the task may have been added or not.
    pub async fn submit(&self, task: Task, before: &[&str]) -> Result<(), SubmitError> {
        let (reply, answer) = oneshot::channel();
        let before = before.iter().map(|id| Arc::from(*id)).collect();
        let command = Command::Submit { run: self.id, task: Box::new(task), before, reply };
        self.commands.send(command).map_err(|_| SubmitError::Over)?;
        answer.await.unwrap_or(Err(SubmitError::Over))
    }

    /// Cancels every task that is not over: what has not started never will, what runs is asked to stop.
    pub fn cancel(&self) {
        // A closed channel means that the engine is gone, and every run with it.
        let _ = self.commands.send(Command::CancelRun(self.id));
    }

    /// Cancels one task; those that need it are skipped.
    pub fn cancel_task(&self, id: &str) {
        let _ = self.commands.send(Command::CancelTask { run: self.id, task: Arc::from(id) });
    }

    /// Why a task is not running; `None` if the run is over or has no such task.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn why(&self, id: &str) -> Option<Waiting> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Why { run: self.id, task: Arc::from(id), reply }).ok()?;
        answer.await.ok()?
    }
}

/// A run that was started and has an owner. Dropping it cancels the run.
#[derive(Debug)]
#[must_use = "a run that is dropped is cancelled"]
pub struct Running {
    pub(crate) run: Run,
    pub(crate) done: oneshot::Receiver<Finished>,
}

impl Running {
    /// Returns when every task of the run is over.
    ///
    /// # Errors
    /// When the orchestrator was dropped before.
    ///
    /// # Cancel safety
    /// Dropping the future drops the run's owner: the run is cancelled.
    pub async fn wait(mut self) -> Result<Finished, Stopped> {
        (&mut self.done).await.map_err(|_| Stopped)
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

/// A run that is over: what happened, and what its tasks returned.
pub struct Finished {
    /// What happened.
    pub report: Report,
    pub(crate) outputs: HashMap<Arc<str>, Output>,
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished").field("report", &self.report).finish_non_exhaustive()
    }
}

impl Finished {
    /// What a task returned.
    ///
    /// # Errors
    /// When it did not succeed, or returned another type.
    pub fn output<T: Send + Sync + 'static>(&self, id: &str) -> Result<Arc<T>, InputError> {
        let error = |why| InputError { task: id.to_owned(), why };
        let output = self.outputs.get(id).ok_or_else(|| error(Missing::DidNotSucceed))?;
        Arc::clone(output)
            .downcast()
            .map_err(|_| error(Missing::OtherType { wanted: std::any::type_name::<T>() }))
    }
}

/// The orchestrator was dropped while a run was live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the orchestrator was dropped before the run was over")
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
