//! Waiting on a thread: asleep between polls.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
#[cfg(not(loom))]
use std::time::{Duration, Instant};

use crate::sync::thread;

use super::AcquireError;

/// Wakes the thread that made it.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls on this thread until it is decided.
pub(super) fn wait<P>(
    acquire: impl Future<Output = Result<P, AcquireError>> + Unpin,
) -> Result<P, AcquireError> {
    poll_until(acquire, || {
        thread::park();
        true
    })
}

/// Polls on this thread, for `timeout` at most. loom, which knows no time, does without.
#[cfg(not(loom))]
pub(super) fn wait_timeout<P>(
    acquire: impl Future<Output = Result<P, AcquireError>> + Unpin,
    timeout: Duration,
) -> Result<P, AcquireError> {
    let Some(deadline) = Instant::now().checked_add(timeout) else { return wait(acquire) };
    poll_until(acquire, || {
        let left = deadline.saturating_duration_since(Instant::now());
        thread::park_timeout(left);
        !left.is_zero()
    })
}

/// Polls as often as `sleep`, which may return too early, says that there is time left.
fn poll_until<P>(
    mut acquire: impl Future<Output = Result<P, AcquireError>> + Unpin,
    mut sleep: impl FnMut() -> bool,
) -> Result<P, AcquireError> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(done) = Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        if !sleep() {
            return Err(AcquireError::TimedOut);
        }
    }
}
