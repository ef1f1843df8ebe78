//! What a spawner can see and change besides spawning: the cancellation, the counts, the limit, the groups below.

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::builder::Builder;
use crate::places::Places;
use crate::shared::Shared;
use crate::{Cause, Failure, Spawner, TaskGroup};

impl<T: Send + 'static, E: Send + 'static> Spawner<T, E> {
    /// Cancels the group and every group below it: the token fires, tasks that wait for the limit are dropped, nothing more
    /// is taken. After the grace period (none, unless one was set) each task is dropped at its next suspension.
    ///
    /// From inside a task this does not interrupt the caller: it runs on to its own next suspension. Idempotent.
    pub fn cancel(&self) {
        self.shared.cancel(Cause::Cancelled);
    }

    /// Whether the group was cancelled, by whatever.
    pub fn is_cancelled(&self) -> bool {
        self.shared.tally.seen().is_cancelled()
    }

    /// Returns when the group is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.shared.token.cancelled()
    }

    /// A token that fires with the group. Cancelling this one cancels what hangs on it, not the group.
    pub fn token(&self) -> CancellationToken {
        self.shared.token.child_token()
    }

    /// Whether the group takes no more tasks because it was waited for or dropped.
    pub fn is_closed(&self) -> bool {
        self.shared.tally.seen().is_closed()
    }

    /// How many tasks have been taken and have not ended, those that wait for the limit among them. A child group with live
    /// tasks counts as one. Tasks that are dropped by a cancellation may leave this count up to 64 at a time, with the last of
    /// them; 0 is always exact.
    pub fn live(&self) -> usize {
        self.shared.tally.seen().live()
    }

    /// How many tasks run, in a group with a limit; as [`live`](Self::live) in one without.
    pub fn running(&self) -> usize {
        self.shared.places.as_ref().map_or_else(|| self.live(), Places::running)
    }

    /// How many wait for a place.
    pub fn waiting(&self) -> usize {
        self.shared.places.as_ref().map_or(0, Places::waiting)
    }

    /// The limit on how many run, if there is one.
    pub fn limit(&self) -> Option<usize> {
        self.shared.places.as_ref().map(Places::limit)
    }

    /// Changes the limit of a group that was built with one; says whether it was. More room starts those who wait, in their
    /// order; less room stops nobody, and starts nobody until enough have ended.
    pub fn set_limit(&self, limit: usize) -> bool {
        self.shared.resize(limit);
        self.shared.places.is_some()
    }

    /// Takes the failures recorded so far, and the count of those that found no room. This is how a group under
    /// [`Policy::Supervise`](crate::Policy::Supervise) tells of them; in others the cause is not among them.
    pub fn take_failures(&self) -> (Vec<Failure<E>>, usize) {
        self.shared.ledger.lock().take_failures()
    }

    /// A group below this one: cancelled with it, and never the other way round. The parent's `wait` covers the child's
    /// tasks; the child's failures are its owner's to see. A parent that was waited for or dropped takes its children along.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use tidegate_taskgroup::TaskGroup;
    ///
    /// let parent = TaskGroup::<(), String>::new();
    /// let child: TaskGroup<u8, String> = parent.child();
    /// child.spawn(async { Err("only the child's".to_owned()) }).expect("open");
    /// assert!(child.wait().await.is_err());
    /// assert!(parent.wait().await.is_ok());
    /// # }
    /// ```
    pub fn child<T2: Send + 'static, E2: Send + 'static>(&self) -> TaskGroup<T2, E2> {
        self.child_with(TaskGroup::builder())
    }

    /// A group below this one, built with settings of its own.
    pub fn child_with<T2, E2>(&self, settings: Builder<T2, E2>) -> TaskGroup<T2, E2>
    where
        T2: Send + 'static,
        E2: Send + 'static,
    {
        TaskGroup::of(Shared::child_of(settings.into_settings(false), &self.shared))
    }
}
