//! Every interleaving of what threads do without a lock: cells and the hand-over of slots and indices, holds, the table.
//!
//! The actors of each model are threads of their own, none of them the main one. Each model names the lines it guards:
//! it was seen to fail with each of them broken.
#![cfg(loom)]

/// What the parts are built from here: loom's types, and sizes that a model can bear.
mod sync {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use loom::thread::yield_now;

    pub(crate) use crate::once::{OnceLock, empty};

    pub(crate) const CHUNK: usize = 4;
    pub(crate) const CHUNKS: usize = 2;
    pub(crate) const SLOTS: usize = 2;
    pub(crate) const SPINS: u32 = 1;
}

#[path = "../src/bank.rs"]
#[expect(dead_code, reason = "a model uses a part")]
mod bank;
#[path = "../src/cells.rs"]
mod cells;
#[path = "../src/hold.rs"]
#[expect(dead_code, reason = "a model uses a part")]
mod hold;
#[path = "../src/indices.rs"]
mod indices;
#[path = "loom/once.rs"]
mod once;
#[path = "../src/slots.rs"]
#[expect(dead_code, reason = "a model uses a part")]
mod slots;
#[path = "../src/table.rs"]
#[expect(dead_code, reason = "a model uses a part")]
mod table;

use bank::Bank;
use cells::Cells;
use hold::Hold;
use indices::Indices;
use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use once::empty;
use slots::Slots;
use table::Table;

fn bank() -> Arc<Bank> {
    let (high, returned) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let slots = Slots::new(Mutex::new(Vec::new()), empty(), high, returned);
    Arc::new(Bank::new(slots, Cells::new(empty()), Mutex::new(Indices::new())))
}

/// A thread that lives for one count, as `local` has it.
fn count_once(bank: &Bank, index: u32, n: u64) {
    let slot = bank.slots.take().expect("there are as many slots as threads");
    bank.slots.set(slot).add(index, n);
    bank.slots.give(slot);
}

/// Runs each with `shared` in a thread of its own, and waits for all.
fn together<T: Send + Sync + 'static>(shared: &Arc<T>, actors: Vec<fn(&T)>) {
    let threads: Vec<_> = actors
        .into_iter()
        .map(|actor| {
            let shared = Arc::clone(shared);
            thread::spawn(move || actor(&shared))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
}

/// Guards `free.pop()` in `Slots::take` (with `free.last().copied()` two threads own a slot), and that `Cells::add` goes
/// on from what is in the cell.
#[test]
fn a_slot_that_changes_hands_loses_no_count() {
    loom::model(|| {
        let bank = bank();
        let counts: fn(&Bank) = |bank| (0..2).for_each(|_| count_once(bank, 0, 1));
        together(&bank, vec![counts, counts]);
        assert_eq!(bank.total(0), 4);
    });
}

/// Guards that a count is one store in `Cells::add`: with a zero stored before it, a reading can be below the one before.
#[test]
fn two_readings_never_go_down() {
    loom::model(|| {
        let bank = bank();
        count_once(&bank, 0, 0);
        let counts: fn(&Bank) = |bank| (0..2).for_each(|_| count_once(bank, 0, 1));
        let reads: fn(&Bank) = |bank| {
            let before = bank.total(0);
            let after = bank.total(0);
            assert!(before <= after && after <= 2, "{before}, then {after}");
        };
        together(&bank, vec![counts, reads]);
    });
}

/// A count, and a word about it.
struct Told {
    bank: Arc<Bank>,
    told: AtomicBool,
}

/// Guards that `Slots::take` stores `high` at all before the count is made, and that `Relaxed` is enough for it.
#[test]
fn whoever_is_told_of_a_count_reads_it() {
    loom::model(|| {
        let told = Arc::new(Told { bank: bank(), told: AtomicBool::new(false) });
        let counts: fn(&Told) = |it| {
            let slot = it.bank.slots.take().unwrap();
            it.bank.slots.set(slot).add(0, 1);
            it.told.store(true, Ordering::Release);
        };
        let reads: fn(&Told) = |it| {
            if it.told.load(Ordering::Acquire) {
                assert_eq!(it.bank.total(0), 1);
            }
        };
        together(&told, vec![counts, reads]);
    });
}

/// Guards that `Bank::release` clears the cells before it releases their indices.
#[test]
fn an_index_that_is_used_again_begins_at_zero() {
    loom::model(|| {
        let bank = bank();
        let index = bank.allocate(1).unwrap();
        assert_eq!(index, 0);
        // Whoever counted has dropped its handle.
        count_once(&bank, index, 7);
        let releases: fn(&Bank) = |bank| bank.release(0, 1);
        let allocates: fn(&Bank) = |bank| {
            if bank.allocate(1).unwrap() == 0 {
                count_once(bank, 0, 1);
                assert_eq!(bank.total(0), 1);
            }
        };
        together(&bank, vec![releases, allocates]);
    });
}

/// Guards in `Cells`: the odd sequence and the Release store in `record`; the first Acquire and the second reading of the
/// sequence in `snapshot`.
#[test]
fn a_snapshot_has_whole_observations_only() {
    // A reader that tries again and again has no end of interleavings: those with three preemptions are enough.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let cells = Arc::new(Cells::new(empty()));
        // The chunk exists before the threads do: its making is not what is modelled.
        cells.add(0, 0);
        let writes: fn(&Cells) = |cells| {
            cells.record(0, 0, 2.0);
            cells.record(0, 1, 3.0);
        };
        let reads: fn(&Cells) = |cells| {
            let (mut scratch, mut counts) = ([0; 2], [0; 2]);
            let sum = cells.snapshot(0, &mut scratch, &mut counts);
            assert_eq!(sum, counts[0] as f64 * 2.0 + counts[1] as f64 * 3.0);
            assert!(counts[0] >= counts[1]);
        };
        together(&cells, vec![writes, reads]);
    });
}

/// Guards the Release fence in `write` and the Acquire fence in `Cells::snapshot`.
#[test]
fn what_is_newer_than_the_sequence_is_not_read_with_it() {
    loom::model(|| {
        let cells = Arc::new(Cells::new(empty()));
        cells.record(0, 0, 0.0);
        let writes: fn(&Cells) = |cells| cells.record(0, 0, 2.0);
        let reads: fn(&Cells) = |cells| {
            let (mut scratch, mut counts) = ([0; 1], [0; 1]);
            let sum = cells.snapshot(0, &mut scratch, &mut counts);
            assert_eq!(sum, (counts[0] - 1) as f64 * 2.0);
        };
        together(&cells, vec![writes, reads]);
    });
}

/// Guards the exchange with its Acquire, and the Release store, in `Cells::record_shared`.
#[test]
fn writers_without_a_slot_lose_no_observation() {
    loom::model(|| {
        let cells = Arc::new(Cells::new(empty()));
        cells.add(0, 0);
        let one: fn(&Cells) = |cells| cells.record_shared(0, 0, 2.0);
        let other: fn(&Cells) = |cells| cells.record_shared(0, 1, 3.0);
        together(&cells, vec![one, other]);
        let (mut scratch, mut counts) = ([0; 2], [0; 2]);
        assert_eq!(cells.snapshot(0, &mut scratch, &mut counts), 5.0);
        assert_eq!(counts, [1, 1]);
    });
}

/// Guards that `Cells::add_shared` and `Cells::add_float_shared` are read-modify-writes.
#[test]
fn writers_without_a_slot_lose_no_count() {
    loom::model(|| {
        let cells = Arc::new(Cells::new(empty()));
        let counts: fn(&Cells) = |cells| {
            cells.add_shared(0, 1);
            cells.add_float_shared(1, 0.5);
        };
        together(&cells, vec![counts, counts]);
        // Once nobody else writes, an owner goes on from there.
        cells.add_float(1, 0.5);
        assert_eq!((cells.get(0), f64::from_bits(cells.get(1))), (2, 1.5));
    });
}

/// Guards that `Hold::remove_unheld` looks and removes in one step.
#[test]
fn what_was_taken_live_stays() {
    loom::model(|| {
        let hold = Arc::new(Hold::new());
        let takes: fn(&Hold) = |hold| {
            let live = hold.take();
            assert_eq!(live, !hold.is_removed());
            hold.give();
        };
        let removes: fn(&Hold) = |hold| assert_eq!(hold.remove_unheld(), hold.is_removed());
        together(&hold, vec![takes, removes]);
        assert!(!hold.is_held());
    });
}

/// Guards the Release in `Hold::give` and the Acquire in `Hold::is_held`.
#[test]
fn who_sees_no_holder_sees_what_the_holders_wrote() {
    struct Held {
        hold: Hold,
        value: AtomicU64,
    }
    loom::model(|| {
        let held = Arc::new(Held { hold: Hold::new(), value: AtomicU64::new(0) });
        assert!(held.hold.take());
        let writes: fn(&Held) = |it| {
            it.value.store(1, Ordering::Relaxed);
            it.hold.give();
        };
        let looks: fn(&Held) = |it| {
            if !it.hold.is_held() {
                assert_eq!(it.value.load(Ordering::Relaxed), 1);
            }
        };
        together(&held, vec![writes, looks]);
    });
}

/// Guards that `Table::find` takes a place that is not filled yet for a miss, and that `Relaxed` is enough in the table.
#[test]
fn what_is_found_in_a_table_is_what_was_added() {
    struct Added {
        table: Table<u64>,
        told: AtomicBool,
    }
    loom::model(|| {
        let added = Arc::new(Added { table: Table::new(1, 2), told: AtomicBool::new(false) });
        // The same place in the index for both, and the same tag.
        let adds: fn(&Added) = |it| {
            it.table.add(8, 7);
            it.table.add(8, 9);
            it.told.store(true, Ordering::Release);
        };
        let finds: fn(&Added) = |it| {
            let told = it.told.load(Ordering::Acquire);
            let found = it.table.find(8, |n| *n == 9).copied();
            assert!(found == Some(9) || found.is_none() && !told, "{found:?}, told {told}");
            let all: Vec<u64> = it.table.iter().copied().collect();
            assert!(found.is_none() || all == [7, 9] || !told, "{all:?}");
        };
        together(&added, vec![adds, finds]);
    });
}
