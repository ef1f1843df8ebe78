//! The semaphore: one packed word that needs no lock while nobody waits, and a locked queue for those who do.
//!
//! ```text
//!              QUEUED clear                                   QUEUED set
//!   take:  fits → CAS the word                        join the queue (lock)
//!   give:  fetch_sub, done                            fetch_sub, then lock and settle
//!
//!   the queue gets its first waiter: under the lock, CAS sets QUEUED; it fails if anybody gave back meanwhile
//!   the queue loses its last waiter: under the lock, QUEUED is cleared
//! ```
//!
//! Invariants, outside the lock:
//! 1. `QUEUED` is set if and only if a request waits in the queue.
//! 2. If `QUEUED` is set, the head does not fit (whoever made it fit holds the lock or is about to take it).
//! 3. `in_use` is the sum of all permits out and all grants not yet collected.
//! 4. `in_use` grows only while it stays at or below `limit`: a shrink revokes nothing and admits nobody.
//! 5. Once closed, the queue is empty and stays so.
//!
//! Rejected: handing weight over to the head bit by bit, as tokio does (a cancelled head must give it back, and the use
//! is no longer one number); a debt counter for shrinking (two facts say it all: `limit` and `in_use`); barging (a
//! newcomer that takes what a waiter was woken for gains a little throughput on two threads, loses more on one, and
//! starves: a Jain's index of 0.33 over 1024 tasks).

use std::time::Instant;

use crate::queue::Queue;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::word::{self, CLOSED, Word};

mod acquire;
mod admission;
mod error;
mod idle;
mod limit;
mod park;
mod permit;
mod request;
mod requests;
mod stoppable;
mod view;
mod wakes;

pub use acquire::{Acquire, AcquireOwned};
pub use error::{AcquireError, TryAcquireError};
pub use idle::Idle;
pub use permit::{OwnedSemaphorePermit, SemaphorePermit};
pub use stoppable::Stoppable;
pub use view::{QueueView, View};

use idle::Watchers;
use permit::Taken;
use wakes::Wakes;

/// At most `limit` permits at a time, first come, first served; the limit may change at any moment.
///
/// Names and meanings are those of tokio's semaphore where both have them; [a table](#differences-from-tokios-semaphore)
/// says where the behaviour differs by intent. It works under any async runtime and from plain threads.
///
/// # Order
///
/// Strictly first in, first out, weights included: a small request never overtakes a large one that waits, and
/// [`try_acquire`](Self::try_acquire) refuses while anyone waits. The place in the queue is taken by the first poll.
///
/// # Resizing
///
/// [`resize`](Self::resize) sets the limit, whatever it was. Shrinking revokes nothing: holders finish, and nobody is
/// admitted until the use has fallen below the new limit. Growing admits waiters in order before it returns. Limit 0 is
/// a pause: it admits nobody and refuses nobody. A request heavier than a limit other than 0 is refused with
/// [`AcquireError::ExceedsLimit`], at once or when a shrink makes it so, unless it chose to
/// [wait for growth](Acquire::or_wait_for_growth).
///
/// # Memory ordering
///
/// What a holder wrote before it released its permit is seen by whoever acquires it afterwards.
///
/// # A future that is kept but not polled
///
/// A permit is handed to the request at the head even if its task does not poll at the moment. A task that keeps an
/// [`Acquire`] without polling it (as `select!` on `&mut future` does in its other branches, or `FuturesUnordered` while
/// its owner is busy) holds up everyone behind it, and if it then waits for the same semaphore it waits for ever. That
/// is the price of fairness. Drop such futures, or poll them; [`queue`](Self::queue) tells of grants that nobody
/// has collected, so that the trap can be seen from outside.
///
/// # Differences from tokio's semaphore
///
/// | | tokio | here |
/// |---|---|---|
/// | a request heavier than the limit | waits, perhaps for ever | refused; waits if it chose to |
/// | lowering the limit | `forget_permits` takes what is free at the moment, nothing while all are in use | exact, at once |
/// | `forget_permits(n)` returns | how many of the free permits it took | by how much the limit fell |
/// | closed between grant and poll | the request fails | the request has its permit |
/// | a queued request for *k* | gathers permits as they come, so that none are available | they stay available to it alone |
/// | `acquire` | an `async fn` | a named future, `Unpin`, 24 bytes |
/// | most permits | `usize::MAX >> 3` | 2³⁰ − 1 |
/// | blocking acquire inside a runtime | panics | blocks the thread |
/// | cooperative budget | spends tokio's | knows no runtime |
///
/// # Examples
///
/// ```
/// use tidegate_limiter::{Semaphore, TryAcquireError};
///
/// let semaphore = Semaphore::new(2);
/// let first = semaphore.try_acquire()?;
/// let second = semaphore.try_acquire()?;
/// semaphore.resize(1);
/// drop(first);
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
/// drop(second);
/// assert!(semaphore.try_acquire().is_ok());
/// # Ok::<(), TryAcquireError>(())
/// ```
// Between two cores that hand over to each other, each cache line that both write costs a journey. So all that joining the
// queue and handing over write lies on the first, apart from the slots: the two words here, the lock's state, and what stands
// first in the queue. The next is read by both and seldom written. What is counted without the lock lies far from it.
#[repr(C, align(64))]
pub struct Semaphore {
    word: AtomicU64,
    /// Whoever waited in front of this was granted, and need not take the lock to learn it: [`Queue::frontier`].
    frontier: AtomicU64,
    shared: Mutex<Shared>,
    queue_bound: u32,
    times: bool,
    collected: Collected,
}

/// How many have learnt from the frontier that they were granted.
#[repr(align(64))]
struct Collected(AtomicU64);

/// What the lock guards.
#[derive(Debug)]
#[repr(C)]
struct Shared {
    queue: Queue,
    watchers: Watchers,
}

impl Shared {
    /// Lets the lock go, and then the wakers of those who left without taking them along.
    #[inline]
    fn unlock(shared: MutexGuard<'_, Self>) {
        if shared.queue.has_litter() {
            Self::unlock_and_tidy(shared);
        }
    }

    #[cold]
    #[inline(never)]
    fn unlock_and_tidy(mut shared: MutexGuard<'_, Self>) {
        let litter = shared.queue.take_litter();
        drop(shared);
        drop(litter);
    }
}

impl Semaphore {
    /// The largest limit, and the largest weight of one request: 2³⁰ − 1.
    pub const MAX_PERMITS: usize = word::MAX as usize;

    /// A semaphore that admits `limit` at a time.
    ///
    /// # Panics
    /// When `limit` is above [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[cfg(not(loom))]
    pub const fn new(limit: usize) -> Self {
        Self {
            word: AtomicU64::new(Word::new(checked(limit)).0),
            frontier: AtomicU64::new(0),
            shared: Mutex::new(Shared { queue: Queue::new(), watchers: Watchers::new() }),
            queue_bound: u32::MAX,
            times: false,
            collected: Collected(AtomicU64::new(0)),
        }
    }

    /// A semaphore that admits `limit` at a time.
    #[cfg(loom)]
    pub fn new(limit: usize) -> Self {
        Self {
            word: AtomicU64::new(Word::new(checked(limit)).0),
            frontier: AtomicU64::new(0),
            shared: Mutex::new(Shared { queue: Queue::new(), watchers: Watchers::new() }),
            queue_bound: u32::MAX,
            times: false,
            collected: Collected(AtomicU64::new(0)),
        }
    }

    /// Bounds the queue: a request that would be the `bound + 1`st to wait is refused with
    /// [`AcquireError::QueueFull`].
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate_limiter::{AcquireError, Semaphore};
    ///
    /// let semaphore = Semaphore::new(1).with_queue_bound(0);
    /// let held = semaphore.try_acquire()?;
    /// assert_eq!(semaphore.blocking_acquire().unwrap_err(), AcquireError::QueueFull { bound: 0 });
    /// # drop(held);
    /// # Ok::<(), tidegate_limiter::TryAcquireError>(())
    /// ```
    #[must_use]
    pub const fn with_queue_bound(mut self, bound: u32) -> Self {
        self.queue_bound = bound;
        self
    }

    /// Notes when each request began to wait and when it was granted, so that [`queue`](Self::queue) can tell ages. A
    /// request that has to wait then reads the clock twice (some 20 ns each); one that need not wait, never.
    #[must_use]
    pub const fn with_wait_times(mut self) -> Self {
        self.times = true;
        self
    }

    /// Stops admitting: all who wait, and all who ask from now on, fail with [`AcquireError::Closed`]. Permits that are
    /// out, and grants that were given but not yet collected, stay good. Closing twice does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate_limiter::{AcquireError, Semaphore};
    ///
    /// let semaphore = Semaphore::new(0);
    /// semaphore.close();
    /// assert_eq!(semaphore.blocking_acquire().unwrap_err(), AcquireError::Closed);
    /// ```
    pub fn close(&self) {
        let mut wakes = Wakes::new();
        let mut shared = self.shared.lock();
        shared.queue.close(|waker| wakes.push(waker));
        // ORDERING: Release; pairs with the Acquire loads of `take` and `is_closed`: who finds it closed sees what the
        // closer wrote before. Settling clears QUEUED, for nobody waits any more (invariants 1 and 5).
        self.update(Ordering::AcqRel, |word| Some(word.with(CLOSED)));
        self.settle(&mut shared, &mut wakes);
        drop(shared);
        wakes.wake();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.load().has(CLOSED)
    }

    /// How many may be in use at a time.
    pub fn limit(&self) -> usize {
        self.load().limit() as usize
    }

    /// How many are in use: all permits out, and grants not yet collected. Above the limit while a shrink takes effect.
    pub fn in_use(&self) -> usize {
        self.load().in_use() as usize
    }

    /// How many more fit below the limit. If someone waits, they are for the head of the queue alone.
    pub fn available(&self) -> usize {
        self.view().available()
    }

    /// How many requests the queue has memory for at the moment, at 24 bytes each. It follows the number of those who wait:
    /// after a peak the memory is given back as those who came during it go.
    pub fn queue_capacity(&self) -> usize {
        self.shared.lock().queue.capacity()
    }

    /// How many requests wait, whatever their weight.
    pub fn waiting(&self) -> usize {
        self.shared.lock().queue.waiting() as usize
    }

    /// Limit and use as they were at one moment.
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate_limiter::Semaphore;
    ///
    /// let semaphore = Semaphore::new(5);
    /// let permit = semaphore.try_acquire_many(5)?;
    /// semaphore.resize(3);
    /// let view = semaphore.view();
    /// assert_eq!((view.limit, view.in_use, view.debt(), view.available()), (3, 5, 2, 0));
    /// # drop(permit);
    /// # Ok::<(), tidegate_limiter::TryAcquireError>(())
    /// ```
    pub fn view(&self) -> View {
        View::new(self.load())
    }

    /// Who waits, since when, and which grants nobody has collected. Takes the lock.
    pub fn queue(&self) -> QueueView {
        let now = Instant::now();
        let shared = self.shared.lock();
        // ORDERING: Relaxed; who has collected was granted under the lock, before we had it.
        let collected = self.collected.0.load(Ordering::Relaxed);
        QueueView::new(shared.queue.census(now, collected))
    }

    /// Completes when nothing is in use and nobody waits, even if that lasted but a moment.
    ///
    /// To drain: [`close`](Self::close), then await this.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let semaphore = tidegate_limiter::Semaphore::new(3);
    /// semaphore.close();
    /// semaphore.idle().await;
    /// # });
    /// ```
    pub fn idle(&self) -> Idle<'_> {
        Idle::new(self)
    }
}

const fn checked(limit: usize) -> u32 {
    assert!(limit <= Semaphore::MAX_PERMITS, "a semaphore's limit is at most 2^30 - 1");
    limit as u32
}

impl std::fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let View { limit, in_use, has_waiters, is_closed } = self.view();
        f.debug_struct("Semaphore")
            .field("limit", &limit)
            .field("in_use", &in_use)
            .field("has_waiters", &has_waiters)
            .field("is_closed", &is_closed)
            .finish_non_exhaustive()
    }
}
