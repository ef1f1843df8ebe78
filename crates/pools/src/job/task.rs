//! What a job's handle and the thread that runs it share: one allocation with the work, its result and who waits for it.
//!
//! ```text
//!              run                    the work returns or panics         poll
//!   Queued ──────────▶ Running ───────────────────────────────────▶ Done ─────▶ Over
//!     │                   │ handle dropped                            ▲ │ handle dropped
//!     │                   ▼                                           │ ▼
//!     │               Abandoned ──── the work returns ────────────────│▶ Over
//!     └─ handle dropped ─▶ Over          dropped by the pool ─────────┘ (Queued ─▶ Done(Cancelled))
//! ```
//! 1. Each step is taken under the task's lock; the work, its result and wakers leave the lock before they are called or dropped.
//! 2. The work is taken out once: it runs once or is dropped unrun.
//! 3. A task is counted as abandoned exactly while it is in `Abandoned`.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::{JobError, message};
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// How many calls run that nobody waits for.
pub(crate) type Abandoned = Arc<AtomicUsize>;

pub(crate) struct Task<F, T> {
    step: Mutex<Step<F, T>>,
    abandoned: Option<Abandoned>,
}

enum Step<F, T> {
    Queued(F, Option<Waker>),
    Running(Option<Waker>),
    Abandoned,
    Done(Result<T, JobError>),
    Over,
}

impl<F, T> Task<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    pub(crate) fn new(work: F, abandoned: Option<Abandoned>) -> Arc<Self> {
        Arc::new(Self { step: Mutex::new(Step::Queued(work, None)), abandoned })
    }

    /// Whether somebody who waits for the result was woken.
    fn finish(&self, result: Result<T, JobError>) -> bool {
        let mut step = self.step.lock();
        match mem::replace(&mut *step, Step::Over) {
            Step::Running(waker) => {
                *step = Step::Done(result);
                drop(step);
                let woke = waker.is_some();
                waker.into_iter().for_each(Waker::wake);
                woke
            }
            _ => {
                drop(step);
                if let Some(abandoned) = &self.abandoned {
                    // ORDERING: Relaxed; a count that orders nothing.
                    abandoned.fetch_sub(1, Ordering::Relaxed);
                }
                drop(result);
                false
            }
        }
    }
}

/// The task as the pool sees it.
trait Run: Send + Sync {
    fn run(&self) -> bool;
    fn cancel(&self);
}

impl<F, T> Run for Task<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn run(&self) -> bool {
        let mut step = self.step.lock();
        // If it is over already, its handle was dropped: nobody wants it run.
        let Step::Queued(work, waker) = mem::replace(&mut *step, Step::Over) else { return false };
        *step = Step::Running(waker);
        drop(step);
        let result = catch_unwind(AssertUnwindSafe(work));
        let result = result.map_err(|panic| JobError::Panicked { message: message(&*panic) });
        // A result that nobody wants is dropped there, and its drop may panic as well.
        catch_unwind(AssertUnwindSafe(|| self.finish(result))).unwrap_or(false)
    }

    fn cancel(&self) {
        let mut step = self.step.lock();
        if let Step::Queued(..) = *step {
            let unrun = mem::replace(&mut *step, Step::Done(Err(JobError::Cancelled)));
            drop(step);
            if let Step::Queued(work, waker) = unrun {
                drop(work);
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }
}

/// The task as its handle sees it.
pub(crate) trait Outcome<T>: Send + Sync {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, JobError>>;
    fn abandon(&self);
}

impl<F, T> Outcome<T> for Task<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, JobError>> {
        let mut step = self.step.lock();
        let waker = match &mut *step {
            Step::Queued(_, waker) | Step::Running(waker) => waker,
            Step::Done(_) => {
                let Step::Done(result) = mem::replace(&mut *step, Step::Over) else {
                    unreachable!("it was done under the same lock")
                };
                return Poll::Ready(result);
            }
            Step::Abandoned | Step::Over => unreachable!("the handle is gone with its result"),
        };
        if waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let former = waker.replace(cx.waker().clone());
        drop(step);
        drop(former);
        Poll::Pending
    }

    fn abandon(&self) {
        let mut step = self.step.lock();
        let former = mem::replace(&mut *step, Step::Over);
        if let Step::Running(_) = former {
            *step = Step::Abandoned;
            if let Some(abandoned) = &self.abandoned {
                // ORDERING: Relaxed; a count that orders nothing. Under the lock, so that `finish` counts down after it.
                abandoned.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(step);
        drop(former);
    }
}

/// A job, ready to run on a thread of a pool. Dropped unrun it is cancelled.
pub(crate) struct Work(Option<Arc<dyn Run>>);

impl Work {
    pub(crate) fn new<F, T>(task: Arc<Task<F, T>>) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Self(Some(task))
    }

    /// Runs the job, unless its handle is gone. What it panics with stays in its result. Says whether somebody who waits for
    /// the result was woken.
    pub(crate) fn run(mut self) -> bool {
        self.0.take().is_some_and(|task| task.run())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.cancel();
        }
    }
}
