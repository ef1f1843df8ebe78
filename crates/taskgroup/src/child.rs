//! The future that stands around a task's own.
//!
//! It polls the child first and parks with the group only if the child is pending in a task of its own, where a
//! [starter](crate::starter) may have polled it once before. So a task which never waits pays nothing for being cancellable.
//! All of it beside the child is one pointer, two small numbers and a tag.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use crate::shared::{Shared, Waiting};
use crate::slots::Slot;
use crate::{Label, Outcome, Panic};

/// A task's name, or the lack of one, which then takes no room.
pub(crate) trait Name: Send + 'static {
    fn get(&self) -> Option<Arc<str>>;

    /// Runs a piece of the task where its name is known: in its span, if spans are on.
    fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }
}

impl Name for () {
    fn get(&self) -> Option<Arc<str>> {
        None
    }
}

impl Name for Arc<str> {
    fn get(&self) -> Option<Arc<str>> {
        Some(Self::clone(self))
    }
}

pin_project! {
    /// A task of a group. Dropped before its end, it ends as cancelled.
    pub(crate) struct Child<F, N, T, E>
    where
        F: Future<Output = Result<T, E>>,
        N: Name,
        T: Send,
        T: 'static,
        E: Send,
        E: 'static,
    {
        #[pin]
        child: Option<F>,
        name: N,
        shared: Arc<Shared<T, E>>,
        index: u32,
        slot: Slot,
    }

    impl<F, N, T, E> PinnedDrop for Child<F, N, T, E>
    where
        F: Future<Output = Result<T, E>>,
        N: Name,
        T: Send,
        T: 'static,
        E: Send,
        E: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            if this.child.is_some() {
                this.cut_short();
            }
        }
    }
}

impl<F, N, T, E> Child<F, N, T, E>
where
    F: Future<Output = Result<T, E>>,
    N: Name,
    T: Send + 'static,
    E: Send + 'static,
{
    /// A task that has been admitted as `index`, and takes its place in a limited group when it is started.
    pub(crate) fn new(child: F, name: N, shared: Arc<Shared<T, E>>, index: u32) -> Self {
        Self { child: Some(child), name, shared, index, slot: Slot::QUEUED }
    }

    /// The same, with its place taken, before it is polled as this.
    pub(crate) fn started(mut self, slot: Slot) -> Self {
        self.slot = slot;
        self
    }

    fn cut_short(self: Pin<&mut Self>) {
        let forced = self.shared.slots.is_closed();
        // A task that never began had no grace to ignore.
        let began = ![Slot::QUEUED, Slot::UNPOLLED, Slot::ON_ITS_OWN].contains(&self.slot);
        let outcome = if forced && began && !self.shared.settings.grace.is_zero() {
            Outcome::Aborted
        } else {
            Outcome::Cancelled
        };
        self.end(outcome);
    }

    fn end(self: Pin<&mut Self>, outcome: Outcome<T, E>) {
        let mut this = self.project();
        let dropped = catch_unwind(AssertUnwindSafe(|| this.name.within(|| this.child.set(None))));
        let outcome = match dropped {
            Ok(()) => outcome,
            Err(payload) => {
                drop_quietly(outcome);
                Outcome::Panicked(Panic::new(payload))
            }
        };
        let shared = &*this.shared;
        shared.end(outcome, *this.slot, || Label { index: *this.index, name: this.name.get() });
    }
}

impl<F, N, T, E> Future for Child<F, N, T, E>
where
    F: Future<Output = Result<T, E>>,
    N: Name,
    T: Send + 'static,
    E: Send + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.slots.is_closed() {
            self.cut_short();
            return Poll::Ready(());
        }
        let this = self.as_mut().project();
        let shared = &*this.shared;
        let child = this.child.as_pin_mut().expect("a task is not polled after its end");
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let _inside = Inside::enter(Arc::as_ptr(shared).addr());
            this.name.within(|| child.poll(cx))
        }));
        let outcome = match polled {
            Ok(Poll::Ready(Ok(value))) => Outcome::Value(value),
            Ok(Poll::Ready(Err(error))) => Outcome::Failed(error),
            Err(payload) => Outcome::Panicked(Panic::new(payload)),
            Ok(Poll::Pending) => {
                if *this.slot == Slot::UNPOLLED {
                    *this.slot = Slot::NONE;
                } else if [Slot::NONE, Slot::ON_ITS_OWN].contains(this.slot) {
                    match shared.slots.park(*this.index, cx.waker()) {
                        Some(slot) => *this.slot = slot,
                        // Forced while the child was polled: nobody would wake this task.
                        None => {
                            self.cut_short();
                            return Poll::Ready(());
                        }
                    }
                }
                return Poll::Pending;
            }
        };
        if *this.slot == Slot::ON_ITS_OWN {
            shared.newcomers.expect(false);
        }
        self.end(outcome);
        Poll::Ready(())
    }
}

impl<F, N, T, E> Waiting for Child<F, N, T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    N: Name,
    T: Send + 'static,
    E: Send + 'static,
{
    fn start(mut self: Box<Self>, _: &Handle) -> bool {
        self.slot = Slot::UNPOLLED;
        Arc::clone(&self.shared).launch(Box::into_pin(self));
        true
    }
}

thread_local! {
    /// The address of the group whose task this thread is polling; 0 when none.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// Marks this thread as polling a task of a group.
pub(crate) struct Inside(usize);

impl Inside {
    #[inline]
    pub(crate) fn enter(group: usize) -> Self {
        Self(INSIDE.replace(group))
    }

    /// The group whose task is being polled here.
    pub(crate) fn group() -> Option<usize> {
        Some(INSIDE.get()).filter(|group| *group != 0)
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

/// Drops a value of the user's where a panic of its drop must not go further.
pub(crate) fn drop_quietly<V>(value: V) {
    let dropped: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| drop(value)));
    // The payload of that panic may panic in its own drop; that is where containing it ends.
    drop(dropped);
}

#[cfg(test)]
mod tests;
