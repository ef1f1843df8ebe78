//! A fixed number of threads for computations.

use std::sync::Arc;

use crate::job::{Job, Stop, SubmitError, Work};
use crate::lanes::Priority;
use crate::stats::PoolStats;
use crate::sync::thread::JoinHandle;

mod agenda;
mod builder;
mod crew;
mod pin;
mod search;

pub use builder::CpuPoolBuilder;
use crew::{Crew, Offer};

/// Runs computations on a fixed number of threads, the urgent ones first.
///
/// Within a priority the order is first in, first out. So that nothing starves, the job that has waited the longest
/// is next once fifteen in a row were taken before it, whatever its priority. Dropping the pool cancels what has not started; what runs ends on its own, and nobody
/// waits for it. [`shutdown`](Self::shutdown) waits.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tidegate_pools::{CpuPool, Priority};
///
/// let pool = CpuPool::builder().threads(2).build()?;
/// let squares = pool.submit(Priority::Normal, || (0..1000_u64).map(|n| n * n).sum::<u64>()).await?;
/// let urgent = pool.submit(Priority::Critical, || "now").await?;
/// assert_eq!((squares.await?, urgent.await?), (332_833_500, "now"));
/// pool.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct CpuPool {
    crew: Arc<Crew<Work>>,
    threads: Vec<JoinHandle<()>>,
    capacity: usize,
}

impl CpuPool {
    /// Settings to start from.
    pub fn builder() -> CpuPoolBuilder {
        let threads = crate::machine::processors();
        CpuPoolBuilder { threads, queue: 1024, name: "cpu".to_owned(), pinned: false }
    }

    /// Queues a job; waits while the queue is full, first come, first served.
    ///
    /// # Errors
    /// [`SubmitError::Closed`] when the pool was closed.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready drops the job, which was not queued.
    pub async fn submit<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, SubmitError> {
        self.enter(priority, Job::new(work, None, None)).await
    }

    /// As [`submit`](Self::submit), for a job that looks whether it shall stop.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    ///
    /// # Cancel safety
    /// As [`submit`](Self::submit).
    pub async fn submit_stoppable<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<Job<T>, SubmitError> {
        let stop = Stop::default();
        let told = stop.clone();
        self.enter(priority, Job::new(move || work(&told), Some(stop), None)).await
    }

    /// Queues a job if there is room.
    ///
    /// # Errors
    /// [`SubmitError::Full`] when the queue is full or others wait for room, [`SubmitError::Closed`] when the pool was closed.
    pub fn try_submit<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, SubmitError> {
        let (job, work) = Job::new(work, None, None);
        match self.crew.offer(priority, work, None) {
            Offer::Full { waiting } => Err(SubmitError::Full { waiting }),
            Offer::Closed => Err(SubmitError::Closed),
            Offer::Entered | Offer::Waits(_) => Ok(job),
        }
    }

    /// How many jobs wait in the queue.
    pub fn waiting(&self) -> usize {
        self.crew.waiting()
    }

    /// How many jobs run.
    pub fn running(&self) -> usize {
        self.crew.running()
    }

    /// What the pool does and has done.
    pub fn stats(&self) -> PoolStats {
        self.crew.stats(self.threads.len())
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// How many jobs may wait.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes no more jobs; those that wait are still run.
    pub fn close(&self) {
        self.crew.close();
    }

    /// Takes no more jobs, runs those that wait, and returns when all have ended and the threads are gone.
    ///
    /// # Cancel safety
    /// If the future is dropped, the pool ends in the same way, with nobody waiting.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[cfg(not(loom))]
    pub async fn shutdown(mut self) {
        self.crew.close();
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()))
        });
        // The join panics only if the runtime is shut down meanwhile; then nobody waits any more.
        let _ = joined.await;
    }

    async fn enter<T>(
        &self,
        priority: Priority,
        (job, work): (Job<T>, Work),
    ) -> Result<Job<T>, SubmitError> {
        if self.crew.enter(priority, work).await { Ok(job) } else { Err(SubmitError::Closed) }
    }
}

impl Drop for CpuPool {
    fn drop(&mut self) {
        self.crew.close();
        if !self.threads.is_empty() {
            // Dropped, they are cancelled.
            drop(self.crew.drain());
        }
    }
}
