//! Which thread owns which set of cells.
//!
//! ```text
//! slot:   free --take--> owned by one thread --give--> free      (the mutex carries the hand-over)
//! ```

use crate::cells::Cells;
use crate::sync::{AtomicUsize, Mutex, OnceLock, Ordering, SLOTS, empty};

/// Which thread owns which set of cells.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Mutex<Vec<usize>>,
    sets: [OnceLock<Box<Cells>>; SLOTS],
    /// Sets below this number exist.
    high: AtomicUsize,
    /// How often a slot came back: a thread that found none looks again when this has changed.
    returned: AtomicUsize,
}

impl Slots {
    /// From parts that are empty or zero, which a model cannot make in a constant.
    pub(crate) const fn new(
        free: Mutex<Vec<usize>>,
        sets: [OnceLock<Box<Cells>>; SLOTS],
        high: AtomicUsize,
        returned: AtomicUsize,
    ) -> Self {
        Self { free, sets, high, returned }
    }

    /// A slot for the calling thread, unless all are owned.
    pub(crate) fn take(&self) -> Option<usize> {
        let mut free = self.free.lock().expect("nothing panics while the lock is held");
        if let Some(slot) = free.pop() {
            return Some(slot);
        }
        // ORDERING: Relaxed; written under the lock that we hold.
        let slot = self.high.load(Ordering::Relaxed);
        if slot == SLOTS {
            return None;
        }
        self.sets[slot].get_or_init(|| Box::new(Cells::new(empty())));
        // ORDERING: Relaxed; see `sets`.
        self.high.store(slot + 1, Ordering::Relaxed);
        Some(slot)
    }

    /// Gives a slot back; its next owner goes on from its values.
    pub(crate) fn give(&self, slot: usize) {
        self.free.lock().expect("nothing panics while the lock is held").push(slot);
        // ORDERING: Relaxed; a hint, `take` decides under the lock.
        self.returned.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn returned(&self) -> usize {
        // ORDERING: Relaxed; a hint, see `give`.
        self.returned.load(Ordering::Relaxed)
    }

    /// The cells of a slot that was taken once.
    pub(crate) fn set(&self, slot: usize) -> &Cells {
        self.sets[slot].get().expect("`take` made it")
    }

    /// The cells of every slot that was ever taken.
    #[inline]
    pub(crate) fn sets(&self) -> impl Iterator<Item = &Cells> {
        // ORDERING: Relaxed; a set is left out when either this or the set itself is not seen yet. Whoever was told of a
        // count, and so must read it, was told of both, which came before.
        self.sets[..self.high.load(Ordering::Relaxed)]
            .iter()
            .filter_map(|set| set.get().map(|cells| &**cells))
    }
}
