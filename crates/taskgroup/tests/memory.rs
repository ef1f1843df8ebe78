//! What groups leave behind, counted by the allocator of a process of its own. With a hundred thousand trees and ten million
//! tasks:
//!
//! `TIDEGATE_NIGHTLY=1 cargo test --release -p tidegate-taskgroup --test memory`
#![cfg(not(loom))]

#[path = "it/alive.rs"]
mod alive;
#[path = "it/trees.rs"]
mod trees;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use tidegate_taskgroup::{Policy, TaskGroup};
use tokio::runtime::{Builder, Runtime};

/// Counts what is allocated and not freed, in the whole process.
struct Counting;

static BYTES: AtomicI64 = AtomicI64::new(0);
static ALLOCATIONS: AtomicI64 = AtomicI64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "the only way to see what is allocated")]
// SAFETY: every call goes to `System` unchanged; the counters touch no memory that it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as i64, Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        ALLOCATIONS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(at, layout) }
    }
}

/// What lives on the heap: bytes, allocations.
fn heap() -> (i64, i64) {
    (BYTES.load(Ordering::SeqCst), ALLOCATIONS.load(Ordering::SeqCst))
}

fn times(usual: u64, nightly: u64) -> u64 {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { nightly } else { usual }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn two_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
}

/// Runs `amount` of it, and finds the heap as it was; a tenth goes before, for what is made once in a process.
fn leaves_nothing(amount: u64, runtime: fn() -> Runtime, work: impl Fn(&Runtime, u64)) {
    let run = |amount| {
        let runtime = runtime();
        work(&runtime, amount);
    };
    run(amount / 10);
    let before = heap();
    run(amount);
    assert_eq!(heap(), before, "the heap (bytes, allocations) is as it was before");
}

/// One test, since others beside it would use the same heap.
#[test]
fn groups_leave_nothing_behind_and_keep_nothing_of_tasks_that_ended() {
    if cfg!(all(target_arch = "x86_64", not(feature = "tracing"))) {
        current_thread().block_on(a_task_takes_as_little_as_is_told());
    }
    leaves_nothing(times(2_000, 100_000), current_thread, |runtime, trees| {
        (0..trees).for_each(|seed| runtime.block_on(trees::tree(seed, true)));
    });
    leaves_nothing(times(1_000, 100_000), two_workers, |runtime, trees| {
        for seed in 0..trees {
            runtime.block_on(async { tokio::spawn(trees::tree(seed, false)).await.unwrap() });
        }
    });
    leaves_nothing(times(1_000_000, 10_000_000), current_thread, |runtime, tasks| {
        runtime.block_on(through_one_group(tasks as usize));
    });
    leaves_nothing(times(1_000, 10_000), current_thread, |runtime, groups| {
        runtime.block_on(spawned_and_dropped(groups as usize));
    });
}

/// A future of so many bytes that never ends.
struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Future for Bytes<N> {
    type Output = Result<(), String>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        black_box(&self.0);
        Poll::Pending
    }
}

/// What each task of a group takes of the heap beside its future of `N` bytes, before its first poll and while it waits:
/// bytes, allocations.
async fn beside<const N: usize>() -> [(i64, i64); 2] {
    // Past a power of two, where lists that double would be half empty.
    const TASKS: i64 = 1_100;
    let group = TaskGroup::<(), String>::new();
    let before = heap();
    let each = || {
        let now = heap();
        ((now.0 - before.0) / TASKS - N as i64, (now.1 - before.1) / TASKS)
    };
    for _ in 0..TASKS {
        group.spawn(Bytes([0; N])).expect("open");
    }
    let in_line = each();
    for _ in 0..TASKS {
        tokio::task::yield_now().await;
    }
    let parked = each();
    group.cancel();
    assert!(group.wait().await.is_err(), "none ended by itself");
    [in_line, parked]
}

/// See the README for what these are made of. A span, where they are on, comes on top.
async fn a_task_takes_as_little_as_is_told() {
    fn check([in_line, parked]: [(i64, i64); 2]) {
        assert!(in_line.0 <= 56 && in_line.1 == 1, "in line: {in_line:?}");
        assert!(parked.0 <= 176 && parked.1 == 2, "parked: {parked:?}");
    }
    check(beside::<0>().await);
    check(beside::<64>().await);
    check(beside::<1000>().await);
}

/// A million tasks through one group; what it keeps does not grow with them.
async fn through_one_group(tasks: usize) {
    let group = TaskGroup::<(), String>::builder().policy(Policy::Supervise).limit(8).build();
    let mut most = [0; 4];
    for n in 0..tasks {
        let place = group.place().await.expect("open, and none cut short");
        place
            .spawn(async move { if n % 1000 == 0 { Err(n.to_string()) } else { Ok(()) } })
            .expect("open, and none cut short");
        let most = &mut most[n * 4 / tasks];
        *most = heap().0.max(*most);
    }
    assert!(most[3] <= most[1] + 1024, "bytes at most, by quarters: {most:?}");
    let spawner = group.spawner();
    assert_eq!(group.wait().await.expect("open, and none cut short").len(), tasks - tasks / 1000);
    assert_eq!(spawner.take_failures().0.len(), 16);
}

/// A million tasks that never end, in groups that are dropped.
async fn spawned_and_dropped(groups: usize) {
    const EACH: usize = 1000;
    let mut most = [0; 4];
    for n in 0..groups {
        let group = TaskGroup::<(), ()>::new();
        for _ in 0..EACH {
            group.spawn(std::future::pending()).expect("open, and none cut short");
        }
        tokio::task::yield_now().await;
        let most = &mut most[n * 4 / groups];
        *most = heap().0.max(*most);
        let spawner = group.spawner();
        drop(group);
        // Each is dropped at its next poll.
        while spawner.live() != 0 {
            tokio::task::yield_now().await;
        }
    }
    assert!(most[3] <= most[1] + 1024, "bytes at most, by quarters: {most:?}");
}
