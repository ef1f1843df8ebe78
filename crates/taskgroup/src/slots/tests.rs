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
    for slot in parked.iter().take(3) {
        assert_eq!(slots.leave(*slot, false), Leaving::alone(false));
    }
    slots.close();
    assert_eq!(count.0.load(Ordering::Relaxed), 7);
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
        here.into_iter()
            .for_each(|slot| assert_eq!(slots.leave(slot, false), Leaving::alone(false)));
    }
    let entries: usize = slots.shards.iter().map(|shard| shard.list.lock().entries.len()).sum();
    assert_eq!(entries, 8);
}

#[test]
fn an_entry_is_as_small_as_a_waker() {
    assert_eq!(size_of::<Entry>(), size_of::<Waker>());
}

#[test]
fn those_taken_by_the_closing_leave_in_batches_and_each_is_counted_once() {
    const TASKS: u32 = 1000;
    let (_, waker) = counted();
    let slots = Slots::new();
    let parked: Vec<Slot> = (0..TASKS).map(|i| slots.park(i, &waker).expect("open")).collect();
    // Holes, so that some batches are smaller.
    let (early, late): (Vec<Slot>, Vec<Slot>) =
        parked.into_iter().partition(|slot| slot.0 % 7 == 0);
    early.iter().for_each(|slot| assert_eq!(slots.leave(*slot, false), Leaving::alone(false)));
    slots.close();
    let (mut told, mut tasks, mut cancelled) = (0, 0, 0);
    for (n, slot) in late.iter().enumerate() {
        let leaving = slots.leave(*slot, n % 3 != 0);
        told += u32::from(leaving.tasks != 0);
        tasks += leaving.tasks;
        cancelled += leaving.cancelled;
        assert!(tasks as usize <= n + 1, "nobody is taken off before it left");
    }
    assert_eq!(tasks as usize, late.len());
    assert_eq!(cancelled as usize, late.len() - late.len().div_ceil(3));
    assert_eq!(told, SHARDS * (TASKS / SHARDS).div_ceil(BATCH as u32));
}
