//! The owner of a group, and the wait for its end.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::builder::Builder;
use crate::shared::Shared;
use crate::waiters::Ticket;
use crate::{Cause, GroupError, Spawner};

/// A group of tasks that end together.
///
/// The first failure cancels the rest (see [`Policy`](crate::Policy) for other ways); [`wait`](Self::wait) returns when *all*
/// have ended, with every value in spawn order or with the error that came first. Tasks are spawned through the
/// [`Spawner`] that a group dereferences to.
///
/// Values of `()` are counted and not kept: a group of them may run for months in the same memory.
///
/// Dropping the group cancels it and every group below it, without grace: each task is dropped at its next suspension, soon
/// *after* the drop returned, since a destructor cannot wait. Only `wait` says that none is alive.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use tidegate_taskgroup::TaskGroup;
///
/// let group = TaskGroup::<u64, String>::new();
/// group.spawn(async { std::future::pending().await }).expect("open");
/// group.named("fetch").spawn(async { Err("no route to host".to_owned()) }).expect("open");
/// let error = group.wait().await.expect_err("one failed");
/// assert_eq!(error.to_string(), "task 1 `fetch` failed: no route to host");
/// assert_eq!(error.aftermath.cancelled, 1);
/// # }
/// ```
#[must_use = "a group that is dropped cancels its tasks"]
pub struct TaskGroup<T: Send + 'static, E: Send + 'static> {
    spawner: Spawner<T, E>,
}

impl<T: Send + 'static, E: Send + 'static> fmt::Debug for TaskGroup<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskGroup").field(&self.spawner).finish()
    }
}

impl<T: Send + 'static, E: Send + 'static> Default for TaskGroup<T, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + 'static, E: Send + 'static> TaskGroup<T, E> {
    /// A group that fails fast, without limit, deadline or grace period. It starts no task and no timer of its own.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A group with other settings.
    pub fn builder() -> Builder<T, E> {
        Builder::new()
    }

    pub(crate) fn of(shared: Arc<Shared<T, E>>) -> Self {
        Self { spawner: Spawner::of(shared) }
    }

    /// A handle for whoever shall spawn too.
    pub fn spawner(&self) -> Spawner<T, E> {
        self.spawner.clone()
    }

    /// Returns when every task has ended and been dropped: with all values in spawn order, or with what went wrong first.
    /// Tasks may be spawned while this waits; once it found none alive the group is closed.
    ///
    /// The result is `Ok` if and only if every task gave a value (under [`Policy::Supervise`](crate::Policy::Supervise):
    /// if none was cut short).
    ///
    /// # Cancel safety
    /// Poll it by reference (`&mut wait`) to give up waiting without losing anything; it still dereferences to the
    /// [`Spawner`]. Dropping it drops the group, which cancels and aborts: `timeout(d, group.wait())` leaves nothing running.
    ///
    /// # Errors
    /// When a task failed or panicked; when tasks were cut short by a cancellation or a deadline; and at once, with
    /// [`Cause::WaitedFromInside`], when a task waits for its own group or one above it. (Seen where the task itself polls the
    /// wait. Through a task that it made with `tokio::spawn`, and waits for, it deadlocks unseen.)
    ///
    /// # Panics
    /// With the panic of a task if the group was built with [`resume_panics`](Builder::resume_panics); and when it is polled
    /// again after it gave its verdict.
    pub fn wait(self) -> Wait<T, E> {
        Wait { group: self, ticket: None, over: false }
    }
}

impl<T: Send + 'static, E: Send + 'static> Deref for TaskGroup<T, E> {
    type Target = Spawner<T, E>;

    fn deref(&self) -> &Spawner<T, E> {
        &self.spawner
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for TaskGroup<T, E> {
    fn drop(&mut self) {
        self.spawner.shared.abandon();
    }
}

/// The end of a group, as a future; made by [`TaskGroup::wait`].
#[derive(Debug)]
#[must_use = "a wait that is dropped cancels the tasks of its group"]
pub struct Wait<T: Send + 'static, E: Send + 'static> {
    group: TaskGroup<T, E>,
    ticket: Option<Ticket>,
    over: bool,
}

impl<T: Send + 'static, E: Send + 'static> Future for Wait<T, E> {
    type Output = Result<Vec<T>, GroupError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.over, "a wait is not polled after its end");
        let shared = Arc::clone(&self.group.spawner.shared);
        if shared.is_awaited_from_inside() {
            return Poll::Ready(Err(GroupError::bare(Cause::WaitedFromInside)));
        }
        let polled = shared.waiters.poll_closed(&shared.tally, &mut self.ticket, cx);
        let Poll::Ready(closed) = polled else { return Poll::Pending };
        self.over = true;
        let verdict = shared.settle(closed);
        // The token fires and the groups below take nothing more, even if this future is kept.
        shared.abandon();
        let resume = shared.settings.resume_panics;
        Poll::Ready(verdict.map_err(|error| if resume { error.resume_panic() } else { error }))
    }
}

impl<T: Send + 'static, E: Send + 'static> Deref for Wait<T, E> {
    type Target = Spawner<T, E>;

    fn deref(&self) -> &Spawner<T, E> {
        &self.group
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for Wait<T, E> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.group.spawner.shared.waiters.leave(ticket);
        }
    }
}
