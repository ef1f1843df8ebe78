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

/// What a task counts as that is dropped after the forced end.
fn dropped_when_forced(started: bool) -> (usize, usize) {
    let settings = Builder::<(), String>::new().grace(Duration::from_secs(1));
    let shared: Arc<Shared<(), String>> = Shared::new(settings.into_settings(false));
    let index = shared.enter(Who::Task).expect("open").admitted();
    let child = Child::new(std::future::pending(), (), Arc::clone(&shared), index);
    shared.slots.close();
    if started {
        drop(child.started())
    } else {
        drop(child)
    }
    let closed = shared.tally.close_if_empty().expect("it is gone");
    let after = shared.settle(closed).expect_err("it was cut short").aftermath;
    (after.cancelled, after.aborted_count)
}

#[test]
fn a_task_that_never_began_had_no_grace_to_outstay() {
    assert_eq!(dropped_when_forced(true), (0, 1));
    assert_eq!(dropped_when_forced(false), (1, 0));
}
