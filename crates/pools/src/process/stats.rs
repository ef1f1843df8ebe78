//! A pool in numbers.

use std::time::Duration;

/// How long something took, over all times it was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// How often.
    pub count: u64,
    /// All times together.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Timing {
    pub(super) fn add(&mut self, took: Duration) {
        self.count += 1;
        self.total += took;
        self.longest = self.longest.max(took);
    }

    /// The mean; zero when it was never done.
    pub fn mean(&self) -> Duration {
        self.total.div_f64((self.count as f64).max(1.0))
    }
}

/// What a [`ProcessPool`](super::ProcessPool) has done and is doing, all of it read at one moment.
///
/// The jobs `submitted` are those `queued` and `running` and those that were answered or dropped: `done`, `failed`,
/// `panicked`, `timed_out`, `cancelled`, `died`, `refused` and `given_up`, each of them counted once. Only while a
/// worker still has a job that is told to stop it counts twice: as `running` and by its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Worker processes that live and said hello.
    pub workers: usize,
    /// Workers that have nothing to do.
    pub idle: usize,
    /// Jobs that wait for a worker.
    pub queued: usize,
    /// Jobs that a worker has.
    pub running: usize,
    /// Jobs taken in.
    pub submitted: u64,
    /// Jobs whose function returned an output.
    pub done: u64,
    /// Jobs whose function returned an error.
    pub failed: u64,
    /// Jobs whose function panicked.
    pub panicked: u64,
    /// Jobs ended by their timeout.
    pub timed_out: u64,
    /// Jobs whose future was dropped before the answer.
    pub cancelled: u64,
    /// Jobs that lost their worker.
    pub died: u64,
    /// Jobs that the worker could not read or answer.
    pub refused: u64,
    /// Jobs that were taken in and then given up: the pool was ended, or no worker could be started.
    pub given_up: u64,
    /// Jobs turned away as poison; they are not taken in.
    pub poisoned: u64,
    /// Jobs put back after their worker died (idempotent ones only).
    pub requeued: u64,
    /// Worker processes that said hello, ever.
    pub started: u64,
    /// Starts that failed.
    pub start_failures: u64,
    /// Workers replaced by plan.
    pub recycled: u64,
    /// Time in the queue.
    pub wait: Timing,
    /// Time with a worker.
    pub run: Timing,
    /// The calls that start a process.
    pub spawn: Timing,
}
