//! What the machine is told and tells: ends, actions, reasons.

use std::time::Duration;

use super::{ResourceId, RunId, TaskRef};

/// How a task ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    /// Its own condition said no.
    Declined,
    /// The run's budget cannot pay it any more.
    OverBudget,
    /// Its tenant's cannot.
    TenantOverBudget,
    /// Another process began it and did not tell its end.
    Unknown,
    /// It never started, because this task of its run ended otherwise than it wants.
    Skipped {
        because: u32,
    },
}

impl End {
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::OverBudget | Self::TenantOverBudget)
    }
}

/// How one attempt ended, as the driver saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Succeeded,
    /// Its condition said no.
    Declined,
    Failed {
        retryable: bool,
    },
    /// It gave no sign of life for too long.
    TimedOut,
}

/// What follows from the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Over(End),
    /// Another attempt.
    Again {
        timed_out: bool,
    },
    /// The task runs again, and this attempt counts for nothing.
    Afresh,
}

/// Why a running attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    TimedOut,
    Cancelled,
    /// The task is to begin afresh.
    Rerun,
    /// It was to begin afresh, and then it was cancelled: what it returns is still not used.
    Discarded,
}

/// What the driver has to do, or to tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Action {
    /// Run this attempt, counted from 1, and report its end with [`Machine::ended`](super::Machine::ended).
    Start { task: TaskRef, attempt: u32 },
    /// Ask the running attempt to stop; its end is still to be reported.
    Stop { task: TaskRef },
    /// The run has begun; its tasks that need nobody are ready.
    Began { run: RunId },
    /// All needs of the task are met; it waits for a slot.
    Ready { task: TaskRef },
    /// A ready task that has a choice waits for another agent now.
    Moved { task: TaskRef },
    /// The attempt did not succeed; the next one may start at `at`.
    Retry { task: TaskRef, failed: u32, timed_out: bool, at: Duration },
    /// What the task has come to in so many attempts no longer counts: it will be ready and over once more.
    Again { task: TaskRef, attempts: u32 },
    /// The task is over.
    Settled { task: TaskRef, end: End },
    /// Every task of the run is over; [`Machine::take_over`](super::Machine::take_over) gives it out.
    RunDone { run: RunId },
}

/// Why a task is not running.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Waiting {
    /// For these tasks of its run.
    Needs(Vec<u32>),
    /// For an overall slot, or for those that go first.
    Limit,
    /// For a slot of its agent.
    AgentLimit,
    /// For its agent's rate.
    Rate { until: Duration },
    /// For its agent's breaker to close.
    Breaker { until: Duration },
    /// For so much of a resource.
    Resource { resource: ResourceId, wanted: u64, free: u64 },
    /// For its next attempt.
    Backoff { until: Duration },
    /// For nothing: it runs.
    Running,
    /// For nothing: it is over.
    Done,
}
