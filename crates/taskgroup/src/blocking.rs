//! Work on a thread of its own, which can be told to stop and not be made to.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::child::{Inside, drop_quietly};
use crate::shared::Waiting;
use crate::slots::Slot;
use crate::{Outcome, Panic, Spawner};

/// A closure that was admitted. Dropped before it ran, it ends as cancelled.
pub(crate) struct Blocking<F, T: Send + 'static, E: Send + 'static> {
    work: Option<F>,
    spawner: Spawner<T, E>,
    index: u32,
    slot: Slot,
}

impl<F, T, E> Blocking<F, T, E>
where
    F: FnOnce(Spawner<T, E>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    pub(crate) fn new(work: F, spawner: Spawner<T, E>, index: u32) -> Self {
        Self { work: Some(work), spawner, index, slot: Slot::QUEUED }
    }

    fn run(mut self) {
        let Some(work) = self.work.take() else { return };
        let shared = Arc::clone(&self.spawner.shared);
        if shared.tally.seen().is_cancelled() {
            drop_quietly(work);
            return self.end(Outcome::Cancelled);
        }
        let spawner = self.spawner.clone();
        // The closure and all it captured is dropped in here.
        let returned = catch_unwind(AssertUnwindSafe(|| {
            let _inside = Inside::enter(Arc::as_ptr(&shared).addr());
            work(spawner)
        }));
        self.end(match returned {
            Ok(Ok(value)) => Outcome::Value(value),
            Ok(Err(error)) => Outcome::Failed(error),
            Err(payload) => Outcome::Panicked(Panic::new(payload)),
        });
    }
}

impl<F, T: Send + 'static, E: Send + 'static> Blocking<F, T, E> {
    fn end(&self, outcome: Outcome<T, E>) {
        self.spawner.shared.end(outcome, self.slot, || self.spawner.label(self.index));
    }
}

impl<F, T, E> Waiting for Blocking<F, T, E>
where
    F: FnOnce(Spawner<T, E>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn start(mut self: Box<Self>, runtime: &Handle) -> bool {
        self.slot = Slot::NONE;
        drop(runtime.spawn_blocking(move || self.run()));
        true
    }
}

impl<F, T: Send + 'static, E: Send + 'static> Drop for Blocking<F, T, E> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            drop_quietly(work);
            self.end(Outcome::Cancelled);
        }
    }
}
