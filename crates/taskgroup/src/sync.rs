//! The locks and atomics of the core: std's, or loom's under `--cfg loom`.

#[cfg(loom)]
pub(crate) use loom::sync::{
    MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(not(loom))]
pub(crate) use std::sync::OnceLock;

use std::fmt;
use std::sync::PoisonError;

#[cfg(loom)]
use loom::sync::Mutex as Inner;
#[cfg(not(loom))]
use std::sync::Mutex as Inner;

/// A mutex without poisoning: nothing foreign runs under the locks of this crate, so no panic can leave a state torn.
pub struct Mutex<T>(Inner<T>);

impl<T> Mutex<T> {
    /// Unlocked.
    pub fn new(value: T) -> Self {
        Self(Inner::new(value))
    }

    /// Locks it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// std's, with the ordering that it promises told to loom, which has none of its own.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct OnceLock<T>(AtomicBool, std::sync::OnceLock<T>);

#[cfg(loom)]
impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false), std::sync::OnceLock::new())
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.1.set(value)?;
        // ORDERING: Release; pairs with the Acquire in `get`, as std's `set` and `get` do.
        self.0.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // ORDERING: Acquire; pairs with the Release in `set`.
        if self.0.load(Ordering::Acquire) { self.1.get() } else { None }
    }
}
