//! Work in other processes: functions by name, workers that nothing can make fall on this program.
//!
//! A thread cannot be ended, and a crash in it is the program's. A worker process can: a job that hangs is killed, one
//! that crashes, exits or eats all memory takes only its own worker along, and its caller is told precisely how.
//!
//! ```standalone_crate
//! use std::time::Duration;
//! use tidegate_pools::process::{Context, Function, Functions, JobError, ProcessPool, init};
//!
//! const SUM: Function<Vec<u64>, u64, String> = Function::new("sum", sum);
//! const HANG: Function<(), (), ()> = Function::new("hang", hang);
//!
//! fn sum(numbers: Vec<u64>, _: &Context<'_>) -> Result<u64, String> {
//!     numbers.iter().try_fold(0_u64, |a, &b| a.checked_add(b)).ok_or("too large".to_owned())
//! }
//!
//! fn hang((): (), _: &Context<'_>) -> Result<(), ()> {
//!     loop {
//!         std::hint::spin_loop();
//!     }
//! }
//!
//! fn main() {
//!     // First: in a worker this call runs jobs and never returns.
//!     let host = init(Functions::new().with(SUM).with(HANG));
//!
//!     let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//!     runtime.block_on(async {
//!         let pool = ProcessPool::builder(&host).workers(1).build().unwrap();
//!         assert_eq!(pool.run(SUM, &vec![1, 2, 3]).await, Ok(6));
//!
//!         let hung = pool.run(HANG.timeout(Duration::from_millis(20)), &()).await;
//!         assert!(matches!(hung, Err(JobError::TimedOut { .. })));
//!         assert_eq!(pool.run(SUM, &vec![4]).await, Ok(4)); // by a new worker
//!         pool.shutdown().await;
//!     });
//! }
//! ```
//!
//! # What a job may rely on, and what not
//!
//! - It runs on the main thread of its worker, one job at a time, in a process group of its own (Ctrl-C in a terminal
//!   does not reach it). Its stdin is empty. What it prints goes into the tail that errors show, or where
//!   [`Stdout`] says; it never meets the protocol, which has a socket of its own.
//! - What it leaves in statics stays for the next job in the same worker. What it started stays until the worker goes.
//! - When its worker ends, for whatever reason, its whole process group is killed; so it is when this program ends, by
//!   `kill -9` too. A job that moves itself or its children into another group or session is out of reach.
//! - Inputs and outputs are encoded with postcard, which does not describe itself: types that ask the format what comes
//!   next (`serde_json::Value`, untagged enums) do not survive it. Bytes in bulk travel fastest as `serde_bytes` types.
//!
//! # Which executable
//!
//! Workers are the running image (`/proc/self/exe`), also after its file was replaced or deleted: an upgrade in place
//! takes effect with the next start of the program, not in the middle of it. A worker says hello with the protocol's
//! version, the identity of its executable and its functions, and another build is refused.
//!
//! Tests need a binary with a `main` of its own (`harness = false`), as the standard test harness owns `main`. Under a
//! debugger all works; timeouts go on while a worker stands still, and none is the default.
//!
//! # Where
//!
//! Linux 5.3 or newer. On other systems all of this compiles, and building a pool is an error that says so: without
//! process descriptors, process groups and parent-death signals the promises above could not be kept.

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "workers use it"))]
mod builder;
mod codec;
mod death;
mod error;
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "workers use it"))]
mod frame;
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "workers use it"))]
mod function;
mod limits;
mod refusal;
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "workers use it"))]
mod stats;
mod stdout;

#[cfg(target_os = "linux")]
mod buffers;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod context;
#[cfg(target_os = "linux")]
mod hello;
#[cfg(target_os = "linux")]
mod job;
#[cfg(target_os = "linux")]
mod outbox;
#[cfg(target_os = "linux")]
mod pool;
#[cfg(target_os = "linux")]
mod pulse;
#[cfg(target_os = "linux")]
mod quarantine;
#[cfg(target_os = "linux")]
mod shared;
#[cfg(target_os = "linux")]
mod sleep;
#[cfg(target_os = "linux")]
mod slot;
#[cfg(target_os = "linux")]
mod spec;
#[cfg(target_os = "linux")]
mod starts;
#[cfg(target_os = "linux")]
mod state;
#[cfg(target_os = "linux")]
mod tail;
#[cfg(target_os = "linux")]
mod ticket;
#[cfg(target_os = "linux")]
mod worker;

#[cfg(not(target_os = "linux"))]
mod elsewhere;

pub use builder::ProcessPoolBuilder;
pub use death::Death;
pub use error::{JobError, StartError, SubmitError};
pub use function::{Function, Functions};
pub use stats::{ProcessStats, Timing};
pub use stdout::Stdout;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Context, Host, Job, ProcessPool, init};
#[cfg(target_os = "linux")]
pub use {context::Context, job::Job, pool::ProcessPool, worker::Host, worker::init};
