//! Why a group took no task.

use std::error::Error;
use std::fmt;

/// Why a group took no task. The task was dropped without being polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The group was waited for, or dropped.
    Closed,
    /// The group was cancelled: by a failure, its deadline, its parent, or [`cancel`](crate::Spawner::cancel).
    Cancelled,
    /// As many tasks run as the limit allows, or others wait already.
    Full,
    /// Every running task waits for a place that only one of them could give: nobody could go on.
    WouldDeadlock,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the task group is closed",
            Self::Cancelled => "the task group is cancelled",
            Self::Full => "the task group is at its limit",
            Self::WouldDeadlock => "every running task of the group waits for a place in it",
        })
    }
}

impl Error for Refused {}
