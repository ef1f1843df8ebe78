//! Tasks that are forced together leave together, so that ten thousand of them do not fight over the group's one count.
//!
//! ```text
//!  63          32 31         0
//! | cancelled    | left      |   one word a batch, on a cache line of its own
//! ```
//!
//! Invariant: each task of a batch calls [`Batch::leave`] once; the last one speaks for all.

use crate::sync::{AtomicU64, Ordering};

/// What a task that leaves has to take off the group's counts: itself, or its whole batch, or nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "those who left are still counted as alive"]
pub struct Leaving {
    /// So many are gone.
    pub tasks: u32,
    /// So many of them were cancelled.
    pub cancelled: u32,
}

impl Leaving {
    const LATER: Self = Self { tasks: 0, cancelled: 0 };

    /// One task, by itself.
    #[inline]
    pub fn alone(cancelled: bool) -> Self {
        Self { tasks: 1, cancelled: u32::from(cancelled) }
    }
}

/// Tasks that were woken one after the other, and mostly run on the same thread.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Batch {
    tasks: u32,
    word: AtomicU64,
}

impl Batch {
    pub(crate) fn of(tasks: u32) -> Self {
        Self { tasks, word: AtomicU64::new(u64::from(tasks)) }
    }

    /// One of them is gone.
    pub(crate) fn leave(&self, cancelled: bool) -> Leaving {
        let step = (u64::from(cancelled) << 32).wrapping_sub(1);
        // ORDERING: AcqRel; each leave pairs with the next, so that the last one, which takes all off the tally, does so after
        // all that the others did:
        //   task: result = 7; batch.leave()    last: batch.leave(); tally.leave()    owner: assert_eq!(result, 7)
        let now = self.word.fetch_add(step, Ordering::AcqRel).wrapping_add(step);
        if now as u32 == 0 {
            Leaving { tasks: self.tasks, cancelled: (now >> 32) as u32 }
        } else {
            Leaving::LATER
        }
    }
}
