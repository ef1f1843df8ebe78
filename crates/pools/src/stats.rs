//! What a pool of threads has done, as plain numbers.

use std::time::{Duration, Instant};

/// What a pool of threads does and has done, read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStats {
    /// Threads there are.
    pub threads: usize,
    /// Jobs that wait in the queue.
    pub waiting: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that a thread has taken, those included that were cancelled and so never ran.
    pub started: u64,
    /// Jobs that have ended.
    pub ended: u64,
    /// Time that all started jobs had waited.
    pub waited: Duration,
    /// Time that all ended jobs took.
    pub ran: Duration,
}

/// The counts of a pool, kept under its lock.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    started: u64,
    ended: u64,
    waited: Duration,
    ran: Duration,
}

impl Counts {
    /// A job queued at `queued` starts.
    pub(crate) fn start(&mut self, queued: Instant, now: Instant) {
        self.started += 1;
        self.waited += now.saturating_duration_since(queued);
    }

    /// A job started at `started` has ended.
    pub(crate) fn end(&mut self, started: Instant, now: Instant) {
        self.ended += 1;
        self.ran += now.saturating_duration_since(started);
    }

    pub(crate) fn running(&self) -> usize {
        usize::try_from(self.started - self.ended).expect("no more jobs run than there are threads")
    }

    pub(crate) fn stats(&self, threads: usize, waiting: usize) -> PoolStats {
        let &Self { started, ended, waited, ran } = self;
        PoolStats { threads, waiting, running: self.running(), started, ended, waited, ran }
    }
}
