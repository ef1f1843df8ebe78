//! Changing the limit.

use crate::sync::Ordering;
use crate::word::{QUEUED, WATCHED, Word};

use super::wakes::Wakes;
use super::{Semaphore, Shared, checked};

impl Semaphore {
    /// Sets the limit. See [Resizing](Self#resizing) for what that does to holders and to those who wait.
    ///
    /// # Panics
    /// When `limit` is above [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn resize(&self, limit: usize) {
        let limit = checked(limit);
        self.change_limit(|word| word.with_limit(limit));
    }

    /// As [`resize`](Self::resize), if the limit is still what it was.
    pub(crate) fn resize_from(&self, from: usize, to: usize) {
        let (from, to) = (checked(from), checked(to));
        self.change_limit(|word| if word.limit() == from { word.with_limit(to) } else { word });
    }

    /// Raises the limit by `n` and admits waiters in order.
    ///
    /// # Panics
    /// When the limit would pass [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn add_permits(&self, n: usize) {
        self.change_limit(|word| {
            word.with_limit(checked((word.limit() as usize).saturating_add(n)))
        });
    }

    /// Lowers the limit by `n`, or to 0 if it is below `n`, whether or not that many are free at the moment, and
    /// returns by how much it fell.
    pub fn forget_permits(&self, n: usize) -> usize {
        let mut fell = 0;
        self.change_limit(|word| {
            fell = n.min(word.limit() as usize);
            word.with_limit(word.limit() - fell as u32)
        });
        fell
    }

    /// Takes a permit out for good: use and limit fall by its weight.
    pub(super) fn give_forgotten(&self, weight: u32) {
        self.change_limit(|word| word.forgetting(weight));
    }

    fn change_limit(&self, mut change: impl FnMut(Word) -> Word) {
        // ORDERING: AcqRel; Release so that whoever acquires thanks to a larger limit sees what the resizer wrote before,
        // Acquire for the settling that may follow, as in `give`.
        let before = self.update(Ordering::AcqRel, |word| Some(change(word)));
        if before.is_some_and(|word| word.has(QUEUED | WATCHED)) {
            self.settle_after_change();
        }
    }

    #[cold]
    fn settle_after_change(&self) {
        let mut wakes = Wakes::new();
        let mut shared = self.shared.lock();
        // The limit of this moment, not the one just set: another resize may have come between, and would then scan too.
        let limit = self.load().limit();
        if limit != 0 {
            shared.queue.refuse_heavier(limit, |waker| wakes.push(waker));
        }
        self.settle(&mut shared, &mut wakes);
        Shared::unlock(shared);
        wakes.wake();
    }
}
