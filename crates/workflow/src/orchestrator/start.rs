//! What a graph must be like to be started, and why one is not.

use std::fmt;

use crate::engine::Link;
use crate::graph::{Graph, Unresolved};
use crate::journal::{CommitError, TooLarge};
use crate::run::TooMuch;

/// Whether the graph can be run.
pub(crate) fn check(graph: &Graph, link: &Link) -> Result<(), StartError> {
    let parts = &graph.parts;
    let missing = parts.unresolved();
    if !missing.is_empty() {
        return Err(StartError::Unresolved(missing));
    }
    for (place, task) in (0..).zip(parts.tasks.iter()) {
        if let Some(extras) = &task.extras {
            let agent = parts.agents.name_of(place).map(|name| &**name);
            link.check(&task.id, agent, Some(extras)).map_err(StartError::TooMuch)?;
        }
    }
    Ok(())
}

/// Why a graph cannot be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// Needs that name no task.
    Unresolved(Vec<Unresolved>),
    /// A task that could never start.
    TooMuch(TooMuch),
    /// Tasks of the run that the graph's journal knows are others now, and nobody has
    /// [accepted](crate::journal::History::accept_changes) that. Their version, or what they need, has changed.
    Changed {
        /// Their ids.
        tasks: Vec<String>,
    },
    /// Tasks that were submitted into the live run by tasks that are over now, and that are not over themselves, or were placed
    /// before one that is still to run: nobody would submit them again, and what waits for them would go on without. Let
    /// those that submitted them run [again](crate::journal::History::again), add the tasks to the graph, or decide what they
    /// came to ([`done`](crate::journal::History::done), [`failed`](crate::journal::History::failed)). That what is over will
    /// be missing is a change that can be [accepted](crate::journal::History::accept_changes).
    Orphans {
        /// Their ids.
        tasks: Vec<String>,
    },
    /// What the journal has kept of a planner's plan cannot be put into the graph.
    Plan {
        /// The task that had put it into the live run.
        task: String,
        /// What does not fit.
        error: String,
    },
    /// What the journal has kept of a task's output is none of the type that the task returns.
    Output {
        /// The task.
        task: String,
        /// What does not fit.
        error: String,
    },
    /// Something is too large for a journal.
    TooLarge(TooLarge),
    /// The journal could not be written.
    Journal(CommitError),
    /// The orchestrator was shut down.
    Closed,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(missing) => {
                let texts: Vec<String> = missing.iter().map(Unresolved::to_string).collect();
                f.write_str(&texts.join("; "))
            }
            Self::TooMuch(why) => why.fmt(f),
            Self::Changed { tasks } => {
                write!(f, "changed since the run began: `{}`", tasks.join("`, `"))
            }
            Self::Orphans { tasks } => write!(
                f,
                "submitted by tasks that are over and will not submit them again: `{}`; let those run again, or add these to the graph",
                tasks.join("`, `")
            ),
            Self::Plan { task, error } => {
                write!(f, "the plan that task `{task}` had put in is of no use: {error}")
            }
            Self::Output { task, error } => {
                write!(f, "the output that was kept of task `{task}` cannot be read: {error}")
            }
            Self::TooLarge(why) => why.fmt(f),
            Self::Journal(why) => why.fmt(f),
            Self::Closed => f.write_str("the orchestrator was shut down"),
        }
    }
}

impl std::error::Error for StartError {}
