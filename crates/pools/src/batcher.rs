//! Many small requests answered by few large calls.
//!
//! ```text
//! call ──queue──▶ collector: first item starts the delay ──full, late or closed──▶ flush (a task) ──▶ each caller
//! ```
//! 1. A batch's delay runs from the submission of its first item, never from its last.
//! 2. At most `flushes` batches are out; the collector waits for one of them, and callers for the bounded queue.
//! 3. Whatever a flush does, each of its items is answered once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::job::message;

mod error;
mod stats;

pub use error::BatchError;
pub use stats::BatcherStats;
use stats::Counts;

/// tokio's timers come up to a tick late, and never early: asked for a tick less, they come within one before the time.
const TICK: Duration = Duration::from_millis(1);

type Reply<O> = oneshot::Sender<Result<O, BatchError>>;

/// An item on its way to a batch.
struct Item<I, O> {
    item: I,
    reply: Reply<O>,
    since: Instant,
}

/// Gathers items into batches by number and delay, hands each batch to one call, and each result to its caller.
///
/// Items are batched in the order of their arrival. A batch leaves when it is full or its first item has waited for the maximum
/// delay. Items whose callers are gone by then are left out. Dropping the batcher lets batches that are out finish.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use tidegate_pools::Batcher;
///
/// let doubler = Batcher::builder().max_items(100).start(|batch: Vec<u32>| async move {
///     batch.into_iter().map(|n| n * 2).collect()
/// });
/// assert_eq!(doubler.call(21).await, Ok(42));
/// assert_eq!(doubler.all([1, 2, 3]).await, [Ok(2), Ok(4), Ok(6)]);
/// # }
/// ```
#[derive(Debug)]
pub struct Batcher<I, O> {
    queue: mpsc::Sender<Item<I, O>>,
    collector: JoinHandle<()>,
    counts: Arc<Counts>,
}

/// Settings of a [`Batcher`] to be.
#[derive(Debug, Clone)]
#[must_use]
pub struct BatcherBuilder {
    max_items: usize,
    max_delay: Duration,
    queue: usize,
    flushes: usize,
}

impl BatcherBuilder {
    /// The most items of a batch; 0 counts as 1. 100 unless set.
    pub fn max_items(mut self, items: usize) -> Self {
        self.max_items = items.max(1);
        self
    }

    /// How long the first item of a batch may wait for others, from its submission on, a day at most; 5 ms unless set. Zero takes
    /// what is there. The runtime's timer counts in milliseconds: a batch leaves up to one of them before its time rather than after.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay.min(Duration::from_secs(86_400));
        self
    }

    /// How many items may wait to be batched, past which callers wait; 0 counts as 1. 10,000 unless set.
    pub fn queue(mut self, items: usize) -> Self {
        self.queue = items.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How many batches may be out at a time; 0 counts as 1. 1 unless set.
    pub fn flushes(mut self, batches: usize) -> Self {
        self.flushes = batches.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        self
    }

    /// The batcher. `flush` gets the items of a batch and answers with as many results, in the same order.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start<I, O, F, R>(self, flush: F) -> Batcher<I, O>
    where
        I: Send + 'static,
        O: Send + 'static,
        F: Fn(Vec<I>) -> R + Send + Sync + 'static,
        R: Future<Output = Vec<O>> + Send + 'static,
    {
        let (queue, items) = mpsc::channel(self.queue);
        let counts = Arc::new(Counts::default());
        let collector = tokio::spawn(collect(self, items, Arc::new(flush), Arc::clone(&counts)));
        Batcher { queue, collector, counts }
    }
}

impl Batcher<(), ()> {
    /// Settings to start from; what goes in and comes out is settled by [`BatcherBuilder::start`].
    pub fn builder() -> BatcherBuilder {
        BatcherBuilder {
            max_items: 100,
            max_delay: Duration::from_millis(5),
            queue: 10_000,
            flushes: 1,
        }
    }
}

impl<I: Send + 'static, O: Send + 'static> Batcher<I, O> {
    /// The result for one item.
    ///
    /// # Errors
    /// When the call for its batch panicked or answered with the wrong number of results.
    ///
    /// # Cancel safety
    /// Dropping the future takes the item out of its batch, unless the batch has left.
    pub async fn call(&self, item: I) -> Result<O, BatchError> {
        let result = self.enter(item).await?;
        result.await.unwrap_or(Err(BatchError::Closed))
    }

    /// The results for many items, in their order.
    ///
    /// # Cancel safety
    /// As [`call`](Self::call), for each item.
    pub async fn all(&self, items: impl IntoIterator<Item = I>) -> Vec<Result<O, BatchError>> {
        let mut pending = Vec::new();
        for item in items {
            pending.push(self.enter(item).await);
        }
        let mut results = Vec::with_capacity(pending.len());
        for entered in pending {
            results.push(match entered {
                Ok(result) => result.await.unwrap_or(Err(BatchError::Closed)),
                Err(error) => Err(error),
            });
        }
        results
    }

    /// What has been done so far.
    pub fn stats(&self) -> BatcherStats {
        self.counts.read(self.waiting())
    }

    /// How many items wait to be batched.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Ends when every batch has been answered, with what was done in all.
    ///
    /// # Cancel safety
    /// Dropping the future is as dropping the batcher.
    pub async fn shutdown(self) -> BatcherStats {
        let Self { queue, collector, counts } = self;
        drop(queue);
        // It fails only when the runtime ends, and then no batch is left to wait for.
        let _ = collector.await;
        counts.read(0)
    }

    async fn enter(&self, item: I) -> Result<oneshot::Receiver<Result<O, BatchError>>, BatchError> {
        let (reply, result) = oneshot::channel();
        let item = Item { item, reply, since: Instant::now() };
        self.queue.send(item).await.map_err(|_| BatchError::Closed)?;
        Ok(result)
    }
}

async fn collect<I, O, F, R>(
    settings: BatcherBuilder,
    mut queue: mpsc::Receiver<Item<I, O>>,
    flush: Arc<F>,
    counts: Arc<Counts>,
) where
    I: Send + 'static,
    O: Send + 'static,
    F: Fn(Vec<I>) -> R + Send + Sync + 'static,
    R: Future<Output = Vec<O>> + Send + 'static,
{
    let flushes = Arc::new(Semaphore::new(settings.flushes));
    loop {
        let mut batch = Vec::with_capacity(settings.max_items.min(1024));
        if queue.recv_many(&mut batch, settings.max_items).await == 0 {
            break;
        }
        let due = batch[0].since + settings.max_delay - settings.max_delay.min(2 * TICK) / 2;
        while batch.len() < settings.max_items {
            let room = settings.max_items - batch.len();
            let more = queue.recv_many(&mut batch, room);
            // 0 is the end of the queue.
            if !timeout_at(due, more).await.is_ok_and(|items| items > 0) {
                break;
            }
        }
        let turn = Arc::clone(&flushes).acquire_owned().await.expect("the semaphore is not closed");
        // What came while another batch was out need not wait for the next turn.
        while batch.len() < settings.max_items
            && let Ok(item) = queue.try_recv()
        {
            batch.push(item);
        }
        batch.retain(|item| !item.reply.is_closed());
        if batch.is_empty() {
            continue;
        }
        let (flush, counts) = (Arc::clone(&flush), Arc::clone(&counts));
        tokio::spawn(async move {
            counts.start(batch.iter().map(|item| item.since));
            let (items, replies): (Vec<I>, Vec<Reply<O>>) =
                batch.into_iter().map(|Item { item, reply, .. }| (item, reply)).unzip();
            let began = Instant::now();
            // A task of its own, so that a panic is an outcome.
            let outcome = tokio::spawn(async move { flush(items).await }).await;
            let ran = began.elapsed();
            let failed = answer(outcome.map_err(panic_message), replies);
            counts.end(ran, failed);
            drop(turn);
        });
    }
    // Every turn is free when every batch was answered.
    let all = u32::try_from(settings.flushes).expect("the builder has cut it to 32 bits");
    let _turns = flushes.acquire_many(all).await.expect("the semaphore is not closed");
}

fn panic_message(error: tokio::task::JoinError) -> Option<String> {
    error.try_into_panic().ok().map(|panic| message(&*panic))
}

/// Gives each item its result, and says how many got none.
fn answer<O>(outcome: Result<Vec<O>, Option<String>>, replies: Vec<Reply<O>>) -> usize {
    let failure = match outcome {
        Ok(results) if results.len() == replies.len() => {
            for (reply, result) in replies.into_iter().zip(results) {
                // A caller that is gone wants nothing.
                let _ = reply.send(Ok(result));
            }
            return 0;
        }
        Ok(results) => BatchError::WrongCount { items: replies.len(), results: results.len() },
        Err(Some(message)) => BatchError::Panicked { message },
        Err(None) => BatchError::Closed,
    };
    let failed = replies.len();
    for reply in replies {
        // A caller that is gone wants nothing.
        let _ = reply.send(Err(failure.clone()));
    }
    failed
}
