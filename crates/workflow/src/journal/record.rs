//! What a journal says, one fact a record.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One fact. Tasks are numbers that [`Record::TaskAdded`] gives; `at_ms` is in milliseconds since the first
/// [`Record::RunStarted`], which names the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Record {
    /// The run has begun.
    RunStarted {
        /// The run's id, from which the keys of its attempts are made.
        run: String,
        /// What it runs, as its starter writes it. No secrets: whoever has the file can read it.
        description: Vec<u8>,
        /// When, in milliseconds since 1970.
        since_1970_ms: u64,
    },
    /// Another process goes on with the run.
    RunResumed {
        /// When.
        at_ms: u64,
    },
    /// The run has a task more; a second one of the same number puts another task of that id in its place.
    TaskAdded {
        /// The number that stands for it from here on.
        task: u32,
        /// Its id.
        id: Arc<str>,
        /// The tasks it needs.
        needs: Vec<u32>,
        /// What changes when the task does; see [`Task::version`](crate::Task::version).
        version: u64,
        /// Whether it was submitted into the live run.
        live: bool,
    },
    /// A task is about to run.
    AttemptStarted {
        /// Which.
        task: u32,
        /// The how-manieth time, from 1.
        attempt: u32,
        /// Whether it must not be run twice without being asked.
        once: bool,
        /// When.
        at_ms: u64,
    },
    /// An attempt came to nothing, and another is to follow.
    AttemptFailed {
        /// Whose.
        task: u32,
        /// Which.
        attempt: u32,
        /// What it said.
        error: String,
        /// How long it ran, in microseconds.
        took_us: u64,
        /// When it ended.
        at_ms: u64,
    },
    /// A task is over.
    Settled {
        /// Which.
        task: u32,
        /// Its last attempt; 0 if it never started.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// What it gave, encoded by its owner.
        output: Vec<u8>,
        /// How long its last attempt ran, in microseconds.
        took_us: u64,
        /// When it ended.
        at_ms: u64,
    },
    /// What a task came to no longer counts: it is to be run again, its attempts numbered on.
    Reset {
        /// Which.
        task: u32,
    },
    /// Something that a later process should know.
    Fact {
        /// Its name; the last record of a name counts.
        name: String,
        /// Its value, encoded by its owner.
        value: Vec<u8>,
    },
    /// The run is over.
    RunEnded {
        /// How.
        end: End,
        /// When.
        at_ms: u64,
    },
    /// Who has submitted a task into the live run: an attempt of another task.
    Submitted {
        /// The new task.
        task: u32,
        /// The other one.
        by: u32,
        /// The tasks before which it was placed.
        before: Vec<u32>,
    },
    /// What a planner has thought of. It is kept before anything of it starts.
    Planned {
        /// The task that asked for it and puts it in; none for the plan of the whole run.
        by: Option<u32>,
        /// The plan, encoded by its owner; empty if it no longer counts.
        plan: Vec<u8>,
    },
    /// A task within the work of another is done.
    ItemDone {
        /// The other one, whose attempt is under way.
        task: u32,
        /// Its id.
        item: String,
        /// How many of this id the attempt had run before.
        nth: u32,
        /// What changes when it does.
        version: u64,
        /// What it took out of the budgets.
        cost: u32,
        /// What it gave, encoded by its owner.
        output: Vec<u8>,
        /// When.
        at_ms: u64,
    },
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// It gave its output.
    Done,
    /// Its last attempt failed, with this error.
    Failed(String),
    /// It was not run, for this reason.
    Skipped(String),
    /// It was cancelled.
    Cancelled,
    /// Its last attempt took too long.
    TimedOut,
    /// Its condition said no.
    Declined,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum End {
    /// Each task is settled.
    Complete,
    /// It was cancelled: tasks without a settlement were not run to their end.
    Cancelled,
}
