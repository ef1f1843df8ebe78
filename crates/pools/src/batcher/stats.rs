//! A batcher in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What a [`Batcher`](super::Batcher) does and has done. The parts are read one after another, so that they may be a moment apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatcherStats {
    /// Items that wait in the queue, those of the batch that is being gathered left out.
    pub waiting: usize,
    /// Calls that run.
    pub running: u64,
    /// Items handed to a call.
    pub items: u64,
    /// Calls made.
    pub batches: u64,
    /// Items whose call panicked or answered with the wrong number of results.
    pub failed: u64,
    /// Time that all items handed to a call had waited for it, the time before the queue had room included.
    pub waited: Duration,
    /// Time that all ended calls took.
    pub ran: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    items: AtomicU64,
    batches: AtomicU64,
    failed: AtomicU64,
    ended: AtomicU64,
    waited_ns: AtomicU64,
    ran_ns: AtomicU64,
}

impl Counts {
    /// A call begins with items that came at these times.
    pub(super) fn start(&self, came: impl Iterator<Item = Instant>) {
        let now = Instant::now();
        let (mut items, mut waited) = (0, Duration::ZERO);
        for since in came {
            items += 1;
            waited += now - since;
        }
        // ORDERING: Relaxed here and below; counts that order nothing.
        self.items.fetch_add(items, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.waited_ns.fetch_add(nanos(waited), Ordering::Relaxed);
    }

    /// A call has ended, and left so many items without a result.
    pub(super) fn end(&self, ran: Duration, failed: usize) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(failed as u64, Ordering::Relaxed);
        self.ran_ns.fetch_add(nanos(ran), Ordering::Relaxed);
    }

    pub(super) fn read(&self, waiting: usize) -> BatcherStats {
        // ORDERING: Relaxed; counts that order nothing. After a shutdown the semaphore of the flushes has ordered them.
        // The ends are read before the beginnings, so that as a rule no difference is negative.
        let ended = self.ended.load(Ordering::Relaxed);
        let batches = self.batches.load(Ordering::Relaxed);
        BatcherStats {
            waiting,
            running: batches.saturating_sub(ended),
            items: self.items.load(Ordering::Relaxed),
            batches,
            failed: self.failed.load(Ordering::Relaxed),
            waited: Duration::from_nanos(self.waited_ns.load(Ordering::Relaxed)),
            ran: Duration::from_nanos(self.ran_ns.load(Ordering::Relaxed)),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
