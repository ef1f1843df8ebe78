//! How a cancellation comes to a group, and goes on from it.

use std::sync::Arc;

use crate::Cause;
use crate::Refused;
use crate::family::{Children, Link};
use crate::tally::Who;

use super::Shared;

impl<T: Send + 'static, E: Send + 'static> Shared<T, E> {
    pub(crate) fn cancel(self: &Arc<Self>, cause: Cause<E>) {
        self.ledger.lock().blame(cause);
        self.spread();
    }

    /// The owner is gone: nobody is admitted, nobody is given time.
    pub(crate) fn abandon(self: &Arc<Self>) {
        self.tally.close();
        self.cancel(Cause::Cancelled);
        self.slots.close();
        self.children.living().into_iter().for_each(|child| child.cancel_from_above(true));
        self.timers.end();
    }

    /// Carries a cancellation to everything that hangs on the group. The second call does nothing.
    pub(super) fn spread(self: &Arc<Self>) {
        if self.tally.cancel().is_cancelled() {
            return;
        }
        self.token.cancel();
        if let Some(places) = &self.places {
            // A task that waits ends as cancelled when it is dropped.
            places.close();
        }
        self.children.living().into_iter().for_each(|child| child.cancel_from_above(false));
        let grace = self.settings.grace;
        match self.runtime.get() {
            Some(runtime) if !grace.is_zero() && self.tally.seen().live() != 0 => {
                let group = Arc::downgrade(self);
                self.timers.keep(runtime.spawn(async move {
                    tokio::time::sleep(grace).await;
                    if let Some(group) = group.upgrade() {
                        group.slots.close();
                    }
                }));
            }
            _ => self.slots.close(),
        }
    }
}

impl<T: Send + 'static, E: Send + 'static> Link for Shared<T, E> {
    fn hold(&self) -> Result<(), Refused> {
        self.enter(Who::ChildGroup).map(drop)
    }

    fn release(&self) {
        self.leave(1);
    }

    fn cancel_from_above(self: Arc<Self>, dropped: bool) {
        self.cancel(Cause::Parent);
        if dropped {
            self.slots.close();
            self.children.living().into_iter().for_each(|child| child.cancel_from_above(true));
        }
    }

    fn children(&self) -> &Children {
        &self.children
    }

    fn contains(&self, address: usize) -> bool {
        if std::ptr::from_ref(self).addr() == address {
            return true;
        }
        self.children.living().iter().any(|child| child.contains(address))
    }
}
