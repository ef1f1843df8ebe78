//! Every interleaving of a few operations. Each model names the line that it guards: it was seen to fail with that line
//! broken. Whoever acts is a thread that was spawned, for the model's first thread is not interleaved with all of them.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p tidegate-limiter --test loom --target-dir target/loom`
#![cfg(loom)]

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::model::Builder;
use loom::thread;
use tidegate_limiter::{AcquireError, AcquireOwned, OwnedSemaphorePermit, Semaphore};

/// All interleavings with at most `preemptions` switches away from a thread that could go on.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A waker that takes the semaphore's lock when it goes, as foreign code may: if that lock is held, the model stands still.
struct Curious(Arc<Semaphore>);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Curious {
    fn drop(&mut self) {
        self.0.waiting();
    }
}

/// A semaphore of one, held, with two who wait: the second with a curious waker, and by what to tell whether that is still there.
struct Full {
    semaphore: Arc<Semaphore>,
    held: OwnedSemaphorePermit,
    first: AcquireOwned,
    second: AcquireOwned,
    waker: Weak<Curious>,
}

impl Full {
    fn new() -> Self {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&semaphore).try_acquire_owned().expect("one is free");
        let mut first = Arc::clone(&semaphore).acquire_owned();
        assert!(poll(&mut first).is_pending());
        let waker = Arc::new(Curious(Arc::clone(&semaphore)));
        let mut second = Arc::clone(&semaphore).acquire_owned();
        assert!(poll_with(&mut second, &Waker::from(Arc::clone(&waker))).is_pending());
        let waker = Arc::downgrade(&waker);
        Self { semaphore, held, first, second, waker }
    }
}

/// Nothing in use, nobody waiting, and the semaphore still works.
fn assert_at_rest(semaphore: &Semaphore) {
    let view = semaphore.view();
    assert_eq!((view.in_use, view.has_waiters, semaphore.waiting()), (0, false, 0), "{view:?}");
}

/// Adds one, under a permit.
fn add(shared: &(Semaphore, UnsafeCell<i32>)) {
    let permit = block_on(shared.0.acquire()).expect("nobody closes it");
    #[expect(unsafe_code, reason = "loom's cell checks what the permit promises")]
    // SAFETY: only the holder of the one permit gets here; loom would report two.
    shared.1.with_mut(|value| unsafe { *value += 1 });
    drop(permit);
}

/// Guards: the Release of the store in `grant` and the Acquire of the load in `collect`. Who waits polls on its own, for a
/// wake-up would carry the writes as well.
#[test]
fn a_grant_found_without_a_wake_up_carries_what_was_written_before() {
    explore(3, || {
        let shared = Arc::new((Semaphore::new(1), UnsafeCell::new(0)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let mut acquire = shared.0.acquire();
                    let mut polls = (0..2).map(|_| poll(&mut acquire));
                    if let Some(Poll::Ready(permit)) = polls.find(Poll::is_ready) {
                        let permit = permit.expect("nobody closes it");
                        #[expect(
                            unsafe_code,
                            reason = "loom's cell checks what the permit promises"
                        )]
                        // SAFETY: only the holder of the one permit gets here; loom would report two.
                        shared.1.with_mut(|value| unsafe { *value += 1 });
                        drop(permit);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_at_rest(&shared.0);
    });
}

/// Guards: the Release of `fetch_sub` in `give` and the Acquire of the CAS in `take` (with Relaxed, the cell is written by
/// two at once), and setting QUEUED by a CAS in `join` that fails if someone gave back meanwhile (with a plain store, a
/// wake-up is lost: deadlock).
#[test]
fn acquire_and_release_exclude_each_other_and_lose_no_wake_up() {
    explore(3, || {
        let shared = Arc::new((Semaphore::new(1), UnsafeCell::new(0)));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || add(&shared))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_at_rest(&shared.0);
    });
}

/// Guards: `settle_and_wake` after `Left::Granted` in `leave` (without it the second waits for ever).
#[test]
fn a_granted_waiter_that_is_dropped_passes_its_permit_on() {
    explore(3, || {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&semaphore).try_acquire_owned().expect("one is free");
        let mut first = Arc::clone(&semaphore).acquire_owned();
        assert!(poll(&mut first).is_pending());
        let cancels = thread::spawn(move || drop(first));
        let waits = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || drop(block_on(semaphore.acquire()).expect("nobody closes it")))
        };
        let releases = thread::spawn(move || drop(held));
        [cancels, waits, releases].into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_at_rest(&semaphore);
    });
}

/// Guards: `settle_and_wake` after `Left::Head` in `leave` (without it the light one behind the heavy head waits for
/// ever, although a permit is free).
#[test]
fn dropping_a_heavy_head_admits_the_light_one_behind_it() {
    explore(3, || {
        let semaphore = Arc::new(Semaphore::new(2));
        let held = semaphore.try_acquire().expect("two are free");
        let mut heavy = Arc::clone(&semaphore).acquire_many_owned(2);
        assert!(poll(&mut heavy).is_pending());
        let light = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || drop(block_on(semaphore.acquire()).expect("nobody closes it")))
        };
        let cancels = thread::spawn(move || drop(heavy));
        cancels.join().expect("no panic");
        light.join().expect("no panic");
        drop(held);
        assert_at_rest(&semaphore);
    });
}

/// Guards: `in_use ≤ limit` in `hand_over` (without it a release after the shrink admits a waiter while the use is not under
/// the new limit).
#[test]
fn after_a_shrink_nobody_is_admitted_until_the_use_is_under_the_limit() {
    explore(3, || {
        // Permits that were waited for: only those are handed over.
        let semaphore = Arc::new(Semaphore::new(0));
        let mut asked = [(); 2].map(|()| Arc::clone(&semaphore).acquire_owned());
        assert!(asked.iter_mut().all(|acquire| poll(acquire).is_pending()));
        semaphore.resize(2);
        let [one, two] = asked.each_mut().map(|acquire| match poll(acquire) {
            Poll::Ready(Ok(permit)) => permit,
            other => panic!("two are admitted: {other:?}"),
        });
        // Another stands behind the one that matters, for the last in the queue is never handed anything.
        let (mut waits, mut behind) = (semaphore.acquire(), semaphore.acquire());
        assert!(poll(&mut waits).is_pending());
        assert!(poll(&mut behind).is_pending());
        let releases = thread::spawn(move || drop(one));
        let resizes = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || {
                semaphore.resize(1);
                // From here on the limit is 1. If the waiter was admitted before, both are in use and stay so; if not, one
                // more must come back first.
                semaphore.queue().granted_unpolled
            })
        };
        releases.join().expect("no panic");
        let admitted_before = resizes.join().expect("no panic");
        assert_eq!(semaphore.queue().granted_unpolled, admitted_before);
        assert_eq!(semaphore.in_use(), 1 + admitted_before);
        drop((two, asked));
        assert!(poll(&mut waits).is_ready());
        semaphore.resize(0);
        drop((waits, behind));
        assert_at_rest(&semaphore);
    });
}

/// Guards: the branch `before.has(QUEUED | WATCHED)` of `change_limit` (without it the waiter sleeps on), against a release.
#[test]
fn growing_beside_a_release_admits_both_waiters() {
    explore(3, || {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&semaphore).try_acquire_owned().expect("one is free");
        let waits = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || {
                let permit = block_on(semaphore.acquire_many(2).or_wait_for_growth());
                drop(permit.expect("nobody closes it"));
            })
        };
        let releases = thread::spawn(move || drop(held));
        let resizes = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || semaphore.resize(2))
        };
        [waits, releases, resizes].into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_at_rest(&semaphore);
    });
}

/// Guards: the settling in `settle_after_change` and the refusal by `QUEUED` in `take` (a limit that shrinks below the head
/// while the head leaves must admit whoever is behind, exactly once).
#[test]
fn resize_beside_cancel_admits_the_one_behind() {
    explore(3, || {
        let semaphore = Arc::new(Semaphore::new(3));
        let held = semaphore.try_acquire().expect("three are free");
        let mut heavy = Arc::clone(&semaphore).acquire_many_owned(3);
        assert!(poll(&mut heavy).is_pending());
        let mut light = semaphore.acquire();
        assert!(poll(&mut light).is_pending());
        let cancels = thread::spawn(move || drop(heavy));
        let resizes = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || semaphore.resize(2))
        };
        [cancels, resizes].into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert!(poll(&mut light).is_ready());
        drop(held);
        assert_at_rest(&semaphore);
    });
}

/// Guards: `word.has(CLOSED)` in `join` (without it a request is admitted after the close).
#[test]
fn closing_beside_acquire_release_and_cancel_leaves_nobody_waiting() {
    explore(3, || {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&semaphore).try_acquire_owned().expect("one is free");
        let waits = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || match block_on(semaphore.acquire()) {
                Ok(permit) => drop(permit),
                Err(error) => assert_eq!(error, AcquireError::Closed),
            })
        };
        let mut leaves = Arc::clone(&semaphore).acquire_owned();
        let _ = poll(&mut leaves).is_ready();
        let releases = thread::spawn(move || drop((held, leaves)));
        let closes = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || semaphore.close())
        };
        [waits, releases, closes].into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_at_rest(&semaphore);
        assert_eq!(block_on(semaphore.acquire()).unwrap_err(), AcquireError::Closed);
    });
}

/// Guards: `QUEUED` in the refusal of `take` (without it the newcomer takes what came back for the head).
#[test]
fn try_acquire_never_takes_what_a_waiter_is_owed() {
    explore(3, || {
        let semaphore = Arc::new(Semaphore::new(2));
        let (one, two) = (
            Arc::clone(&semaphore).try_acquire_owned().expect("two are free"),
            Arc::clone(&semaphore).try_acquire_owned().expect("one is free"),
        );
        let mut waits = semaphore.acquire_many(2);
        assert!(poll(&mut waits).is_pending());
        let releases = thread::spawn(move || {
            drop(one);
            drop(two);
        });
        let tries = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || {
                assert!(semaphore.try_acquire().is_err(), "someone has waited from the start")
            })
        };
        [releases, tries].into_iter().for_each(|thread| thread.join().expect("no panic"));
        drop(waits);
        assert_at_rest(&semaphore);
    });
}

/// Guards: `WATCHED` in `give` (without it nobody is told).
#[test]
fn whoever_waits_for_idleness_is_told_by_the_last_release() {
    explore(3, || {
        let semaphore = Arc::new(Semaphore::new(2));
        let permits: Vec<_> = (0..2)
            .map(|_| Arc::clone(&semaphore).try_acquire_owned().expect("two are free"))
            .collect();
        let threads: Vec<_> =
            permits.into_iter().map(|permit| thread::spawn(move || drop(permit))).collect();
        let watches = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || {
                block_on(semaphore.idle());
                assert_eq!(semaphore.in_use(), 0);
            })
        };
        watches.join().expect("no panic");
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_at_rest(&semaphore);
    });
}

// Whoever leaves a long queue from behind the head leaves its waker behind. Under loom, every queue is long.

/// Guards, all in `leave_behind`: `head != place` in the queue's (without it, nobody is admitted when the head leaves so), and
/// `waiting &= !bit` in the blocks' (without it, the permit is granted to the one who has gone).
#[test]
fn a_permit_released_beside_one_who_leaves_goes_to_who_stays() {
    explore(3, || {
        let Full { semaphore, held, first, second, .. } = Full::new();
        let mut third = Arc::clone(&semaphore).acquire_owned();
        assert!(poll(&mut third).is_pending());
        let releases = thread::spawn(move || drop(held));
        let leaves = thread::spawn(move || drop(second));
        let leaves_too = thread::spawn(move || drop(first));
        [releases, leaves, leaves_too]
            .into_iter()
            .for_each(|thread| thread.join().expect("no panic"));
        assert!(poll(&mut third).is_ready(), "{semaphore:?}");
        assert_at_rest(&semaphore);
    });
}

/// Guards: `waiting -= 1` in the blocks' `leave_behind` (without it, the last is not known as the last, and QUEUED stays),
/// `is_littered = true` there (without it, the waker left behind is dropped with the last slot, under the lock), and
/// `Shared::unlock` in `settle_and_wake` (without it, that waker is kept after everyone has gone).
#[test]
fn a_queue_that_drains_beside_one_who_leaves_ends_empty() {
    explore(3, || {
        let Full { semaphore, held, mut first, second, waker } = Full::new();
        let releases = thread::spawn(move || drop(held));
        let leaves = thread::spawn(move || drop(second));
        let idles = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || block_on(semaphore.idle()))
        };
        releases.join().expect("no panic");
        let Poll::Ready(Ok(permit)) = poll(&mut first) else { panic!("the permit came back") };
        drop(permit);
        [leaves, idles].into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_at_rest(&semaphore);
        assert_eq!(
            waker.strong_count(),
            0,
            "the waker that was left behind has gone with the slots"
        );
    });
}

/// Guards: `waiting & bit == 0` in the blocks' `leave_behind` (without it, one who was refused meanwhile leaves as if it still
/// waited, and the count of those who do is wrong from then on).
#[test]
fn a_shrink_beside_one_who_leaves_refuses_it_or_lets_it_go() {
    explore(3, || {
        let semaphore = Arc::new(Semaphore::new(2));
        let held = Arc::clone(&semaphore).try_acquire_many_owned(2).expect("two are free");
        let mut light = Arc::clone(&semaphore).acquire_owned();
        assert!(poll(&mut light).is_pending());
        let mut heavy = Arc::clone(&semaphore).acquire_many_owned(2);
        assert!(poll(&mut heavy).is_pending());
        let mut last = Arc::clone(&semaphore).acquire_owned();
        assert!(poll(&mut last).is_pending());
        let leaves = thread::spawn(move || drop(heavy));
        let resizes = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || semaphore.resize(1))
        };
        [leaves, resizes].into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(semaphore.waiting(), 2);
        drop(held);
        assert!(poll(&mut light).is_ready());
        assert!(poll(&mut last).is_ready());
        assert_at_rest(&semaphore);
    });
}

/// Guards: `Shared::unlock` in `collect` (without it, the waker that was left behind is kept after everyone has gone).
#[test]
fn a_close_beside_one_who_leaves_lets_go_of_every_waker() {
    explore(3, || {
        let Full { semaphore, held, first, second, waker } = Full::new();
        let leaves = thread::spawn(move || drop(second));
        let closes = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || semaphore.close())
        };
        let collects = thread::spawn(move || match block_on(first) {
            Ok(_) => panic!("the only permit is held"),
            Err(error) => assert_eq!(error, AcquireError::Closed),
        });
        let threads = [leaves, closes, collects];
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        drop(held);
        assert_at_rest(&semaphore);
        assert_eq!(
            waker.strong_count(),
            0,
            "the waker that was left behind has gone with the slots"
        );
    });
}
