//! What a journal says, one fact a record.

use serde::{Deserialize, Serialize};

/// One fact. Times are milliseconds since 1970; tasks are numbers that [`Record::TaskAdded`] gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Record {
    /// The run has begun.
    RunStarted {
        /// The run's id, from which the keys of its attempts are made.
        run: String,
        /// What it runs, as its starter writes it. No secrets: whoever has the file can read it.
        description: Vec<u8>,
        /// When.
        at_ms: u64,
    },
    /// The run has a task more.
    TaskAdded {
        /// The number that stands for it from here on.
        task: u32,
        /// Its id.
        id: String,
        /// The tasks it needs.
        needs: Vec<u32>,
        /// The splice that has brought it, if a planner did.
        splice: Option<u32>,
    },
    /// A task is about to run.
    AttemptStarted {
        /// Which.
        task: u32,
        /// The how-manieth time, from 1.
        attempt: u32,
        /// When.
        at_ms: u64,
    },
    /// An attempt came to nothing.
    AttemptFailed {
        /// Whose.
        task: u32,
        /// Which.
        attempt: u32,
        /// What it said.
        error: String,
        /// When the next one is due, if there is to be one.
        retry_at_ms: Option<u64>,
    },
    /// A task is over and will not be run again.
    Settled {
        /// Which.
        task: u32,
        /// How it ended.
        outcome: Outcome,
        /// What it gave, encoded by its owner.
        output: Vec<u8>,
    },
    /// Something learned that a later process should know: a limit, a budget's rest, a breaker, a duration.
    Fact {
        /// Its name; the last record of a name counts.
        name: String,
        /// Its value, encoded by its owner.
        value: Vec<u8>,
    },
    /// A planner's tasks are about to be added.
    Spliced {
        /// The number by which they name this splice.
        splice: u32,
        /// Who planned it.
        planner: String,
        /// The task in whose place they run, if it is one that failed.
        instead_of: Option<u32>,
    },
    /// The run is over.
    RunEnded {
        /// How.
        end: End,
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
