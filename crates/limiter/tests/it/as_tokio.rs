//! The rules that tokio's own tests of its semaphore hold, told in our names.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tidegate_limiter::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};

#[test]
fn a_semaphore_of_zero_hands_out_nothing_by_itself() {
    assert_eq!(Semaphore::new(0).try_acquire().unwrap_err(), TryAcquireError::NoPermits);
}

#[test]
fn try_acquire_takes_while_there_are_permits() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    assert!(semaphore.try_acquire().is_err());
    drop(held);
    assert!(semaphore.try_acquire().is_ok());
}

#[test]
fn try_acquire_many_owned_takes_all_or_nothing() {
    let semaphore = Arc::new(Semaphore::new(42));
    let most = Arc::clone(&semaphore).try_acquire_many_owned(40).unwrap();
    assert!(Arc::clone(&semaphore).try_acquire_many_owned(3).is_err());
    let rest = Arc::clone(&semaphore).try_acquire_many_owned(2).unwrap();
    assert!(Arc::clone(&semaphore).try_acquire_owned().is_err());
    drop((most, rest));
    assert_eq!(semaphore.available(), 42);
}

#[tokio::test]
async fn a_task_that_waits_goes_on_when_the_permit_is_back() {
    let semaphore = Arc::new(Semaphore::new(1));
    let held = semaphore.try_acquire().unwrap();
    let other = Arc::clone(&semaphore);
    let waits = tokio::spawn(async move { other.acquire().await.map(drop) });
    drop(held);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_task_that_waits_for_many_goes_on_when_they_are_back() {
    let semaphore = Arc::new(Semaphore::new(42));
    let held = Arc::clone(&semaphore).try_acquire_many_owned(32).unwrap();
    let other = Arc::clone(&semaphore);
    let waits = tokio::spawn(async move { other.acquire_many_owned(32).await.map(drop) });
    drop(held);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn added_permits_let_a_waiting_task_go_on() {
    let semaphore = Arc::new(Semaphore::new(0));
    let other = Arc::clone(&semaphore);
    let waits = tokio::spawn(async move { other.acquire().await.map(drop) });
    semaphore.add_permits(1);
    waits.await.unwrap().unwrap();
}

#[test]
fn adding_permits_neither_opens_nor_closes() {
    for (size, add, close) in
        (0..4).flat_map(|s| (0..4).flat_map(move |a| [(s, a, true), (s, a, false)]))
    {
        let semaphore = Semaphore::new(size);
        if close {
            semaphore.close();
        }
        semaphore.add_permits(add);
        assert_eq!((semaphore.available(), semaphore.is_closed()), (size + add, close));
    }
}

#[test]
fn forgetting_neither_opens_nor_closes() {
    for close in [true, false] {
        let semaphore = Semaphore::new(4);
        let held = semaphore.try_acquire().unwrap();
        if close {
            semaphore.close();
        }
        assert_eq!(semaphore.forget_permits(1), 1);
        held.forget();
        assert_eq!((semaphore.available(), semaphore.is_closed()), (2, close));
    }
}

/// A waker that holds a permit of the semaphore it waits for.
struct ReleaseOnDrop(#[expect(dead_code, reason = "kept for its drop")] OwnedSemaphorePermit);

impl Wake for ReleaseOnDrop {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn close_drops_wakers_outside_the_lock() {
    let semaphore = Arc::new(Semaphore::new(1));
    let mut acquire = semaphore.acquire();
    let held = Arc::clone(&semaphore).try_acquire_owned().unwrap();
    let waker = Waker::from(Arc::new(ReleaseOnDrop(held)));
    assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    semaphore.close();
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn leaving_drops_the_waker_outside_the_lock() {
    let semaphore = Arc::new(Semaphore::new(1));
    let mut acquire = semaphore.acquire();
    let held = Arc::clone(&semaphore).try_acquire_owned().unwrap();
    let waker = Waker::from(Arc::new(ReleaseOnDrop(held)));
    assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    drop(acquire);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn another_task_that_polls_is_the_one_woken_and_the_old_waker_is_dropped_outside_the_lock() {
    let semaphore = Arc::new(Semaphore::new(1));
    let mut acquire = semaphore.acquire();
    let held = Arc::clone(&semaphore).try_acquire_owned().unwrap();
    let first = Waker::from(Arc::new(ReleaseOnDrop(held)));
    assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&first)).is_pending());
    drop(first);
    let wakes = Arc::new(CountWakes(AtomicUsize::new(0)));
    let second = Waker::from(Arc::clone(&wakes));
    assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&second)).is_pending());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "dropping the first waker freed the permit");
    assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&second)).is_ready());
}

struct ReleaseOnWake(Arc<Semaphore>);

impl Wake for ReleaseOnWake {
    fn wake(self: Arc<Self>) {
        self.0.add_permits(1);
    }
}

#[test]
fn close_wakes_outside_the_lock() {
    let semaphore = Arc::new(Semaphore::new(0));
    let mut acquire = semaphore.acquire();
    let waker = Waker::from(Arc::new(ReleaseOnWake(Arc::clone(&semaphore))));
    assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)).is_pending());
    semaphore.close();
    assert_eq!(semaphore.available(), 1);
}

struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn close_wakes_all_who_wait() {
    let semaphore = Semaphore::new(0);
    let wakes = Arc::new(CountWakes(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    let mut waiting: Vec<_> = (0..100).map(|_| semaphore.acquire()).collect();
    assert!(waiting.iter_mut().all(|acquire| Pin::new(acquire).poll(&mut cx).is_pending()));
    semaphore.close();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 100);
    let mut failed = waiting.iter_mut().map(|acquire| Pin::new(acquire).poll(&mut cx));
    assert!(failed.all(|polled| matches!(polled, Poll::Ready(Err(_)))));
}

#[tokio::test]
async fn many_tasks_leave_nothing_behind() {
    let semaphore = Arc::new(Semaphore::new(5));
    let tasks = (0..1000).map(|_| {
        let semaphore = Arc::clone(&semaphore);
        tokio::spawn(async move { semaphore.acquire().await.map(drop) })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    let held: Vec<_> = (0..5).map(|_| semaphore.try_acquire().unwrap()).collect();
    assert!(semaphore.try_acquire().is_err());
    drop(held);
}

#[test]
fn the_greatest_limit_is_reached_but_not_passed() {
    let semaphore = Semaphore::new(0);
    semaphore.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(semaphore.available(), Semaphore::MAX_PERMITS);
    let all = semaphore.try_acquire_many(Semaphore::MAX_PERMITS as u32).unwrap();
    assert_eq!(semaphore.in_use(), Semaphore::MAX_PERMITS);
    drop(all);
}

#[test]
#[should_panic(expected = "at most 2^30 - 1")]
fn adding_beyond_the_greatest_limit_panics() {
    Semaphore::new(1).add_permits(Semaphore::MAX_PERMITS);
}

#[test]
#[should_panic(expected = "at most 2^30 - 1")]
fn a_semaphore_above_the_greatest_limit_panics() {
    drop(Semaphore::new(Semaphore::MAX_PERMITS + 1));
}

/// Until someone waits.
fn until_one_waits(semaphore: &Semaphore) {
    while semaphore.waiting() == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_thread_waits_for_one_for_many_and_for_owned_ones() {
    type Blocks = fn(&Arc<Semaphore>) -> Result<usize, AcquireError>;
    let ways: [Blocks; 4] = [
        |s| s.blocking_acquire().map(|permit| permit.num_permits()),
        |s| s.blocking_acquire_many(4).map(|permit| permit.num_permits()),
        |s| Arc::clone(s).blocking_acquire_owned().map(|permit| permit.num_permits()),
        |s| Arc::clone(s).blocking_acquire_many_owned(4).map(|permit| permit.num_permits()),
    ];
    for (way, weight) in ways.into_iter().zip([1, 4, 1, 4]) {
        let semaphore = Arc::new(Semaphore::new(4));
        assert_eq!(way(&semaphore), Ok(weight));
        let held = semaphore.try_acquire_many(4).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| way(&semaphore));
            until_one_waits(&semaphore);
            drop(held);
            assert_eq!(waits.join().expect("no panic"), Ok(weight));
        });
        assert_eq!(semaphore.available(), 4);
    }
}

#[test]
fn a_thread_that_waits_is_told_of_the_close() {
    let semaphore = Arc::new(Semaphore::new(0));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| semaphore.blocking_acquire().map(drop));
        let waits_for_many =
            scope.spawn(|| Arc::clone(&semaphore).blocking_acquire_many_owned(2).map(drop));
        until_one_waits(&semaphore);
        semaphore.close();
        for told in [waits, waits_for_many] {
            assert_eq!(told.join().expect("no panic"), Err(AcquireError::Closed));
        }
    });
    assert_eq!(semaphore.blocking_acquire().unwrap_err(), AcquireError::Closed);
}

#[test]
fn owned_permits_split_merge_and_are_forgotten_as_borrowed_ones() {
    let semaphore = Arc::new(Semaphore::new(15));
    let mut all = Arc::clone(&semaphore).try_acquire_many_owned(15).unwrap();
    assert!(all.split(16).is_none());
    let mut five = all.split(5).unwrap();
    assert_eq!((all.num_permits(), five.num_permits(), semaphore.available()), (10, 5, 0));
    assert!(Arc::ptr_eq(five.semaphore(), &semaphore));
    drop(five.split(2).unwrap());
    assert_eq!((five.num_permits(), semaphore.available()), (3, 2));
    five.merge(all);
    assert_eq!((five.num_permits(), semaphore.in_use()), (13, 13));
    five.split(3).unwrap().forget();
    assert_eq!((semaphore.limit(), semaphore.in_use(), semaphore.available()), (12, 10, 2));
    drop(five);
    assert_eq!((semaphore.limit(), semaphore.available()), (12, 12));
}

#[test]
#[should_panic(expected = "different semaphores")]
fn owned_permits_of_different_semaphores_do_not_merge() {
    let [a, b] = [(); 2].map(|()| Arc::new(Semaphore::new(1)));
    let mut one = a.try_acquire_owned().unwrap();
    one.merge(b.try_acquire_owned().unwrap());
}

#[test]
fn a_request_for_many_that_leaves_keeps_nothing_of_what_was_free() {
    let semaphore = Semaphore::new(10);
    let held = semaphore.try_acquire_many(4).unwrap();
    let mut many = semaphore.acquire_many(8);
    assert!(Pin::new(&mut many).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(semaphore.available(), 6);
    drop(many);
    drop(semaphore.try_acquire_many(6).expect("nobody waits for them any more"));
    drop(held);
    assert_eq!(semaphore.available(), 10);
}
