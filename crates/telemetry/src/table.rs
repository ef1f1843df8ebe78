//! Series by label values: an open-addressing table that readers search without a lock.
//!
//! Slots are only ever filled; removal marks the series. Growth and the sweeping out of removed series make a new table,
//! and readers keep the old one until they notice ([`Store`](crate::store::Store)).

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::series::Series;

/// Series that are touched together before they are read.
const TOGETHER: usize = 16;
/// An index entry is 8 bits of hash and 24 bits of position, counted from 1.
pub(crate) const MAX_SERIES: usize = (1 << 24) - 1;

#[derive(Debug)]
pub(crate) struct Table<M> {
    /// Tells this table from every other of the process.
    pub(crate) generation: u64,
    /// A power of two of entries; 0 is empty.
    index: Box<[AtomicU32]>,
    /// In the order in which they were added.
    series: Box<[OnceLock<Arc<Series<M>>>]>,
    len: AtomicUsize,
    superseded: AtomicBool,
}

impl<M> Table<M> {
    /// An empty table for `capacity` series.
    pub(crate) fn new(generation: u64, capacity: usize) -> Self {
        let entries = (capacity * 4 / 3 + 1).next_power_of_two();
        Self {
            generation,
            index: (0..entries).map(|_| AtomicU32::new(0)).collect(),
            series: (0..capacity).map(|_| OnceLock::new()).collect(),
            len: AtomicUsize::new(0),
            superseded: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.series.len().min(MAX_SERIES)
    }

    /// How many series were added, removed ones included.
    pub(crate) fn len(&self) -> usize {
        // ORDERING: Acquire; pairs with the Release in `add`: a series counted here can be read.
        self.len.load(Ordering::Acquire)
    }

    /// The live series with this hash for which `is` holds.
    #[inline]
    pub(crate) fn find(
        &self,
        hash: u64,
        is: impl Fn(&Series<M>) -> bool,
    ) -> Option<&Arc<Series<M>>> {
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            // ORDERING: Acquire; pairs with the Release in `add`: the series of a filled entry can be read.
            let entry = self.index[at].load(Ordering::Acquire);
            if entry == 0 {
                return None;
            }
            if entry >> 24 == tag(hash) {
                let series = self.get((entry & MAX_SERIES as u32) as usize - 1)?;
                if is(series) && !series.is_removed() {
                    return Some(series);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a series; callers take turns, and the table is not full.
    pub(crate) fn add(&self, hash: u64, series: Arc<Series<M>>) {
        // ORDERING: Relaxed; only adders write it, and they take turns.
        let position = self.len.load(Ordering::Relaxed);
        assert!(self.series[position].set(series).is_ok(), "a position is filled once");
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        // ORDERING: Relaxed; as `len`.
        while self.index[at].load(Ordering::Relaxed) != 0 {
            at = (at + 1) & mask;
        }
        // ORDERING: Release, both; pair with the Acquires in `find` and `len`.
        self.index[at].store(tag(hash) << 24 | (position as u32 + 1), Ordering::Release);
        self.len.store(position + 1, Ordering::Release);
    }

    /// Says that nobody needs this table any more.
    pub(crate) fn supersede(&self) {
        // ORDERING: Relaxed; a hint to let go of it.
        self.superseded.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_superseded(&self) -> bool {
        // ORDERING: Relaxed; as `supersede`.
        self.superseded.load(Ordering::Relaxed)
    }

    /// Calls `visit` with each live series, in the order in which they were added.
    ///
    /// Series lie all over the memory. Touching the next few together lets their cache misses happen at the same time.
    pub(crate) fn each(&self, mut visit: impl FnMut(&Arc<Series<M>>)) {
        let len = self.len();
        for from in (0..len).step_by(TOGETHER) {
            let block = || (from..len.min(from + TOGETHER)).filter_map(|i| self.get(i));
            black_box(block().fold(0, |sum: usize, series| sum.wrapping_add(series.touch())));
            block().filter(|series| !series.is_removed()).for_each(&mut visit);
        }
    }

    /// Live series, in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Series<M>>> {
        (0..self.len()).filter_map(|i| self.get(i)).filter(|series| !series.is_removed())
    }

    #[inline]
    fn get(&self, position: usize) -> Option<&Arc<Series<M>>> {
        self.series.get(position)?.get()
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 56) as u32
}
