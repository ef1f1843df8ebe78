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

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use crate::queue::{Left, NIL, Oversize, Polled, Queue};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::word::{self, CLOSED, QUEUED, WATCHED, Word};

mod acquire;
mod error;
mod idle;
mod permit;
mod view;
mod wakes;

pub use acquire::{Acquire, AcquireOwned};
pub use error::{AcquireError, TryAcquireError};
pub use idle::Idle;
pub use permit::{OwnedSemaphorePermit, SemaphorePermit};
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
pub struct Semaphore {
    word: AtomicU64,
    shared: Mutex<Shared>,
    queue_bound: u32,
    times: bool,
}

/// What the lock guards.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    watchers: Watchers,
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
            shared: Mutex::new(Shared { queue: Queue::new(), watchers: Watchers::new() }),
            queue_bound: u32::MAX,
            times: false,
        }
    }

    /// A semaphore that admits `limit` at a time.
    #[cfg(loom)]
    pub fn new(limit: usize) -> Self {
        Self {
            word: AtomicU64::new(Word::new(checked(limit)).0),
            shared: Mutex::new(Shared { queue: Queue::new(), watchers: Watchers::new() }),
            queue_bound: u32::MAX,
            times: false,
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

    /// A permit, once all who asked before have had theirs.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue and nothing else; a permit that was granted meanwhile goes to
    /// the next in line.
    ///
    /// # Errors
    /// The future fails with [`AcquireError::Closed`] once the semaphore is closed, and with
    /// [`AcquireError::QueueFull`] where the queue is bounded.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let semaphore = tidegate_limiter::Semaphore::new(3);
    /// let permit = semaphore.acquire().await?;
    /// assert_eq!(semaphore.available(), 2);
    /// # drop(permit);
    /// # Ok::<(), tidegate_limiter::AcquireError>(())
    /// # }).unwrap();
    /// ```
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire::new(self, 1)
    }

    /// A permit that counts for `n`, once all who asked before have had theirs. With `n` = 0 it is there at once, unless
    /// the semaphore is closed.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire); and [`AcquireError::ExceedsLimit`] when `n` is above a limit other than 0, now
    /// or while it waits, unless the request chose to [wait for growth](Acquire::or_wait_for_growth).
    #[inline]
    pub fn acquire_many(&self, n: u32) -> Acquire<'_> {
        Acquire::new(self, n)
    }

    /// As [`acquire`](Self::acquire), with a permit that keeps the semaphore alive and may be moved to another task.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_owned(self: Arc<Self>) -> AcquireOwned {
        AcquireOwned::new(self, 1)
    }

    /// As [`acquire_many`](Self::acquire_many), with a permit that keeps the semaphore alive.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for [`acquire_many`](Self::acquire_many).
    #[inline]
    pub fn acquire_many_owned(self: Arc<Self>, n: u32) -> AcquireOwned {
        AcquireOwned::new(self, n)
    }

    /// A permit, if one is free and nobody waits.
    ///
    /// # Errors
    /// [`TryAcquireError::Closed`]; [`TryAcquireError::NoPermits`] when the limit is reached *or someone waits*.
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// A permit that counts for `n`, if it fits and nobody waits.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.take(n)?;
        Ok(SemaphorePermit::new(self, Taken::at_once(n)))
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.take(n)?;
        Ok(OwnedSemaphorePermit::new(self, Taken::at_once(n)))
    }

    /// A permit, for code that is not async: the thread sleeps until it is its turn, in the same queue as the tasks.
    ///
    /// Inside an async runtime it blocks a thread of the runtime, which may then be the one that would release.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate_limiter::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// std::thread::scope(|scope| {
    ///     for _ in 0..8 {
    ///         scope.spawn(|| {
    ///             let _permit = semaphore.blocking_acquire().expect("nobody closes it");
    ///             assert!(semaphore.in_use() <= 2);
    ///         });
    ///     }
    /// });
    /// ```
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire().wait()
    }

    /// As [`blocking_acquire`](Self::blocking_acquire), with a permit that counts for `n`.
    ///
    /// # Errors
    /// As for [`acquire_many`](Self::acquire_many).
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(n).wait()
    }

    /// As [`blocking_acquire`](Self::blocking_acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_owned().wait()
    }

    /// As [`blocking_acquire_many`](Self::blocking_acquire_many), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    /// As for [`acquire_many`](Self::acquire_many).
    pub fn blocking_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(n).wait()
    }

    /// Sets the limit. See [Resizing](Self#resizing) for what that does to holders and to those who wait.
    ///
    /// # Panics
    /// When `limit` is above [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn resize(&self, limit: usize) {
        let limit = checked(limit);
        self.change_limit(|word| word.with_limit(limit));
    }

    /// Raises the limit by `n` and admits waiters in order.
    ///
    /// # Panics
    /// When the limit would pass [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn add_permits(&self, n: usize) {
        self.change_limit(|word| {
            word.with_limit(checked((word.limit() as usize).saturating_add(n)))
        });
    }

    /// Lowers the limit by `n`, or to 0 if it is below `n`, whether or not that many are free at the moment, and
    /// returns by how much it fell.
    pub fn forget_permits(&self, n: usize) -> usize {
        let mut fell = 0;
        self.change_limit(|word| {
            fell = n.min(word.limit() as usize);
            word.with_limit(word.limit() - fell as u32)
        });
        fell
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
        let mut shared = self.lock();
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

    /// How many requests the queue has memory for at the moment, at 32 bytes each. It follows the number of those who wait:
    /// after a peak the memory is given back as those who came during it go.
    pub fn queue_capacity(&self) -> usize {
        self.lock().queue.capacity()
    }

    /// How many requests wait, whatever their weight.
    pub fn waiting(&self) -> usize {
        self.lock().queue.waiting() as usize
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

    /// Who waits, since when, and which grants nobody has collected. Takes the lock; with
    /// [`with_wait_times`](Self::with_wait_times) it looks at every slot of the queue.
    pub fn queue(&self) -> QueueView {
        let now = Instant::now();
        QueueView::new(self.lock().queue.census(now))
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

    fn load(&self) -> Word {
        // ORDERING: Acquire; pairs with the Release of `close` and of `give`. With Relaxed this could fail:
        //   A: result = 7; semaphore.close()    B: if semaphore.is_closed() { assert_eq!(result, 7) }
        Word(self.word.load(Ordering::Acquire))
    }

    /// Takes `weight` if it fits and nobody waits.
    #[inline]
    fn take(&self, weight: u32) -> Result<(), TryAcquireError> {
        // ORDERING: Relaxed; the CAS below confirms what was read, and a refusal promises nothing but Closed.
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            if word.has(QUEUED | CLOSED) || !word.fits(weight) {
                return self.refuse(word, weight);
            }
            // ORDERING: Acquire; pairs with the Release of `give`. With Relaxed this could fail, at limit 1:
            //   A: data = 7; drop(permit)    B: let permit = acquire(); assert_eq!(data, 7)
            match self.word.compare_exchange_weak(
                word.0,
                word.taking(weight).0,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(actual) => word = Word(actual),
            }
        }
    }

    #[cold]
    fn refuse(&self, word: Word, weight: u32) -> Result<(), TryAcquireError> {
        if word.has(CLOSED) {
            // ORDERING: Acquire, as in `load`: the closer's writes are promised to whoever is told.
            self.word.load(Ordering::Acquire);
            Err(TryAcquireError::Closed)
        } else if weight == 0 {
            Ok(())
        } else {
            Err(TryAcquireError::NoPermits)
        }
    }

    /// Gives `weight` back, and to whom it may concern.
    #[inline]
    fn give(&self, Taken { weight, waited }: Taken) {
        // ORDERING: Relaxed; a hint. If QUEUED is set meanwhile, the word that `fetch_sub` returns says so.
        if waited && Word(self.word.load(Ordering::Relaxed)).has(QUEUED) {
            return self.hand_over(weight);
        }
        // ORDERING: Release; pairs with the Acquire of `take` and of `settle` (see there). Acquire as well, because the one
        // who settles after this passes on what others gave back before.
        let before = Word(self.word.fetch_sub(Word::used(weight), Ordering::AcqRel));
        if before.has(QUEUED) || before.has(WATCHED) && before.in_use() == weight {
            self.settle_slowly();
        }
    }

    /// Gives back while somebody waits. If the head asks for as much as comes back, it takes the giver's place: the word
    /// does not change, and the line it lies on stays with the core that has it.
    #[cold]
    #[inline(never)]
    fn hand_over(&self, weight: u32) {
        let mut wakes = Wakes::new();
        let mut shared = self.lock();
        // ORDERING: Relaxed. QUEUED cannot go while we hold the lock; a resize that comes between this load and the grant
        // has not returned, for it needs the lock: the grant came before it. What the giver wrote reaches the one granted
        // through the lock, under which the grant is collected.
        let word = Word(self.word.load(Ordering::Relaxed));
        match shared.queue.head() {
            Some((head, false)) if head == weight && word.in_use() <= word.limit() => {
                wakes.push(shared.queue.grant_head(self.now()));
            }
            _ => {
                // ORDERING: AcqRel, as in `give`.
                self.word.fetch_sub(Word::used(weight), Ordering::AcqRel);
            }
        }
        // In either case: what was too little for the old head may be enough for the new one.
        self.settle(&mut shared, &mut wakes);
        drop(shared);
        wakes.wake();
    }

    /// Takes a permit out for good: use and limit fall by its weight.
    fn give_forgotten(&self, weight: u32) {
        self.change_limit(|word| word.forgetting(weight));
    }

    #[cold]
    #[inline(never)]
    fn settle_slowly(&self) {
        self.settle_and_wake(self.shared.lock());
    }

    /// Restores the invariants after something became free, and collects who must be woken: the head is admitted as long
    /// as it fits; QUEUED is cleared with the last; those who watch for idleness are told.
    fn settle(&self, shared: &mut Shared, wakes: &mut Wakes) {
        // The clock is read at most once, and only if somebody is admitted.
        let mut now = None;
        while let Some((weight, is_last)) = shared.queue.head() {
            // ORDERING: Acquire; pairs with the Release of `give`: the weight given back comes with its giver's writes. The
            // lock passes them on to the one admitted, who collects under it.
            let admitted = self.update(Ordering::Acquire, |word| {
                let taken = word.fits(weight).then(|| word.taking(weight))?;
                Some(if is_last { taken.without(QUEUED) } else { taken })
            });
            if admitted.is_none() {
                return;
            }
            now = now.or_else(|| self.now());
            wakes.push(shared.queue.grant_head(now));
        }
        // Nobody waits. ORDERING: Acquire, as above: the watchers see what the last holder wrote.
        let before = self.update(Ordering::Acquire, |word| {
            let idle = word.in_use() == 0;
            let stale = if idle { QUEUED | WATCHED } else { QUEUED };
            word.has(stale).then(|| word.without(stale))
        });
        if before.is_some_and(|word| word.has(WATCHED) && word.in_use() == 0) {
            shared.watchers.went_idle(wakes);
        }
    }

    fn change_limit(&self, mut change: impl FnMut(Word) -> Word) {
        // ORDERING: AcqRel; Release so that whoever acquires thanks to a larger limit sees what the resizer wrote before,
        // Acquire for the settling that may follow, as in `give`.
        let before = self.update(Ordering::AcqRel, |word| Some(change(word)));
        if before.is_some_and(|word| word.has(QUEUED | WATCHED)) {
            self.settle_after_change();
        }
    }

    #[cold]
    fn settle_after_change(&self) {
        let mut wakes = Wakes::new();
        let mut shared = self.lock();
        // The limit of this moment, not the one just set: another resize may have come between, and would then scan too.
        let limit = self.load().limit();
        if limit != 0 {
            shared.queue.refuse_heavier(limit, |waker| wakes.push(waker));
        }
        self.settle(&mut shared, &mut wakes);
        drop(shared);
        wakes.wake();
    }

    /// CAS until `change` is done or declines; the word as it was before.
    fn update(
        &self,
        success: Ordering,
        mut change: impl FnMut(Word) -> Option<Word>,
    ) -> Option<Word> {
        // ORDERING: Relaxed; only a value that the CAS confirms has consequences.
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            let next = change(word)?;
            let swapped =
                self.word.compare_exchange_weak(word.0, next.0, success, Ordering::Relaxed);
            match swapped {
                Ok(_) => return Some(word),
                Err(actual) => word = Word(actual),
            }
        }
    }

    /// Joins the queue, or takes at once what became free on the way to the lock.
    fn join(
        &self,
        weight: u32,
        oversize: Oversize,
        waker: Waker,
    ) -> Result<Option<u32>, AcquireError> {
        let mut shared = self.lock();
        let full = self.queue_bound <= shared.queue.waiting();
        // ORDERING: Relaxed here, Acquire on success of the CAS, as in `take`; a refusal is about the limit alone.
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            if word.has(CLOSED) {
                return Err(AcquireError::Closed);
            }
            let exceeds = oversize == Oversize::Refuse && word.is_exceeded_by(weight);
            if exceeds || word::MAX < weight {
                let (requested, limit) = (weight as usize, word.limit() as usize);
                return Err(AcquireError::ExceedsLimit { requested, limit });
            }
            let takes = !word.has(QUEUED) && word.fits(weight);
            if !takes && full {
                return Err(AcquireError::QueueFull { bound: self.queue_bound });
            }
            if word.has(QUEUED) {
                break; // Only who holds the lock clears it, and that is us.
            }
            let next = if takes { word.taking(weight) } else { word.with(QUEUED) };
            match self.word.compare_exchange_weak(
                word.0,
                next.0,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) if takes => return Ok(None),
                Ok(_) => break,
                Err(actual) => word = Word(actual),
            }
        }
        let now = self.now();
        Ok(Some(shared.queue.push(weight, oversize, waker, now)))
    }

    /// Asks what was decided about the slot.
    fn collect(&self, slot: u32, current: &Waker) -> Polled {
        let mut spare = None;
        loop {
            let polled = self.lock().queue.poll(slot, current, &mut spare);
            match polled {
                Polled::WrongWaker => spare = Some(current.clone()),
                decided => return decided,
            }
        }
    }

    /// Leaves the queue; what was granted, and the place at the head, is passed on.
    #[cold]
    #[inline(never)]
    fn leave(&self, slot: u32) {
        let mut shared = self.shared.lock();
        let (left, waker) = shared.queue.cancel(slot);
        match left {
            Left::Lingers { full: false } | Left::Middle | Left::Nothing => drop(shared),
            Left::Lingers { full: true } => drop(self.without_lingerers(shared)),
            Left::Head => self.settle_and_wake(shared),
            Left::Granted { weight } => {
                // ORDERING: AcqRel, as in `give`.
                self.word.fetch_sub(Word::used(weight), Ordering::AcqRel);
                self.settle_and_wake(shared);
            }
        }
        drop(waker);
    }

    fn settle_and_wake(&self, shared: MutexGuard<'_, Shared>) {
        let mut wakes = Wakes::new();
        let mut shared = self.without_lingerers(shared);
        self.settle(&mut shared, &mut wakes);
        drop(shared);
        wakes.wake();
    }

    /// The lock, with nobody in the queue who has left it.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.without_lingerers(self.shared.lock())
    }

    #[inline]
    fn without_lingerers<'a>(
        &'a self,
        mut shared: MutexGuard<'a, Shared>,
    ) -> MutexGuard<'a, Shared> {
        while shared.queue.lingers() {
            let gone = shared.queue.see_off();
            drop(shared);
            drop(gone);
            shared = self.shared.lock();
        }
        shared
    }

    fn now(&self) -> Option<Instant> {
        self.times.then(Instant::now)
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
