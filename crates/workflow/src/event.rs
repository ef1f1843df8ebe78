//! What happens, as one typed stream.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::planner::Splice;

mod log;

pub(crate) use log::Log;

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It returned a value.
    Succeeded,
    /// Its last attempt returned an error or panicked.
    Failed {
        /// The error, or the panic's message.
        error: String,
    },
    /// Its last attempt took longer than its time-out.
    TimedOut,
    /// It was cancelled, alone or with its run.
    Cancelled,
    /// It never did its work: its condition said no.
    Declined,
    /// It never started.
    Skipped {
        /// The task that did not succeed.
        because: Arc<str>,
    },
    /// Another process began it, nobody knows how it ended, and it must not be repeated without being asked; see
    /// [`Task::commit_before_start`](crate::Task::commit_before_start).
    Unknown,
}

impl Outcome {
    /// Whether it returned a value.
    pub fn is_success(&self) -> bool {
        *self == Self::Succeeded
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, since the orchestrator started.
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. Within one run the order is the order in which it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A run began.
    RunStarted {
        /// Its number.
        run: u64,
        /// How many tasks its graph has; more may be submitted.
        tasks: usize,
    },
    /// A task is not run, because its outcome is known from the run's journal.
    TaskRestored {
        /// Its run.
        run: u64,
        /// Its id.
        task: Arc<str>,
        /// How many attempts it took.
        attempts: u32,
        /// How it ended.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// A task was submitted into a live run.
    TaskAdded {
        /// Its run.
        run: u64,
        /// Its id.
        task: Arc<str>,
    },
    /// A planner's alternative stands in for a failed step: all of its tasks were added before this is told, and none of them
    /// starts before.
    PlanSpliced {
        /// Its run.
        run: u64,
        /// What was replaced, by what, and what that took.
        #[serde(flatten)]
        splice: Arc<Splice>,
    },
    /// All needs of a task are met; it waits for a slot.
    TaskReady {
        /// Its run.
        run: u64,
        /// Its id.
        task: Arc<str>,
    },
    /// An attempt began.
    TaskStarted {
        /// Its run.
        run: u64,
        /// Its id.
        task: Arc<str>,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// Whose slot it holds.
        agent: Arc<str>,
    },
    /// An attempt did not succeed, and another will follow.
    TaskRetrying {
        /// Its run.
        run: u64,
        /// Its id.
        task: Arc<str>,
        /// The attempt that failed, counted from 1.
        attempt: u32,
        /// Why it failed.
        error: String,
        /// How long until the next may start.
        delay: Duration,
    },
    /// A running task has begun a run that is part of its work, and holds no slot from here on; see
    /// [`Context::sub_graph`](crate::Context::sub_graph).
    RunWithin {
        /// The task's run.
        run: u64,
        /// The task.
        task: Arc<str>,
        /// The run that it has begun.
        started: u64,
    },
    /// What a task came to no longer counts: it runs [again](crate::Run::rerun), and what follows is told once more.
    TaskAgain {
        /// Its run.
        run: u64,
        /// Its id.
        task: Arc<str>,
    },
    /// A task is over.
    TaskEnded {
        /// Its run.
        run: u64,
        /// Its id.
        task: Arc<str>,
        /// How many attempts it took; 0 if it never started.
        attempts: u32,
        /// How it ended.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The overall limit is another.
    LimitChanged {
        /// The limit before.
        from: usize,
        /// The limit now.
        to: usize,
    },
    /// The limit of an agent is another.
    AgentLimitChanged {
        /// The agent.
        agent: Arc<str>,
        /// The limit before.
        from: usize,
        /// The limit now.
        to: usize,
    },
    /// Every task of a run is over.
    RunEnded {
        /// Its number.
        run: u64,
    },
}

/// A reader of the event stream. It never slows the engine: a reader that falls behind by more than the stream's capacity
/// loses the oldest events and is told how many.
#[derive(Debug)]
pub struct Events(pub(crate) log::Reader);

/// What a reader of the event stream gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The next event.
    Event(Event),
    /// So many events were lost, because they were not read in time.
    Lost(u64),
}

impl Events {
    /// The next event, or `None` once the orchestrator is gone.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Next> {
        self.0.next().await
    }

    /// The next event if one is there.
    pub fn try_next(&mut self) -> Option<Next> {
        self.0.try_next()
    }
}
