//! Runs `N` acquire-and-release pairs of one semaphore, for callgrind to count:
//! `valgrind --tool=callgrind instructions limiter 100000`, less the same with `0`, divided by `N`.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};

fn main() {
    let mut args = std::env::args().skip(1);
    let (name, n) = (args.next().unwrap_or_default(), args.next());
    let n: u64 = n.and_then(|n| n.parse().ok()).expect("usage: instructions NAME PAIRS");
    match name.as_str() {
        "limiter" => pairs(n, &tidegate_limiter::Semaphore::new(8), async |semaphore| {
            drop(black_box(semaphore.acquire().await));
        }),
        "tokio" => pairs(n, &tokio::sync::Semaphore::new(8), async |semaphore| {
            drop(black_box(semaphore.acquire().await));
        }),
        "asyncband" => pairs(n, &asyncband::semaphore::Semaphore::new(8), async |semaphore| {
            drop(black_box(semaphore.acquire(1).await));
        }),
        "async-lock" => pairs(n, &async_lock::Semaphore::new(8), async |semaphore| {
            drop(black_box(semaphore.acquire().await));
        }),
        other => panic!("`{other}`: expected limiter, tokio, asyncband or async-lock"),
    }
}

fn pairs<S>(n: u64, semaphore: &S, pair: impl AsyncFn(&S)) {
    let all = pin!(async {
        for _ in 0..n {
            pair(black_box(semaphore)).await;
        }
    });
    let polled = all.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready(), "nobody else holds a permit");
}
