//! Pools for work that must not run on an async runtime's workers.
//!
//! | you want | use |
//! |---|---|
//! | compute on every core, urgent work first, without stopping the runtime | [`CpuPool`] |
//! | make calls that wait in the kernel | [`BlockingPool`] |
//! | end a computation that overruns, survive one that crashes, limit its memory (Linux) | `process::ProcessPool` |
//! | send each kind of work to the right one of them | [`Offload`] |
//! | answer many small requests by few large calls | [`Batcher`] |
//! | feed background workers and read results as they come | [`WorkerPool`] |
//! | know how many threads can compute at once here | [`processors`] |
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use tidegate_pools::{CpuPool, Priority};
//!
//! let pool = CpuPool::builder().build().expect("threads can be started");
//! let job = pool.submit(Priority::Normal, || (1..=20_u64).product::<u64>()).await.expect("the pool is open");
//! assert_eq!(job.await.expect("it does not panic"), 2_432_902_008_176_640_000);
//! # }
//! ```
//!
//! # When not to use it
//! For data-parallel loops take rayon: it splits one computation, these pools run many. For a blocking call now and then,
//! `tokio::task::spawn_blocking` is there already; it has neither priorities nor a bound on its queue.
#![forbid(unsafe_code)]

/// The README's examples run as tests.
#[cfg(all(doctest, feature = "process", target_os = "linux"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(not(loom))]
mod batcher;
mod blocking;
mod cpu;
mod job;
mod lanes;
mod machine;
#[cfg(not(loom))]
mod offload;
#[cfg(all(feature = "process", not(loom)))]
pub mod process;
mod stats;
mod sync;
#[cfg(not(loom))]
mod workers;

#[cfg(not(loom))]
pub use batcher::{BatchError, Batcher, BatcherBuilder, BatcherStats};
pub use blocking::{BlockingPool, BlockingPoolBuilder};
pub use cpu::{CpuPool, CpuPoolBuilder};
pub use job::{Job, JobError, Stop, SubmitError};
pub use lanes::Priority;
pub use machine::processors;
#[cfg(not(loom))]
pub use offload::{Kind, Offload, OffloadError};
pub use stats::PoolStats;
#[cfg(not(loom))]
pub use workers::{Finished, WorkerPool, WorkerStats};
