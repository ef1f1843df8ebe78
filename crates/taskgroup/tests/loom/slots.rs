//! The forced end of parked tasks.

use std::future::poll_fn;
use std::task::Poll;

use loom::future::{AtomicWaker, block_on};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use tidegate_taskgroup::core::{Slot, Slots};

use super::bounded;

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
