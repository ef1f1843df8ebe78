//! Groups of `tidegate-telemetry`.
//!
//! `counter/2` and the like have a second thread that does the same without pause; a round counts only if both threads
//! were on a CPU throughout, since two threads that share one CPU do not contend.

mod encode;
mod lookup;
mod memory;
mod peers;
mod together;
mod write;

use std::time::{Duration, Instant};

use tidegate_benches::Suite;

use crate::together::together;

/// Bounds of the histograms: twelve, as many as most have.
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0];

fn main() {
    let mut suite = Suite::from_args("telemetry");
    for threads in [1, 2] {
        write::counter(&mut suite, threads);
        write::histogram(&mut suite, threads);
        write::gauge(&mut suite, threads);
        lookup::lookup(&mut suite, threads);
    }
    encode::counters(&mut suite, "telemetry/encode/10k", 10_000);
    encode::counters(&mut suite, "telemetry/encode/100k", 100_000);
    encode::histograms(&mut suite, "telemetry/encode/1k-histograms", 1_000);
    memory::bytes(&mut suite, "telemetry/bytes/10k", 10_000);
    memory::bytes(&mut suite, "telemetry/bytes/100k", 100_000);
    memory::allocations(&mut suite);
    suite.finish();
}

/// The contender for one thread, or for one of two.
fn run<'c>(
    threads: u32,
    operation: impl Fn(u64) + Sync + 'c,
) -> Box<dyn FnMut(u64) -> Duration + 'c> {
    if threads == 2 {
        return Box::new(together(operation));
    }
    Box::new(move |n| {
        let start = Instant::now();
        (0..n).for_each(&operation);
        start.elapsed()
    })
}
