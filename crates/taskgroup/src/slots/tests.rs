use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    (Arc::clone(&count), Waker::from(count))
}

#[test]
fn closing_wakes_each_parked_task_once_and_those_who_left_never() {
    let (count, waker) = counted();
    let slots = Slots::new();
    let parked: Vec<Slot> = (0..10).map(|index| slots.park(index, &waker).expect("open")).collect();
    parked.iter().take(3).for_each(|slot| slots.leave(*slot));
    slots.close();
    assert_eq!(count.0.load(Ordering::Relaxed), 7);
    parked.iter().skip(3).for_each(|slot| slots.leave(*slot));
    assert_eq!(Arc::strong_count(&count), 2, "no waker is kept");
}

#[test]
fn closed_slots_take_nobody() {
    let (_, waker) = counted();
    let slots = Slots::new();
    slots.close();
    assert_eq!(slots.park(0, &waker), None);
}

#[test]
fn places_are_used_again_so_that_memory_follows_those_parked_at_a_time() {
    let (_, waker) = counted();
    let slots = Slots::new();
    for round in 0..1000 {
        let here: Vec<_> =
            (0..8).map(|i| slots.park(round * 8 + i, &waker).expect("open")).collect();
        here.into_iter().for_each(|slot| slots.leave(slot));
    }
    let entries: usize = slots.shards.iter().map(|shard| shard.lock().entries.len()).sum();
    assert_eq!(entries, 8);
}

#[test]
fn an_entry_is_as_small_as_a_waker() {
    assert_eq!(size_of::<Entry>(), size_of::<Waker>());
}
