//! What is told to the engine, and what it hands back.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::agents::{AgentChange, Observed};
use super::attempt::Ended;
use super::keeper::{Keeper, Known};
use super::{drop_contained, drop_each};
use crate::durations::Durations;
use crate::event::Outcome;
use crate::graph::Graph;
use crate::journal::CommitError;
use crate::machine::RunId;
use crate::planner::Splice;
use crate::rerun::{Reach, RerunError};
use crate::run::{Finished, Status, Stopped, SubmitError, Waiting};
use crate::sub::{ItemDone, Within};
use crate::task::{Body, Extras, Grown, Output, Task};

/// What the engine is told.
pub(crate) enum Command {
    Start {
        run: RunId,
        graph: Box<Graph>,
        keeper: Option<Box<Keeper>>,
        done: Done,
    },
    Submit {
        run: RunId,
        by: Option<u32>,
        tasks: Vec<Grown>,
        reply: oneshot::Sender<Result<(), SubmitError>>,
    },
    /// A task puts a planner's alternative into the run, as a whole.
    Splice {
        run: RunId,
        by: u32,
        plan: Vec<u8>,
        grown: Vec<Grown>,
        reply: oneshot::Sender<Result<(), SubmitError>>,
    },
    /// A planner has put its alternative into a run.
    Spliced {
        run: RunId,
        splice: Arc<Splice>,
    },
    /// A running task waits for others, and gives its slot back.
    Park(Asker),
    /// The same, and what it waits for; without a parent a run like any other.
    StartWithin {
        parent: Option<Asker>,
        graph: Box<Graph>,
        /// If it is a task whose output is to be kept: its id, its version, and the key of the task that asks.
        item: Option<(Arc<str>, u64, String)>,
        /// What the keys of its attempts begin with, if it is not an item and has some of its own.
        name: Option<Arc<str>>,
        reply: oneshot::Sender<Option<Within>>,
    },
    /// What is known of such tasks, by their ids and versions; nothing if the run has no journal.
    Recall {
        by: Asker,
        items: Vec<(Arc<str>, u64)>,
        reply: oneshot::Sender<Vec<Known>>,
    },
    /// Such a task is done.
    KeepItem {
        by: Asker,
        item: ItemDone,
        reply: oneshot::Sender<Result<(), SubmitError>>,
    },
    Rerun {
        run: RunId,
        task: Arc<str>,
        reach: Reach,
        reply: oneshot::Sender<Result<Vec<Arc<str>>, RerunError>>,
    },
    CancelRun(RunId),
    CancelAll,
    CancelTask {
        run: RunId,
        task: Arc<str>,
    },
    SetPriority {
        run: RunId,
        task: Arc<str>,
        priority: i32,
    },
    Why {
        run: RunId,
        task: Arc<str>,
        reply: oneshot::Sender<Option<Waiting>>,
    },
    Outcome {
        run: RunId,
        task: Arc<str>,
        reply: oneshot::Sender<Option<Outcome>>,
    },
    Status {
        run: RunId,
        reply: oneshot::Sender<Option<Status>>,
    },
    SetLimit(usize),
    ChangeAgent {
        agent: Arc<str>,
        change: AgentChange,
    },
    ResourceChanged(Arc<str>),
    SetTenant {
        tenant: Arc<str>,
        weight: f64,
    },
    SetTenantBudget {
        tenant: Arc<str>,
        budget: Option<u64>,
    },
    TenantBudget {
        tenant: Arc<str>,
        reply: oneshot::Sender<Option<u64>>,
    },
    Durations(oneshot::Sender<Durations>),
    /// What was measured of an agent since it was last asked for.
    Observe {
        agent: Arc<str>,
        reply: oneshot::Sender<Observed>,
    },
    Ended(Ended),
    /// A run's journal is so far on the disk.
    Committed {
        run: RunId,
        commit: u64,
        result: Result<(), CommitError>,
    },
}

/// The attempt that asks for something.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) run: RunId,
    pub(crate) task: Arc<str>,
    pub(crate) attempt: u32,
}

impl Command {
    /// Nobody is there to obey it.
    pub(super) fn discard(self) {
        match self {
            Self::Start { graph, done, .. } => {
                Waste::Graph(graph).discard();
                drop(done);
            }
            Self::StartWithin { graph, .. } => Waste::Graph(graph).discard(),
            Self::Submit { tasks: grown, .. } | Self::Splice { grown, .. } => {
                grown.into_iter().for_each(|grown| Waste::Task(Box::new(grown.task)).discard());
            }
            command => drop_contained(command),
        }
    }
}

/// What is the user's and of no use any more. Its destructors run when the engine has been let go of.
pub(crate) enum Waste {
    Body(Body),
    Extras(Arc<Extras>),
    Output(Output),
    Attempt(Ended),
    /// Refused.
    Task(Box<Task>),
    Graph(Box<Graph>),
    Finished(Box<Finished>),
}

impl Waste {
    pub(super) fn discard(self) {
        match self {
            Self::Body(body) => drop_contained(body),
            Self::Extras(extras) => drop_contained(extras),
            Self::Output(output) => drop_contained(output),
            Self::Attempt(attempt) => drop_contained(attempt),
            Self::Task(task) => {
                let Task { body, extras, .. } = *task;
                drop_contained(body);
                drop_contained(extras);
            }
            Self::Graph(mut graph) => {
                drop_each(graph.parts.past.drain(..));
                drop_contained(graph);
            }
            Self::Finished(finished) => drop_contained(finished),
        }
    }
}

/// Who learns that a run is over.
#[derive(Debug)]
pub(crate) enum Done {
    /// The owner of a graph's run.
    Owner(oneshot::Sender<Result<Finished, Stopped>>),
    /// Nobody in particular: a task of `go`, whose failure is kept for `wait`.
    Service,
}

/// The first failure among the tasks of `go`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirstFailure {
    pub(crate) task: Arc<str>,
    pub(crate) outcome: Outcome,
}
