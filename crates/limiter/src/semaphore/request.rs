//! One request, from the first poll to the permit or the error.

use std::task::{Context, Poll};

use crate::queue::{Oversize, Place, Polled};

use super::permit::Taken;
use super::{AcquireError, Semaphore};

/// What both futures are apart from how they hold the semaphore.
pub(super) struct Request {
    pub(super) weight: u32,
    /// Its own in the queue, while it waits or has not collected.
    pub(super) place: Option<Place>,
    pub(super) oversize: Oversize,
}

impl Request {
    #[inline]
    pub(super) fn new(weight: u32) -> Self {
        Self { weight, place: None, oversize: Oversize::Refuse }
    }

    #[inline]
    pub(super) fn poll(
        &mut self,
        semaphore: &Semaphore,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, AcquireError>> {
        let waited = match self.place {
            None if semaphore.take_at_once(self.weight).is_ok() => false,
            Some(place) if semaphore.collect_passed(place) => {
                self.place = None;
                true
            }
            _ => {
                let taken = Taken { weight: self.weight, waited: true };
                return self.poll_slowly(semaphore, cx).map_ok(|()| taken);
            }
        };
        Poll::Ready(Ok(Taken { weight: self.weight, waited }))
    }

    #[cold]
    #[inline(never)]
    fn poll_slowly(
        &mut self,
        semaphore: &Semaphore,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), AcquireError>> {
        let Some(place) = self.place else {
            // Nothing is asked for: that is not worth a place in the queue.
            if self.weight == 0 && semaphore.take(0).is_ok() {
                return Poll::Ready(Ok(()));
            }
            return match semaphore.join(self.weight, self.oversize, cx.waker().clone()) {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(Some(place)) => {
                    self.place = Some(place);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            };
        };
        let decided = match semaphore.collect(place, cx.waker()) {
            Polled::Waiting | Polled::WrongWaker => return Poll::Pending,
            Polled::Granted => Ok(()),
            Polled::Closed => Err(AcquireError::Closed),
            Polled::Refused { limit } => Err(AcquireError::ExceedsLimit {
                requested: self.weight as usize,
                limit: limit as usize,
            }),
        };
        self.place = None;
        Poll::Ready(decided)
    }

    #[inline]
    pub(super) fn leave(&mut self, semaphore: &Semaphore) {
        if let Some(place) = self.place.take() {
            semaphore.leave(place, self.weight);
        }
    }
}
