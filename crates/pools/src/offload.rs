//! One door to the pools: the kind of the work says where it goes.

use std::fmt;
use std::future::Future;
use std::io;

use tokio::task::JoinSet;

use crate::blocking::BlockingPool;
use crate::cpu::CpuPool;
use crate::job::{JobError, SubmitError, message};
use crate::lanes::Priority;

/// A kind of synchronous work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It computes: to the [`CpuPool`].
    Cpu(Priority),
    /// It waits in the kernel: to the [`BlockingPool`].
    Blocking,
}

/// A CPU pool and a blocking pool behind one call.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tidegate_pools::{Kind, Offload, Priority};
///
/// let offload = Offload::new()?;
/// let sum = offload.run(Kind::Cpu(Priority::High), || (1..=100_u32).sum::<u32>()).await?;
/// let manifest = offload.run(Kind::Blocking, || std::fs::read_to_string("Cargo.toml")).await??;
/// let soon = offload.run_async(async { "async work goes to the runtime" }).await?;
/// assert_eq!((sum, manifest.is_empty(), soon.len()), (5050, false, 30));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Offload {
    cpu: CpuPool,
    blocking: BlockingPool,
}

impl Offload {
    /// Both pools with their defaults.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new() -> io::Result<Self> {
        Ok(Self::with(CpuPool::builder().build()?, BlockingPool::builder().build()))
    }

    /// These pools.
    pub fn with(cpu: CpuPool, blocking: BlockingPool) -> Self {
        Self { cpu, blocking }
    }

    /// The pool for computations.
    pub fn cpu(&self) -> &CpuPool {
        &self.cpu
    }

    /// The pool for calls that wait.
    pub fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }

    /// The result of a job, run where its kind belongs. A full CPU pool makes wait; a full blocking pool refuses.
    ///
    /// # Errors
    /// When the pool does not take the job, or the job panics.
    ///
    /// # Cancel safety
    /// Dropping the future cancels a job that has not started; one that runs goes on, and its result is dropped.
    pub async fn run<T: Send + 'static>(
        &self,
        kind: Kind,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OffloadError> {
        let submitted = match kind {
            Kind::Cpu(priority) => self.cpu.submit(priority, job).await,
            Kind::Blocking => self.blocking.submit(job),
        };
        submitted.map_err(OffloadError::Refused)?.await.map_err(OffloadError::Failed)
    }

    /// The result of async work, run on the current runtime with its panics contained.
    ///
    /// # Errors
    /// When the work panics, or the runtime ends.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work at its next await.
    pub async fn run_async<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, OffloadError> {
        // A set aborts its task when it is dropped, which a bare handle does not.
        let mut task = JoinSet::new();
        task.spawn(work);
        let outcome = task.join_next().await.expect("one task was spawned");
        outcome.map_err(|error| {
            OffloadError::Failed(match error.try_into_panic() {
                Ok(panic) => JobError::Panicked { message: message(&*panic) },
                Err(_) => JobError::Cancelled,
            })
        })
    }
}

/// Why offloaded work has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffloadError {
    /// The pool did not take it.
    Refused(SubmitError),
    /// It was taken and failed.
    Failed(JobError),
}

impl fmt::Display for OffloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OffloadError {}
