//! Interleavings of the core: the counter, the wake-up, the first error, the forced end, the wait for a place; and a whole
//! group, put together as `shared.rs` does it.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p tidegate-taskgroup --test loom --target-dir target/loom`
#![cfg(loom)]

mod group;
mod places;
mod slots;
mod wait;

use std::future::poll_fn;
use std::task::Poll;

use tidegate_taskgroup::core::{Tally, Waiters};

/// Models of three threads, explored up to so many preemptions: a bug here needs one or two.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// As `Wait` does it: look, register, look again.
async fn wait(tally: &Tally, waiters: &Waiters) {
    let mut ticket = None;
    poll_fn(|cx| {
        if tally.close_if_empty().is_some() {
            return Poll::Ready(());
        }
        ticket = Some(waiters.register(ticket, cx.waker()));
        if tally.close_if_empty().is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
