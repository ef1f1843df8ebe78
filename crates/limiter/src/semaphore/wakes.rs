//! Wakers collected under the lock, to be woken after it.

use std::task::Waker;

/// In order of collection; one waker, the usual number, costs no allocation.
#[derive(Debug)]
#[must_use = "wakers that are not woken are wake-ups lost"]
pub(super) struct Wakes {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakes {
    pub(super) const fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    pub(super) const fn of(waker: Waker) -> Self {
        Self { first: Some(waker), rest: Vec::new() }
    }

    #[inline]
    pub(super) fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.rest.push(waker);
        }
    }

    /// Foreign code runs here: no lock may be held.
    #[inline]
    pub(super) fn wake(self) {
        let Self { first, rest } = self;
        if let Some(first) = first {
            first.wake();
        }
        if !rest.is_empty() {
            rest.into_iter().for_each(Waker::wake);
        }
    }
}
