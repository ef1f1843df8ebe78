//! Structured concurrency for tokio: tasks that end together, of which none escapes.
//!
//! | you want | use |
//! |---|---|
//! | run futures, stop all at the first error, get every value in order | [`TaskGroup::new`], [`spawn`](Spawner::spawn), [`wait`](TaskGroup::wait) |
//! | let all finish and see every failure | [`Policy::CollectAll`] |
//! | a service in which one failure is nobody else's | [`Policy::Supervise`] |
//! | each outcome as it comes, and nothing kept | [`Builder::stream`] |
//! | only so many at a time | [`Builder::limit`], [`try_spawn`](Spawner::try_spawn), [`place`](Spawner::place) |
//! | the same for each item of an iterator | [`map()`] |
//! | tasks that share data which comes back at the end | [`scope()`] |
//! | blocking work that is told of the cancellation | [`spawn_blocking`](Spawner::spawn_blocking) |
//! | an end in time | [`Builder::deadline`], [`Builder::grace`] |
//! | spawn from inside a task, or see the cancellation there | [`spawn_with`](Spawner::spawn_with) |
//! | cancel a part | [`child`](Spawner::child) |
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use tidegate_taskgroup::TaskGroup;
//!
//! let group = TaskGroup::<usize, String>::new();
//! for word in ["many", "hands"] {
//!     group.spawn(async move { Ok(word.len()) }).expect("open until it is waited for");
//! }
//! assert_eq!(group.wait().await.expect("none failed"), [4, 5]);
//! # }
//! ```
//!
//! # When not to use it
//! For a handful of futures that live in one function, `tokio::join!` or `futures::try_join!` spawn nothing. Where each task
//! needs a handle of its own, to be awaited or aborted alone, take tokio's `JoinSet`.
#![doc = include_str!("../RULES.md")]
#![forbid(unsafe_code)]

#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod admission;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod batch;
#[cfg(not(loom))]
mod blocking;
#[cfg(not(loom))]
mod builder;
#[cfg(not(loom))]
mod child;
mod error;
#[cfg(not(loom))]
mod family;
#[cfg(not(loom))]
mod group;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod ledger;
#[cfg(not(loom))]
mod map;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod newcomers;
mod outcome;
#[cfg(not(loom))]
mod place;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod places;
mod policy;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod reader;
mod refused;
#[cfg(not(loom))]
mod scope;
#[cfg(not(loom))]
mod shared;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod slots;
#[cfg(not(loom))]
mod spawner;
#[cfg(not(loom))]
mod starter;
#[cfg(not(loom))]
mod stream;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod sync;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod tally;
#[cfg(not(loom))]
mod timers;
#[cfg(not(loom))]
mod trace;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod turn;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "reached by the loom models"))]
mod waiters;

#[cfg(not(loom))]
pub use builder::Builder;
pub use error::{Aftermath, Cause, Failure, FailureKind, GroupError};
#[cfg(not(loom))]
pub use group::{TaskGroup, Wait};
#[cfg(not(loom))]
pub use map::map;
pub use outcome::{Completed, Label, Outcome, Panic};
#[cfg(not(loom))]
pub use place::{AwaitPlace, Place};
pub use policy::Policy;
pub use refused::Refused;
#[cfg(not(loom))]
pub use scope::{Scope, Scoped, scope};
#[cfg(not(loom))]
pub use spawner::Spawner;
#[cfg(not(loom))]
pub use stream::TaskStream;
#[cfg(not(loom))]
pub use tokio_util::sync::CancellationToken;

/// The core, for the loom models.
#[cfg(loom)]
#[doc(hidden)]
pub mod core {
    pub use crate::admission::Entry;
    pub use crate::batch::Leaving;
    pub use crate::ledger::{After, Ledger};
    pub use crate::newcomers::{Newcomers, Sent};
    pub use crate::places::Places;
    pub use crate::reader::poll_next;
    pub use crate::slots::{Slot, Slots};
    pub use crate::sync::Mutex;
    pub use crate::tally::{Seen, Tally, Who};
    pub use crate::turn::{Grant, Turn, turn};
    pub use crate::waiters::{Ticket, Waiters};
}

#[cfg(all(doctest, not(loom)))]
#[doc = include_str!("../README.md")]
struct Readme;
