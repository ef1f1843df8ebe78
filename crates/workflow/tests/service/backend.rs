//! What the service's tasks call: backends whose capacity is virtual, so that a second of theirs takes no time.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_workflow::TaskError;
use tokio::time::{Instant, sleep};

/// How long each of [`CAPACITIES`] lasts.
pub(crate) const PHASE: Duration = Duration::from_secs(5);

/// How many calls the model serves at once, phase by phase and over again.
pub(crate) const CAPACITIES: [usize; 3] = [16, 4, 32];

/// How long a call takes that does not wait.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);

/// A model that serves so many calls at once, lets as many wait, and refuses the rest; and a tool that is out of order for
/// a while in every three seconds.
#[derive(Debug)]
pub(crate) struct Backend {
    began: Instant,
    busy: AtomicUsize,
    calls: AtomicU64,
}

/// A call that is being served.
struct Serving<'a>(&'a AtomicUsize);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        // ORDERING: Relaxed; one thread runs all of it.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backend {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), busy: AtomicUsize::new(0), calls: AtomicU64::new(0) }
    }

    /// How long it has been there.
    pub(crate) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// Which phase it is, and how much of it is over.
    pub(crate) fn phase(&self) -> (usize, Duration) {
        let uptime = self.uptime();
        let phase = usize::try_from(uptime.as_millis() / PHASE.as_millis()).expect("few phases");
        (phase % CAPACITIES.len(), uptime - PHASE * (uptime.as_millis() / PHASE.as_millis()) as u32)
    }

    /// How many calls have come.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many are being served.
    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// A call of the model: the more are there, the longer it takes.
    pub(crate) async fn call(&self) -> Result<u64, TaskError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let busy = self.busy.fetch_add(1, Ordering::Relaxed) + 1;
        let _serving = Serving(&self.busy);
        let capacity = CAPACITIES[self.phase().0];
        if 2 * capacity < busy {
            return Err(TaskError::overloaded("too many at once", None));
        }
        sleep(LATENCY.mul_f64((busy as f64 / capacity as f64).max(1.0))).await;
        Ok(call)
    }

    /// A use of the tool.
    pub(crate) async fn tool(&self) -> Result<(), TaskError> {
        let is_down = self.uptime().as_millis() % 3000 < 600;
        sleep(LATENCY / 4).await;
        if is_down { Err("out of order".into()) } else { Ok(()) }
    }
}
