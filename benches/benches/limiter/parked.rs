//! 100,000 that wait at once: what they cost in memory, to wake one after another, and to cancel in random order.

use std::alloc::{GlobalAlloc, Layout, System};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tidegate_benches::Suite;

use crate::peer::Peer;

const WAITERS: u64 = 100_000;
const ROUND: Duration = Duration::from_millis(40);

pub(crate) fn measure(suite: &mut Suite) {
    if suite.wants("limiter/parked/bytes") {
        suite
            .figure("limiter/parked/bytes", "bytes")
            .ours(&[bytes(|s: &'static tidegate_limiter::Semaphore| s.acquire())])
            .peer("tokio", &[bytes(|s: &'static tokio::sync::Semaphore| s.acquire())])
            .peer("asyncband", &[bytes(|s: &'static asyncband::semaphore::Semaphore| s.acquire(1))])
            .peer("async-lock", &[bytes(|s: &'static async_lock::Semaphore| s.acquire())])
            .at_most_value(72.0)
            .report();
    }
    suite
        .group("limiter/parked/cancel")
        .ours(cancel(|s: &'static tidegate_limiter::Semaphore| s.acquire()))
        .peer("tokio", cancel(|s: &'static tokio::sync::Semaphore| s.acquire()))
        .peer("asyncband", cancel(|s: &'static asyncband::semaphore::Semaphore| s.acquire(1)))
        .peer("async-lock", cancel(|s: &'static async_lock::Semaphore| s.acquire()))
        .operations(WAITERS)
        .rounds_of(ROUND)
        .at_most_of("tokio", 0.8)
        .run();
    suite
        .group("limiter/parked/drain")
        .ours(drain(|s: &'static tidegate_limiter::Semaphore| s.acquire()))
        .peer("tokio", drain(|s: &'static tokio::sync::Semaphore| s.acquire()))
        .peer("asyncband", drain(|s: &'static asyncband::semaphore::Semaphore| s.acquire(1)))
        .peer("async-lock", drain(|s: &'static async_lock::Semaphore| s.acquire()))
        .operations(WAITERS)
        .rounds_of(ROUND)
        .at_most_of("tokio", 1.0)
        .run();
}

/// An `acquire` that lives as long as the semaphore, which is leaked: every contender hands out borrowing futures.
fn leaked<P: Peer>() -> &'static P {
    Box::leak(Box::new(P::new(1)))
}

/// Futures in one block of memory, each polled once: it waits.
fn park<P, F>(
    semaphore: &'static P,
    acquire: impl Fn(&'static P) -> F,
    is_ready: impl Fn(Pin<&mut F>) -> bool,
    n: u64,
) -> Pin<Box<[F]>> {
    let mut futures = Box::into_pin((0..n).map(|_| acquire(semaphore)).collect::<Box<[F]>>());
    for at in 0..futures.len() {
        assert!(!is_ready(pinned(&mut futures, at)), "the only permit is held");
    }
    futures
}

fn is_ready<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn pinned<F>(futures: &mut Pin<Box<[F]>>, at: usize) -> Pin<&mut F> {
    #[expect(unsafe_code, reason = "std has no projection of a pinned slice")]
    // SAFETY: the futures stay in the pinned box, and are dropped in it.
    unsafe {
        futures.as_mut().map_unchecked_mut(|all| &mut all[at])
    }
}

fn bytes<P: Peer, F: Future + 'static>(acquire: fn(&'static P) -> F) -> f64 {
    let semaphore = leaked::<P>();
    let held = semaphore.try_acquire();
    COUNTS.store(true, Ordering::Relaxed);
    let before = LIVE.load(Ordering::Relaxed);
    let parked = park(semaphore, acquire, is_ready, WAITERS);
    let live = LIVE.load(Ordering::Relaxed) - before;
    COUNTS.store(false, Ordering::Relaxed);
    drop((parked, held));
    live as f64 / WAITERS as f64
}

fn cancel<P: Peer, F: Future + 'static>(
    acquire: fn(&'static P) -> F,
) -> impl FnMut(u64) -> Duration {
    let semaphore = leaked::<P>();
    let order = shuffled(WAITERS as usize);
    move |n| {
        let held = semaphore.try_acquire();
        let mut futures =
            park(semaphore, |s| Some(acquire(s)), |f| f.as_pin_mut().is_some_and(is_ready), n);
        let start = Instant::now();
        for at in &order {
            pinned(&mut futures, *at).set(None);
        }
        let took = start.elapsed();
        drop(held);
        took
    }
}

fn drain<P: Peer, F: Future + 'static>(
    acquire: fn(&'static P) -> F,
) -> impl FnMut(u64) -> Duration {
    let semaphore = leaked::<P>();
    move |n| {
        let held = semaphore.try_acquire();
        let mut futures = park(semaphore, acquire, is_ready, n);
        let start = Instant::now();
        drop(held);
        for at in 0..futures.len() {
            // The permit is given back at once, to the next in line.
            assert!(is_ready(pinned(&mut futures, at)), "it is this one's turn");
        }
        start.elapsed()
    }
}

/// The same order each time.
fn shuffled(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for at in (1..n).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(at, (state >> 33) as usize % (at + 1));
    }
    order
}

/// Whether bytes are counted: only then does an allocation cost more than without.
static COUNTS: AtomicBool = AtomicBool::new(false);

/// Bytes alive now.
static LIVE: AtomicI64 = AtomicI64::new(0);

#[derive(Debug)]
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "only an allocator can count what is allocated")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) {
            LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if COUNTS.load(Ordering::Relaxed) {
            LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}
