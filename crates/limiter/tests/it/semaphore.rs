//! Order, resizing, closing, leaving: polled by hand, on one thread.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tidegate_limiter::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn granted<F, P>(future: &mut F) -> P
where
    F: Future<Output = Result<P, AcquireError>> + Unpin,
    P: std::fmt::Debug,
{
    match poll(future) {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("expected a permit, got {other:?}"),
    }
}

fn refused<F, P>(future: &mut F) -> AcquireError
where
    F: Future<Output = Result<P, AcquireError>> + Unpin,
    P: std::fmt::Debug,
{
    match poll(future) {
        Poll::Ready(Err(error)) => error,
        other => panic!("expected an error, got {other:?}"),
    }
}

/// A semaphore's whole limit, held.
fn fill(semaphore: &Semaphore) -> Vec<SemaphorePermit<'_>> {
    std::iter::from_fn(|| semaphore.try_acquire().ok()).collect()
}

#[test]
fn waiters_are_admitted_in_the_order_of_their_first_poll() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let (mut second, mut first) = (semaphore.acquire(), semaphore.acquire());
    assert!(poll(&mut first).is_pending());
    assert!(poll(&mut second).is_pending());
    drop(held);
    assert!(poll(&mut second).is_pending());
    drop(granted(&mut first));
    drop(granted(&mut second));
    assert_eq!(semaphore.in_use(), 0);
}

#[test]
fn small_request_does_not_overtake_a_large_one() {
    let semaphore = Semaphore::new(4);
    let mut held = fill(&semaphore);
    let (mut large, mut small) = (semaphore.acquire_many(3), semaphore.acquire());
    assert!(poll(&mut large).is_pending());
    assert!(poll(&mut small).is_pending());
    held.truncate(2);
    assert!(poll(&mut small).is_pending());
    assert_eq!(semaphore.available(), 2, "free, but for the head alone");
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    held.truncate(1);
    let large = granted(&mut large);
    assert!(poll(&mut small).is_pending());
    drop(large);
    drop(granted(&mut small));
}

#[test]
fn dropping_the_head_admits_whoever_fits_behind_it() {
    let semaphore = Semaphore::new(4);
    let mut held = fill(&semaphore);
    let (mut large, mut small) = (semaphore.acquire_many(3), semaphore.acquire());
    assert!(poll(&mut large).is_pending());
    assert!(poll(&mut small).is_pending());
    held.truncate(3);
    drop(large);
    drop(granted(&mut small));
}

#[test]
fn dropping_a_waiter_that_was_granted_passes_the_permit_on() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let (mut first, mut second) = (semaphore.acquire(), semaphore.acquire());
    assert!(poll(&mut first).is_pending());
    assert!(poll(&mut second).is_pending());
    drop(held);
    assert_eq!(semaphore.queue().granted_unpolled, 1);
    drop(first);
    drop(granted(&mut second));
    assert_eq!(semaphore.queue().granted_unpolled, 0);
}

#[test]
fn what_was_too_little_for_the_head_goes_to_the_next_once_the_head_is_admitted() {
    let semaphore = Semaphore::new(0);
    let (mut first, mut heavy) = (semaphore.acquire_many(4), semaphore.acquire_many(4));
    let mut light = semaphore.acquire();
    assert!(poll(&mut first).is_pending());
    assert!(poll(&mut heavy).is_pending());
    assert!(poll(&mut light).is_pending());
    semaphore.resize(5);
    drop(granted(&mut first));
    let _heavy = granted(&mut heavy);
    drop(granted(&mut light));
}

#[test]
fn shrinking_admits_nobody_until_the_use_is_under_the_new_limit() {
    for backlog in [20, 1000] {
        let semaphore = Semaphore::new(10);
        let mut held = fill(&semaphore);
        let mut waiting: Vec<_> = (0..backlog).map(|_| semaphore.acquire()).collect();
        assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
        semaphore.resize(5);
        while held.len() > 5 {
            held.pop();
            assert_eq!(semaphore.waiting(), backlog, "nobody was admitted");
        }
        assert_eq!((semaphore.in_use(), semaphore.view().debt()), (5, 0));
        held.pop();
        assert_eq!((semaphore.in_use(), semaphore.waiting()), (5, backlog - 1));
        drop(granted(&mut waiting[0]));
    }
}

#[test]
fn growing_admits_in_order_before_resize_returns() {
    let semaphore = Semaphore::new(0);
    let mut waiting: Vec<_> = (0..5).map(|_| semaphore.acquire()).collect();
    assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
    semaphore.resize(3);
    assert_eq!((semaphore.in_use(), semaphore.waiting()), (3, 2));
    let permits: Vec<_> = waiting.iter_mut().take(3).map(granted).collect();
    assert!(waiting[3..].iter_mut().all(|acquire| poll(acquire).is_pending()));
    drop(permits);
    let permits: Vec<_> = waiting[3..].iter_mut().map(granted).collect();
    assert_eq!(permits.len(), 2);
}

#[test]
fn limit_zero_is_a_pause_that_refuses_nobody() {
    let semaphore = Semaphore::new(0);
    let mut heavy = semaphore.acquire_many(7);
    assert!(poll(&mut heavy).is_pending());
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    semaphore.resize(7);
    assert_eq!(granted(&mut heavy).num_permits(), 7);
}

#[test]
fn a_request_heavier_than_the_limit_is_refused_at_once_or_when_a_shrink_makes_it_so() {
    let semaphore = Semaphore::new(4);
    let error = refused(&mut semaphore.acquire_many(5));
    assert_eq!(error, AcquireError::ExceedsLimit { requested: 5, limit: 4 });

    let held = fill(&semaphore);
    let (mut heavy, mut light) = (semaphore.acquire_many(4), semaphore.acquire());
    let mut patient = semaphore.acquire_many(4).or_wait_for_growth();
    assert!(poll(&mut heavy).is_pending());
    assert!(poll(&mut light).is_pending());
    assert!(poll(&mut patient).is_pending());
    semaphore.resize(3);
    assert_eq!(refused(&mut heavy), AcquireError::ExceedsLimit { requested: 4, limit: 3 });
    assert!(poll(&mut light).is_pending());
    drop(held);
    drop(granted(&mut light));
    assert!(poll(&mut patient).is_pending());
    assert!(semaphore.try_acquire().is_err(), "whoever waits for growth holds up the others");
    semaphore.resize(4);
    drop(granted(&mut patient));
}

#[test]
fn a_weight_that_no_limit_can_hold_is_refused_even_if_it_would_wait() {
    let semaphore = Semaphore::new(0);
    let mut absurd = semaphore.acquire_many(u32::MAX).or_wait_for_growth();
    let error = refused(&mut absurd);
    assert!(matches!(error, AcquireError::ExceedsLimit { .. }), "{error:?}");
}

#[test]
fn refusing_the_head_after_a_shrink_admits_whoever_fits_behind_it() {
    let semaphore = Semaphore::new(4);
    let mut held = fill(&semaphore);
    held.truncate(1);
    let (mut heavy, mut light) = (semaphore.acquire_many(4), semaphore.acquire());
    assert!(poll(&mut heavy).is_pending());
    assert!(poll(&mut light).is_pending());
    semaphore.resize(3);
    drop(granted(&mut light));
    assert!(matches!(refused(&mut heavy), AcquireError::ExceedsLimit { .. }));
}

#[test]
fn closing_fails_those_who_wait_and_leaves_permits_and_grants_good() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let (mut first, mut second) = (semaphore.acquire(), semaphore.acquire());
    assert!(poll(&mut first).is_pending());
    assert!(poll(&mut second).is_pending());
    drop(held);
    semaphore.close();
    assert!(semaphore.is_closed());
    let permit = granted(&mut first);
    assert_eq!(refused(&mut second), AcquireError::Closed);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    assert_eq!(refused(&mut semaphore.acquire_many(0)), AcquireError::Closed);
    drop(permit);
    assert_eq!((semaphore.in_use(), semaphore.waiting()), (0, 0));
    semaphore.resize(9);
    assert!(semaphore.is_closed(), "resizing does not open it again");
}

#[test]
fn a_full_queue_refuses_the_next_request() {
    let semaphore = Semaphore::new(1).with_queue_bound(2);
    let held = semaphore.try_acquire().unwrap();
    let mut waiting = [semaphore.acquire(), semaphore.acquire()];
    assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
    assert_eq!(refused(&mut semaphore.acquire()), AcquireError::QueueFull { bound: 2 });
    drop(waiting);
    assert!(poll(&mut semaphore.acquire()).is_pending());
    drop(held);
    drop(granted(&mut semaphore.acquire()));
}

#[test]
fn weight_zero_is_granted_at_once_even_while_others_wait() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut waiting = semaphore.acquire();
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(granted(&mut semaphore.acquire_many(0)).num_permits(), 0);
    drop(held);
    drop(granted(&mut waiting));
}

#[test]
fn forgetting_a_permit_lowers_the_limit_and_resize_brings_it_back() {
    let semaphore = Semaphore::new(5);
    semaphore.try_acquire_many(2).unwrap().forget();
    assert_eq!((semaphore.limit(), semaphore.in_use(), semaphore.available()), (3, 0, 3));
    assert_eq!(semaphore.forget_permits(10), 3);
    assert_eq!(semaphore.limit(), 0);
    semaphore.add_permits(4);
    assert_eq!(semaphore.available(), 4);
}

#[test]
fn permits_split_and_merge_without_changing_the_use() {
    let semaphore = Arc::new(Semaphore::new(6));
    let mut whole = Arc::clone(&semaphore).try_acquire_many_owned(6).unwrap();
    let mut two = whole.split(2).unwrap();
    assert!(whole.split(5).is_none());
    assert_eq!((whole.num_permits(), two.num_permits(), semaphore.in_use()), (4, 2, 6));
    two.merge(whole.split(1).unwrap());
    drop(whole);
    assert_eq!(semaphore.in_use(), 3);
    drop(two);
    assert_eq!(semaphore.in_use(), 0);
}

#[test]
#[should_panic(expected = "different semaphores")]
fn permits_of_different_semaphores_do_not_merge() {
    let (a, b) = (Semaphore::new(1), Semaphore::new(1));
    a.try_acquire().unwrap().merge(b.try_acquire().unwrap());
}

#[test]
fn a_request_cancelled_from_the_start_takes_no_permit() {
    let semaphore = Semaphore::new(1);
    let mut stopped = Box::pin(semaphore.acquire().until(std::future::ready(())).into_future());
    assert_eq!(refused(&mut stopped), AcquireError::Cancelled);
    let mut late = Box::pin(semaphore.acquire().before(std::future::ready(())).into_future());
    assert_eq!(refused(&mut late), AcquireError::TimedOut);
    assert_eq!(semaphore.in_use(), 0);
    semaphore.close();
    let mut closed = Box::pin(semaphore.acquire().until(std::future::ready(())).into_future());
    assert_eq!(refused(&mut closed), AcquireError::Closed);
}

#[test]
fn a_permit_granted_by_the_time_of_the_cancel_is_kept() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let (cancel, cancelled) = tokio::sync::oneshot::channel::<()>();
    let mut acquire = Box::pin(
        semaphore
            .acquire()
            .until(async {
                let _ = cancelled.await;
            })
            .into_future(),
    );
    assert!(poll(&mut acquire).is_pending());
    drop(held);
    cancel.send(()).unwrap();
    drop(granted(&mut acquire));
}

#[test]
fn of_two_ways_to_stop_the_one_that_happens_is_told_and_if_both_do_the_last_named_at_first_and_the_first_later()
 {
    use std::future::{pending, ready};

    let semaphore = Semaphore::new(0);
    let mut late = Box::pin(semaphore.acquire().until(pending()).before(ready(())).into_future());
    assert_eq!(refused(&mut late), AcquireError::TimedOut);
    let mut cut = Box::pin(semaphore.acquire().before(pending()).until(ready(())).into_future());
    assert_eq!(refused(&mut cut), AcquireError::Cancelled);
    let mut both = Box::pin(semaphore.acquire().before(ready(())).until(ready(())).into_future());
    assert_eq!(refused(&mut both), AcquireError::Cancelled);
    let mut none = Box::pin(semaphore.acquire().until(pending()).before(pending()).into_future());
    assert!(poll(&mut none).is_pending());
    assert_eq!(semaphore.waiting(), 1);
    drop(none);
    assert_eq!(semaphore.waiting(), 0);
    let happens = || tokio::task::yield_now(); // at the second poll
    let mut later = Box::pin(semaphore.acquire().until(happens()).before(happens()).into_future());
    assert!(poll(&mut later).is_pending());
    assert_eq!(refused(&mut later), AcquireError::Cancelled);
}

#[test]
fn cancelling_a_waiter_gives_up_its_place() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let (cancel, cancelled) = tokio::sync::oneshot::channel::<()>();
    let mut stopped = Box::pin(
        semaphore
            .acquire()
            .until(async {
                let _ = cancelled.await;
            })
            .into_future(),
    );
    let mut next = semaphore.acquire();
    assert!(poll(&mut stopped).is_pending());
    assert!(poll(&mut next).is_pending());
    cancel.send(()).unwrap();
    assert_eq!(refused(&mut stopped), AcquireError::Cancelled);
    drop(stopped);
    drop(held);
    drop(granted(&mut next));
}

#[test]
fn idle_completes_when_the_last_permit_is_back_even_if_taken_again_at_once() {
    let semaphore = Semaphore::new(2);
    let held = fill(&semaphore);
    let mut idle = semaphore.idle();
    assert!(poll(&mut idle).is_pending());
    let mut waiting = semaphore.acquire();
    assert!(poll(&mut waiting).is_pending());
    drop(held);
    assert!(poll(&mut idle).is_pending(), "the grant counts as use");
    drop(granted(&mut waiting));
    let _again = semaphore.try_acquire().unwrap();
    assert!(poll(&mut idle).is_ready(), "it was idle for a moment");
    assert!(poll(&mut semaphore.idle()).is_pending());
}

#[test]
fn idle_completes_when_the_last_waiter_leaves_a_paused_semaphore() {
    let semaphore = Semaphore::new(0);
    let mut waiting = semaphore.acquire();
    assert!(poll(&mut waiting).is_pending());
    let mut idle = semaphore.idle();
    assert!(poll(&mut idle).is_pending());
    drop(waiting);
    assert!(poll(&mut idle).is_ready());
}

#[test]
fn ages_are_told_only_if_they_are_kept() {
    let semaphore = Semaphore::new(0);
    let mut waiting = semaphore.acquire();
    assert!(poll(&mut waiting).is_pending());
    assert_eq!((semaphore.queue().waiting, semaphore.queue().oldest_wait), (1, None));

    let semaphore = Semaphore::new(0).with_wait_times();
    let mut waiting = semaphore.acquire();
    assert!(poll(&mut waiting).is_pending());
    assert!(semaphore.queue().oldest_wait.is_some());
    semaphore.resize(1);
    assert_eq!(semaphore.queue().oldest_wait, None);
    assert!(semaphore.queue().oldest_grant.is_some());
}

#[test]
fn the_future_is_as_small_as_the_docs_say() {
    let semaphore = Semaphore::new(1);
    assert_eq!(size_of_val(&semaphore.acquire()), 24);
}

/// A waker that asks the semaphore, which needs the lock, when its last clone is dropped.
struct AsksWhenDropped(Arc<Semaphore>, Arc<AtomicUsize>);

impl Wake for AsksWhenDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for AsksWhenDropped {
    fn drop(&mut self) {
        self.0.waiting();
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn wakers_are_dropped_outside_the_lock_however_those_who_wait_go() {
    let (told, done) = mpsc::channel();
    std::thread::spawn(move || {
        let semaphore = Arc::new(Semaphore::new(0));
        for goes in ["leave", "are granted", "are refused", "are closed upon"] {
            let dropped = Arc::new(AtomicUsize::new(0));
            let ask = |weight| {
                let mut acquire = Arc::clone(&semaphore).acquire_many_owned(weight);
                let waker = AsksWhenDropped(Arc::clone(&semaphore), Arc::clone(&dropped));
                let waker = Waker::from(Arc::new(waker));
                assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)).is_pending());
                Some(acquire)
            };
            // One in a hundred stays, when the others leave: their wakers are left behind in the queue.
            let mut asked: Vec<_> = (0..20_000).map(|_| ask(2)).collect();
            asked
                .iter_mut()
                .enumerate()
                .filter(|(at, _)| at % 100 != 7)
                .for_each(|(_, gone)| *gone = None);
            match goes {
                "are granted" => semaphore.resize(100_000),
                "are refused" => semaphore.resize(1),
                "are closed upon" => semaphore.close(),
                _ => {}
            }
            asked.iter_mut().flatten().for_each(|decided| drop(poll(decided)));
            drop(asked);
            semaphore.resize(0);
            assert_eq!((semaphore.waiting(), semaphore.in_use()), (0, 0), "all {goes}");
            assert_eq!(dropped.load(Ordering::Relaxed), 20_000, "all {goes}: none is kept");
        }
        told.send(()).expect("the test waits");
    });
    done.recv_timeout(Duration::from_secs(60)).expect("no waker is dropped under the lock");
}

/// The wakers that those who leave a long queue leave behind go with the slots: as others leave (without `Shared::unlock` in
/// `leave` they stay), and as the permit passes on (without `has_litter` in `hand_over`).
#[test]
fn few_wakers_of_those_who_left_are_kept_while_others_wait() {
    const HALF: usize = 10_000;
    for permit_passes_on in [false, true] {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut first = semaphore.acquire();
        assert!(poll(&mut first).is_pending());
        let dropped = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let mut acquire = semaphore.acquire();
            let waker = Arc::new(AsksWhenDropped(Arc::clone(&semaphore), Arc::clone(&dropped)));
            let waker = Waker::from(waker);
            assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)).is_pending());
            acquire
        };
        let mut asked: Vec<_> = (0..2 * HALF).map(|_| Some(ask())).collect();
        let stays = |at: usize| if permit_passes_on { at.is_multiple_of(10) } else { HALF <= at };
        asked
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| !stays(*at))
            .for_each(|(_, gone)| *gone = None);
        if permit_passes_on {
            semaphore.resize(1);
            let mut permit = granted(&mut first);
            for next in asked[..HALF].iter_mut().flatten() {
                drop(permit);
                permit = granted(next);
            }
            drop(permit);
        }
        let kept = HALF.saturating_sub(dropped.load(Ordering::Relaxed));
        assert!(kept <= 128, "{kept} wakers of {HALF} who have gone are kept");
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn idleness_is_not_told_while_something_is_in_use_though_the_queue_has_emptied() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().expect("one is free");
    let mut waits = semaphore.acquire();
    assert!(poll(&mut waits).is_pending());
    let mut idle = semaphore.idle();
    assert!(poll(&mut idle).is_pending());
    drop(waits);
    assert!(poll(&mut idle).is_pending(), "one is in use");
    held.forget();
    assert!(poll(&mut idle).is_ready(), "it was forgotten");
}

#[test]
fn all_who_watch_for_idleness_are_woken_once_and_who_left_is_forgotten() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().expect("one is free");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut watch = [(); 3].map(|()| semaphore.idle());
    for _ in 0..2 {
        for idle in &mut watch {
            assert!(Pin::new(idle).poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    assert_eq!(Arc::strong_count(&woken), 2 + 3, "ours, the waker's, and one for each");
    let [first, second, left] = watch;
    drop(left);
    assert_eq!(Arc::strong_count(&woken), 2 + 2);
    drop(held);
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    drop((first, second));
}

#[test]
fn a_full_queue_refuses_even_who_would_fit_beside_its_heavy_head() {
    let semaphore = Semaphore::new(3).with_queue_bound(1);
    let held = semaphore.try_acquire_many(2).expect("three are free");
    let mut heavy = semaphore.acquire_many(2);
    assert!(poll(&mut heavy).is_pending());
    assert_eq!(refused(&mut semaphore.acquire()), AcquireError::QueueFull { bound: 1 });
    drop((heavy, held));
}
