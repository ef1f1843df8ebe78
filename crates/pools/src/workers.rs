//! Background workers: submit inputs, read results as they come.
//!
//! 1. An input holds one place from its submission until its result is read; places are bounded, so results are.
//! 2. Each accepted input has one result, unless the pool is dropped.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::job::{JobError, SubmitError, message};

/// A fixed number of background workers, each handling one input at a time by the same async function.
///
/// Inputs start in the order of their submission; results come as they are ready. A panic of the function is the result of its
/// input, and the worker goes on. Dropping the pool ends workers at their next await.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tidegate_pools::WorkerPool;
///
/// let mut pool = WorkerPool::start(2, 100, |n: u64| async move { n * n });
/// for n in 1..=3 {
///     pool.submit(n).await?;
/// }
/// let mut squares = Vec::new();
/// while let Some(done) = pool.next().await {
///     squares.push(done.result?);
/// }
/// squares.sort();
/// assert_eq!(squares, [1, 4, 9]);
/// assert_eq!(pool.stop().await.1.succeeded, 3);
/// # Ok(()) }
/// ```
pub struct WorkerPool<I, O> {
    inputs: mpsc::UnboundedSender<Ticket<I>>,
    results: mpsc::UnboundedReceiver<Finished<O>>,
    places: Arc<Semaphore>,
    capacity: usize,
    workers: JoinSet<()>,
    submitted: AtomicU64,
    read: u64,
    counts: Arc<Counts>,
}

impl<I, O> fmt::Debug for WorkerPool<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

struct Ticket<I> {
    id: u64,
    input: I,
    since: Instant,
}

#[derive(Debug, Default)]
struct Counts {
    started: AtomicU64,
    succeeded: AtomicU64,
    panicked: AtomicU64,
    waited_us: AtomicU64,
    ran_us: AtomicU64,
}

/// The result of one input of a [`WorkerPool`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished<O> {
    /// What [`WorkerPool::submit`] gave for the input.
    pub id: u64,
    /// What the function made of it.
    pub result: Result<O, JobError>,
    /// From submission to start.
    pub waited: Duration,
    /// From start to end.
    pub ran: Duration,
}

/// What a [`WorkerPool`] has done. The parts are read one after another, so that they may be a moment apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerStats {
    /// Inputs accepted.
    pub submitted: u64,
    /// Inputs whose result is a value.
    pub succeeded: u64,
    /// Inputs whose result is a panic.
    pub panicked: u64,
    /// Inputs being handled.
    pub running: u64,
    /// Inputs not yet started.
    pub waiting: u64,
    /// Time that all started inputs waited.
    pub waited: Duration,
    /// Time that all ended inputs took.
    pub ran: Duration,
}

impl<I: Send + 'static, O: Send + 'static> WorkerPool<I, O> {
    /// Starts `workers` workers (0 counts as 1). At most `capacity` inputs (0 counts as 1) are accepted whose results have
    /// not been read.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start<F, R>(workers: usize, capacity: usize, handle: F) -> Self
    where
        F: Fn(I) -> R + Send + Sync + 'static,
        R: Future<Output = O> + Send + 'static,
    {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS);
        // Unbounded as channels: the places bound both.
        let (inputs, queue) = mpsc::unbounded_channel();
        let (sender, results) = mpsc::unbounded_channel();
        let (queue, handle) = (Arc::new(Mutex::new(queue)), Arc::new(handle));
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        for _ in 0..workers.max(1) {
            let (queue, handle) = (Arc::clone(&queue), Arc::clone(&handle));
            tasks.spawn(work(queue, handle, sender.clone(), Arc::clone(&counts)));
        }
        Self {
            inputs,
            results,
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
            workers: tasks,
            submitted: AtomicU64::new(0),
            read: 0,
            counts,
        }
    }

    /// Accepts an input and says its id, counted from 0; waits while `capacity` results are unread.
    ///
    /// Whoever submits more than `capacity` inputs must read results meanwhile.
    ///
    /// # Errors
    /// [`SubmitError::Closed`] when the runtime that ran the workers has ended.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready drops the input, which was not accepted.
    pub async fn submit(&self, input: I) -> Result<u64, SubmitError> {
        let place = self.places.acquire().await.map_err(|_| SubmitError::Closed)?;
        place.forget();
        self.accept(input)
    }

    /// Accepts an input if there is room.
    ///
    /// # Errors
    /// [`SubmitError::Full`] when `capacity` results are unread, [`SubmitError::Closed`] when the runtime that ran the workers
    /// has ended.
    pub fn try_submit(&self, input: I) -> Result<u64, SubmitError> {
        let full = |_| SubmitError::Full { waiting: self.capacity };
        self.places.try_acquire().map_err(full)?.forget();
        self.accept(input)
    }

    /// The next result, or nothing when every accepted input's result has been read.
    ///
    /// # Cancel safety
    /// Dropping the future loses no result.
    pub async fn next(&mut self) -> Option<Finished<O>> {
        // ORDERING: Relaxed; `&mut self` orders every submission before.
        if self.read == self.submitted.load(Ordering::Relaxed) {
            return None;
        }
        let finished = self.results.recv().await?;
        self.read += 1;
        self.places.add_permits(1);
        Some(finished)
    }

    /// Takes no more, handles what was accepted, and gives every result not yet read.
    ///
    /// # Cancel safety
    /// Dropping the future is as dropping the pool.
    pub async fn stop(self) -> (Vec<Finished<O>>, WorkerStats) {
        let Self { inputs, mut results, mut workers, submitted, counts, .. } = self;
        drop(inputs);
        let mut unread = Vec::new();
        // It ends when the workers do, who hold the senders.
        while let Some(finished) = results.recv().await {
            unread.push(finished);
        }
        while workers.join_next().await.is_some() {}
        (unread, stats(&submitted, &counts))
    }

    /// Called with a place taken (invariant 1).
    fn accept(&self, input: I) -> Result<u64, SubmitError> {
        // ORDERING: Relaxed; an id orders nothing.
        let id = self.submitted.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket { id, input, since: Instant::now() };
        if self.inputs.send(ticket).is_err() {
            // Nobody will ever take an input again, so that the id is not missed.
            self.submitted.fetch_sub(1, Ordering::Relaxed);
            return Err(SubmitError::Closed);
        }
        Ok(id)
    }
}

impl<I, O> WorkerPool<I, O> {
    /// What has been done so far.
    pub fn stats(&self) -> WorkerStats {
        stats(&self.submitted, &self.counts)
    }
}

async fn work<I, O, F, R>(
    queue: Arc<Mutex<mpsc::UnboundedReceiver<Ticket<I>>>>,
    handle: Arc<F>,
    results: mpsc::UnboundedSender<Finished<O>>,
    counts: Arc<Counts>,
) where
    I: Send + 'static,
    O: Send + 'static,
    F: Fn(I) -> R + Send + Sync + 'static,
    R: Future<Output = O> + Send + 'static,
{
    loop {
        let next = queue.lock().await.recv().await;
        let Some(Ticket { id, input, since }) = next else { return };
        let waited = since.elapsed();
        counts.start(waited);
        let handle = Arc::clone(&handle);
        let began = Instant::now();
        // A task of its own, so that a panic is an outcome; in a set, so that it ends with its worker.
        let mut attempt = JoinSet::new();
        attempt.spawn(async move { handle(input).await });
        let outcome = attempt.join_next().await.expect("one task was spawned");
        let result = outcome.map_err(|error| match error.try_into_panic() {
            Ok(panic) => JobError::Panicked { message: message(&*panic) },
            Err(_) => JobError::Cancelled,
        });
        let ran = began.elapsed();
        counts.end(result.is_ok(), ran);
        // Nobody reads when the pool was dropped.
        let _ = results.send(Finished { id, result, waited, ran });
    }
}

impl Counts {
    fn start(&self, waited: Duration) {
        // ORDERING: Relaxed here and below; counts that order nothing.
        self.started.fetch_add(1, Ordering::Relaxed);
        self.waited_us.fetch_add(micros(waited), Ordering::Relaxed);
    }

    fn end(&self, well: bool, ran: Duration) {
        let ended = if well { &self.succeeded } else { &self.panicked };
        ended.fetch_add(1, Ordering::Relaxed);
        self.ran_us.fetch_add(micros(ran), Ordering::Relaxed);
    }
}

fn stats(submitted: &AtomicU64, counts: &Counts) -> WorkerStats {
    // ORDERING: Relaxed; counts that order nothing. Read from the end to the start, so that no difference is negative
    // unless a count is seen late, which the subtraction allows for.
    let (succeeded, panicked) =
        (counts.succeeded.load(Ordering::Relaxed), counts.panicked.load(Ordering::Relaxed));
    let started = counts.started.load(Ordering::Relaxed);
    let submitted = submitted.load(Ordering::Relaxed);
    WorkerStats {
        submitted,
        succeeded,
        panicked,
        running: started.saturating_sub(succeeded + panicked),
        waiting: submitted.saturating_sub(started),
        waited: Duration::from_micros(counts.waited_us.load(Ordering::Relaxed)),
        ran: Duration::from_micros(counts.ran_us.load(Ordering::Relaxed)),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
