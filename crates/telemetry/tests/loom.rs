//! Every interleaving of the cells: hand-over of slots, one writer and a reader, and writers that share.
#![cfg(loom)]

/// What `cells.rs` is built from here: loom's types, and sizes that a model can bear.
mod sync {
    pub(crate) use std::sync::OnceLock;

    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::thread::yield_now;

    pub(crate) const CHUNK: usize = 4;
    pub(crate) const CHUNKS: usize = 2;
    pub(crate) const SLOTS: usize = 2;
}

#[path = "../src/cells.rs"]
#[expect(dead_code, reason = "a model uses a part")]
mod cells;

use cells::{Cells, Indices, Slots};
use loom::sync::atomic::AtomicUsize;
use loom::sync::{Arc, Mutex};
use loom::thread;

fn slots() -> Slots {
    Slots::new(Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicUsize::new(0))
}

/// A thread that lives for one count, as `local` has it.
fn count_once(slots: &Slots) {
    let slot = slots.take().expect("there are as many slots as threads");
    slots.set(slot).add(0, 1);
    slots.give(slot);
}

fn total(slots: &Slots) -> u64 {
    slots.sets().map(|cells| cells.get(0)).sum()
}

#[test]
fn a_slot_that_changes_hands_loses_no_count() {
    loom::model(|| {
        let slots = Arc::new(slots());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let slots = Arc::clone(&slots);
                thread::spawn(move || {
                    count_once(&slots);
                    count_once(&slots);
                })
            })
            .collect();
        // Meanwhile a reader sees no more than there is, and no less than before.
        let before = total(&slots);
        let after = total(&slots);
        assert!(before <= after && after <= 4);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(total(&slots), 4);
    });
}

#[test]
fn a_snapshot_has_whole_observations_only() {
    loom::model(|| {
        let cells = Arc::new(Cells::new());
        // The chunk exists before the threads do: its making is not what is modelled.
        cells.add(0, 0);
        let writer = {
            let cells = Arc::clone(&cells);
            thread::spawn(move || {
                cells.record(0, 0, 2.0);
                cells.record(0, 1, 3.0);
            })
        };
        let (mut scratch, mut counts) = ([0; 2], [0; 2]);
        let sum = cells.snapshot(0, &mut scratch, &mut counts);
        assert_eq!(sum, counts[0] as f64 * 2.0 + counts[1] as f64 * 3.0);
        assert!(counts[0] >= counts[1]);
        writer.join().unwrap();
    });
}

#[test]
fn writers_without_a_slot_lose_no_observation() {
    loom::model(|| {
        let cells = Arc::new(Cells::new());
        cells.add(0, 0);
        let other = {
            let cells = Arc::clone(&cells);
            thread::spawn(move || cells.record_shared(0, 0, 2.0))
        };
        cells.record_shared(0, 1, 3.0);
        other.join().unwrap();
        let (mut scratch, mut counts) = ([0; 2], [0; 2]);
        assert_eq!(cells.snapshot(0, &mut scratch, &mut counts), 5.0);
        assert_eq!(counts, [1, 1]);
    });
}

#[test]
fn an_index_that_is_used_again_begins_at_zero() {
    loom::model(|| {
        let slots = Arc::new(slots());
        let indices = Arc::new(Mutex::new(Indices::new()));
        let index = indices.lock().unwrap().allocate(1).unwrap();
        // The last handle is dropped by another thread than the one that counted.
        let counted = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || {
                let slot = slots.take().unwrap();
                slots.set(slot).add(index, 7);
                slot
            })
        };
        let slot = counted.join().unwrap();
        let cleaner = {
            let (slots, indices) = (Arc::clone(&slots), Arc::clone(&indices));
            thread::spawn(move || {
                slots.sets().for_each(|cells| cells.clear(index, 1));
                indices.lock().unwrap().release(index, 1);
            })
        };
        // Whoever gets the same index sees nothing of before.
        let again = indices.lock().unwrap().allocate(1).unwrap();
        if again == index {
            slots.set(slot).add(again, 1);
            assert_eq!(slots.sets().map(|cells| cells.get(again)).sum::<u64>(), 1);
        }
        cleaner.join().unwrap();
    });
}

/// The reader has a thread of its own: loom does not interleave what the main thread does right after a `spawn`.
#[test]
fn what_is_newer_than_the_sequence_is_not_read_with_it() {
    loom::model(|| {
        let cells = Arc::new(Cells::new());
        cells.record(0, 0, 0.0);
        let reader = {
            let cells = Arc::clone(&cells);
            thread::spawn(move || {
                let (mut scratch, mut counts) = ([0; 1], [0; 1]);
                let sum = cells.snapshot(0, &mut scratch, &mut counts);
                assert_eq!(sum, (counts[0] - 1) as f64 * 2.0);
            })
        };
        cells.record(0, 0, 2.0);
        reader.join().unwrap();
    });
}
