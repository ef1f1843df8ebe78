use std::task::Waker;
use std::time::Duration;

use crate::Builder;
use crate::tally::Who;

use super::*;

fn size_beside<F: Future<Output = Result<(), String>>>(child: &F) -> usize {
    size_of::<Child<F, (), (), String>>() - size_of_val(child)
}

#[test]
fn what_stands_beside_a_child_is_a_pointer_two_numbers_and_a_tag() {
    assert!(size_beside(&async { Ok(()) }) <= 24);
    let captured = 5_u64;
    let capturing = async move {
        std::hint::black_box(captured);
        Ok(())
    };
    assert!(size_beside(&capturing) <= 24);
}

/// What a task counts as that is dropped after the forced end, and what was done to it before.
fn dropped_when_forced(
    slot: Slot,
    before: impl FnOnce(&mut Pin<Box<dyn Future<Output = ()>>>),
) -> (usize, usize) {
    let settings = Builder::<(), String>::new().grace(Duration::from_secs(1));
    let shared: Arc<Shared<(), String>> = Shared::new(settings.into_settings(false));
    let index = shared.enter(Who::Task).expect("open").admitted();
    let child = Child::new(std::future::pending(), (), Arc::clone(&shared), index);
    let mut child: Pin<Box<dyn Future<Output = ()>>> = Box::pin(child.started(slot));
    before(&mut child);
    shared.slots.close();
    drop(child);
    let closed = shared.tally.close_if_empty().expect("it is gone");
    let after = shared.settle(closed).expect_err("it was cut short").aftermath;
    (after.cancelled, after.aborted_count)
}

#[test]
fn a_task_that_never_began_had_no_grace_to_outstay() {
    for slot in [Slot::UNPOLLED, Slot::ON_ITS_OWN] {
        assert_eq!(dropped_when_forced(slot, |_| {}), (1, 0));
    }
    let poll = |child: &mut Pin<Box<dyn Future<Output = ()>>>| {
        assert!(child.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    };
    for slot in [Slot::UNPOLLED, Slot::ON_ITS_OWN] {
        assert_eq!(dropped_when_forced(slot, poll), (0, 1));
    }
    let parked = |child: &mut Pin<Box<dyn Future<Output = ()>>>| (0..2).for_each(|_| poll(child));
    assert_eq!(dropped_when_forced(Slot::UNPOLLED, parked), (0, 1));
}
