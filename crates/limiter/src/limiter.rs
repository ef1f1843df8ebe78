//! A semaphore that a law resizes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::law::{Law, Sample};
use crate::meter::{Ended, Meter, Outcome};
use crate::semaphore::{
    AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError, View,
};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

mod pace;
mod ticket;

use pace::{Pace, chance};

pub use ticket::{OwnedTicket, Ticket};

/// As many at a time as the backend can serve, found out while it is in use.
///
/// [`acquire`](Self::acquire) waits its turn, first come, first served, and gives a ticket. The ticket ends as
/// [`success`](Ticket::success), as [`overload`](Ticket::overload), or as [`ignore`](Ticket::ignore), which is also what
/// dropping it means; its latency and how many were in flight go to the [`Law`], which sets the limit. Of the
/// laws of this crate only [`EnvoyGradient`](crate::EnvoyGradient) raises a limit that the load does not use.
///
/// Everything happens in the calls of those who use it: there is no task, thread or timer behind it. A law that says 0 is taken
/// to mean 1: nothing would ever end again, and the law not be asked. A law that panics does so in the call that ends a
/// ticket; the permit is back by then, and the limit stays. Where more than some 50,000 work items end per second, a random
/// share of them is measured: one in 64 at least.
///
/// # Examples
///
/// ```
/// use tidegate_limiter::{Knee, Limiter};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let limiter = Limiter::new(20, Knee::default());
///
/// let ticket = limiter.acquire().await?;
/// let answer: Result<&str, u16> = Ok("what the backend said");
/// match answer {
///     Ok(_) => ticket.success(),
///     Err(429 | 503) => ticket.overload(),
///     Err(_) => ticket.ignore(),
/// }
/// assert_eq!(limiter.in_flight(), 0);
/// # Ok::<(), tidegate_limiter::AcquireError>(())
/// # }).unwrap();
/// ```
pub struct Limiter {
    semaphore: Arc<Semaphore>,
    control: Mutex<Control>,
    /// One in `mask + 1` work items is measured; a power of two less one.
    mask: AtomicU64,
    started: Instant,
}

#[derive(Debug)]
struct Control {
    law: Box<dyn Law>,
    meter: Meter,
    pace: Pace,
}

impl Limiter {
    /// A limiter that begins with `limit` and lets `law` go on from there.
    ///
    /// # Panics
    /// When `limit` is above [`Semaphore::MAX_PERMITS`].
    pub fn new(limit: usize, law: impl Law + 'static) -> Self {
        Self::over(Semaphore::new(limit), law)
    }

    /// As [`new`](Self::new), over a semaphore that was set up elsewhere: with a bound on its queue, say.
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate_limiter::{Fixed, Limiter, Semaphore, TryAcquireError};
    ///
    /// let limiter = Limiter::over(Semaphore::new(1), Fixed(1));
    /// let ticket = limiter.try_acquire()?;
    /// assert_eq!(limiter.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    /// ticket.success();
    /// # Ok::<(), TryAcquireError>(())
    /// ```
    pub fn over(semaphore: Semaphore, law: impl Law + 'static) -> Self {
        Self {
            semaphore: Arc::new(semaphore),
            control: Mutex::new(Control::new(Box::new(law))),
            mask: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// Waits until one more may be in flight.
    ///
    /// # Errors
    /// Those of [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    /// A dropped future loses its place in the queue and nothing else.
    pub async fn acquire(&self) -> Result<Ticket<'_>, AcquireError> {
        let permit = self.semaphore.acquire().await?;
        Ok(Ticket::new(self, permit))
    }

    /// As [`acquire`](Self::acquire), with a ticket that keeps the limiter alive and may go to another task.
    ///
    /// # Errors
    /// Those of [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    /// A dropped future loses its place in the queue and nothing else.
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedTicket, AcquireError> {
        let permit = Arc::clone(&self.semaphore).acquire_owned().await?;
        Ok(OwnedTicket::new(self, permit))
    }

    /// A ticket now, or not at all.
    ///
    /// # Errors
    /// Those of [`Semaphore::try_acquire`].
    pub fn try_acquire(&self) -> Result<Ticket<'_>, TryAcquireError> {
        Ok(Ticket::new(self, self.semaphore.try_acquire()?))
    }

    /// As [`try_acquire`](Self::try_acquire), with a ticket that keeps the limiter alive.
    ///
    /// # Errors
    /// Those of [`Semaphore::try_acquire`].
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedTicket, TryAcquireError> {
        let permit = Arc::clone(&self.semaphore).try_acquire_owned()?;
        Ok(OwnedTicket::new(self, permit))
    }

    /// Blocks the thread until one more may be in flight.
    ///
    /// # Errors
    /// Those of [`Semaphore::blocking_acquire`].
    pub fn blocking_acquire(&self) -> Result<Ticket<'_>, AcquireError> {
        Ok(Ticket::new(self, self.semaphore.blocking_acquire()?))
    }

    /// A ticket for a permit of this limiter's [`semaphore`](Self::semaphore), which can be asked for in more ways: before a
    /// deadline, until something else happens, for work that counts for more than one.
    ///
    /// # Panics
    /// When the permit came from another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use tidegate_limiter::{AcquireError, Knee, Limiter};
    /// use tokio::time::sleep;
    ///
    /// let limiter = Limiter::new(2, Knee::default());
    /// let both = limiter.semaphore().acquire_many(2).before(sleep(Duration::from_secs(1))).await?;
    /// let ticket = limiter.ticket(both);
    ///
    /// let late = limiter.semaphore().acquire().before(sleep(Duration::ZERO)).await;
    /// assert_eq!(late.unwrap_err(), AcquireError::TimedOut);
    /// ticket.success();
    /// # Ok::<(), AcquireError>(())
    /// # }).unwrap();
    /// ```
    pub fn ticket<'a>(&'a self, permit: SemaphorePermit<'a>) -> Ticket<'a> {
        assert!(permit.is_of(&self.semaphore), "a ticket is for a permit of the limiter's own");
        Ticket::new(self, permit)
    }

    /// As [`ticket`](Self::ticket), with a ticket that keeps the limiter alive: for a permit of
    /// `Arc::clone(limiter.semaphore()).acquire_owned()` and its relatives.
    ///
    /// # Panics
    /// When the permit came from another semaphore.
    pub fn ticket_owned(self: Arc<Self>, permit: OwnedSemaphorePermit) -> OwnedTicket {
        let is_ours = Arc::ptr_eq(permit.semaphore(), &self.semaphore);
        assert!(is_ours, "a ticket is for a permit of the limiter's own");
        OwnedTicket::new(self, permit)
    }

    /// How many may be in flight at the moment.
    pub fn limit(&self) -> usize {
        self.semaphore.limit()
    }

    /// How many are in flight: above the limit while a smaller one takes effect.
    pub fn in_flight(&self) -> usize {
        self.semaphore.in_use()
    }

    /// What the law resizes: to close it, to see who waits, to set the limit by hand (the law goes on from there; but 0 is a
    /// pause, which lasts until you end it), to ask for a permit in a way of its own (see [`ticket`](Self::ticket)).
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// Whether to measure the work item that begins now, and from when and at what use if so.
    #[inline]
    fn begin(&self) -> Option<Began> {
        // ORDERING: Relaxed; a number that stands for itself. Measuring one more or less does no harm.
        let mask = self.mask.load(Ordering::Relaxed);
        (mask == 0 || chance() & mask == 0).then(|| Began {
            at: Instant::now(),
            in_flight: self.semaphore.in_use() as u32,
            stride: mask as u32 + 1,
        })
    }

    /// Measures one that was begun with [`begin`](Self::begin) and is over; the permit was given back.
    fn ended(&self, began: Began, outcome: Outcome, backend_wait: Option<Duration>) {
        let now = Instant::now();
        let item = Ended {
            at: now.saturating_duration_since(self.started),
            latency: now.saturating_duration_since(began.at),
            in_flight: began.in_flight as usize,
            outcome,
            backend_wait,
        };
        let mut control = self.control.lock();
        let (sample, stride) = control.take(&item, began.stride);
        if let Some(stride) = stride {
            // ORDERING: Relaxed, as in `begin`.
            self.mask.store(u64::from(stride) - 1, Ordering::Relaxed);
        }
        if let Some(sample) = sample {
            self.decide(control, sample);
        }
    }

    #[cold]
    fn decide(&self, mut control: MutexGuard<'_, Control>, mut sample: Sample) {
        let View { limit, has_waiters, .. } = self.semaphore.view();
        if limit == 0 {
            // Somebody made a pause, which is not the law's to end.
            control.restart(sample.at, true);
            return;
        }
        // Counting takes the semaphore's lock, which laws that decide on each work item would feel.
        let waiting = if has_waiters { self.semaphore.waiting() } else { 0 };
        sample.queue_depth = Some(waiting as f64);
        sample.gpu_wait = sample.backend_wait.map(|wait| wait.as_secs_f64());
        let next = control.law.next(limit, &sample).clamp(1, Semaphore::MAX_PERMITS);
        control.restart(sample.at, next != limit);
        drop(control);
        // After the lock, since it wakes those whom it admits. Should somebody have set the limit meanwhile, that stays, and the
        // law goes on from there.
        if next != limit {
            self.semaphore.resize_from(limit, next);
        }
    }
}

impl Control {
    fn new(law: Box<dyn Law>) -> Self {
        let meter = Meter::new(Duration::ZERO, law.window());
        Self { law, meter, pace: Pace::default() }
    }

    /// Takes in one that stands for `stride`; a sample if that filled the window, and one in how many to measure from now on if
    /// that is to change.
    fn take(&mut self, item: &Ended, stride: u32) -> (Option<Sample>, Option<u32>) {
        self.pace.ended(stride);
        let mut sample = self.meter.ended(item);
        if let Some(sample) = &mut sample {
            let ended_for_each = self.pace.close_window();
            sample.throughput = sample.throughput.map(|measured| measured * ended_for_each);
        }
        let stride = self.pace.stride(item.at, sample.is_some());
        (sample, stride.map(|stride| if self.needs_each() { 1 } else { stride }))
    }

    /// Whether a sample is one work item for this law.
    fn needs_each(&self) -> bool {
        let window = self.law.window();
        window.count <= 1 && window.at_least.is_zero()
    }

    /// Opens the next window.
    fn restart(&mut self, at: Duration, limit_changed: bool) {
        self.meter.restart(at, self.law.window(), limit_changed);
    }
}

/// When a work item that is measured began. Every ticket carries it.
#[derive(Debug, Clone, Copy)]
struct Began {
    at: Instant,
    in_flight: u32,
    /// One in so many was measured then.
    stride: u32,
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("semaphore", &self.semaphore).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
