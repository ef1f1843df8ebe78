//! What a task keeps while its graph runs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tidegate_benches::Suite;
use tokio::runtime::Runtime;

use crate::contenders::{dagrs_run, dagx_run, join_set_run, ours_run};
use crate::shapes::Shape;
use crate::within;

/// Counts what is allocated, and the most that ever was, while `COUNTING` stands.
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn add(bytes: i64) {
    if COUNTING.load(Ordering::Relaxed) {
        let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(live, Ordering::Relaxed);
    }
}

#[expect(
    unsafe_code,
    reason = "the only way to see what is allocated; it forwards to the system's allocator"
)]
// SAFETY: every call goes to `System` unchanged; the counters touch no memory that it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(i64::try_from(layout.size()).unwrap_or(0));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        add(-i64::try_from(layout.size()).unwrap_or(0));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(at, layout) }
    }
}

/// The most bytes that were allocated at once, for each task: graph, ids, closures, engine, events, report.
fn peak(
    runtime: &Runtime,
    shape: &Shape,
    run: impl Future<Output = Duration> + Send + 'static,
) -> f64 {
    LIVE.store(0, Ordering::SeqCst);
    PEAK.store(0, Ordering::SeqCst);
    COUNTING.store(true, Ordering::SeqCst);
    within(runtime, run);
    COUNTING.store(false, Ordering::SeqCst);
    PEAK.load(Ordering::SeqCst) as f64 / shape.needs.len() as f64
}

pub(crate) fn report(suite: &mut Suite, runtime: &Runtime) {
    let sizes: &[usize] = if suite.is_quick() { &[100_000] } else { &[100_000, 1_000_000] };
    for tasks in sizes {
        let id = format!("workflow/memory/wide-{}k", tasks / 1000);
        if !suite.wants(&id) {
            continue;
        }
        let shape = Shape::wide(*tasks);
        let of = |run: Boxed| peak(runtime, &shape, run);
        let ours = of(Box::pin(ours_run(shape.clone())));
        let mut figure = suite.figure(&id, "bytes").ours(&[ours]);
        figure = figure.peer("JoinSet", &[of(Box::pin(join_set_run(shape.clone())))]);
        figure = figure.peer("dagx", &[of(Box::pin(dagx_run(shape.clone())))]);
        // A million take it minutes and 2 GB.
        if *tasks <= 100_000 {
            figure = figure.peer("dagrs", &[of(Box::pin(dagrs_run(shape.clone())))]);
        }
        // In a small graph the event stream's capacity is what counts.
        let figure = if *tasks < 1_000_000 { figure } else { figure.at_most_value(400.0) };
        figure.report();
    }
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = Duration> + Send>>;
