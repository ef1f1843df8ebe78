//! Why there is no permit.

use std::error::Error;
use std::fmt;

/// Why a request that was willing to wait got no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The semaphore was closed before the request was granted.
    Closed,
    /// The request is heavier than the limit, from the start or since a shrink.
    ExceedsLimit {
        /// The weight asked for.
        requested: usize,
        /// The limit at the moment of refusal.
        limit: usize,
    },
    /// As many requests wait as the queue holds.
    QueueFull {
        /// The most requests that may wait.
        bound: u32,
    },
    /// The future given to [`until`](crate::Acquire::until) completed first.
    Cancelled,
    /// The timer given to [`before`](crate::Acquire::before), or the timeout of
    /// [`wait_timeout`](crate::Acquire::wait_timeout), ran out first.
    TimedOut,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("semaphore is closed"),
            Self::ExceedsLimit { requested, limit } => {
                write!(f, "request for {requested} permits exceeds the limit of {limit}")
            }
            Self::QueueFull { bound } => write!(f, "queue is full: {bound} requests wait already"),
            Self::Cancelled => f.write_str("request for a permit was cancelled"),
            Self::TimedOut => f.write_str("timed out waiting for a permit"),
        }
    }
}

impl Error for AcquireError {}

/// Why a request that was not willing to wait got no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed.
    Closed,
    /// It would not fit below the limit, or someone who asked before is waiting.
    NoPermits,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "semaphore is closed",
            Self::NoPermits => "no permits available",
        })
    }
}

impl Error for TryAcquireError {}
