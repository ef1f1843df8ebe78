//! The locks and atomics of the thread pools: parking_lot's and std's, or loom's under `--cfg loom`.

#[cfg(loom)]
use loom::sync::{Condvar as InnerCondvar, Mutex as Inner};
#[cfg(loom)]
pub(crate) use loom::sync::{
    MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
#[cfg(loom)]
pub(crate) use loom::thread;

#[cfg(not(loom))]
pub(crate) use parking_lot::MutexGuard;
#[cfg(not(loom))]
use parking_lot::{Condvar as InnerCondvar, Mutex as Inner};
#[cfg(not(loom))]
pub(crate) use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

/// A mutex without poisoning: nothing foreign runs under the locks of this crate, so no panic can leave a state torn.
pub(crate) struct Mutex<T>(Inner<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Inner::new(value))
    }

    #[cfg(not(loom))]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    #[cfg(loom)]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no panic under the lock")
    }
}

impl<T> std::fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mutex")
    }
}

/// A condition variable that wakes only those who were notified.
pub(crate) struct Condvar(InnerCondvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(InnerCondvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    #[cfg(not(loom))]
    pub(crate) fn wait<'l, T>(&self, mut guard: MutexGuard<'l, T>) -> MutexGuard<'l, T> {
        self.0.wait(&mut guard);
        guard
    }

    /// Also says whether the time went by without a notice.
    #[cfg(not(loom))]
    pub(crate) fn wait_for<'l, T>(
        &self,
        mut guard: MutexGuard<'l, T>,
        time: std::time::Duration,
    ) -> (MutexGuard<'l, T>, bool) {
        let late = self.0.wait_for(&mut guard, time).timed_out();
        (guard, late)
    }

    /// No time passes in a model.
    #[cfg(loom)]
    pub(crate) fn wait_for<'l, T>(
        &self,
        guard: MutexGuard<'l, T>,
        _: std::time::Duration,
    ) -> (MutexGuard<'l, T>, bool) {
        (self.wait(guard), false)
    }

    #[cfg(loom)]
    pub(crate) fn wait<'l, T>(&self, guard: MutexGuard<'l, T>) -> MutexGuard<'l, T> {
        self.0.wait(guard).expect("no panic under the lock")
    }
}

impl std::fmt::Debug for Condvar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Condvar")
    }
}
