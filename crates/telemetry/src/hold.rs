//! Who holds a series, and whether it was removed: one word, so that the two never contradict each other.
//!
//! ```text
//! held by n, live --take/give--> held by n ± 1, live        held by 0, live --remove_unheld--> removed
//! held by n, live --remove--> held by n, removed
//! ```
//!
//! Invariants:
//! 1. Removed is for ever.
//! 2. A series that somebody took while it was live is not removed by [`Hold::remove_unheld`] until it was given back.

use crate::sync::{AtomicU32, Ordering};

/// Set when the series was removed; below it stands how many hold it.
const REMOVED: u32 = 1 << 31;

/// Who holds a series, and whether it was removed.
#[derive(Debug)]
pub(crate) struct Hold {
    word: AtomicU32,
}

impl Hold {
    pub(crate) fn new() -> Self {
        Self { word: AtomicU32::new(0) }
    }

    /// Takes hold; whether the series was live then. To be given back in either case.
    pub(crate) fn take(&self) -> bool {
        // ORDERING: Relaxed; the word alone decides, and the memory of the series is kept by an `Arc`.
        self.word.fetch_add(1, Ordering::Relaxed) & REMOVED == 0
    }

    pub(crate) fn give(&self) {
        // ORDERING: Release; pairs with the Acquire in `is_held`:
        //   holder: value = 1; give()     other: if !is_held() { assert_eq!(value, 1) }
        self.word.fetch_sub(1, Ordering::Release);
    }

    pub(crate) fn is_held(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `give`.
        self.word.load(Ordering::Acquire) & !REMOVED > 0
    }

    #[inline]
    pub(crate) fn is_removed(&self) -> bool {
        // ORDERING: Relaxed; nothing else is read because of it.
        self.word.load(Ordering::Relaxed) & REMOVED > 0
    }

    /// Removes the series, held or not.
    pub(crate) fn remove(&self) {
        // ORDERING: Relaxed; see `is_removed`.
        self.word.fetch_or(REMOVED, Ordering::Relaxed);
    }

    /// Removes the series if nobody holds it and it was not removed before; whether that was done.
    pub(crate) fn remove_unheld(&self) -> bool {
        // ORDERING: Relaxed, both; the word alone decides.
        self.word.compare_exchange(0, REMOVED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
