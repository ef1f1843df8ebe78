//! From 10 to 5 with all ten in use and a backlog: how many are admitted before the use is under the new limit.
//!
//! Each release is followed by polls of whoever may have been granted. Ten permits are out, so five releases must pass
//! before anyone may be admitted; what is admitted earlier is too much. A shrink that never takes effect is cut off.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tidegate_benches::Suite;

/// After so many releases, "never".
const RELEASES: u64 = 5000;

pub(crate) fn measure(suite: &mut Suite) {
    for backlog in [20, 1000] {
        let id = format!("limiter/shrink/{backlog}");
        if suite.wants(&id) {
            suite
                .figure(&id, "too many")
                .ours(&[ours(backlog)])
                .peer("tokio-forget", &[tokio_forget(backlog)])
                .peer("tokio-acquire-and-forget", &[tokio_acquire(backlog)])
                .peer("asyncband", &[asyncband(backlog)])
                .at_most_value(0.0)
                .report();
        }
    }
}

type Waiting<P> = Pin<Box<dyn Future<Output = P>>>;

/// Releases one permit after the other, always with the same backlog, until `shrunk` or the cut-off; counts admissions.
fn too_many<P>(
    mut held: Vec<P>,
    backlog: usize,
    acquire: impl Fn() -> Waiting<P>,
    mut shrunk: impl FnMut(usize) -> bool,
) -> f64 {
    let mut cx = Context::from_waker(Waker::noop());
    let mut waiting: VecDeque<Waiting<P>> = (0..backlog).map(|_| acquire()).collect();
    waiting.iter_mut().for_each(|future| assert!(future.as_mut().poll(&mut cx).is_pending()));
    let mut admitted = 0;
    for _ in 0..RELEASES {
        if shrunk(held.len()) {
            break;
        }
        drop(held.pop());
        while let Some(Poll::Ready(permit)) =
            waiting.front_mut().map(|head| head.as_mut().poll(&mut cx))
        {
            waiting.pop_front();
            held.insert(0, permit);
            admitted += 1;
            let mut next = acquire();
            assert!(next.as_mut().poll(&mut cx).is_pending(), "it joins at the end");
            waiting.push_back(next);
        }
    }
    f64::from(admitted)
}

fn ours(backlog: usize) -> f64 {
    let semaphore: &'static _ = Box::leak(Box::new(tidegate_limiter::Semaphore::new(10)));
    let held = (0..10).map(|_| semaphore.try_acquire().expect("10 are free")).collect();
    let mut asked = false;
    too_many(
        held,
        backlog,
        || Box::pin(async { semaphore.acquire().await.expect("nobody closes it") }),
        |in_use| {
            if !std::mem::replace(&mut asked, true) {
                semaphore.resize(5);
            }
            in_use <= 5
        },
    )
}

/// `forget_permits(5)`, and again for what is missing after each release.
fn tokio_forget(backlog: usize) -> f64 {
    let semaphore: &'static _ = Box::leak(Box::new(tokio::sync::Semaphore::new(10)));
    let held = (0..10).map(|_| semaphore.try_acquire().expect("10 are free")).collect();
    let mut missing = 5;
    too_many(
        held,
        backlog,
        || Box::pin(async { semaphore.acquire().await.expect("nobody closes it") }),
        |in_use| {
            missing -= semaphore.forget_permits(missing);
            in_use <= 5
        },
    )
}

/// A request for the five that are to go, whose permit is forgotten; it waits behind the backlog.
fn tokio_acquire(backlog: usize) -> f64 {
    let semaphore: &'static _ = Box::leak(Box::new(tokio::sync::Semaphore::new(10)));
    let held = (0..10).map(|_| semaphore.try_acquire().expect("10 are free")).collect();
    let mut shrink = None;
    too_many(
        held,
        backlog,
        || Box::pin(async { semaphore.acquire().await.expect("nobody closes it") }),
        |in_use| {
            let shrink = shrink.get_or_insert_with(|| Box::pin(semaphore.acquire_many(5)));
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(Ok(five)) = shrink.as_mut().poll(&mut cx) {
                five.forget();
                return true;
            }
            in_use <= 5
        },
    )
}

fn asyncband(backlog: usize) -> f64 {
    let semaphore: &'static _ = Box::leak(Box::new(asyncband::semaphore::Semaphore::new(10)));
    let held = (0..10).map(|_| semaphore.try_acquire(1).expect("10 are free")).collect();
    let mut asked = false;
    too_many(
        held,
        backlog,
        || Box::pin(semaphore.acquire(1)),
        |in_use| {
            if !std::mem::replace(&mut asked, true) {
                semaphore.reduce_permits(5);
            }
            in_use <= 5
        },
    )
}
