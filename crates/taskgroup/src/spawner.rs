//! A handle through which a group takes tasks.

use std::fmt;
use std::sync::Arc;

use crate::blocking::Blocking;
use crate::child::{Child, Name};
use crate::shared::Shared;
use crate::slots::Slot;
use crate::tally::Who;
use crate::trace::span;
use crate::{AwaitPlace, Label, Refused};

mod view;

/// Puts tasks into a group, from anywhere: from its owner, from its tasks, while it is being waited for.
///
/// Cheap to clone. It keeps no group open: once the group was waited for or dropped, every spawn is refused. A
/// [`TaskGroup`](crate::TaskGroup) and its [`Wait`](crate::Wait) dereference to their spawner, so all of this can be called on them.
pub struct Spawner<T, E> {
    pub(crate) shared: Arc<Shared<T, E>>,
    name: Option<Arc<str>>,
}

impl<T, E> Clone for Spawner<T, E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), name: self.name.clone() }
    }
}

impl<T, E> fmt::Debug for Spawner<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.shared.tally.seen();
        f.debug_struct("Spawner")
            .field("name", &self.name)
            .field("live", &seen.live())
            .field("cancelled", &seen.is_cancelled())
            .field("closed", &seen.is_closed())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static, E: Send + 'static> Spawner<T, E> {
    /// Starts a task and gives its index. Never waits: in a group with a limit the task waits for its place, in the order of
    /// spawning, without having been polled.
    ///
    /// The task runs on its own until it ends or the group is cancelled; then, after the grace period, its future is dropped
    /// at its next suspension. It gets a task of the runtime when it first has to wait: a few tasks of the group poll all
    /// others to their end. So `tokio::task::id` in it changes once, after its first suspension, and nothing else does: it
    /// holds up none of those behind it, even if it blocks its thread.
    ///
    /// # Errors
    /// [`Refused::Closed`] or [`Refused::Cancelled`]; the future is dropped without being polled.
    ///
    /// # Panics
    /// When the group's first task is spawned outside a tokio runtime. Later ones go to the runtime of the first.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use tidegate_taskgroup::TaskGroup;
    ///
    /// let group = TaskGroup::<u32, std::num::ParseIntError>::new();
    /// for text in ["1", "2", "3"] {
    ///     group.spawn(async move { text.parse() }).expect("the group is open");
    /// }
    /// assert_eq!(group.wait().await.expect("all are numbers"), [1, 2, 3]);
    /// # }
    /// ```
    pub fn spawn<F>(&self, task: F) -> Result<u32, Refused>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        match &self.name {
            None => self.put(task, ()),
            Some(name) => self.put(task, Arc::clone(name)),
        }
    }

    /// As [`spawn`](Self::spawn), but only if the task can run now: not past the limit, and not past others who wait.
    ///
    /// # Errors
    /// [`Refused::Full`] besides those of `spawn`.
    ///
    /// # Panics
    /// As `spawn`.
    pub fn try_spawn<F>(&self, task: F) -> Result<u32, Refused>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let shared = &self.shared;
        // It may panic, and hence comes first.
        let runtime = shared.runtime();
        let Some(places) = &shared.places else { return self.start(task) };
        places
            .try_admit(|| self.start(task), &mut |who| who.start(runtime))
            .unwrap_or_else(|| Err(self.refusal().unwrap_or(Refused::Full)))
    }

    /// Waits for a place under the limit, in line with the tasks that wait for theirs: the task is made only when it can run,
    /// so that a long input is not turned into tasks all at once. At once in a group without a limit.
    ///
    /// # Cancel safety
    /// The turn is lost when the future is dropped, and nothing else: a place that was given already goes to the next.
    ///
    /// # Errors
    /// [`Refused::Closed`] or [`Refused::Cancelled`], also when the group is cancelled meanwhile.
    /// [`Refused::WouldDeadlock`] for a task of this very group that asks while every other running task of it waits for a
    /// place, too: each holds one, and none would be given back. (Lowering the limit later can bring that about unseen.)
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use tidegate_taskgroup::TaskGroup;
    ///
    /// let group = TaskGroup::<u64, String>::builder().limit(4).build();
    /// for n in 0..1_000 {
    ///     let Ok(place) = group.place().await else { break };
    ///     place.spawn(async move { Ok(n) }).ok();
    /// }
    /// assert_eq!(group.wait().await.expect("none failed").len(), 1_000);
    /// # }
    /// ```
    pub fn place(&self) -> AwaitPlace<T, E> {
        AwaitPlace::new(self.clone())
    }

    /// Runs a closure on the runtime's threads for blocking work. It gets a spawner, by which it is told of a cancellation:
    /// nothing can stop it from outside, and `wait` waits for it. A closure that has not begun when the group is cancelled
    /// never does.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// As `spawn`.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use tidegate_taskgroup::TaskGroup;
    ///
    /// let group = TaskGroup::<u64, String>::new();
    /// group.spawn_blocking(|group| {
    ///     let mut steps = 0;
    ///     while !group.is_cancelled() && steps < 1_000 { steps += 1; }
    ///     Ok(steps)
    /// }).expect("open");
    /// assert_eq!(group.wait().await.expect("it did not fail"), [1_000]);
    /// # }
    /// ```
    pub fn spawn_blocking<F>(&self, work: F) -> Result<u32, Refused>
    where
        F: FnOnce(Self) -> Result<T, E> + Send + 'static,
    {
        let shared = &self.shared;
        shared.runtime();
        let index = shared.enter(Who::Task)?.admitted();
        let name = self.name.clone();
        let blocking = Box::new(Blocking::new(
            move |spawner| match name {
                None => Name::within(&span((), index), || work(spawner)),
                Some(name) => span(name, index).within(|| work(spawner)),
            },
            self.clone(),
            index,
        ));
        // What comes back is work for which the group was cancelled a moment ago; its drop ends it as such.
        drop(shared.queue(blocking));
        Ok(index)
    }

    /// As [`spawn`](Self::spawn), with a handle to the group for the task: to see its cancellation, or to spawn more.
    ///
    /// # Errors
    /// As `spawn`.
    ///
    /// # Panics
    /// As `spawn`.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    /// use tidegate_taskgroup::TaskGroup;
    ///
    /// let group = TaskGroup::<&str, String>::builder().grace(Duration::from_secs(1)).build();
    /// group.spawn_with(|group| async move {
    ///     group.cancelled().await;
    ///     Ok("tidied up")
    /// }).expect("open");
    /// group.cancel();
    /// assert_eq!(group.wait().await.expect("it gave its value"), ["tidied up"]);
    /// # }
    /// ```
    pub fn spawn_with<F>(&self, task: impl FnOnce(Self) -> F) -> Result<u32, Refused>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.refusal().map_or(Ok(()), Err)?;
        self.spawn(task(self.clone()))
    }

    /// A spawner whose tasks carry this name in errors, outcomes and spans.
    pub fn named(&self, name: impl Into<Arc<str>>) -> Self {
        Self { shared: Arc::clone(&self.shared), name: Some(name.into()) }
    }

    pub(crate) fn of(shared: Arc<Shared<T, E>>) -> Self {
        Self { shared, name: None }
    }

    fn put<F>(&self, task: F, name: impl Name) -> Result<u32, Refused>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let shared = &self.shared;
        shared.runtime();
        let index = shared.enter(Who::Task)?.admitted();
        if shared.places.is_none() {
            self.run(task, name, index);
        } else {
            let child = Child::new(task, span(name, index), Arc::clone(shared), index);
            // What comes back is a task for which the group was cancelled a moment ago; its drop ends it as such.
            drop(shared.queue(Box::new(child)));
        }
        Ok(index)
    }

    /// Starts a task whose place, in a limited group, was taken before.
    pub(crate) fn start<F>(&self, task: F) -> Result<u32, Refused>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.shared.runtime();
        let index = self.shared.enter(Who::Task)?.admitted();
        match &self.name {
            None => self.run(task, (), index),
            Some(name) => self.run(task, Arc::clone(name), index),
        }
        Ok(index)
    }

    pub(crate) fn label(&self, index: u32) -> Label {
        Label { index, name: self.name.clone() }
    }

    fn run<F>(&self, task: F, name: impl Name, index: u32)
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let shared = &self.shared;
        let child = Child::new(task, span(name, index), Arc::clone(shared), index);
        if shared.newcomers.is_to_wait() {
            drop(shared.runtime().spawn(child.started(Slot::ON_ITS_OWN)));
        } else {
            shared.launch(Box::pin(child.started(Slot::UNPOLLED)));
        }
    }

    pub(crate) fn refusal(&self) -> Option<Refused> {
        let seen = self.shared.tally.seen();
        match seen {
            seen if seen.is_closed() => Some(Refused::Closed),
            seen if seen.is_cancelled() => Some(Refused::Cancelled),
            _ => None,
        }
    }
}
