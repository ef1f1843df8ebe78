//! The tasks that poll the children of a group first.
//!
//! A child that is pending then moves, in the box that it came in, to a task of its own, and is polled there once more: its
//! first waker wakes nobody, and the second poll is what registers. Nothing is lost between the two, since a future finds in
//! each poll what happened before it. While the children of a group wait, the next is a task of its own from the start.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::Cause;
use crate::newcomers::Sent;
use crate::shared::Shared;

/// A child in its box.
pub(crate) type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// So many children a poll. The runtime counts polls of tasks to know when to look at its timers and sockets, and so many
/// children that end at once take about as long as one such task.
const BATCH: usize = 4;

impl<T: Send + 'static, E: Send + 'static> Shared<T, E> {
    /// Lets a child run, which has its place.
    pub(crate) fn launch(self: &Arc<Self>, child: Boxed) {
        match self.newcomers.put(child) {
            Ok(send) => self.send(send),
            // The runtime is gone; its drop ends it as cancelled.
            Err(child) => drop(child),
        }
    }

    fn send(self: &Arc<Self>, send: Sent) {
        if send == Sent::Nobody {
            return;
        }
        let runtime = self.runtime();
        let starter = Starter { shared: Arc::clone(self), sent: send, over: false };
        drop(runtime.spawn(starter));
        if send == Sent::Spare {
            bump(runtime);
        }
    }
}

/// What a worker spawned last stands in a slot from which no other worker takes it, until it spawns another.
fn bump(runtime: &Handle) {
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
        drop(runtime.spawn(async {}));
    }
}

/// Polls newcomers until there are none.
struct Starter<T: Send + 'static, E: Send + 'static> {
    shared: Arc<Shared<T, E>>,
    sent: Sent,
    over: bool,
}

impl<T: Send + 'static, E: Send + 'static> Future for Starter<T, E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.shared);
        shared.newcomers.begin(self.sent);
        for _ in 0..BATCH {
            let Some((mut child, send)) = shared.newcomers.take() else {
                self.over = true;
                return Poll::Ready(());
            };
            shared.send(send);
            if child.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                shared.newcomers.expect(true);
                drop(shared.runtime().spawn(child));
                // It has no waker yet, and runs next if this task makes way.
                break;
            }
        }
        self.sent = Sent::Spare;
        shared.newcomers.rest();
        // Not `yield_now`, which would keep it on this worker.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for Starter<T, E> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // The runtime shuts down. Those who wait for the limit go first, or each that is dropped would start the next.
        self.shared.cancel(Cause::Shutdown);
        let left = self.shared.newcomers.close();
        drop(left);
    }
}
