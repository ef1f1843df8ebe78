//! Interleavings of the core: the counter, the wake-up, the first error, the forced end.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p tidegate-taskgroup --test loom --target-dir target/loom`
#![cfg(loom)]

use std::future::poll_fn;
use std::task::Poll;

use loom::future::{AtomicWaker, block_on};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use tidegate_taskgroup::core::{Ledger, Slot, Slots, Tally, Waiters, Who};
use tidegate_taskgroup::{Cause, Failure, FailureKind, Label, Outcome, Policy, Refused};

/// Models of three threads, explored up to so many preemptions: a bug here needs one or two.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// As the group does it: leave, and wake if nobody is left.
fn leave(tally: &Tally, waiters: &Waiters) {
    if tally.leave().live() == 0 {
        waiters.wake_all();
    }
}

/// As `Wait` does it: look, register, look again.
async fn wait(tally: &Tally, waiters: &Waiters) {
    let mut ticket = None;
    poll_fn(|cx| {
        if tally.close_if_empty().is_some() {
            return Poll::Ready(());
        }
        ticket = Some(waiters.register(ticket, cx.waker()));
        if tally.close_if_empty().is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn the_wait_ends_and_sees_what_every_task_did() {
    bounded(|| {
        let done = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let group = Arc::new((Tally::new(), Waiters::new(), done));
        for _ in 0..2 {
            group.0.enter(Who::Task).expect("open");
        }
        let tasks: Vec<_> = (0..2)
            .map(|task| {
                let group = Arc::clone(&group);
                thread::spawn(move || {
                    // Relaxed: only the tally can make the owner see it.
                    group.2[task].store(1, Ordering::Relaxed);
                    leave(&group.0, &group.1);
                })
            })
            .collect();
        block_on(wait(&group.0, &group.1));
        assert!(group.2.iter().all(|done| done.load(Ordering::Relaxed) == 1));
        assert!(group.0.enter(Who::Task).is_err());
        tasks.into_iter().for_each(|task| task.join().expect("no panic"));
    });
}

#[test]
fn a_task_that_spawns_during_the_wait_is_waited_for_or_refused() {
    bounded(|| {
        let group = Arc::new((Tally::new(), Waiters::new(), AtomicUsize::new(0)));
        group.0.enter(Who::Task).expect("open");
        let inside = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                group.0.enter(Who::Task).expect("open while a task lives");
                leave(&group.0, &group.1);
                group.2.fetch_add(1, Ordering::Relaxed);
                leave(&group.0, &group.1);
            })
        };
        let outside = {
            let group = Arc::clone(&group);
            thread::spawn(move || match group.0.enter(Who::Task) {
                Ok(_) => {
                    group.2.fetch_add(1, Ordering::Relaxed);
                    leave(&group.0, &group.1);
                    1
                }
                Err(refused) => {
                    assert_eq!(refused, Refused::Closed);
                    0
                }
            })
        };
        block_on(wait(&group.0, &group.1));
        let done = group.2.load(Ordering::Relaxed);
        let accepted = outside.join().expect("no panic");
        inside.join().expect("no panic");
        assert_eq!(done, 1 + accepted, "accepted, and not waited for");
        assert_eq!(group.0.seen().live(), 0);
    });
}

#[test]
fn two_waits_both_end() {
    bounded(|| {
        let group = Arc::new((Tally::new(), Waiters::new()));
        group.0.enter(Who::Task).expect("open");
        let task = {
            let group = Arc::clone(&group);
            thread::spawn(move || leave(&group.0, &group.1))
        };
        let other = {
            let group = Arc::clone(&group);
            thread::spawn(move || block_on(wait(&group.0, &group.1)))
        };
        block_on(wait(&group.0, &group.1));
        other.join().expect("no panic");
        task.join().expect("no panic");
    });
}

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
                    group.0.leave();
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

/// A task that parks as a child does: look, poll, park, and give up if the slots are closed.
#[test]
fn a_task_that_parks_while_the_group_is_forced_is_woken_or_does_not_park() {
    loom::model(|| {
        let group = Arc::new(Slots::new());
        let task = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                let mut slot = Slot::NONE;
                block_on(poll_fn(|cx| {
                    if group.is_closed() {
                        return Poll::Ready(());
                    }
                    if slot == Slot::NONE {
                        match group.park(0, cx.waker()) {
                            Some(parked) => slot = parked,
                            None => return Poll::Ready(()),
                        }
                    }
                    Poll::Pending
                }));
                group.leave(slot);
            })
        };
        group.close();
        task.join().expect("no panic");
    });
}

#[test]
fn a_task_that_ends_while_the_group_is_forced_leaves_nothing_behind() {
    bounded(|| {
        let group = Arc::new((Slots::new(), AtomicWaker::new(), AtomicBool::new(false)));
        let task = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                let mut slot = Slot::NONE;
                block_on(poll_fn(|cx| {
                    group.1.register_by_ref(cx.waker());
                    if group.2.load(Ordering::Acquire) || group.0.is_closed() {
                        return Poll::Ready(());
                    }
                    if slot == Slot::NONE {
                        match group.0.park(0, cx.waker()) {
                            Some(parked) => slot = parked,
                            None => return Poll::Ready(()),
                        }
                    }
                    Poll::Pending
                }));
                group.0.leave(slot);
            })
        };
        let other = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                group.2.store(true, Ordering::Release);
                group.1.wake();
            })
        };
        group.0.close();
        other.join().expect("no panic");
        task.join().expect("no panic");
    });
}
