//! Many operations under contention, none of which may be lost or counted twice. The long version is a billion.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use tidegate_limiter::Semaphore;

/// Threads on one permit: more than the machine has cores, so that some are always in the middle of something.
const THREADS: u64 = 4;

/// What one thread did.
#[derive(Default)]
struct Done {
    granted: u64,
    gave_up: u64,
}

/// Asks, polls a few times, and leaves the queue if it is still not its turn: grants meet cancels in every way.
fn ask_again_and_again(semaphore: &Semaphore, guarded: &AtomicU64, operations: u64) -> Done {
    let mut cx = Context::from_waker(Waker::noop());
    let mut done = Done::default();
    // So that somebody else is there, whatever the machine: often in a short run; a long one is interrupted anyway.
    let lets_others_run = (operations / 4096).clamp(64, 65_536);
    while done.granted + done.gave_up < operations {
        let patience = 1 + (done.granted ^ done.gave_up) % 4;
        let mut acquire = pin!(semaphore.acquire());
        let polled = (0..patience).map(|_| acquire.as_mut().poll(&mut cx));
        match polled.into_iter().find(Poll::is_ready) {
            Some(Poll::Ready(permit)) => {
                let permit = permit.expect("nobody closes it");
                // Not one operation: two holders at once, or one that does not see what the last one wrote, lose a count.
                let seen = guarded.load(Ordering::Relaxed);
                if seen.is_multiple_of(lets_others_run) {
                    std::thread::yield_now();
                }
                guarded.store(seen + 1, Ordering::Relaxed);
                drop(permit);
                done.granted += 1;
            }
            _ => done.gave_up += 1,
        }
    }
    done
}

#[test]
fn of_many_operations_under_contention_none_is_lost() {
    let total = if crate::is_nightly() { 1_000_000_000 } else { 400_000 };
    let (semaphore, guarded) = (Semaphore::new(1), AtomicU64::new(0));
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| ask_again_and_again(&semaphore, &guarded, total / THREADS)))
            .collect();
        threads.into_iter().fold(Done::default(), |sum, thread| {
            let Done { granted, gave_up } = thread.join().expect("no panic");
            Done { granted: sum.granted + granted, gave_up: sum.gave_up + gave_up }
        })
    });
    assert_eq!(all.granted + all.gave_up, total);
    assert_eq!(guarded.load(Ordering::Relaxed), all.granted, "{} gave up", all.gave_up);
    assert_eq!((semaphore.in_use(), semaphore.waiting(), semaphore.available()), (0, 0, 1));
}
