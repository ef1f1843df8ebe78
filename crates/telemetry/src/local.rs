//! The calling thread's cells, and the process-wide bank behind them.
//!
//! A thread takes a slot with its first count and gives it back when it ends. Without one (more than
//! [`SLOTS`](crate::sync::SLOTS) threads count, or the thread's locals are being destroyed) it counts in a shared set.

use std::cell::{Cell, OnceCell};

use crate::bank::Bank;
use crate::cells::{BUCKETS, Cells};
use crate::exemplar;
use crate::indices::Indices;
use crate::slots::Slots;
use crate::sync::{AtomicUsize, Mutex, empty};

static BANK: Bank = Bank::new(
    Slots::new(Mutex::new(Vec::new()), empty(), AtomicUsize::new(0), AtomicUsize::new(0)),
    Cells::new(empty()),
    Mutex::new(Indices::new()),
);

thread_local! {
    static MINE: Cell<Option<&'static Cells>> = const { Cell::new(None) };
    static LEASE: Lease = const { Lease { slot: OnceCell::new(), refused_at: Cell::new(None) } };
}

/// Gives the thread's slot back when the thread ends.
struct Lease {
    slot: OnceCell<usize>,
    /// How many slots had come back when none was free.
    refused_at: Cell<Option<usize>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What the thread counts from here on (in destructors of other locals) goes to the shared set.
        MINE.set(None);
        if let Some(slot) = self.slot.get() {
            BANK.slots.give(*slot);
        }
    }
}

/// The calling thread's cells, taken with its first use; `None` when it must use the shared set.
fn first_use() -> Option<&'static Cells> {
    LEASE
        .try_with(|lease| {
            let returned = BANK.slots.returned();
            if lease.refused_at.get() == Some(returned) {
                return None;
            }
            let Some(slot) = BANK.slots.take() else {
                lease.refused_at.set(Some(returned));
                return None;
            };
            lease.slot.set(slot).expect("a thread with a slot does not come here");
            MINE.set(Some(BANK.slots.set(slot)));
            MINE.get()
        })
        .ok()
        .flatten()
}

/// Reserves `width` cells, all zero; `None` when the process has no more.
pub(crate) fn allocate(width: u32) -> Option<u32> {
    BANK.allocate(width)
}

/// Returns cells to which no handle is left.
pub(crate) fn release(start: u32, width: u32) {
    exemplar::forget(start, width);
    BANK.release(start, width);
}

/// Adds to a counter.
#[inline]
pub(crate) fn add(index: u32, n: u64) {
    match MINE.get() {
        Some(cells) => cells.add(index, n),
        None => add_first(index, n),
    }
}

#[cold]
#[inline(never)]
fn add_first(index: u32, n: u64) {
    match first_use() {
        Some(cells) => cells.add(index, n),
        None => BANK.shared.add_shared(index, n),
    }
}

/// The total of a counter.
#[inline]
pub(crate) fn total(index: u32) -> u64 {
    BANK.total(index)
}

/// Adds to a counter of fractions.
#[inline]
pub(crate) fn add_float(index: u32, amount: f64) {
    match MINE.get() {
        Some(cells) => cells.add_float(index, amount),
        None => add_float_first(index, amount),
    }
}

#[cold]
#[inline(never)]
fn add_float_first(index: u32, amount: f64) {
    match first_use() {
        Some(cells) => cells.add_float(index, amount),
        None => BANK.shared.add_float_shared(index, amount),
    }
}

/// The total of a counter of fractions.
#[inline]
pub(crate) fn float_total(index: u32) -> f64 {
    BANK.float_total(index)
}

/// Records an observation of a histogram.
#[inline]
pub(crate) fn record(start: u32, bucket: usize, value: f64) {
    match MINE.get() {
        Some(cells) => cells.record(start, bucket, value),
        None => record_first(start, bucket, value),
    }
}

#[cold]
#[inline(never)]
fn record_first(start: u32, bucket: usize, value: f64) {
    match first_use() {
        Some(cells) => cells.record(start, bucket, value),
        None => BANK.shared.record_shared(start, bucket, value),
    }
}

/// Puts the observations in each bucket into `counts` and returns their sum.
pub(crate) fn observed(start: u32, scratch: &mut [u64], counts: &mut [u64]) -> f64 {
    BANK.observed(start, scratch, counts)
}

/// The cell of a bucket of the histogram that begins at `start`.
pub(crate) fn bucket_cell(start: u32, bucket: usize) -> u32 {
    start + (BUCKETS + bucket) as u32
}

/// How many cells a histogram with so many buckets needs.
pub(crate) fn histogram_width(buckets: usize) -> u32 {
    (BUCKETS + buckets) as u32
}

#[cfg(all(test, not(loom)))]
mod tests;
