//! Requests for a permit, as futures and for threads.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::sync::thread;

use super::{
    AcquireError, NIL, Oversize, OwnedSemaphorePermit, Polled, Semaphore, SemaphorePermit, Taken,
};

/// What both futures are apart from how they hold the semaphore.
struct Request {
    weight: u32,
    /// The slot it owns in the queue, or `NIL`.
    slot: u32,
    oversize: Oversize,
}

impl Request {
    #[inline]
    fn new(weight: u32) -> Self {
        Self { weight, slot: NIL, oversize: Oversize::Refuse }
    }

    #[inline]
    fn poll(
        &mut self,
        semaphore: &Semaphore,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, AcquireError>> {
        if self.slot == NIL && semaphore.take(self.weight).is_ok() {
            return Poll::Ready(Ok(Taken { weight: self.weight, waited: false }));
        }
        let taken = Taken { weight: self.weight, waited: true };
        self.poll_slowly(semaphore, cx).map_ok(|()| taken)
    }

    #[cold]
    #[inline(never)]
    fn poll_slowly(
        &mut self,
        semaphore: &Semaphore,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), AcquireError>> {
        if self.slot == NIL {
            return match semaphore.join(self.weight, self.oversize, cx.waker().clone()) {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(Some(slot)) => {
                    self.slot = slot;
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            };
        }
        let decided = match semaphore.collect(self.slot, cx.waker()) {
            Polled::Waiting | Polled::WrongWaker => return Poll::Pending,
            Polled::Granted => Ok(()),
            Polled::Closed => Err(AcquireError::Closed),
            Polled::Refused { limit } => Err(AcquireError::ExceedsLimit {
                requested: self.weight as usize,
                limit: limit as usize,
            }),
        };
        self.slot = NIL;
        Poll::Ready(decided)
    }

    #[inline]
    fn leave(&mut self, semaphore: &Semaphore) {
        if self.slot != NIL {
            semaphore.leave(self.slot);
            self.slot = NIL;
        }
    }
}

/// A request for a permit, and the future of one. Made by [`Semaphore::acquire`] and
/// [`acquire_many`](Semaphore::acquire_many).
///
/// The first poll takes the place in the queue; dropping the future gives it up. A thread that is not async may
/// [`wait`](Self::wait) instead.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<'a> {
    semaphore: &'a Semaphore,
    request: Request,
}

impl<'a> Acquire<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, weight: u32) -> Self {
        Self { semaphore, request: Request::new(weight) }
    }

    /// Waits for the limit to grow where the request is heavier than it, instead of being refused. Everyone behind it
    /// in the queue waits as well, for first come is first served. Call it before the first poll.
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate_limiter::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| semaphore.acquire_many(3).or_wait_for_growth().wait());
    ///     semaphore.resize(3);
    /// });
    /// ```
    pub fn or_wait_for_growth(mut self) -> Self {
        self.request.oversize = Oversize::Wait;
        self
    }

    /// Waits as long as `cancel` does not complete.
    ///
    /// A semaphore that is closed is told first; then `cancel` is looked at *before* a permit is taken, so that a request
    /// cancelled from the start takes none; but a permit granted by the time both are ready is kept.
    ///
    /// # Cancel safety
    /// As for [`Semaphore::acquire`]; `cancel` is dropped with it.
    ///
    /// # Errors
    /// [`AcquireError::Cancelled`], and those of [`Semaphore::acquire_many`].
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use tidegate_limiter::{AcquireError, Semaphore};
    ///
    /// let semaphore = Semaphore::new(0);
    /// let stopped = semaphore.acquire().until(std::future::ready(())).await;
    /// assert_eq!(stopped.unwrap_err(), AcquireError::Cancelled);
    /// # });
    /// ```
    pub async fn until(
        self,
        cancel: impl Future<Output = ()>,
    ) -> Result<SemaphorePermit<'a>, AcquireError> {
        let semaphore = self.semaphore;
        stoppable(self, cancel, AcquireError::Cancelled, || semaphore.is_closed()).await
    }

    /// Waits until `timer` completes, say `tokio::time::sleep_until(deadline)`: the crate has no clock of its own. The
    /// rules are those of [`until`](Self::until).
    ///
    /// # Cancel safety
    /// As for [`until`](Self::until).
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`], and those of [`Semaphore::acquire_many`].
    pub async fn before(
        self,
        timer: impl Future<Output = ()>,
    ) -> Result<SemaphorePermit<'a>, AcquireError> {
        let semaphore = self.semaphore;
        stoppable(self, timer, AcquireError::TimedOut, || semaphore.is_closed()).await
    }

    /// Blocks this thread until it is its turn.
    ///
    /// # Errors
    /// Those of [`Semaphore::acquire_many`].
    pub fn wait(self) -> Result<SemaphorePermit<'a>, AcquireError> {
        park_on(self, None)
    }

    /// Blocks this thread until it is its turn, for `timeout` at most. With a timeout of zero a permit that is free is
    /// still taken.
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`], and those of [`Semaphore::acquire_many`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidegate_limiter::{AcquireError, Semaphore};
    ///
    /// let late = Semaphore::new(0);
    /// let error = late.acquire().wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error, AcquireError::TimedOut);
    /// ```
    pub fn wait_timeout(self, timeout: Duration) -> Result<SemaphorePermit<'a>, AcquireError> {
        park_on(self, Some(timeout))
    }
}

impl<'a> Future for Acquire<'a> {
    type Output = Result<SemaphorePermit<'a>, AcquireError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let semaphore = self.semaphore;
        self.request.poll(semaphore, cx).map_ok(|taken| SemaphorePermit::new(semaphore, taken))
    }
}

impl Drop for Acquire<'_> {
    #[inline]
    fn drop(&mut self) {
        self.request.leave(self.semaphore);
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "Acquire", &self.request)
    }
}

/// As [`Acquire`], and it keeps the semaphore alive. Made by [`Semaphore::acquire_owned`] and
/// [`acquire_many_owned`](Semaphore::acquire_many_owned).
#[must_use = "futures do nothing unless polled"]
pub struct AcquireOwned {
    semaphore: Arc<Semaphore>,
    request: Request,
}

impl AcquireOwned {
    #[inline]
    pub(super) fn new(semaphore: Arc<Semaphore>, weight: u32) -> Self {
        Self { semaphore, request: Request::new(weight) }
    }

    /// As [`Acquire::or_wait_for_growth`].
    pub fn or_wait_for_growth(mut self) -> Self {
        self.request.oversize = Oversize::Wait;
        self
    }

    /// As [`Acquire::until`].
    ///
    /// # Cancel safety
    /// As for [`Acquire::until`].
    ///
    /// # Errors
    /// As for [`Acquire::until`].
    pub async fn until(
        self,
        cancel: impl Future<Output = ()>,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        let semaphore = Arc::clone(&self.semaphore);
        stoppable(self, cancel, AcquireError::Cancelled, || semaphore.is_closed()).await
    }

    /// As [`Acquire::before`].
    ///
    /// # Cancel safety
    /// As for [`Acquire::until`].
    ///
    /// # Errors
    /// As for [`Acquire::before`].
    pub async fn before(
        self,
        timer: impl Future<Output = ()>,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        let semaphore = Arc::clone(&self.semaphore);
        stoppable(self, timer, AcquireError::TimedOut, || semaphore.is_closed()).await
    }

    /// As [`Acquire::wait`].
    ///
    /// # Errors
    /// As for [`Acquire::wait`].
    pub fn wait(self) -> Result<OwnedSemaphorePermit, AcquireError> {
        park_on(self, None)
    }

    /// As [`Acquire::wait_timeout`].
    ///
    /// # Errors
    /// As for [`Acquire::wait_timeout`].
    pub fn wait_timeout(self, timeout: Duration) -> Result<OwnedSemaphorePermit, AcquireError> {
        park_on(self, Some(timeout))
    }
}

impl Future for AcquireOwned {
    type Output = Result<OwnedSemaphorePermit, AcquireError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.request
            .poll(&this.semaphore, cx)
            .map_ok(|taken| OwnedSemaphorePermit::new(Arc::clone(&this.semaphore), taken))
    }
}

impl Drop for AcquireOwned {
    #[inline]
    fn drop(&mut self) {
        self.request.leave(&self.semaphore);
    }
}

impl fmt::Debug for AcquireOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "AcquireOwned", &self.request)
    }
}

fn debug(f: &mut fmt::Formatter<'_>, name: &str, request: &Request) -> fmt::Result {
    f.debug_struct(name)
        .field("weight", &request.weight)
        .field("is_queued", &(request.slot != NIL))
        .finish_non_exhaustive()
}

/// The request, or `reason` if `stop` completes first. On the first poll `stop` goes first, later the request.
async fn stoppable<P>(
    mut acquire: impl Future<Output = Result<P, AcquireError>> + Unpin,
    stop: impl Future<Output = ()>,
    reason: AcquireError,
    is_closed: impl Fn() -> bool,
) -> Result<P, AcquireError> {
    let mut stop = pin!(stop);
    let mut is_first = true;
    std::future::poll_fn(move |cx| {
        if std::mem::take(&mut is_first) {
            if is_closed() {
                return Poll::Ready(Err(AcquireError::Closed));
            }
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(reason));
            }
            return Pin::new(&mut acquire).poll(cx);
        }
        let acquired = Pin::new(&mut acquire).poll(cx);
        if acquired.is_pending() && stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(reason));
        }
        acquired
    })
    .await
}

/// Wakes the thread that made it.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls on this thread, asleep in between.
fn park_on<P>(
    mut acquire: impl Future<Output = Result<P, AcquireError>> + Unpin,
    timeout: Option<Duration>,
) -> Result<P, AcquireError> {
    // A fast path without a clock and without a thread handle.
    let mut poll = |waker: &Waker| Pin::new(&mut acquire).poll(&mut Context::from_waker(waker));
    let deadline = timeout.map(|timeout| Instant::now().checked_add(timeout));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(done) = poll(&waker) {
            return done;
        }
        match deadline.flatten() {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(AcquireError::TimedOut);
                }
                park_timeout(left);
            }
        }
    }
}

#[cfg(not(loom))]
fn park_timeout(timeout: Duration) {
    thread::park_timeout(timeout);
}

#[cfg(loom)]
fn park_timeout(_: Duration) {
    unimplemented!("loom knows no time");
}
