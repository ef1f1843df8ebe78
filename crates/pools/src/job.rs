//! A job from its submission to its result.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

/// A job, ready to run on a thread of a pool.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Tells a job that nobody wants its result any more. Long computations look at it now and then.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether the job's handle was dropped.
    pub fn is_requested(&self) -> bool {
        // ORDERING: Relaxed; the flag carries no data, and a job may see it late.
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn request(&self) {
        // ORDERING: Relaxed; see `is_requested`.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A submitted job, as the future of its result.
///
/// # Cancel safety
/// Dropping it cancels the job: one that has not started never will, one that runs is told by its [`Stop`].
#[derive(Debug)]
#[must_use = "a job whose handle is dropped is cancelled"]
pub struct Job<T> {
    result: oneshot::Receiver<Result<T, JobError>>,
    stop: Option<Stop>,
}

impl<T: Send + 'static> Job<T> {
    /// The job's handle, and what runs it. The work skips itself if the handle is gone by then.
    pub(crate) fn new(
        work: impl FnOnce() -> T + Send + 'static,
        stop: Option<Stop>,
    ) -> (Self, Work) {
        let (sender, result) = oneshot::channel();
        let run = move || {
            if sender.is_closed() {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(work));
            let result = result.map_err(|panic| JobError::Panicked { message: message(&*panic) });
            // A result that nobody wants is dropped here, on the pool's thread; its drop may panic as well.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(sender.send(result))));
        };
        (Self { result, stop }, Box::new(run))
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, JobError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.result).poll(cx));
        // The sender goes unused only when the pool drops the work unrun.
        Poll::Ready(result.unwrap_or(Err(JobError::Cancelled)))
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.request();
        }
    }
}

pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a value that is no text")
        .to_owned()
}

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobError {
    /// It panicked. The thread lives on.
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The pool was closed before the job started.
    Cancelled,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { message } => write!(f, "the job panicked: {message}"),
            Self::Cancelled => f.write_str("the pool was closed before the job started"),
        }
    }
}

impl std::error::Error for JobError {}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmitError {
    /// The queue is full.
    Full {
        /// How many jobs wait.
        waiting: usize,
    },
    /// The pool was closed.
    Closed,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { waiting } => write!(f, "the pool's queue is full: {waiting} jobs wait"),
            Self::Closed => f.write_str("the pool is closed"),
        }
    }
}

impl std::error::Error for SubmitError {}
