//! Series by the hash of their label values: an open-addressing table that readers search without a lock.
//!
//! Places are only ever filled. Growth and the sweeping out of removed series make a new table, and readers keep the old
//! one until they notice ([`Store`](crate::store::Store)).

use std::hint::black_box;

use crate::sync::{AtomicBool, AtomicU32, AtomicUsize, OnceLock, Ordering};

/// Series that are touched together before they are read.
const TOGETHER: usize = 16;
/// An index entry is 8 bits of hash and 24 bits of position, counted from 1.
pub(crate) const MAX_SERIES: usize = (1 << 24) - 1;

#[derive(Debug)]
pub(crate) struct Table<T> {
    /// Tells this table from every other of the process.
    pub(crate) generation: u64,
    /// A power of two of entries; 0 is empty.
    index: Box<[AtomicU32]>,
    /// In the order in which they were added.
    series: Box<[OnceLock<T>]>,
    len: AtomicUsize,
    superseded: AtomicBool,
}

impl<T> Table<T> {
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

    /// How many series were added.
    pub(crate) fn len(&self) -> usize {
        // ORDERING: Relaxed; a series that is counted and not seen yet is left out, and who was told of it sees both.
        self.len.load(Ordering::Relaxed)
    }

    /// The series with this hash for which `is` holds. That one is not found means only that it was not added before
    /// something that this thread knows of.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<&T> {
        let at = self.next(hash, hash as usize)?;
        let series = self.at(at)?;
        // Most often it is the first with the same tag.
        if is(series) { Some(series) } else { self.find_after(at, hash, is) }
    }

    #[cold]
    fn find_after(&self, mut at: usize, hash: u64, is: impl Fn(&T) -> bool) -> Option<&T> {
        loop {
            at = self.next(hash, at + 1)?;
            let series = self.at(at)?;
            if is(series) {
                return Some(series);
            }
        }
    }

    /// The first place from `at` on that has the tag of `hash`, unless an empty one comes before.
    #[inline]
    fn next(&self, hash: u64, mut at: usize) -> Option<usize> {
        let mask = self.index.len() - 1;
        loop {
            at &= mask;
            // ORDERING: Relaxed; the cell of the series carries what is in it, and one that is not seen yet is not found.
            let entry = self.index[at].load(Ordering::Relaxed);
            if entry == 0 {
                return None;
            }
            if entry >> 24 == tag(hash) {
                return Some(at);
            }
            at += 1;
        }
    }

    /// The series of a filled place, unless it is not seen yet.
    #[inline]
    fn at(&self, at: usize) -> Option<&T> {
        // ORDERING: Relaxed; as in `next`, which read it before.
        let entry = self.index[at].load(Ordering::Relaxed);
        self.get((entry & MAX_SERIES as u32) as usize - 1)
    }

    /// Adds a series; callers take turns, and the table is not full.
    pub(crate) fn add(&self, hash: u64, series: T) {
        let position = self.len();
        assert!(self.series[position].set(series).is_ok(), "a position is filled once");
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        // ORDERING: Relaxed; only adders write the index, and they take turns.
        while self.index[at].load(Ordering::Relaxed) != 0 {
            at = (at + 1) & mask;
        }
        // ORDERING: Relaxed, both; see `find` and `len`.
        self.index[at].store(tag(hash) << 24 | (position as u32 + 1), Ordering::Relaxed);
        self.len.store(position + 1, Ordering::Relaxed);
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

    /// Calls `visit` with each series, in the order in which they were added.
    ///
    /// Series lie all over the memory. Touching the next few together, which reads a little of everything that `visit`
    /// will read, lets their cache misses happen at the same time.
    pub(crate) fn each(&self, touch: impl Fn(&T) -> usize, visit: impl FnMut(&T)) {
        let mut visit = visit;
        let len = self.len();
        for from in (0..len).step_by(TOGETHER) {
            let block = || (from..len.min(from + TOGETHER)).filter_map(|i| self.get(i));
            black_box(block().fold(0, |sum: usize, series| sum.wrapping_add(touch(series))));
            block().for_each(&mut visit);
        }
    }

    /// Every series, in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    #[inline]
    fn get(&self, position: usize) -> Option<&T> {
        self.series.get(position)?.get()
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 56) as u32
}
