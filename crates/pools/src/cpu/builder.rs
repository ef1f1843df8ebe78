//! Settings of a pool to be.

use std::io;
use std::sync::{Arc, mpsc};

use super::crew::Crew;
use super::{CpuPool, pin};
use crate::job::Work;
use crate::sync::thread;

/// Settings of a [`CpuPool`] to be.
#[derive(Debug, Clone)]
#[must_use]
pub struct CpuPoolBuilder {
    pub(super) threads: usize,
    pub(super) queue: usize,
    pub(super) name: String,
    pub(super) pinned: bool,
}

impl CpuPoolBuilder {
    /// How many threads; 0 counts as 1. As many as processors that the process may use, unless set: cgroup quotas and
    /// affinity count.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// How many jobs may wait; 0 counts as 1. 1024 unless set.
    pub fn queue(mut self, jobs: usize) -> Self {
        self.queue = jobs.max(1);
        self
    }

    /// How the threads are called; `cpu` unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Ties each thread to a processor, in turn over those that the process may use; not unless set.
    ///
    /// It keeps a thread's caches warm where nothing else runs. Where something does, a thread waits for its own processor
    /// while others may be free: measure before.
    pub fn pin(mut self, pinned: bool) -> Self {
        self.pinned = pinned;
        self
    }

    /// The pool, with its threads started.
    ///
    /// # Errors
    /// When the system refuses a thread, or to tie it to its processor; those that were started end. Pinning anywhere but on
    /// Linux is [`Unsupported`](io::ErrorKind::Unsupported).
    pub fn build(self) -> io::Result<CpuPool> {
        let places = if self.pinned { pin::processors()? } else { Vec::new() };
        let mut places = places.iter().copied().cycle();
        let crew = Arc::new(Crew::new(self.queue));
        let threads = Vec::with_capacity(self.threads);
        let mut pool = CpuPool { crew, threads, capacity: self.queue };
        for at in 0..self.threads {
            let crew = Arc::clone(&pool.crew);
            let thread = thread::Builder::new().name(format!("{}-{at}", self.name));
            pool.threads.push(match places.next() {
                Some(place) => start_tied(thread, place, move || crew.work(Work::run))?,
                None => thread.spawn(move || crew.work(Work::run))?,
            });
        }
        Ok(pool)
    }
}

/// Starts a thread that ties itself to a processor first, and waits until it has.
fn start_tied(
    thread: thread::Builder,
    processor: usize,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let (sender, tied) = mpsc::channel();
    let handle = thread.spawn(move || {
        // Who started it waits for this, and closes the pool on an error.
        let _ = sender.send(pin::tie(processor));
        work();
    })?;
    tied.recv().expect("the thread answers first of all")?;
    Ok(handle)
}
