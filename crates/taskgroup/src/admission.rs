//! The limit on how many tasks run: who runs, who waits, in strict order of arrival. A plain struct; its owner locks and starts.
//!
//! Invariants:
//! 1. Nobody is let in past one who waits: `running` grows for the head of the queue, or when nobody waits.
//! 2. `running` grows only below `limit`; lowering the limit takes nothing back.
//! 3. Closed, the queue is empty and stays so.
//! 4. `stuck` counts those in the queue who hold a place while they wait; it stays below `running`, or nobody could go on.

use std::collections::VecDeque;

/// Places and the queue for them; `W` waits.
#[derive(Debug)]
pub(crate) struct Admission<W> {
    limit: usize,
    running: usize,
    /// In the order of their tickets.
    queue: VecDeque<Spot<W>>,
    gone: usize,
    stuck: usize,
    tickets: u64,
    closed: bool,
}

#[derive(Debug)]
struct Spot<W> {
    ticket: u64,
    /// `None` once it gave up: taking it out of the middle would move the others.
    who: Option<W>,
    stuck: bool,
}

/// What became of one who asked for a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<W> {
    /// A place was taken for it.
    Now(W),
    /// It stands in the queue, under this ticket.
    Later(u64),
    /// The queue is closed.
    Closed(W),
    /// It holds a place, and so do all others who run and wait: none would ever be given back.
    Deadlock(W),
}

impl<W> Admission<W> {
    /// So many places, all free.
    pub(crate) fn new(limit: usize) -> Self {
        let queue = VecDeque::new();
        Self { limit, running: 0, queue, gone: 0, stuck: 0, tickets: 0, closed: false }
    }

    /// How many places there are.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// How many are taken.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() - self.gone
    }

    /// Takes a place, if one is free; then nobody waits.
    pub(crate) fn try_enter(&mut self) -> bool {
        let free = !self.closed && self.running < self.limit;
        debug_assert!(!free || self.waiting() == 0, "nobody waits while a place is free");
        self.running += usize::from(free);
        free
    }

    /// Takes a place or stands in the queue. `holds`: whether the asker has a place that it will not give back meanwhile.
    pub(crate) fn enter(&mut self, who: W, holds: bool) -> Entry<W> {
        if self.closed {
            return Entry::Closed(who);
        }
        if self.try_enter() {
            return Entry::Now(who);
        }
        if holds && self.running <= self.stuck + 1 {
            return Entry::Deadlock(who);
        }
        let ticket = self.tickets;
        self.tickets += 1;
        self.stuck += usize::from(holds);
        self.queue.push_back(Spot { ticket, who: Some(who), stuck: holds });
        Entry::Later(ticket)
    }

    /// Gives a place back; who may have it now.
    pub(crate) fn leave(&mut self) -> Option<W> {
        self.running -= 1;
        self.next()
    }

    /// Changes the limit; who may come in now, places taken.
    pub(crate) fn resize(&mut self, limit: usize) -> Vec<W> {
        self.limit = limit;
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Takes one out of the queue who gives up; `None` when it is not there any more.
    pub(crate) fn give_up(&mut self, ticket: u64) -> Option<W> {
        let at = self.queue.binary_search_by_key(&ticket, |spot| spot.ticket).ok()?;
        let who = self.queue[at].who.take()?;
        self.stuck -= usize::from(self.queue[at].stuck);
        self.gone += 1;
        // Half of them gone: each giving up has paid for one step of this.
        if self.queue.len() < 2 * self.gone {
            self.queue.retain(|spot| spot.who.is_some());
            self.gone = 0;
        }
        Some(who)
    }

    /// Takes nobody any more; who waited.
    pub(crate) fn close(&mut self) -> Vec<W> {
        self.closed = true;
        (self.gone, self.stuck) = (0, 0);
        std::mem::take(&mut self.queue).into_iter().filter_map(|spot| spot.who).collect()
    }

    /// The next one in, its place taken.
    fn next(&mut self) -> Option<W> {
        while self.running < self.limit {
            let spot = self.queue.pop_front()?;
            let Some(who) = spot.who else {
                self.gone -= 1;
                continue;
            };
            self.stuck -= usize::from(spot.stuck);
            self.running += 1;
            return Some(who);
        }
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
