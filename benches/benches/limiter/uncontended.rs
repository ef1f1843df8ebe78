//! A permit that is free, taken and given back: on one thread, and on two at once.

use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tidegate_benches::{Suite, timed};

use crate::peer::Peer;

pub(crate) fn measure(suite: &mut Suite) {
    for limit in [1, 8] {
        let group = suite.group(&format!("limiter/acquire/{limit}"));
        group
            .ours(acquire::<tidegate_limiter::Semaphore>(limit))
            .peer("tokio", acquire::<tokio::sync::Semaphore>(limit))
            .peer("asyncband", acquire::<asyncband::semaphore::Semaphore>(limit))
            .peer("async-lock", acquire::<async_lock::Semaphore>(limit))
            .at_most_of("tokio", 0.50)
            .run();
    }
    suite
        .group("limiter/try_acquire/8")
        .ours(try_acquire::<tidegate_limiter::Semaphore>())
        .peer("tokio", try_acquire::<tokio::sync::Semaphore>())
        .peer("asyncband", try_acquire::<asyncband::semaphore::Semaphore>())
        .peer("async-lock", try_acquire::<async_lock::Semaphore>())
        .at_most_of("tokio", 0.65)
        .at_most_of("asyncband", 1.0)
        .run();
    suite
        .group("limiter/two-threads/never-full")
        .ours(two_threads::<tidegate_limiter::Semaphore>())
        .peer("tokio", two_threads::<tokio::sync::Semaphore>())
        .peer("asyncband", two_threads::<asyncband::semaphore::Semaphore>())
        .peer("async-lock", two_threads::<async_lock::Semaphore>())
        .at_most_of("tokio", 0.50)
        .rounds_of(Duration::from_millis(50))
        .run();
}

/// One async function that never has to wait, so that one poll runs it to its end.
fn acquire<P: Peer>(limit: usize) -> impl FnMut(u64) -> Duration {
    let semaphore = P::new(limit);
    move |n| {
        let start = Instant::now();
        let all = async {
            for _ in 0..n {
                drop(semaphore.acquire().await);
            }
        };
        let polled = pin!(all).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready(), "nobody else holds a permit");
        start.elapsed()
    }
}

fn try_acquire<P: Peer>() -> impl FnMut(u64) -> Duration {
    let semaphore = P::new(8);
    timed(move || semaphore.try_acquire().is_some())
}

/// The time per operation of both threads together.
fn two_threads<P: Peer>() -> impl FnMut(u64) -> Duration {
    let semaphore = P::new(1000);
    move |n| {
        let barrier = Barrier::new(2);
        let worker = || {
            let all = async {
                for _ in 0..n.div_ceil(2) {
                    drop(semaphore.acquire().await);
                }
            };
            barrier.wait();
            let start = Instant::now();
            let polled = pin!(all).poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_ready(), "1000 permits are enough for two");
            start.elapsed()
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(worker);
            let mine = worker();
            mine.max(other.join().expect("a worker does not panic"))
        })
    }
}
