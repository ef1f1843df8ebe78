//! The owner of a group whose outcomes are handed out one by one.

use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::reader::poll_next;
use crate::shared::Shared;
use crate::{Completed, Spawner};

/// A group that hands out each [`Completed`] task as it ends, and keeps none that was handed out. Made by
/// [`Builder::stream`](crate::Builder::stream).
///
/// Under [`Policy::FailFast`](crate::Policy::FailFast) a failure cancels the rest here too; it comes out of the stream before
/// what it induced. Dropping the stream cancels and aborts, as for a [`TaskGroup`](crate::TaskGroup).
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use tidegate_taskgroup::{Policy, TaskGroup};
///
/// let mut tasks = TaskGroup::<u32, String>::builder().policy(Policy::Supervise).stream();
/// tasks.spawn(async { Ok(1) }).expect("open");
/// tasks.spawn(async { Err("no".to_owned()) }).expect("open");
/// let mut sum = 0;
/// while let Some(done) = tasks.next().await {
///     sum += done.outcome.value().unwrap_or(100);
/// }
/// assert_eq!(sum, 101);
/// # }
/// ```
#[must_use = "a group that is dropped cancels its tasks"]
pub struct TaskStream<T: Send + 'static, E: Send + 'static> {
    spawner: Spawner<T, E>,
}

impl<T: Send + 'static, E: Send + 'static> fmt::Debug for TaskStream<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskStream").field(&self.spawner).finish()
    }
}

impl<T: Send + 'static, E: Send + 'static> TaskStream<T, E> {
    pub(crate) fn of(shared: Arc<Shared<T, E>>) -> Self {
        Self { spawner: Spawner::of(shared) }
    }

    /// A handle for whoever shall spawn too.
    pub fn spawner(&self) -> Spawner<T, E> {
        self.spawner.clone()
    }

    /// The next task to end, in the order of ending; `None` when none lives and all were handed out. Tasks spawned after that
    /// are handed out again. `None` at once, too, for a task that asks for the outcomes of its own group.
    ///
    /// # Cancel safety
    /// No outcome is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Completed<T, E>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for streams and futures written by hand: `futures::stream::poll_fn` makes a `Stream` of it.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Completed<T, E>>> {
        let shared = &self.spawner.shared;
        poll_next(&shared.tally, &shared.ledger, !shared.is_awaited_from_inside(), cx)
    }

    /// Waits for all and gives each outcome that was not handed out yet, in spawn order.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream, which cancels and aborts; the outcomes so far are lost.
    pub async fn collect(mut self) -> Vec<Completed<T, E>> {
        let mut all = Vec::new();
        while let Some(completed) = self.next().await {
            all.push(completed);
        }
        all.sort_by_key(|completed| completed.task.index);
        all
    }
}

impl<T: Send + 'static, E: Send + 'static> Deref for TaskStream<T, E> {
    type Target = Spawner<T, E>;

    fn deref(&self) -> &Spawner<T, E> {
        &self.spawner
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for TaskStream<T, E> {
    fn drop(&mut self) {
        self.spawner.shared.abandon();
    }
}
