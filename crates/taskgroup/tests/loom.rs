//! Interleavings of the core: the counter, the wake-up, the first error, the forced end, the wait for a place; and a whole
//! group, put together as `shared.rs` does it.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p tidegate-taskgroup --test loom --target-dir target/loom`
#![cfg(loom)]

use std::future::poll_fn;
use std::task::Poll;

use loom::future::{AtomicWaker, block_on};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use tidegate_taskgroup::core::{
    Entry, Grant, Ledger, Places, Slot, Slots, Tally, Turn, Waiters, Who, turn,
};
use tidegate_taskgroup::{Cause, Failure, FailureKind, Label, Outcome, Policy, Refused};

/// Models of three threads, explored up to so many preemptions: a bug here needs one or two.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// As the group does it: leave, and wake if nobody is left.
fn leave(tally: &Tally, waiters: &Waiters) {
    if tally.leave(1).live() == 0 {
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
                let _ = group.leave(slot, true);
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
                let _ = group.0.leave(slot, true);
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

/// Stands in the queue as `Spawner::place` does; a place at once is `None`.
fn ask(places: &Places<Grant>) -> Result<Option<(u64, Turn)>, Refused> {
    let (grant, turn) = turn();
    match places.enter(grant, false) {
        Entry::Now(_) => Ok(None),
        Entry::Later(ticket) => Ok(Some((ticket, turn))),
        Entry::Closed(_) => Err(Refused::Cancelled),
        Entry::Deadlock(_) => Err(Refused::WouldDeadlock),
    }
}

fn give_back(places: &Places<Grant>) {
    places.give_back(&mut Grant::give);
}

/// As `AwaitPlace` does when it is dropped.
fn give_up(places: &Places<Grant>, ticket: u64, turn: &Turn) {
    if turn.give_up() { give_back(places) } else { places.give_up(ticket) }
}

#[test]
fn a_place_given_to_one_who_gives_up_goes_to_the_next() {
    bounded(|| {
        let places = Arc::new(Places::new(1));
        assert!(places.try_enter());
        let (first, turn) = ask(&places).expect("open").expect("it is full");
        let (_, next) = ask(&places).expect("open").expect("it is full");
        let holder = {
            let places = Arc::clone(&places);
            thread::spawn(move || give_back(&places))
        };
        let waiter = {
            let places = Arc::clone(&places);
            thread::spawn(move || give_up(&places, first, &turn))
        };
        assert!(block_on(poll_fn(|cx| next.poll(cx))), "nobody closed");
        holder.join().expect("no panic");
        waiter.join().expect("no panic");
        give_back(&places);
        assert_eq!((places.running(), places.waiting()), (0, 0));
    });
}

#[test]
fn who_waits_for_a_place_while_the_group_is_cancelled_and_a_task_ends_is_told_once() {
    bounded(|| {
        let places = Arc::new(Places::new(1));
        assert!(places.try_enter());
        let holder = {
            let places = Arc::clone(&places);
            thread::spawn(move || give_back(&places))
        };
        let canceller = {
            let places = Arc::clone(&places);
            thread::spawn(move || places.close())
        };
        let given = match ask(&places) {
            Ok(None) => true,
            Ok(Some((_, turn))) => block_on(poll_fn(|cx| turn.poll(cx))),
            Err(refused) => {
                assert_eq!(refused, Refused::Cancelled);
                false
            }
        };
        if given {
            give_back(&places);
        }
        holder.join().expect("no panic");
        canceller.join().expect("no panic");
        assert_eq!((places.running(), places.waiting()), (0, 0), "every place is back");
        assert!(!places.try_enter(), "it is closed");
    });
}

/// Cancelled, released and given up at once: whoever had the place, it is back.
#[test]
fn one_who_gives_up_while_the_group_is_cancelled_and_a_task_ends_keeps_no_place() {
    bounded(|| {
        let places = Arc::new(Places::new(1));
        assert!(places.try_enter());
        let (ticket, turn) = ask(&places).expect("open").expect("it is full");
        let others = [give_back as fn(&Places<Grant>), Places::close].map(|act| {
            let places = Arc::clone(&places);
            thread::spawn(move || act(&places))
        });
        give_up(&places, ticket, &turn);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        assert_eq!((places.running(), places.waiting()), (0, 0), "every place is back");
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
