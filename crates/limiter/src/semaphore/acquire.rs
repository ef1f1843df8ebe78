//! Requests for a permit, as futures and for threads.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
#[cfg(not(loom))]
use std::time::Duration;

use crate::queue::Oversize;

use super::request::Request;
use super::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, Stoppable, park};

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
    /// cancelled from the start takes none; but a permit granted by the time both are ready is kept. It may be combined
    /// with [`before`](Self::before): see [`Stoppable`].
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
    pub fn until(
        self,
        cancel: impl Future<Output = ()>,
    ) -> Stoppable<&'a Semaphore, impl Future<Output = Result<SemaphorePermit<'a>, AcquireError>>>
    {
        Stoppable::new(self.semaphore, self).until(cancel)
    }

    /// Waits until `timer` completes, say `tokio::time::sleep_until(deadline)`: the crate has no clock of its own. The
    /// rules are those of [`until`](Self::until).
    ///
    /// # Cancel safety
    /// As for [`until`](Self::until).
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`], and those of [`Semaphore::acquire_many`].
    pub fn before(
        self,
        timer: impl Future<Output = ()>,
    ) -> Stoppable<&'a Semaphore, impl Future<Output = Result<SemaphorePermit<'a>, AcquireError>>>
    {
        Stoppable::new(self.semaphore, self).before(timer)
    }

    /// Blocks this thread until it is its turn.
    ///
    /// # Errors
    /// Those of [`Semaphore::acquire_many`].
    pub fn wait(self) -> Result<SemaphorePermit<'a>, AcquireError> {
        park::wait(self)
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
    #[cfg(not(loom))]
    pub fn wait_timeout(self, timeout: Duration) -> Result<SemaphorePermit<'a>, AcquireError> {
        park::wait_timeout(self, timeout)
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
    pub fn until(
        self,
        cancel: impl Future<Output = ()>,
    ) -> Stoppable<Arc<Semaphore>, impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>>
    {
        Stoppable::new(Arc::clone(&self.semaphore), self).until(cancel)
    }

    /// As [`Acquire::before`].
    ///
    /// # Cancel safety
    /// As for [`Acquire::until`].
    ///
    /// # Errors
    /// As for [`Acquire::before`].
    pub fn before(
        self,
        timer: impl Future<Output = ()>,
    ) -> Stoppable<Arc<Semaphore>, impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>>
    {
        Stoppable::new(Arc::clone(&self.semaphore), self).before(timer)
    }

    /// As [`Acquire::wait`].
    ///
    /// # Errors
    /// As for [`Acquire::wait`].
    pub fn wait(self) -> Result<OwnedSemaphorePermit, AcquireError> {
        park::wait(self)
    }

    /// As [`Acquire::wait_timeout`].
    ///
    /// # Errors
    /// As for [`Acquire::wait_timeout`].
    #[cfg(not(loom))]
    pub fn wait_timeout(self, timeout: Duration) -> Result<OwnedSemaphorePermit, AcquireError> {
        park::wait_timeout(self, timeout)
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
        .field("is_queued", &request.place.is_some())
        .finish_non_exhaustive()
}
