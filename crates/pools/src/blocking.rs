//! Threads for calls that wait in the kernel: as many as are needed, up to a limit, gone when idle.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::job::{Abandoned, Job, SubmitError, Work};
use crate::lanes::{Lanes, Priority};
use crate::stats::{Counts, PoolStats};
use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, thread};

/// Runs calls that wait in the kernel, each on a thread of its own while it lasts.
///
/// A thread is started when a call finds none idle, up to a limit; past it calls wait in a bounded queue, first in, first
/// out. A thread that has been idle for the idle time ends. A call cannot be ended from outside: one whose handle was dropped
/// goes on and holds its thread, so that a pool full of such calls refuses instead of hanging its callers.
///
/// Dropping the pool cancels what has not started, and waits for nothing.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tidegate_pools::BlockingPool;
///
/// let pool = BlockingPool::builder().threads(4).build();
/// let manifest = pool.submit(|| std::fs::read_to_string("Cargo.toml"))?.await??;
/// assert!(manifest.contains("[package]"));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct BlockingPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    abandoned: Abandoned,
    settings: BlockingPoolBuilder,
}

struct State {
    queue: Lanes<(Instant, Work)>,
    counts: Counts,
    threads: usize,
    idle: usize,
    started: u64,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("waiting", &self.queue.len())
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`BlockingPool`] to be.
#[derive(Debug, Clone)]
#[must_use]
pub struct BlockingPoolBuilder {
    threads: usize,
    queue: usize,
    idle: Duration,
    name: String,
}

impl BlockingPoolBuilder {
    /// The most threads; 0 counts as 1. 64 unless set.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// How many calls may wait for a thread; 1024 unless set.
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls;
        self
    }

    /// How long a thread stays without work; 10 s unless set.
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// How the threads are called; `blocking` unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The pool. No thread is started before the first call.
    pub fn build(self) -> BlockingPool {
        let state = State {
            queue: Lanes::new(),
            counts: Counts::default(),
            threads: 0,
            idle: 0,
            started: 0,
            closed: false,
        };
        BlockingPool {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                work: Condvar::new(),
                abandoned: Abandoned::new(AtomicUsize::new(0)),
                settings: self,
            }),
        }
    }
}

impl BlockingPool {
    /// Settings to start from.
    pub fn builder() -> BlockingPoolBuilder {
        BlockingPoolBuilder {
            threads: 64,
            queue: 1024,
            idle: Duration::from_secs(10),
            name: "blocking".to_owned(),
        }
    }

    /// Starts a call, or queues it while all threads are busy. Never waits.
    ///
    /// # Errors
    /// [`SubmitError::Stuck`] when no more threads may be started and every one is held by a call whose handle was dropped;
    /// [`SubmitError::Full`] when every thread is busy and the queue is full; [`SubmitError::NoThread`] when there is no
    /// thread and the system refuses one.
    pub fn submit<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, SubmitError> {
        let abandoned = Arc::clone(&self.shared.abandoned);
        let (job, work) = Job::new(call, None, Some(abandoned));
        let mut state = self.shared.state.lock();
        let free = state.idle > state.queue.len();
        let grow = !free && state.threads < self.shared.settings.threads;
        if !free && !grow {
            let (abandoned, waiting) = (self.abandoned(), state.queue.len());
            let refused = if abandoned >= state.threads {
                Some(SubmitError::Stuck { abandoned })
            } else {
                (waiting >= self.shared.settings.queue).then_some(SubmitError::Full { waiting })
            };
            if let Some(refused) = refused {
                // The call is foreign: it is dropped after the lock.
                drop(state);
                return Err(refused);
            }
        }
        state.queue.push(Priority::Normal, (Instant::now(), work));
        if grow {
            state.threads += 1;
            state.started += 1;
            let number = state.started;
            drop(state);
            self.grow(number)?;
        } else {
            drop(state);
            self.shared.work.notify_one();
        }
        Ok(job)
    }

    /// What the pool does and has done.
    pub fn stats(&self) -> PoolStats {
        let state = self.shared.state.lock();
        state.counts.stats(state.threads, state.queue.len())
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.shared.state.lock().threads
    }

    /// How many threads wait for work.
    pub fn idle(&self) -> usize {
        self.shared.state.lock().idle
    }

    /// How many calls wait for a thread.
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().queue.len()
    }

    /// How many calls run whose handles were dropped: they hold their threads until they end.
    pub fn abandoned(&self) -> usize {
        // ORDERING: Relaxed; a count that orders nothing.
        self.shared.abandoned.load(Ordering::Relaxed)
    }

    /// Starts the thread that was counted. If the system refuses it, the call waits for another; without any, it is refused.
    fn grow(&self, number: u64) -> Result<(), SubmitError> {
        if self.spawn(number).is_ok() {
            return Ok(());
        }
        let mut state = self.shared.state.lock();
        state.threads -= 1;
        if state.threads > 0 {
            return Ok(());
        }
        let unrun = state.queue.drain();
        drop(state);
        drop(unrun);
        Err(SubmitError::NoThread)
    }

    fn spawn(&self, number: u64) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(format!("{}-{number}", self.shared.settings.name));
        thread.spawn(move || shared.work_until_idle()).map(drop)
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let unrun = state.queue.drain();
        drop(state);
        self.shared.work.notify_all();
        // Their drops are foreign code: after the lock.
        drop(unrun);
    }
}

impl Shared {
    fn work_until_idle(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some((_, (queued, work))) = state.queue.pop() {
                let started = Instant::now();
                state.counts.start(queued, started);
                drop(state);
                work.run();
                let ended = Instant::now();
                state = self.state.lock();
                state.counts.end(started, ended);
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (woken, late) = self.work.wait_for(state, self.settings.idle);
            state = woken;
            state.idle -= 1;
            // A call may have come at the very moment: the queue decides.
            if late && state.queue.len() == 0 {
                break;
            }
        }
        state.threads -= 1;
    }
}
