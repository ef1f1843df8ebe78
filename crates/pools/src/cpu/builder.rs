//! Settings of a pool to be.

use std::io;
use std::sync::Arc;

use super::CpuPool;
use super::crew::Crew;
use crate::job::Work;
use crate::sync::thread;

/// Settings of a [`CpuPool`] to be.
#[derive(Debug, Clone)]
#[must_use]
pub struct CpuPoolBuilder {
    pub(super) threads: usize,
    pub(super) queue: usize,
    pub(super) name: String,
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

    /// The pool, with its threads started.
    ///
    /// # Errors
    /// When the system refuses a thread; those that were started end.
    pub fn build(self) -> io::Result<CpuPool> {
        let crew = Arc::new(Crew::new(self.queue));
        let threads = Vec::with_capacity(self.threads);
        let mut pool = CpuPool { crew, threads, capacity: self.queue };
        for at in 0..self.threads {
            let crew = Arc::clone(&pool.crew);
            let thread = thread::Builder::new().name(format!("{}-{at}", self.name));
            pool.threads.push(thread.spawn(move || crew.work(Work::run))?);
        }
        Ok(pool)
    }
}
