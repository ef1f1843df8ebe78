//! One request, from the first poll to the permit or the error.

use std::task::{Context, Poll};

use crate::queue::{NIL, Oversize, Polled};

use super::permit::Taken;
use super::{AcquireError, Semaphore};

/// What both futures are apart from how they hold the semaphore.
pub(super) struct Request {
    pub(super) weight: u32,
    /// The slot it owns in the queue, or `NIL`.
    pub(super) slot: u32,
    pub(super) oversize: Oversize,
}

impl Request {
    #[inline]
    pub(super) fn new(weight: u32) -> Self {
        Self { weight, slot: NIL, oversize: Oversize::Refuse }
    }

    #[inline]
    pub(super) fn poll(
        &mut self,
        semaphore: &Semaphore,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, AcquireError>> {
        if self.slot == NIL && semaphore.take(self.weight).is_ok() {
            return Poll::Ready(Ok(Taken { weight: self.weight, waited: false }));
        }
        let taken = Taken { weight: self.weight, waited: true };
        self.poll_slowly(semaphore, cx).map_ok(|()| taken)
    }

    #[cold]
    #[inline(never)]
    fn poll_slowly(
        &mut self,
        semaphore: &Semaphore,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), AcquireError>> {
        if self.slot == NIL {
            return match semaphore.join(self.weight, self.oversize, cx.waker().clone()) {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(Some(slot)) => {
                    self.slot = slot;
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            };
        }
        let decided = match semaphore.collect(self.slot, cx.waker()) {
            Polled::Waiting | Polled::WrongWaker => return Poll::Pending,
            Polled::Granted => Ok(()),
            Polled::Closed => Err(AcquireError::Closed),
            Polled::Refused { limit } => Err(AcquireError::ExceedsLimit {
                requested: self.weight as usize,
                limit: limit as usize,
            }),
        };
        self.slot = NIL;
        Poll::Ready(decided)
    }

    #[inline]
    pub(super) fn leave(&mut self, semaphore: &Semaphore) {
        if self.slot != NIL {
            semaphore.leave(self.slot);
            self.slot = NIL;
        }
    }
}
