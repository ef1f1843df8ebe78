//! The limit on how many tasks run: who runs, who waits, in strict order of arrival. A plain struct; its owner locks and starts.
//!
//! Invariants:
//! 1. Nobody is let in past one who waits: `running` grows for the head of the queue, or when the queue is empty.
//! 2. `running` grows only below `limit`; lowering the limit takes nothing back.
//! 3. Closed, the queue is empty and stays so.

use std::collections::VecDeque;

/// Places and the queue for them; `W` waits.
pub(crate) struct Admission<W> {
    limit: usize,
    running: usize,
    waiting: VecDeque<W>,
    closed: bool,
}

/// What became of one who asked for a place.
pub(crate) enum Entry<W> {
    /// A place was taken for it.
    Now(W),
    /// It stands in the queue.
    Later,
    /// The queue is closed.
    Closed(W),
}

impl<W> Admission<W> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, running: 0, waiting: VecDeque::new(), closed: false }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn running(&self) -> usize {
        self.running
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a place, if one is free and nobody waits.
    pub(crate) fn try_enter(&mut self) -> bool {
        let free = !self.closed && self.waiting.is_empty() && self.running < self.limit;
        self.running += usize::from(free);
        free
    }

    pub(crate) fn enter(&mut self, who: W) -> Entry<W> {
        if self.closed {
            return Entry::Closed(who);
        }
        if self.try_enter() {
            return Entry::Now(who);
        }
        self.waiting.push_back(who);
        Entry::Later
    }

    /// Gives a place back; who may have it now.
    pub(crate) fn leave(&mut self) -> Option<W> {
        self.running -= 1;
        self.next()
    }

    /// The next one in, its place taken.
    pub(crate) fn next(&mut self) -> Option<W> {
        if self.limit <= self.running {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.running += 1;
        Some(next)
    }

    /// Changes the limit; who may come in now, places taken.
    pub(crate) fn resize(&mut self, limit: usize) -> Vec<W> {
        self.limit = limit;
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Takes nobody any more; who waited.
    pub(crate) fn close(&mut self) -> VecDeque<W> {
        self.closed = true;
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests;
