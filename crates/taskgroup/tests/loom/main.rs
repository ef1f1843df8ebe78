//! Interleavings of the core: the counter, the wake-up, the first error, the forced end, the wait for a place, the reader of a stream; and a whole
//! group, put together as `shared.rs` does it.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p tidegate-taskgroup --test loom --target-dir target/loom`
#![cfg(loom)]

mod group;
mod newcomers;
mod places;
mod slots;
mod stream;
mod wait;

use std::future::poll_fn;

use tidegate_taskgroup::core::{Tally, Waiters};

/// Models of three threads, explored up to so many preemptions: a bug here needs one or two.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// Waits until nobody lives.
async fn wait(tally: &Tally, waiters: &Waiters) {
    let mut ticket = None;
    let _ = poll_fn(|cx| waiters.poll_closed(tally, &mut ticket, cx)).await;
}
