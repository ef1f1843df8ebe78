//! The semaphore's state packed in one word: use, limit and three flags, as a plain value.

use std::fmt;

/// The largest limit, and the largest weight of one request: 2³⁰ − 1.
pub(crate) const MAX: u32 = (1 << BITS) - 1;

/// Width of `in_use` and of `limit`.
const BITS: u32 = 30;
const LIMIT_SHIFT: u32 = 4;
const USE_SHIFT: u32 = LIMIT_SHIFT + BITS;

/// Requests wait in the queue: nobody may take without the lock.
pub(crate) const QUEUED: u64 = 1;
/// Closed: nobody may take at all.
pub(crate) const CLOSED: u64 = 1 << 1;
/// Somebody waits until the semaphore is idle.
pub(crate) const WATCHED: u64 = 1 << 2;

/// `in_use` (30 bits) | `limit` (30 bits) | a spare bit | `WATCHED` | `CLOSED` | `QUEUED`.
///
/// `in_use` stands on top, so that giving back is one `fetch_sub` that cannot borrow from a neighbour.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    pub(crate) const fn new(limit: u32) -> Self {
        Self((limit as u64) << LIMIT_SHIFT)
    }

    /// What `weight` in use adds to the word.
    #[inline]
    pub(crate) const fn used(weight: u32) -> u64 {
        (weight as u64) << USE_SHIFT
    }

    #[inline]
    pub(crate) fn in_use(self) -> u32 {
        (self.0 >> USE_SHIFT) as u32
    }

    #[inline]
    pub(crate) fn limit(self) -> u32 {
        (self.0 >> LIMIT_SHIFT) as u32 & MAX
    }

    #[inline]
    pub(crate) fn has(self, flags: u64) -> bool {
        self.0 & flags != 0
    }

    /// The one rule of admission. Whether somebody waits, or it is closed, is another question.
    #[inline]
    pub(crate) fn fits(self, weight: u32) -> bool {
        // In 64 bits, so that no weight overflows.
        u64::from(self.in_use()) + u64::from(weight) <= u64::from(self.limit())
    }

    /// Whether the request can never be admitted at this limit. A limit of 0 is a pause and refuses nobody for weight.
    #[inline]
    pub(crate) fn is_exceeded_by(self, weight: u32) -> bool {
        let limit = self.limit();
        limit < weight && limit != 0
    }

    #[inline]
    pub(crate) fn taking(self, weight: u32) -> Self {
        Self(self.0 + Self::used(weight))
    }

    #[inline]
    pub(crate) fn with(self, flags: u64) -> Self {
        Self(self.0 | flags)
    }

    #[inline]
    pub(crate) fn without(self, flags: u64) -> Self {
        Self(self.0 & !flags)
    }

    pub(crate) fn with_limit(self, limit: u32) -> Self {
        let field = u64::from(MAX) << LIMIT_SHIFT;
        Self(self.0 & !field | u64::from(limit) << LIMIT_SHIFT)
    }

    /// `weight` leaves for good: it is no longer in use, and the limit is lower by as much.
    pub(crate) fn forgetting(self, weight: u32) -> Self {
        Self(self.0 - Self::used(weight)).with_limit(self.limit().saturating_sub(weight))
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("limit", &self.limit())
            .field("in_use", &self.in_use())
            .field("queued", &self.has(QUEUED))
            .field("closed", &self.has(CLOSED))
            .field("watched", &self.has(WATCHED))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other_at_their_extremes() {
        let full = Word::new(MAX).taking(MAX).with(QUEUED | CLOSED | WATCHED);
        assert_eq!((full.in_use(), full.limit()), (MAX, MAX));
        let shrunk = full.with_limit(0);
        assert_eq!((shrunk.in_use(), shrunk.limit()), (MAX, 0));
        let cleared = shrunk.without(QUEUED | CLOSED | WATCHED);
        assert_eq!(cleared.0 - Word::used(MAX), 0);
    }

    #[test]
    fn forgetting_more_than_the_limit_leaves_limit_zero() {
        let word = Word::new(5).taking(4).with_limit(2).with(QUEUED).forgetting(3);
        assert_eq!((word.in_use(), word.limit(), word.has(QUEUED)), (1, 0, true));
    }
}
