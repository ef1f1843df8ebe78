//! What a task takes of the heap, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Error;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tidegate_benches::Suite;
use tidegate_taskgroup::TaskGroup;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{SLEEPERS, TASKS, group, join_set, tracker, tracker_token_select, within};

/// Counts what passes through the allocator while `COUNTING` stands.
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(
    unsafe_code,
    reason = "the only way to see what is allocated; it forwards to the system's allocator"
)]
// SAFETY: every call goes to `System` unchanged; the counters touch no memory that it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
            LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if COUNTING.load(Ordering::Relaxed) {
            LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(at, layout) }
    }
}

#[derive(Clone, Copy)]
enum Count {
    Allocations,
    Bytes,
    Live,
}

/// What a future's work cost the allocator, for each of `n` tasks.
async fn counted<T>(count: Count, n: u64, work: impl Future<Output = T>) -> (f64, T) {
    ALLOCATIONS.store(0, Ordering::SeqCst);
    BYTES.store(0, Ordering::SeqCst);
    LIVE.store(0, Ordering::SeqCst);
    COUNTING.store(true, Ordering::SeqCst);
    let done = work.await;
    COUNTING.store(false, Ordering::SeqCst);
    let counted = match count {
        Count::Allocations => ALLOCATIONS.load(Ordering::SeqCst) as f64,
        Count::Bytes => BYTES.load(Ordering::SeqCst) as f64,
        Count::Live => LIVE.load(Ordering::SeqCst) as f64,
    };
    (counted / n as f64, done)
}

/// Allocations and bytes of a trivial task, and bytes of a parked one.
pub(crate) fn all(suite: &mut Suite, runtime: &Runtime) {
    for (id, unit, count, limit) in [
        ("taskgroup/memory/allocations-a-task", "count", Count::Allocations, 1.01),
        ("taskgroup/memory/bytes-a-task", "bytes", Count::Bytes, 136.0),
    ] {
        let of = |work| within(runtime, counted(count, TASKS, work)).0;
        suite
            .figure(id, unit)
            .ours(&[of(Box::pin(group(TASKS)) as Boxed)])
            .peer("JoinSet", &[of(Box::pin(join_set(TASKS)))])
            .peer("TaskTracker", &[of(Box::pin(tracker(TASKS)))])
            .peer("TaskTracker+token+select", &[of(Box::pin(tracker_token_select(TASKS)))])
            .at_most_value(limit)
            .report();
    }
    parked(suite, runtime);
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// On one thread: when nothing but this is left to run.
async fn until_parked() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// What a task keeps while it is parked, its own future left out.
fn parked(suite: &mut Suite, runtime: &Runtime) {
    const FUTURE: f64 = size_of::<std::future::Pending<Result<(), Error>>>() as f64;
    let ours = within(runtime, async {
        let group = TaskGroup::<(), Error>::new();
        let work = async {
            for _ in 0..SLEEPERS {
                group.spawn(std::future::pending()).expect("open");
            }
            until_parked().await;
        };
        counted(Count::Live, SLEEPERS, work).await.0
    });
    let set = within(runtime, async {
        let mut set = JoinSet::<Result<(), Error>>::new();
        let work = async {
            for _ in 0..SLEEPERS {
                set.spawn(std::future::pending());
            }
            until_parked().await;
        };
        counted(Count::Live, SLEEPERS, work).await.0
    });
    suite
        .figure("taskgroup/memory/parked-bytes-a-task", "bytes")
        .ours(&[ours - FUTURE])
        .peer("JoinSet", &[set - FUTURE])
        .at_most_value(176.0)
        .report();
}
