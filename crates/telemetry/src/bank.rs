//! All cells of the process: those of each thread, those that threads without a slot share, and which are in use.

use crate::cells::Cells;
use crate::indices::Indices;
use crate::slots::Slots;
use crate::sync::Mutex;

/// All cells of the process.
#[derive(Debug)]
pub(crate) struct Bank {
    pub(crate) slots: Slots,
    /// For threads without a slot.
    pub(crate) shared: Cells,
    indices: Mutex<Indices>,
}

impl Bank {
    /// From parts that are empty, which a model cannot make in a constant.
    pub(crate) const fn new(slots: Slots, shared: Cells, indices: Mutex<Indices>) -> Self {
        Self { slots, shared, indices }
    }

    /// Reserves `width` cells, all zero; `None` when there are no more.
    pub(crate) fn allocate(&self, width: u32) -> Option<u32> {
        self.indices.lock().expect("nothing panics while the lock is held").allocate(width)
    }

    /// Returns cells to which no handle is left.
    pub(crate) fn release(&self, start: u32, width: u32) {
        self.sets().for_each(|cells| cells.clear(start, width));
        // After that: the next owner of the cells finds zeros.
        self.indices.lock().expect("nothing panics while the lock is held").release(start, width);
    }

    /// The total of a counter; two readings one after the other never go down.
    #[inline]
    pub(crate) fn total(&self, index: u32) -> u64 {
        self.sets().fold(0, |total, cells| total.saturating_add(cells.get(index)))
    }

    /// The total of a counter of fractions; two readings one after the other never go down, since no cell does and they
    /// are always added in the same order.
    #[inline]
    pub(crate) fn float_total(&self, index: u32) -> f64 {
        let of = |cells: &Cells| f64::from_bits(cells.get(index));
        self.sets().fold(0.0, |total, cells| total + of(cells)).min(f64::MAX)
    }

    /// Puts the observations in each bucket into `counts` and returns their sum.
    pub(crate) fn observed(&self, start: u32, scratch: &mut [u64], counts: &mut [u64]) -> f64 {
        counts.fill(0);
        self.sets().map(|cells| cells.snapshot(start, scratch, counts)).sum()
    }

    #[inline]
    fn sets(&self) -> impl Iterator<Item = &Cells> {
        std::iter::once(&self.shared).chain(self.slots.sets())
    }
}
