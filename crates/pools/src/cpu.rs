//! A fixed number of threads for computations.
//!
//! Invariants:
//! 1. A job holds one place of the queue from its submission until a thread takes it; places are bounded.
//! 2. A thread sleeps only if the queue is empty; whoever queues a job wakes one that sleeps, unless enough are on their way:
//!    woken but not up yet, or spinning. Whoever was on its way looks at the queue under the lock before it sleeps.
//! 3. Jobs run without the lock, and what they panic with stays in their own result.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::job::{Job, Stop, SubmitError, Work};
use crate::lanes::{Lanes, Priority};
use crate::stats::{Counts, PoolStats};

/// How long a thread without work looks for more before it sleeps; about what waking it would cost.
const SPIN: Duration = Duration::from_micros(20);

/// Runs computations on a fixed number of threads, the urgent ones first.
///
/// Within a priority the order is first in, first out. So that nothing starves, every sixteenth job taken is the one that has
/// waited the longest, whatever its priority. Dropping the pool cancels what has not started; what runs ends on its own, and nobody
/// waits for it. [`shutdown`](Self::shutdown) waits.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tidegate_pools::{CpuPool, Priority};
///
/// let pool = CpuPool::builder().threads(2).build()?;
/// let squares = pool.submit(Priority::Normal, || (0..1000_u64).map(|n| n * n).sum::<u64>()).await?;
/// let urgent = pool.submit(Priority::Critical, || "now").await?;
/// assert_eq!((squares.await?, urgent.await?), (332_833_500, "now"));
/// pool.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct CpuPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    places: Semaphore,
    /// A job was queued since this was cleared.
    hint: AtomicBool,
    capacity: usize,
}

struct State {
    lanes: Lanes<(Instant, Work)>,
    counts: Counts,
    sleeping: usize,
    /// Notices given to sleeping threads that have not woken up yet.
    notices: usize,
    /// Whether a thread looks for work without sleeping: one at most.
    spinning: bool,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("waiting", &self.lanes.len())
            .field("running", &self.counts.running())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`CpuPool`] to be.
#[derive(Debug, Clone)]
#[must_use]
pub struct CpuPoolBuilder {
    threads: usize,
    queue: usize,
    name: String,
}

impl CpuPoolBuilder {
    /// How many threads; 0 counts as 1. As many as processors that the process may use, unless set: cgroup quotas and
    /// affinity count.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// How many jobs may wait; 0 counts as 1. 1024 unless set.
    pub fn queue(mut self, jobs: usize) -> Self {
        self.queue = jobs.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How the threads are called; `cpu` unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The pool, with its threads started.
    ///
    /// # Errors
    /// When the system refuses a thread; those that were started end.
    pub fn build(self) -> io::Result<CpuPool> {
        let state = State {
            lanes: Lanes::new(),
            sleeping: 0,
            notices: 0,
            spinning: false,
            counts: Counts::default(),
            closed: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            places: Semaphore::new(self.queue),
            hint: AtomicBool::new(false),
            capacity: self.queue,
        });
        let mut pool = CpuPool { shared, threads: Vec::with_capacity(self.threads) };
        for at in 0..self.threads {
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new().name(format!("{}-{at}", self.name));
            pool.threads.push(thread.spawn(move || shared.work_until_closed())?);
        }
        Ok(pool)
    }
}

impl CpuPool {
    /// Settings to start from.
    pub fn builder() -> CpuPoolBuilder {
        let threads = crate::machine::processors();
        CpuPoolBuilder { threads, queue: 1024, name: "cpu".to_owned() }
    }

    /// Queues a job; waits while the queue is full, first come, first served.
    ///
    /// # Errors
    /// [`SubmitError::Closed`] when the pool was closed.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready drops the job, which was not queued.
    pub async fn submit<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, SubmitError> {
        self.place().await?;
        self.queue(priority, Job::new(work, None))
    }

    /// As [`submit`](Self::submit), for a job that looks whether it shall stop.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    ///
    /// # Cancel safety
    /// As [`submit`](Self::submit).
    pub async fn submit_stoppable<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<Job<T>, SubmitError> {
        self.place().await?;
        let stop = Stop::default();
        let told = stop.clone();
        self.queue(priority, Job::new(move || work(&told), Some(stop)))
    }

    /// Queues a job if there is room.
    ///
    /// # Errors
    /// [`SubmitError::Full`] when the queue is full or others wait for room, [`SubmitError::Closed`] when the pool was closed.
    pub fn try_submit<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, SubmitError> {
        match self.shared.places.try_acquire() {
            Ok(place) => place.forget(),
            Err(tokio::sync::TryAcquireError::Closed) => return Err(SubmitError::Closed),
            Err(tokio::sync::TryAcquireError::NoPermits) => {
                return Err(SubmitError::Full { waiting: self.waiting() });
            }
        }
        self.queue(priority, Job::new(work, None))
    }

    /// How many jobs wait in the queue.
    pub fn waiting(&self) -> usize {
        self.shared.lock().lanes.len()
    }

    /// How many jobs run.
    pub fn running(&self) -> usize {
        self.shared.lock().counts.running()
    }

    /// What the pool does and has done.
    pub fn stats(&self) -> PoolStats {
        let state = self.shared.lock();
        state.counts.stats(self.threads.len(), state.lanes.len())
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// How many jobs may wait.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Takes no more jobs, runs those that wait, and returns when all have ended and the threads are gone.
    ///
    /// # Cancel safety
    /// If the future is dropped, the pool ends in the same way, with nobody waiting.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn shutdown(mut self) {
        self.shared.close();
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()))
        });
        // The join panics only if the runtime is shut down meanwhile; then nobody waits any more.
        let _ = joined.await;
    }

    /// Waits for a place of the queue, and takes it.
    async fn place(&self) -> Result<(), SubmitError> {
        let place = self.shared.places.acquire().await.map_err(|_| SubmitError::Closed)?;
        place.forget();
        Ok(())
    }

    /// Called with a place of the queue taken (invariant 1).
    fn queue<T>(
        &self,
        priority: Priority,
        (job, work): (Job<T>, Work),
    ) -> Result<Job<T>, SubmitError> {
        let queued = Instant::now();
        let mut state = self.shared.lock();
        if state.closed {
            // The job's drop is foreign code: after the lock.
            drop(state);
            return Err(SubmitError::Closed);
        }
        state.lanes.push(priority, (queued, work));
        // ORDERING: Relaxed; a hint to whoever spins, who takes the lock before believing it.
        self.shared.hint.store(true, Ordering::Relaxed);
        let wake = state.wake_one();
        drop(state);
        if wake {
            self.shared.work.notify_one();
        }
        Ok(job)
    }
}

impl Drop for CpuPool {
    fn drop(&mut self) {
        self.shared.close();
        if !self.threads.is_empty() {
            let unrun = self.shared.lock().lanes.drain();
            // Their drops are foreign code: after the lock.
            drop(unrun);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.places.close();
        self.lock().closed = true;
        self.work.notify_all();
    }

    fn work_until_closed(&self) {
        let mut state = self.lock();
        loop {
            if let Some((queued, work)) = state.lanes.pop() {
                let started = Instant::now();
                state.counts.start(queued, started);
                // Whoever spun may have come for the first of several jobs.
                let wake = state.wake_one();
                drop(state);
                if wake {
                    self.work.notify_one();
                }
                self.places.add_permits(1);
                work();
                let ended = Instant::now();
                state = self.lock();
                state.counts.end(started, ended);
            } else if state.closed {
                return;
            } else if !state.spinning {
                state.spinning = true;
                // ORDERING: Relaxed; a hint, written under the lock as in `queue`.
                self.hint.store(false, Ordering::Relaxed);
                drop(state);
                let came = self.spin();
                state = self.lock();
                state.spinning = false;
                if !came && state.lanes.len() == 0 && !state.closed {
                    state = self.sleep(state);
                }
            } else {
                state = self.sleep(state);
            }
        }
    }

    /// Looks for a job for a moment, since a wake-up costs more than the moment. Says whether one may have come.
    fn spin(&self) -> bool {
        let since = Instant::now();
        while since.elapsed() < SPIN {
            // ORDERING: Relaxed; see `queue`.
            if self.hint.load(Ordering::Relaxed) {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    fn sleep<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        state.sleeping += 1;
        let mut state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.sleeping -= 1;
        // Woken by itself it takes another's notice, and then the next job wakes one too many, never one too few.
        state.notices = state.notices.saturating_sub(1);
        state
    }
}

impl State {
    /// Whether to wake a thread that sleeps: when there are more jobs than threads on their way to one. Called under the lock,
    /// the notice given after it.
    fn wake_one(&mut self) -> bool {
        let coming = self.notices + usize::from(self.spinning);
        let wake = self.lanes.len() > coming && self.sleeping > self.notices;
        self.notices += usize::from(wake);
        wake
    }
}
