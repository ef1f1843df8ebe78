//! The counter and those who wait until nobody lives.

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use tidegate_taskgroup::Refused;
use tidegate_taskgroup::core::{Tally, Waiters, Who};

use super::{bounded, wait};

/// As the group does it: leave, and wake if nobody is left.
fn leave(tally: &Tally, waiters: &Waiters) {
    if tally.leave(1).live() == 0 {
        waiters.wake_all();
    }
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

/// Two spawn the first task of a group below, as `Shared::enter` and `Shared::leave` do it, while its parent is waited for.
#[test]
fn the_wait_of_the_parent_covers_whoever_comes_first_into_its_child() {
    bounded(|| {
        let done = AtomicUsize::new(0);
        let family = Arc::new((Tally::new(), Waiters::new(), Tally::new(), done));
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let family = Arc::clone(&family);
                thread::spawn(move || {
                    let (above, waiters, below, done) = &*family;
                    let hold = || above.enter(Who::ChildGroup).map(drop);
                    let release = || leave(above, waiters);
                    if below.enter_below(Who::Task, hold, release).is_err() {
                        return 0;
                    }
                    // Relaxed: only the tallies can make the owner of the parent see it.
                    done.fetch_add(1, Ordering::Relaxed);
                    if below.leave(1).live() == 0 {
                        leave(above, waiters);
                    }
                    1
                })
            })
            .collect();
        block_on(wait(&family.0, &family.1));
        let done = family.3.load(Ordering::Relaxed);
        let accepted: usize = tasks.into_iter().map(|task| task.join().expect("no panic")).sum();
        assert_eq!(done, accepted, "accepted, and not waited for");
        assert_eq!((family.0.seen().live(), family.2.seen().live()), (0, 0));
    });
}
