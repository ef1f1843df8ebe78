//! Pools for work that must not run on an async runtime's workers.
//!
//! | you want | use |
//! |---|---|
//! | compute on every core, urgent work first, without stopping the runtime | [`CpuPool`] |
//! | make calls that wait in the kernel | [`BlockingPool`] |
//! | end a computation that overruns, survive one that crashes, limit its memory (Linux) | `process::ProcessPool` |
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

mod blocking;
mod cpu;
mod job;
mod lanes;
#[cfg(all(feature = "process", target_os = "linux"))]
pub mod process;

pub use blocking::{BlockingPool, BlockingPoolBuilder};
pub use cpu::{CpuPool, CpuPoolBuilder};
pub use job::{Job, JobError, Stop, SubmitError};
pub use lanes::Priority;
