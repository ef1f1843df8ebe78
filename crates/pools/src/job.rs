//! A job from its submission to its result.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

mod error;
mod task;

pub(crate) use error::message;
pub use error::{JobError, SubmitError};
pub(crate) use task::{Abandoned, Work};
use task::{Outcome, Task};

/// Tells a job that nobody wants its result any more. Long computations look at it now and then.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether the job's handle was dropped.
    pub fn is_requested(&self) -> bool {
        // ORDERING: Relaxed; the flag carries no data, and a job may see it late.
        self.0.load(Ordering::Relaxed)
    }

    fn request(&self) {
        // ORDERING: Relaxed; see `is_requested`.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A submitted job, as the future of its result.
///
/// # Cancel safety
/// Dropping it cancels the job: one that has not started never will, and what it holds is dropped at once; one that runs is
/// told by its [`Stop`].
///
/// # Panics
/// When polled again after its result.
#[must_use = "a job whose handle is dropped is cancelled"]
pub struct Job<T> {
    /// Until the result is read.
    task: Option<Arc<dyn Outcome<T>>>,
    stop: Option<Stop>,
}

impl<T: Send + 'static> Job<T> {
    /// The job's handle, and what runs it. While the work runs after the handle was dropped, it counts in `abandoned`.
    pub(crate) fn new(
        work: impl FnOnce() -> T + Send + 'static,
        stop: Option<Stop>,
        abandoned: Option<Abandoned>,
    ) -> (Self, Work) {
        let task = Task::new(work, abandoned);
        (Self { task: Some(Arc::clone(&task) as Arc<dyn Outcome<T>>), stop }, Work::new(task))
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, JobError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.task.as_ref().expect("a job is not polled after its result");
        let result = ready!(task.poll(cx));
        self.task = None;
        Poll::Ready(result)
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            if let Some(stop) = &self.stop {
                stop.request();
            }
            task.abandon();
        }
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("result_read", &self.task.is_none()).finish_non_exhaustive()
    }
}
