//! Tickets: what is in flight, and how it ended.

use std::sync::Arc;
use std::time::Duration;

use super::{Began, Limiter};
use crate::meter::Outcome;
use crate::semaphore::{OwnedSemaphorePermit, SemaphorePermit};

/// A work item in flight. Made by [`Limiter::acquire`] and its relatives; dropping it means [`ignore`](Self::ignore).
#[derive(Debug)]
#[must_use = "a ticket that is not kept ends at once, and tells the law nothing"]
#[clippy::has_significant_drop]
pub struct Ticket<'a> {
    limiter: &'a Limiter,
    permit: SemaphorePermit<'a>,
    began: Option<Began>,
}

impl<'a> Ticket<'a> {
    #[inline]
    pub(super) fn new(limiter: &'a Limiter, permit: SemaphorePermit<'a>) -> Self {
        Self { limiter, permit, began: limiter.begin() }
    }

    /// It is done, and its latency tells about the backend.
    #[inline]
    pub fn success(self) {
        self.end(Outcome::Success, None);
    }

    /// As [`success`](Self::success), and the backend said that it waited this long before it was served: a
    /// `Server-Timing` header, the queue time of a model server. [`Knee`](crate::Knee) then needs no guessing.
    #[inline]
    pub fn success_after_wait(self, backend_wait: Duration) {
        self.end(Outcome::Success, Some(backend_wait));
    }

    /// The backend refused it for lack of capacity, or it timed out.
    #[inline]
    pub fn overload(self) {
        self.end(Outcome::Overload, None);
    }

    /// It ended in a way that says nothing about the backend: cancelled by its caller, say, or refused as malformed.
    pub fn ignore(self) {
        drop(self);
    }

    #[inline]
    fn end(self, outcome: Outcome, backend_wait: Option<Duration>) {
        let Self { limiter, permit, began } = self;
        drop(permit);
        if let Some(began) = began {
            limiter.ended(began, outcome, backend_wait);
        }
    }
}

/// As [`Ticket`], but it keeps the limiter alive and may go to another task.
#[derive(Debug)]
#[must_use = "a ticket that is not kept ends at once, and tells the law nothing"]
#[clippy::has_significant_drop]
pub struct OwnedTicket {
    limiter: Arc<Limiter>,
    permit: OwnedSemaphorePermit,
    began: Option<Began>,
}

impl OwnedTicket {
    pub(super) fn new(limiter: Arc<Limiter>, permit: OwnedSemaphorePermit) -> Self {
        let began = limiter.begin();
        Self { limiter, permit, began }
    }

    /// As [`Ticket::success`].
    pub fn success(self) {
        self.end(Outcome::Success, None);
    }

    /// As [`Ticket::success_after_wait`].
    pub fn success_after_wait(self, backend_wait: Duration) {
        self.end(Outcome::Success, Some(backend_wait));
    }

    /// As [`Ticket::overload`].
    pub fn overload(self) {
        self.end(Outcome::Overload, None);
    }

    /// As [`Ticket::ignore`].
    pub fn ignore(self) {
        drop(self);
    }

    fn end(self, outcome: Outcome, backend_wait: Option<Duration>) {
        let Self { limiter, permit, began } = self;
        drop(permit);
        if let Some(began) = began {
            limiter.ended(began, outcome, backend_wait);
        }
    }
}
