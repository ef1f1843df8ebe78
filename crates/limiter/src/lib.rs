//! A FIFO-fair semaphore whose limit can change while in use, and control laws that choose the limit.
//!
//! | You want | Use |
//! |---|---|
//! | at most *n* at a time, where *n* may change at any moment | [`Semaphore`] |
//! | requests that count for more than one | [`Semaphore::acquire_many`] |
//! | to know how full it is, consistently | [`Semaphore::view`], [`Semaphore::queue`] |
//! | to stop waiting on a signal or a deadline | [`Acquire::until`], [`Acquire::before`], [`Acquire::wait_timeout`] |
//! | to stop admitting and drain | [`Semaphore::close`], [`Semaphore::idle`] |
//! | a limit that finds itself, from latency or from the wait that a backend reports | [`Limiter`] with [`Knee`] |
//! | a published law of that kind | [`Aimd`], [`Vegas`], [`Gradient2`], [`EnvoyGradient`] |
//! | a limit that follows queue, backend wait and errors | [`Threshold`] |
//! | a rule of your own | [`Law`]; its samples from [`Meter`] |
//!
//! ```
//! use tidegate_limiter::{Law, Sample, Semaphore, Threshold, ThresholdConfig};
//!
//! let semaphore = Semaphore::new(2);
//! let permit = semaphore.try_acquire()?;
//!
//! // Every few seconds: read the machine, ask the law, resize. Nothing is revoked.
//! let no_gpu = ThresholdConfig { gpu_wait_high: 0.0, ..ThresholdConfig::default() };
//! let mut law = Threshold::new(no_gpu)?;
//! let sample = Sample { queue_depth: Some(20.0), error_rate: Some(0.0), ..Sample::default() };
//! semaphore.resize(law.next(semaphore.limit(), &sample));
//! assert_eq!((semaphore.limit(), semaphore.in_use()), (3, 1));
//! # drop(permit);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When not to use it
//!
//! - The limit never changes, you are on tokio anyway, and a few tens of nanoseconds do not matter: tokio's own
//!   semaphore is one dependency less. It also takes part in tokio's cooperative budget, which this crate, knowing no
//!   runtime, does not.
//! - More than 2³⁰ − 1 permits, say a budget in bytes: count in KiB.
//! - A limit on a *rate*: this crate bounds how many run at once, not how many start per second.
//! - Mutual exclusion around data: use a mutex, which owns the data.

#![forbid(unsafe_code)]

/// The README's examples run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod law;
mod limiter;
mod meter;
mod queue;
mod semaphore;
mod sync;
mod word;

pub use law::{
    Aimd, EnvoyGradient, Fixed, Gradient2, Knee, Latency, Law, Sample, Threshold, ThresholdConfig,
    ThresholdConfigError, Vegas, Window,
};
pub use limiter::{Limiter, OwnedTicket, Ticket};
pub use meter::{Ended, Meter, Outcome};
pub use semaphore::{
    Acquire, AcquireError, AcquireOwned, Idle, OwnedSemaphorePermit, QueueView, Semaphore,
    SemaphorePermit, Stoppable, TryAcquireError, View,
};
