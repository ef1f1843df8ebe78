//! Those who wait until nobody lives.
//!
//! A waiter registers *before* it looks at the tally; the last task leaves the tally *before* it calls
//! [`Waiters::wake_all`]. The lock orders the two: if the waking came first, the look sees nobody alive.

use std::mem;
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;
use crate::tally::{Seen, Tally};

/// A registered waiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Wakers of waiters. Few at a time, hence a plain list.
#[derive(Debug)]
pub struct Waiters(Mutex<List>);

#[derive(Debug)]
struct List {
    next: u64,
    waiting: Vec<(u64, Waker)>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self::new()
    }
}

impl Waiters {
    /// Nobody waits.
    pub fn new() -> Self {
        Self(Mutex::new(List { next: 0, waiting: Vec::new() }))
    }

    /// Closes the tally and tells its last word, once nobody lives: looks, registers, and looks again. `ticket` is kept from
    /// one poll to the next.
    pub fn poll_closed(
        &self,
        tally: &Tally,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Seen> {
        let closed = tally.close_if_empty().or_else(|| {
            *ticket = Some(self.register(*ticket, cx.waker()));
            tally.close_if_empty()
        });
        closed.map_or(Poll::Pending, Poll::Ready)
    }

    /// Registers a waker, in the place of the one that `ticket` stands for, if any.
    fn register(&self, ticket: Option<Ticket>, waker: &Waker) -> Ticket {
        let mut list = self.0.lock();
        if let Some(Ticket(id)) = ticket
            && let Some((_, old)) = list.waiting.iter_mut().find(|(known, _)| *known == id)
        {
            let old = (!old.will_wake(waker)).then(|| mem::replace(old, waker.clone()));
            drop(list);
            drop(old);
            return Ticket(id);
        }
        let id = list.next;
        list.next += 1;
        list.waiting.push((id, waker.clone()));
        Ticket(id)
    }

    /// Takes a waiter out.
    pub fn leave(&self, Ticket(id): Ticket) {
        let mut list = self.0.lock();
        let at = list.waiting.iter().position(|(known, _)| *known == id);
        let waker = at.map(|at| list.waiting.swap_remove(at));
        drop(list);
        drop(waker);
    }

    /// Wakes everybody, outside the lock.
    pub fn wake_all(&self) {
        let waiting = mem::take(&mut self.0.lock().waiting);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}
