//! What can be seen of a semaphore.

use std::time::Duration;

use crate::queue::Census;
use crate::word::{CLOSED, QUEUED, Word};

/// Limit and use of one moment; see [`Semaphore::view`](crate::Semaphore::view).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// How many may be in use at a time.
    pub limit: usize,
    /// How many are in use, grants not yet collected included.
    pub in_use: usize,
    /// Whether any request waits.
    pub has_waiters: bool,
    /// Whether it is closed.
    pub is_closed: bool,
}

impl View {
    pub(super) fn new(word: Word) -> Self {
        Self {
            limit: word.limit() as usize,
            in_use: word.in_use() as usize,
            has_waiters: word.has(QUEUED),
            is_closed: word.has(CLOSED),
        }
    }

    /// How many more fit below the limit.
    pub fn available(&self) -> usize {
        self.limit.saturating_sub(self.in_use)
    }

    /// By how much a shrink has left the use above the limit.
    pub fn debt(&self) -> usize {
        self.in_use.saturating_sub(self.limit)
    }
}

/// Who waits, and since when; see [`Semaphore::queue`](crate::Semaphore::queue).
///
/// The ages are there only if the semaphore was made
/// [`with_wait_times`](crate::Semaphore::with_wait_times).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueView {
    /// How many requests wait.
    pub waiting: usize,
    /// How many requests were granted and have not been polled since. For more than a moment, this means a future that
    /// is kept but not polled.
    pub granted_unpolled: usize,
    /// How long the request at the head has waited, if one waits.
    pub oldest_wait: Option<Duration>,
    /// How long the oldest grant has lain uncollected, if one does.
    pub oldest_grant: Option<Duration>,
}

impl QueueView {
    pub(super) fn new(census: Census) -> Self {
        Self {
            waiting: census.waiting as usize,
            granted_unpolled: census.granted as usize,
            oldest_wait: census.oldest_wait,
            oldest_grant: census.oldest_grant,
        }
    }
}
