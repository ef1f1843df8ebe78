//! The locks and atomics that the crate uses: parking_lot's and std's, or loom's under `--cfg loom`.

#[cfg(not(loom))]
mod real {
    use std::hint;
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use std::thread;

    pub(crate) use parking_lot::MutexGuard;

    /// parking_lot's, in which whoever comes to a held lock first looks away for a while.
    ///
    /// Two threads that hand permits to each other want the lock all the time. The one that backs off leaves its cache line with
    /// the other, which then does a run of hand-overs at the price of one alone (T. E. Anderson, *The performance of
    /// spin lock alternatives for shared-memory multiprocessors*, IEEE TPDS 1990).
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    /// How long, in pauses: some microseconds, less than a sleep and a wake-up cost.
    const LOOK_AWAY: u32 = 256;

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.try_lock().unwrap_or_else(|| self.lock_held())
        }

        #[cold]
        fn lock_held(&self) -> MutexGuard<'_, T> {
            for _ in 0..LOOK_AWAY {
                hint::spin_loop();
            }
            self.0.lock()
        }
    }
}

#[cfg(loom)]
mod real {
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::thread;

    /// loom's mutex with parking_lot's signature: a panic under the lock ends the model anyway.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no panic under the lock")
        }
    }
}

pub(crate) use real::{AtomicU64, Mutex, MutexGuard, Ordering, thread};
