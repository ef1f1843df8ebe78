//! What `Limiter` adds to its semaphore, per work item: clock, sample, law.

use tidegate_benches::{Suite, timed};
use tidegate_limiter::{Aimd, Knee, Law, Limiter, Semaphore};

/// The most it may add, in nanoseconds.
const PROMISED: f64 = 60.0;
const ROUNDS: usize = 41;
const OPERATIONS: u64 = 100_000;

pub(crate) fn measure(suite: &mut Suite) {
    if !["knee", "each-item"].iter().any(|law| suite.wants(&format!("limiter/bookkeeping/{law}"))) {
        return;
    }
    let knee = added(Knee::new(8, 8));
    suite.figure("limiter/bookkeeping/knee", "ns").ours(&knee).at_most_value(PROMISED).report();
    // Aimd decides on each work item, so that each is measured: two readings of the clock are most of it.
    let aimd = added(Aimd { min: 8, max: 8, ..Aimd::default() });
    suite.figure("limiter/bookkeeping/each-item", "ns").ours(&aimd).report();
}

/// Rounds of both in turn; the difference of each.
fn added(law: impl Law + 'static) -> Vec<f64> {
    let semaphore = Semaphore::new(8);
    let limiter = Limiter::new(8, law);
    let mut bare = timed(|| drop(semaphore.try_acquire()));
    let mut with = timed(|| {
        if let Ok(ticket) = limiter.try_acquire() {
            ticket.success();
        }
    });
    (0..ROUNDS)
        .map(|_| {
            let (bare, with) = (bare(OPERATIONS), with(OPERATIONS));
            (with.as_secs_f64() - bare.as_secs_f64()) * 1e9 / OPERATIONS as f64
        })
        .collect()
}
