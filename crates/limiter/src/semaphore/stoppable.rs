//! Requests that stop waiting when something else happens first.

use std::fmt;
use std::ops::Deref;
use std::pin::pin;
use std::task::Poll;

use super::{AcquireError, Semaphore};

/// A request that stops waiting when another future completes; await it. Made by [`Acquire::until`](crate::Acquire::until),
/// [`before`](crate::Acquire::before) and their owned forms.
///
/// Several may be combined; if more than one has completed, the one that was named last is told at the first poll, the one
/// that was named first later.
///
/// Where a future is asked for by name rather than awaited (`tokio::spawn`, say), `into_future()` makes it one.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::future::{pending, ready};
/// use tidegate_limiter::{AcquireError, Semaphore};
///
/// let semaphore = Semaphore::new(0);
/// // In earnest: a token's `cancelled()`, and tokio's `sleep_until(deadline)`.
/// let (never, deadline) = (pending(), ready(()));
/// let late = semaphore.acquire().until(never).before(deadline).await;
/// assert_eq!(late.unwrap_err(), AcquireError::TimedOut);
/// # });
/// ```
#[must_use = "does nothing unless awaited"]
pub struct Stoppable<S, F> {
    semaphore: S,
    request: F,
}

impl<S, F, P> Stoppable<S, F>
where
    S: Deref<Target = Semaphore> + Clone,
    F: Future<Output = Result<P, AcquireError>>,
{
    pub(super) fn new(semaphore: S, request: F) -> Self {
        Self { semaphore, request }
    }

    /// Waits as long as `cancel` does not complete either; see [`Acquire::until`](crate::Acquire::until).
    ///
    /// # Cancel safety
    /// As for [`Semaphore::acquire`]; `cancel` is dropped with it.
    ///
    /// # Errors
    /// [`AcquireError::Cancelled`], and those of the request so far.
    pub fn until(
        self,
        cancel: impl Future<Output = ()>,
    ) -> Stoppable<S, impl Future<Output = Result<P, AcquireError>>> {
        self.stopped_by(cancel, AcquireError::Cancelled)
    }

    /// Waits until `timer` completes at most; see [`Acquire::before`](crate::Acquire::before).
    ///
    /// # Cancel safety
    /// As for [`until`](Self::until).
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`], and those of the request so far.
    pub fn before(
        self,
        timer: impl Future<Output = ()>,
    ) -> Stoppable<S, impl Future<Output = Result<P, AcquireError>>> {
        self.stopped_by(timer, AcquireError::TimedOut)
    }

    fn stopped_by(
        self,
        stop: impl Future<Output = ()>,
        reason: AcquireError,
    ) -> Stoppable<S, impl Future<Output = Result<P, AcquireError>>> {
        let semaphore = self.semaphore.clone();
        let request = stoppable(self.request, stop, reason, move || semaphore.is_closed());
        Stoppable { semaphore: self.semaphore, request }
    }
}

impl<S, F: Future> IntoFuture for Stoppable<S, F> {
    type Output = F::Output;
    type IntoFuture = F;

    fn into_future(self) -> F {
        self.request
    }
}

impl<S: Deref<Target = Semaphore>, F> fmt::Debug for Stoppable<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stoppable").field("semaphore", &*self.semaphore).finish_non_exhaustive()
    }
}

/// The request, or `reason` if `stop` completes first. On the first poll `stop` goes first, later the request.
async fn stoppable<P>(
    request: impl Future<Output = Result<P, AcquireError>>,
    stop: impl Future<Output = ()>,
    reason: AcquireError,
    is_closed: impl Fn() -> bool,
) -> Result<P, AcquireError> {
    let (mut request, mut stop) = (pin!(request), pin!(stop));
    let mut is_first = true;
    std::future::poll_fn(move |cx| {
        if std::mem::take(&mut is_first) {
            if is_closed() {
                return Poll::Ready(Err(AcquireError::Closed));
            }
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(reason));
            }
            return request.as_mut().poll(cx);
        }
        let acquired = request.as_mut().poll(cx);
        if acquired.is_pending() && stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(reason));
        }
        acquired
    })
    .await
}
