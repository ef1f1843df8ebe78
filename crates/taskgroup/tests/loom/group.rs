//! The first error, and a whole group put together.

use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use tidegate_taskgroup::core::{Ledger, Slot, Slots, Tally, Waiters, Who};
use tidegate_taskgroup::{Cause, Failure, FailureKind, Label, Outcome, Policy, Refused};

use super::{bounded, wait};

#[test]
fn the_first_error_is_the_only_cause_and_only_its_finder_cancels() {
    bounded(|| {
        let ledger = Mutex::new(Ledger::<(), u32>::new(Policy::FailFast, 4, false));
        let group = Arc::new((Tally::new(), ledger, AtomicUsize::new(0)));
        for _ in 0..2 {
            group.0.enter(Who::Task).expect("open");
        }
        let tasks: Vec<_> = (0..2)
            .map(|task| {
                let group = Arc::clone(&group);
                thread::spawn(move || {
                    let label = Label { index: task, name: None };
                    let after = group.1.lock().expect("whole").record(label, Outcome::Failed(task));
                    if after.cancel && !group.0.cancel().is_cancelled() {
                        group.2.fetch_add(1, Ordering::Relaxed);
                    }
                    group.0.leave(1);
                })
            })
            .collect();
        // Whoever sees the cancellation is refused.
        if group.0.seen().is_cancelled() {
            assert_eq!(group.0.enter(Who::Task).err(), Some(Refused::Cancelled));
        }
        tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        assert_eq!(group.2.load(Ordering::Relaxed), 1, "one carries the cancellation on");
        let error = group.1.lock().expect("whole").settle(0).expect_err("two failed");
        let Cause::Task(Failure { kind: FailureKind::Failed(first), .. }) = error.cause else {
            panic!("a task is the cause")
        };
        let followers: Vec<u32> = error.aftermath.followers.iter().map(|f| f.task.index).collect();
        assert_eq!(followers, [1 - first], "the other follows");
    });
}

/// What `Shared` is made of, as it puts it together.
struct Group {
    tally: Tally,
    slots: Slots,
    waiters: Waiters,
    ledger: Mutex<Ledger<(), u32>>,
    cancelled: AtomicUsize,
    dropped: AtomicUsize,
}

impl Group {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            tally: Tally::new(),
            slots: Slots::new(),
            waiters: Waiters::new(),
            ledger: Mutex::new(Ledger::new(Policy::FailFast, 4, false)),
            cancelled: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
        })
    }

    /// As `Shared::end`: the future is gone, then the outcome is told, then the count.
    fn end(&self, index: u32, outcome: Outcome<(), u32>, slot: Slot) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        let cancelled = matches!(outcome, Outcome::Cancelled);
        if !cancelled {
            let label = Label { index, name: None };
            let after = self.ledger.lock().expect("whole").record(label, outcome);
            if after.cancel && !self.tally.cancel().is_cancelled() {
                self.slots.close();
            }
        }
        let leaving = self.slots.leave(slot, cancelled);
        self.cancelled.fetch_add(leaving.cancelled as usize, Ordering::Relaxed);
        if leaving.tasks != 0 && self.tally.leave(leaving.tasks).live() == 0 {
            self.waiters.wake_all();
        }
    }

    /// As `Child::poll` of a future that is pending for ever.
    fn sleep(&self, index: u32) {
        let mut slot = Slot::NONE;
        block_on(poll_fn(|cx| {
            if self.slots.is_closed() {
                return Poll::Ready(());
            }
            if slot == Slot::NONE {
                match self.slots.park(index, cx.waker()) {
                    Some(parked) => slot = parked,
                    None => return Poll::Ready(()),
                }
            }
            Poll::Pending
        }));
        self.end(index, Outcome::Cancelled, slot);
    }
}

#[test]
fn a_failure_ends_a_sleeper_and_the_wait_with_each_task_told_of_once() {
    bounded(|| {
        let group = Group::new();
        for _ in 0..2 {
            group.tally.enter(Who::Task).expect("open");
        }
        let sleeper = {
            let group = Arc::clone(&group);
            thread::spawn(move || group.sleep(0))
        };
        let failing = {
            let group = Arc::clone(&group);
            thread::spawn(move || group.end(1, Outcome::Failed(7), Slot::NONE))
        };
        block_on(wait(&group.tally, &group.waiters));
        assert_eq!(group.dropped.load(Ordering::Relaxed), 2, "alive after the wait");
        let cancelled = group.cancelled.load(Ordering::Relaxed);
        let error = group.ledger.lock().expect("whole").settle(cancelled).expect_err("one failed");
        assert_eq!((error.aftermath.cancelled, error.aftermath.followers.len()), (1, 0));
        assert_eq!(error.into_error(), Some(7));
        sleeper.join().expect("no panic");
        failing.join().expect("no panic");
    });
}

/// Two parked in one batch: the last to leave speaks for both, and what the first did is seen.
#[test]
fn sleepers_of_one_batch_leave_together_and_the_wait_sees_what_both_did() {
    bounded(|| {
        let group = Group::new();
        let waker = std::task::Waker::noop();
        // Indices of one shard, parked before.
        let slots = [0, 4].map(|index| {
            group.tally.enter(Who::Task).expect("open");
            group.slots.park(index, waker).expect("open")
        });
        let tasks = slots.map(|slot| {
            let group = Arc::clone(&group);
            thread::spawn(move || group.end(0, Outcome::Cancelled, slot))
        });
        group.slots.close();
        block_on(wait(&group.tally, &group.waiters));
        assert_eq!(group.dropped.load(Ordering::Relaxed), 2, "alive after the wait");
        assert_eq!(group.cancelled.load(Ordering::Relaxed), 2, "each counted once");
        tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        assert_eq!(group.tally.seen().live(), 0);
    });
}
